import math

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(0)
g = torch.Generator().manual_seed(2147483647)
X = torch.randint(0,27,(64,3),generator=g)
Y = torch.randint(0,27,(64,),generator=g)
C = torch.randn((27,4),generator=g)
W1 = torch.randn((12,30),generator=g)
b1 = torch.randn(30,generator=g)
W2 = torch.randn((30,27),generator=g)*0.1
b2 = torch.randn(27,generator=g)
bngain = torch.ones((1,30)); bnbias = torch.zeros((1,30))
parameters = [C,W1,b1,W2,b2,bngain,bnbias]
print(sum(p.nelement() for p in parameters))
for p in parameters: p.requires_grad = True
for i in range(30):
    ix = torch.randint(0,X.shape[0],(32,),generator=g)
    emb = C[X[ix]]
    hpre = emb.view(emb.shape[0],-1)@W1+b1
    m = hpre.mean(0,keepdim=True); s = hpre.std(0,keepdim=True)
    h = torch.tanh(bngain*(hpre-m)/s+bnbias)
    logits = h@W2+b2
    loss = F.cross_entropy(logits,Y[ix])
    for p in parameters: p.grad = None
    loss.backward()
    lr = 0.1 if i<20 else 0.01
    for p in parameters: p.data += -lr*p.grad
    if i%10==0: print(f'{i:7d}/{30:7d}: {loss.item():.4f}')
logits_maxes = logits.max(1, keepdim=True).values
norm_logits = logits-logits_maxes
counts = norm_logits.exp()
counts_sum = counts.sum(1,keepdim=True)
counts_sum_inv = counts_sum**-1
probs = counts*counts_sum_inv
logprobs = probs.log()
n = 32
loss2 = -logprobs[range(n),Y[ix]].mean()
for t in [logprobs,probs,counts,counts_sum,counts_sum_inv,norm_logits,logits_maxes,logits]: t.retain_grad()
loss2.backward()
dlogprobs = torch.zeros_like(logprobs)
dlogprobs[range(n),Y[ix]] = -1.0/n
dprobs = (1.0/probs)*dlogprobs
def cmp(s,dt,t):
    ex = torch.all(dt==t.grad).item(); app = torch.allclose(dt,t.grad); print(f'{s:15s} approximate: {str(app):5s} | maxdiff small: {(dt-t.grad).abs().max().item()<1e-6}')
cmp('logprobs',dlogprobs,logprobs)
cmp('probs',dprobs,probs)
loss2
C.grad.shape, C.grad[0]

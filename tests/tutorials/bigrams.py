import math

import numpy as np
import torch
import torch.nn.functional as F

N = torch.zeros((5,5),dtype=torch.int32)
for a,b in [(0,1),(1,2),(2,0),(0,3),(3,4),(4,0),(0,1)]: N[a,b]+=1
N
P = (N+1).float()
P /= P.sum(1,keepdims=True)
P
P[0].sum()
g = torch.Generator().manual_seed(2147483647)
p = torch.rand(3,generator=g); p = p/p.sum(); p
torch.multinomial(p,num_samples=20,replacement=True,generator=g).shape
xs = torch.tensor([0,1,2,0,3]); ys = torch.tensor([1,2,0,3,4])
W = torch.randn((5,5),generator=g,requires_grad=True)
for k in range(10):
    xenc = F.one_hot(xs,num_classes=5).float()
    logits = xenc@W
    counts = logits.exp()
    probs = counts/counts.sum(1,keepdims=True)
    loss = -probs[torch.arange(5),ys].log().mean()+0.01*(W**2).mean()
    W.grad = None
    loss.backward()
    W.data += -5*W.grad
loss
W
log_likelihood = 0.0
for x,y in zip(xs,ys): log_likelihood += torch.log(P[x,y])
print(f'{log_likelihood=}')
print(f'nll {-log_likelihood/5}')

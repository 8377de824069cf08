import math

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(1337)
B,T,C = 2,4,6
x = torch.randn(B,T,C)
head=4
Wk=torch.randn(C,head).requires_grad_(); Wq=torch.randn(C,head).requires_grad_(); Wv=torch.randn(C,head).requires_grad_()
k,q,v=x@Wk,x@Wq,x@Wv
wei=q@k.transpose(-2,-1)*head**-0.5
tril=torch.tril(torch.ones(T,T))
wei=wei.masked_fill(tril==0,float('-inf'))
wei
wei=F.softmax(wei,dim=-1)
wei[0]
out=wei@v
out
out.sum().backward()
Wq.grad
wei2=torch.tril(torch.ones(T,T)); wei2=wei2/wei2.sum(1,keepdim=True)
wei2
torch.allclose(wei2@x, torch.stack([x[:,:t+1].mean(1) for t in range(T)],1), atol=1e-6)
pos = torch.arange(T); F.embedding(pos, Wk).shape

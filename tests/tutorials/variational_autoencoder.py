import math

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(3)
x = torch.rand(6,10)
We = (torch.randn(10,8)*0.2).requires_grad_(); Wm=(torch.randn(8,3)*0.2).requires_grad_(); Wl=(torch.randn(8,3)*0.2).requires_grad_(); Wd=(torch.randn(3,10)*0.2).requires_grad_()
P=[We,Wm,Wl,Wd]
ms=[torch.zeros_like(p) for p in P]; vs=[torch.zeros_like(p) for p in P]
for t in range(1,6):
    h=F.relu(x@We); mu=h@Wm; logvar=h@Wl
    std=torch.exp(0.5*logvar); eps=torch.randn_like(std); z=mu+eps*std
    r=torch.sigmoid(z@Wd)
    BCE=F.binary_cross_entropy(r,x,reduction='sum')
    KLD=-0.5*torch.sum(1+logvar-mu.pow(2)-logvar.exp())
    loss=BCE+KLD
    grads=torch.autograd.grad(loss,P)
    with torch.no_grad():
        for p,g,m,v in zip(P,grads,ms,vs):
            m.mul_(0.9).add_(g,alpha=0.1); v.mul_(0.999).addcmul_(g,g,value=0.001)
            p.addcdiv_(m/(1-0.9**t), (v/(1-0.999**t)).sqrt()+1e-8, value=-0.01)
    print(t, f"{loss.item():.3f}")
std

import math

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(0)
A = torch.randn(5,5,dtype=torch.float64)
A = A@A.T+torch.eye(5,dtype=torch.float64)
b = torch.randn(5,dtype=torch.float64)
def f(x): return 0.5*x@A@x-b@x+0.1*(x**4).sum()
def hvp(x,v):
    x = x.detach().requires_grad_()
    g, = torch.autograd.grad(f(x),x,create_graph=True)
    return torch.autograd.grad(g,x,v)[0]
x = torch.zeros(5,dtype=torch.float64)
for it in range(5):
    xx = x.clone().requires_grad_()
    g, = torch.autograd.grad(f(xx),xx)
    p = torch.zeros_like(g); r = -g.clone(); d = r.clone(); rs = r@r
    for _ in range(10):
        Hd = hvp(x,d); alpha = rs/(d@Hd); p = p+alpha*d; r = r-alpha*Hd; rn = r@r
        if rn.sqrt() < 1e-10: break
        d = r+rn/rs*d; rs = rn
    x = x+p
    print(it, f"{f(x).item():.8f}", f"{g.norm().item():.2e}")
x
torch.linalg.norm(torch.autograd.functional.hessian(f,x))

import math

import numpy as np
import torch
import torch.nn.functional as F

x = torch.tensor([1.,2.],requires_grad=True)
w = torch.tensor([3.,4.],requires_grad=True)
y = w*x
z = y.sum()
for n,t in [('x',x),('w',w),('y',y),('z',z)]:
    print(f"{n}: requires_grad={t.requires_grad}, is_leaf={t.is_leaf}, retains_grad={t.retains_grad}, grad_fn={t.grad_fn}")
y.retain_grad()
z.backward()
y.grad, y.retains_grad
y.retain_grad()
t0 = torch.tensor(2.)
t0.retains_grad, t0.grad
def hook(g): print("grad:", g); return g*2
m = torch.ones(3,requires_grad=True)
l = m*2
l.retain_grad()
l.sum().backward()
l.grad, m.grad
d = (m*2).detach()
d.requires_grad, d.grad_fn
f = torch.ones(2,requires_grad=True)
g = f.view(2,1)
g._base is f, g._is_view()
h = f.detach()
h._base
k = f.clone()
k._is_view(), k.is_leaf
torch.equal(f, g.view(2))
f.requires_grad_(False).requires_grad
p = torch.zeros(2,requires_grad=True)
q = p.expand(3,2)
q.sum().backward()
p.grad
s = torch.ones(3,requires_grad=True)
s2 = s*2
s2[0] = 0
s2.sum().backward()
s.grad
u = torch.ones(2,requires_grad=True)
uu = u*1
v1 = uu[0]
uu.mul_(2)
v1
v1.grad_fn
(v1+uu.sum()).backward()
u.grad

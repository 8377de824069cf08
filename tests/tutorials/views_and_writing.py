import math

import numpy as np
import torch
import torch.nn.functional as F

a = torch.arange(6.).view(2,3)
b = a.t(); c = a[0]; d = a.view(-1); e = a[:,1:]; f = a.expand(2,2,3); g = a.unsqueeze(0); h = a.reshape(3,2); i = a.contiguous(); j = b.contiguous(); k = a.diagonal(); l = a.clone(); m=a.detach()
a[0,0] = 100
for n,t in zip('bcdefghijklm',(b,c,d,e,f,g,h,i,j,k,l,m)): print(n, t.flatten().tolist(), t._version)
e.zero_()
a
d[0] = -1
a, c
k = a.diagonal(); k.fill_(7)
a
a.T.add_(1)
a
n = a.numpy(); n[0,0]=55
a
a.split(1)[0].mul_(0)
a
a.chunk(3,1)[1].fill_(9)
a
u,v = a.unbind(); u.add_(1)
a
x = torch.zeros(4,requires_grad=True)
y = x*1
v1 = y[:2]; v2 = y[2:]
v1.fill_(3); v2.mul_(torch.tensor([2.,5.]))
y
y.sum().backward()
x.grad
x = torch.ones(3,requires_grad=True)
y = x.clone()
z = y.view(3,1)
y.mul_(3)
z
(z**2).sum().backward()
x.grad
w = torch.ones(2,2,requires_grad=True)
ww = w*1
ww.t()[0].mul_(4)
ww
ww.sum().backward()
w.grad
w.unsqueeze(0).add_(1)
with torch.no_grad(): w.view(-1)[0]=9
w
q = torch.zeros(3)
q.requires_grad_()
with torch.no_grad(): q[1]=5
q
r = torch.ones(3).expand(2,3)
r.add_(1)
r2 = torch.ones(3).expand(2,3).clone(); r2.add_(1)
r2
p = torch.arange(10)
p[2:5]=p[5:8]
p
p[::2] = 0
p
p[p%2==1] *= 10
p
s = torch.zeros(2,3)
s[:,0] += 1; s[1] -= 2; s[..., -1] *= 3
s
t = torch.ones(2,requires_grad=True)
tt = t*2
x0 = tt.select(0,0); x0 += 5
tt.sum().backward(); t.grad, tt

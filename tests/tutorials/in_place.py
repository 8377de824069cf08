import math

import numpy as np
import torch
import torch.nn.functional as F

x = torch.tensor([1.,2.,3.], requires_grad=True)
def T(f, *more):
    x = torch.tensor([0.5,1.5,2.5], requires_grad=True)
    y = x * 1
    r = f(y)
    print(r is y, y, chain(y), y._version)
    y.sum().backward()
    print(x.grad)
T(lambda y: y.add_(1))
T(lambda y: y.sub_(1))
T(lambda y: y.mul_(3))
T(lambda y: y.div_(3))
T(lambda y: y.pow_(2))
T(lambda y: y.clamp_(1,2))
T(lambda y: y.clamp_(min=1))
T(lambda y: y.clamp_min_(1))
T(lambda y: y.exp_())
T(lambda y: y.log_())
T(lambda y: y.sin_())
T(lambda y: y.cos_())
T(lambda y: y.tanh_())
T(lambda y: y.sigmoid_())
T(lambda y: y.relu_())
T(lambda y: y.sqrt_())
T(lambda y: y.neg_())
T(lambda y: y.abs_())
T(lambda y: y.reciprocal_())
T(lambda y: y.square_())
T(lambda y: y.round_())
T(lambda y: y.floor_())
T(lambda y: y.fill_(7))
T(lambda y: y.zero_())
T(lambda y: y.copy_(torch.ones(3)))
T(lambda y: y.copy_(torch.tensor(2.)))
T(lambda y: y.masked_fill_(y>1, 0.))
T(lambda y: y.index_fill_(0, torch.tensor([0]), 9.))
T(lambda y: y.index_add_(0, torch.tensor([0,0]), torch.ones(2)))
T(lambda y: y.scatter_(0, torch.tensor([1]), torch.tensor([5.])))
T(lambda y: y.scatter_(0, torch.tensor([1]), 5.))
T(lambda y: y.scatter_add_(0, torch.tensor([1,1]), torch.ones(2)))
T(lambda y: y.index_copy_(0, torch.tensor([1]), torch.ones(1)))
T(lambda y: y.addcmul_(torch.ones(3), torch.ones(3), value=2))
T(lambda y: y.addcdiv_(torch.ones(3), torch.ones(3), value=2))
T(lambda y: y.lerp_(torch.ones(3), 0.5))
T(lambda y: y.add_(torch.ones(3), alpha=2))
T(lambda y: y.remainder_(2))
T(lambda y: y.cumsum_(0))
T(lambda y: y.requires_grad_())
T(lambda y: y.__setitem__(0, 5.))
T(lambda y: y.__setitem__(slice(1,None), 5.))
T(lambda y: y.__setitem__(y>1, 5.))
T(lambda y: y.__setitem__(y>1, y[y>1]*2))
T(lambda y: y.__setitem__([0,1], torch.tensor([8.,9.])))
T(lambda y: y.__setitem__(torch.tensor([0,1]), 3.))
T(lambda y: y.__setitem__(..., 3.))
T(lambda y: y.__setitem__(0, y[1]))
x.add_(1)
x[0] = 1
x += 1
x.data[0] = 5
x
y = x*2
z = y**2
y.add_(1)
z.sum().backward()
y = x.exp()
y.mul_(2)
y.sum().backward()
y = torch.zeros(3)
y[1] = x[0]*2
y
chain(y)
y.sum().backward()
x.grad
y = torch.zeros(2,3)
y[0] = x
y[:, 1] += x[2]
y
y.sum().backward()
x.grad
y[0].add_(1)
y
i = torch.arange(3)
i.add_(1.5)
i += 1
i.mul_(torch.tensor(2))
i.div_(2)
i /= 2
i //= 2
i **= 2
i %= 3
i
b = torch.tensor([True,False])
b |= torch.tensor([True,True])
b
b &= torch.tensor([False,True])
b
b ^= True
b
torch.ones(3).add_(torch.ones(2,3))
torch.ones(3).add_(torch.ones(4))
torch.ones(1).expand(3).add_(1)
f = torch.ones(3)
f.add_(torch.ones(3,dtype=torch.double))
f[1:] += f[:-1]
f
g = torch.arange(4.)
g[1:].copy_(g[:-1])
g
g[[0,0,1]] += 1
g
g[g>2] = 0
g
g[0], g[1] = g[1].clone(), g[0].clone()
g
h = torch.zeros(2,2)
h.fill_diagonal_(1)
h.t_()
h.transpose_(0,1)
h.resize_(1,4) if False else 0
h.normal_ is not None
torch.zeros(2).put_(torch.tensor([0]), torch.tensor([3.]))
torch.zeros(2,2).index_put_((torch.tensor([0]),torch.tensor([1])), torch.tensor(5.))
torch.zeros(2,2).index_put_((torch.tensor([0,0]),torch.tensor([1,1])), torch.tensor(5.), accumulate=True)
torch.zeros(3).masked_scatter_(torch.tensor([True,False,True]), torch.tensor([1.,2.]))
F.relu_(torch.tensor([-1.,1.]))
v = torch.ones(3, requires_grad=True)
w = v.view(3)
w.add_(1)
with torch.no_grad(): w.add_(1)
v
u = (v*1)
uv = u.view(3)
uv.mul_(2)
u
chain(u), chain(uv)
u.detach_()
u2 = v*1
u2.detach_()
u2.requires_grad
x1 = torch.ones(2,requires_grad=True)
x2 = (x1*1)
x2.set_(torch.zeros(2)) if False else 0
x2.data = torch.zeros(2)
x2
x1.data = torch.zeros(3)
x1

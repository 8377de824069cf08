import math

import numpy as np
import torch
import torch.nn.functional as F

x = torch.tensor([1.,2.], requires_grad=True)
y = torch.tensor([3.,4.], requires_grad=True)
z = (x*x).sum()
torch.autograd.grad(z, x)
torch.autograd.grad(z, x)
z = (x*x).sum()
torch.autograd.grad(z, [x,y])
z = (x*x).sum()
torch.autograd.grad(z, [x,y], allow_unused=True)
z = (x*x).sum()
torch.autograd.grad(z, [x,y], materialize_grads=True)
torch.autograd.grad(x*x, x)
torch.autograd.grad(x*x, x, torch.ones(3))
torch.autograd.grad(x*x, x, torch.tensor([1.,2.]))
torch.autograd.grad([x*x, x*y], [x,y], [torch.ones(2), torch.ones(2)])
torch.autograd.grad(x*x, x, torch.eye(2), is_grads_batched=True)
torch.autograd.grad(torch.ones(2), x)
torch.autograd.grad((x*x).sum(), torch.ones(2))
torch.autograd.grad((x*x).sum(), x, create_graph=True)
g, = torch.autograd.grad((x**3).sum(), x, create_graph=True)
g
torch.autograd.grad(g.sum(), x)
(x*2).sum().backward(torch.ones(2))
(x*2).backward()
torch.autograd.backward([x.sum(), y.sum()])
x.grad, y.grad
torch.autograd.backward([x*2, y*2], [torch.ones(2), torch.ones(2)*3])
x.grad, y.grad
torch.autograd.backward(x*2)
torch.autograd.grad(z, x, allow_unused=False, materialize_grads=True)
x.sum().backward(inputs=[y])
(x*y).sum().backward(inputs=[x])
y.grad
(x*y).sum().backward(inputs=[])
torch.tensor(1.).backward()
w = torch.tensor([1., 2.], requires_grad=True)
l = (w**2).sum()
l.backward(retain_graph=True)
l.backward()
w.grad
l.backward()
(w*3).sum().backward(create_graph=True)
w.grad
torch.autograd.grad(w.sum(), w, grad_outputs=None)
torch.autograd.grad(outputs=w.prod(), inputs=w, grad_outputs=torch.tensor(2.))
torch.autograd.grad((w*w).sum(), w, torch.tensor(1))
a = torch.tensor(2., requires_grad=True)
b = a**3
d1, = torch.autograd.grad(b, a, create_graph=True)
d2, = torch.autograd.grad(d1, a, create_graph=True)
d3, = torch.autograd.grad(d2, a, create_graph=True)
d1, d2, d3
torch.autograd.grad(d3, a)
b.grad
a.is_leaf, b.is_leaf, a.grad_fn, b.output_nr
m = torch.ones(2, requires_grad=True)
u,v = m.unbind()
v
torch.autograd.grad(u*v, m)
s = torch.ones(4,requires_grad=True).chunk(2)
s
s[1].grad_fn
w.grad = torch.ones(3)
w.grad = 3
w.grad = None
w.grad is None
torch.ones(2, dtype=torch.int64, requires_grad=True)
torch.tensor([1,2], requires_grad=True)
torch.tensor([1,2]).requires_grad_()
(w*2).requires_grad_(False)
(w*2).requires_grad_(True)
w.detach().requires_grad
w.detach_().requires_grad

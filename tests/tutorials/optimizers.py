import math

import numpy as np
import torch
import torch.nn.functional as F

import torch.optim as optim
torch.manual_seed(0)
def run(make, steps=5):
    w = torch.tensor([1.,-2.,3.],requires_grad=True); b=torch.tensor([0.5],requires_grad=True)
    opt = make([w,b])
    for _ in range(steps):
        opt.zero_grad(); loss = ((w*torch.tensor([1.,2.,3.])).sum()+b-1).pow(2).sum()+w.abs().sum(); loss.backward(); opt.step()
    print(w, b, loss)
    return opt
o = run(lambda p: optim.SGD(p, lr=0.01))
o
run(lambda p: optim.SGD(p, lr=0.01, momentum=0.9)).state_dict()
o = run(lambda p: optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1, nesterov=True))
o = run(lambda p: optim.SGD(p, lr=0.01, momentum=0.9, dampening=0.1, maximize=False))
run(lambda p: torch.optim.Adam(p, lr=0.1)).state_dict()
o = run(lambda p: optim.Adam(p))
o
o = run(lambda p: optim.Adam(p, lr=0.1, betas=(0.8,0.9), eps=1e-6, weight_decay=0.1))
o = run(lambda p: optim.Adam(p, lr=0.1, amsgrad=True))
o = run(lambda p: optim.AdamW(p, lr=0.1))
o
o = run(lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.2))
o = run(lambda p: optim.SGD([{'params':p[:1]},{'params':p[1:],'lr':0.1}], lr=0.01))
[g['lr'] for g in o.param_groups]
for g in o.param_groups: g['lr'] *= 0.1
optim.SGD([], lr=0.1)
optim.SGD([torch.ones(2)], lr=-0.1)
optim.SGD(torch.ones(2), lr=0.1)
optim.SGD([torch.ones(2,requires_grad=True)*2], lr=0.1)
w = torch.ones(2,requires_grad=True)
opt = optim.Adam([w], lr=0.1)
(w*w).sum().backward(); opt.step()
sd = opt.state_dict()
w2 = w.detach().clone().requires_grad_()
opt2 = optim.Adam([w2], lr=0.5)
opt2.load_state_dict(sd)
w.grad=None
(w*w).sum().backward(); (w2*w2).sum().backward(); opt.step(); opt2.step()
w, w2
opt.zero_grad()
w.grad is None
opt.zero_grad(set_to_none=False)
def closure():
    opt.zero_grad(); l=(w*w).sum(); l.backward(); return l
opt.step(closure)

import math

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(1)
def net(x, p): return torch.tanh(x @ p[0] + p[1]) @ p[2] + p[3]
params = [torch.randn(1,10).mul_(0.5).requires_grad_(), torch.zeros(10,requires_grad=True), torch.randn(10,1).mul_(0.3).requires_grad_(), torch.zeros(1,requires_grad=True)]
meta_lr, inner_lr = 0.01, 0.1
for step in range(3):
    meta_loss = 0
    for task in range(2):
        phase = torch.rand(1)*math.pi
        x = torch.linspace(-3,3,10).unsqueeze(1)
        y = torch.sin(x+phase)
        loss = F.mse_loss(net(x,params), y)
        grads = torch.autograd.grad(loss, params, create_graph=True)
        fast = [p - inner_lr*g for p,g in zip(params,grads)]
        meta_loss = meta_loss + F.mse_loss(net(x,fast), y)
    mg = torch.autograd.grad(meta_loss, params)
    with torch.no_grad():
        for p,g in zip(params,mg): p.sub_(meta_lr*g)
    print(step, round(meta_loss.item(),4), [round(g.norm().item(),4) for g in mg])
params[1]

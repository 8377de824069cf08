import math

import numpy as np
import torch
import torch.nn.functional as F

p = torch.Tensor([1.5]).double(); p.requires_grad = True
q = torch.Tensor([-0.75]).double(); q.requires_grad = True
r = p * q - q
s = r**3 + p
r = r + r - 2
s = s * 0.5 + (q - p).relu() - r
r = 1 - r + (-q)
t = (s + r).relu() + s / r
t = t + 4.0 / (t + 10)
t.backward()
print(t.data.item(), p.grad.item(), q.grad.item())
u = torch.Tensor([3.0]).double(); u.requires_grad = True
v = u + 1 + u
w = (v * v).relu() - v.relu() * u
z = w / 2 + u * w
z.backward()
z, u.grad
inputs = [torch.tensor([each], dtype=torch.float64, requires_grad=True) for each in (0.5, -2.0, 1.25)]
factors = [torch.tensor([each], dtype=torch.float64, requires_grad=True) for each in (1.0, 0.3, -0.6)]
level = torch.tensor([0.1], dtype=torch.float64, requires_grad=True)
fired = torch.tanh(sum((x * k for x, k in zip(inputs, factors)), start=level))
print(fired.data.item())
fired.backward()
[each.grad.item() for each in (*inputs, *factors, level)]
power = torch.tensor(2.0, requires_grad=True)
base = torch.tensor(3.0, requires_grad=True)
result = base**power + 2**power
result.backward()
base.grad, power.grad
float(result), int(result), bool(result), result.item()

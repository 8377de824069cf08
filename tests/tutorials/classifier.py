import math

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(21)
centres = torch.tensor([[2.0, 0.0], [-1.0, 2.0], [-1.0, -2.0]])
labels = torch.arange(3).repeat(20)
points = centres[labels] + torch.randn(60, 2) * 0.7
order = torch.randperm(60)
points, labels = points[order], labels[order]
weight = torch.randn(2, 3).div(math.sqrt(2)).requires_grad_()
bias = torch.zeros(3, requires_grad=True)
def logs(batch):
    scores = torch.addmm(bias, batch, weight)
    return scores - torch.logsumexp(scores, -1, keepdim=True)
def loss_of(found, wanted): return -found.gather(1, wanted.unsqueeze(1)).mean()
def hits(found, wanted): return (found.argmax(dim=1) == wanted).double().mean()
start = logs(points[:4])
start
start.exp().sum(-1)
loss_of(start, labels[:4])
print(start[0], hits(start, labels[:4]))
for turn in range(3):
    for some, wanted in zip(points.split(15), labels.split(15)):
        loss = loss_of(logs(some), wanted)
        loss.backward()
        with torch.no_grad():
            for each in (weight, bias):
                each -= 0.4 * each.grad
                each.grad.zero_()
    print(turn, f"{loss.item():.4f}", hits(logs(points), labels).item())
weight
torch.allclose(F.cross_entropy(F.linear(points, weight.t(), bias), labels), loss_of(logs(points), labels))
confused = torch.zeros(3, 3, dtype=torch.int64)
confused.index_put_((labels, logs(points).argmax(1)), torch.tensor(1), accumulate=True)
confused.sum(), confused.diagonal().sum() > 50

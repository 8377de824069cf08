import math

import numpy as np
import torch
import torch.nn.functional as F

class Hermite2(torch.autograd.Function):
    """x * x - 1, the second of Hermite's polynomials as statisticians write them."""
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square() - 1
    @staticmethod
    def backward(ctx, bar):
        return 2 * ctx.saved_tensors[0] * bar
times = torch.linspace(-2, 2, 500)
wanted = torch.cos(times)
level = torch.full((), 0.1, device=torch.device("cpu"), dtype=torch.float, requires_grad=True)
height = torch.full((), -0.2, requires_grad=True)
stretch = torch.full((), 0.9, requires_grad=True)
learned = {"level": level, "height": height, "stretch": stretch}
rate = 2e-4
for turn in range(300):
    found = level + height * Hermite2.apply(stretch * times)
    loss = (found - wanted).square().sum()
    loss.backward()
    with torch.no_grad():
        for each in learned.values():
            each -= rate * each.grad
            each.grad = None
    if turn in (0, 99, 299): print(turn, round(loss.item(), 2))
print(", ".join(f"{name} {each.item():.3f}" for name, each in learned.items()))
chain(loss)

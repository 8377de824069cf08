import math

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(8)
pictures = torch.rand(5, 12).round()
sizes = {"code": (12, 6), "middle": (6, 2), "width": (6, 2), "picture": (2, 12)}
learned = {name: torch.randn(*size).mul_(0.3).requires_grad_() for name, size in sizes.items()}
def lost(noise):
    code = F.elu(pictures @ learned["code"])
    middle, width = code @ learned["middle"], F.softplus(code @ learned["width"])
    drawn = torch.addcmul(middle, noise, width)
    guessed = torch.sigmoid(drawn @ learned["picture"])
    far = F.binary_cross_entropy(guessed, pictures, reduction="sum")
    # The divergence of normal distributions from the one of mean 0 and width 1.
    apart = (middle.square() + width.square() - 1).sum() / 2 - width.log().sum()
    return far, apart
first = [torch.zeros_like(each) for each in learned.values()]
second = [torch.zeros_like(each) for each in learned.values()]
for turn in range(1, 7):
    far, apart = lost(torch.randn(5, 2))
    gradients = torch.autograd.grad(far + apart, list(learned.values()))
    with torch.no_grad():
        for each, gradient, m, v in zip(learned.values(), gradients, first, second):
            m.lerp_(gradient, 0.1); v.mul_(0.99).addcmul_(gradient, gradient, value=0.01)
            each.addcdiv_(m / (1 - 0.9**turn), (v / (1 - 0.99**turn)).sqrt().add_(1e-8), value=-0.02)
    print(turn, f"{far.item():.3f} {apart.item():.3f}")
learned["middle"]

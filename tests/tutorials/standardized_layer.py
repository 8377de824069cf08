import math

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(0)
source = torch.Generator().manual_seed(77)
words = torch.randint(0, 9, (48, 2), generator=source)
kinds = torch.randint(0, 4, (48,), generator=source)
table = torch.randn((9, 3), generator=source)
first = torch.randn((6, 12), generator=source) * 0.4
second = torch.randn((12, 4), generator=source) * 0.2
scale, shift = torch.ones(1, 12), torch.zeros(1, 12)
learned = [table, first, second, scale, shift]
for each in learned: each.requires_grad = True
sum(each.nelement() for each in learned)
def forward(picked):
    seen = table[words[picked]]
    before = seen.view(len(picked), -1) @ first
    centre, spread = before.mean(0, keepdim=True), before.std(0, keepdim=True, unbiased=False)
    return torch.sigmoid(scale * (before - centre) / (spread + 1e-4) + shift) @ second
for turn in range(24):
    picked = torch.randint(0, words.shape[0], (16,), generator=source)
    loss = F.cross_entropy(forward(picked), kinds[picked])
    for each in learned: each.grad = None
    loss.backward()
    for each in learned: each.data -= (0.3 if turn < 16 else 0.05) * each.grad
    if turn % 8 == 7: print(f"after {turn + 1:3d}: {loss.item():8.4f}")
scores = forward(picked)
top = scores.amax(dim=1, keepdim=True)
lowered = scores - top
powers = lowered.exp()
total = powers.sum(1, keepdim=True)
parts = powers / total
logs = parts.log()
steps = dict(scores=scores, lowered=lowered, powers=powers, total=total, parts=parts, logs=logs)
for step in steps.values(): step.retain_grad()
rows = range(len(picked))
again = -logs[rows, kinds[picked]].mean()
again.backward()
torch.allclose(again, F.cross_entropy(scores, kinds[picked]), atol=1e-6)
by_hand = {"logs": torch.zeros_like(logs)}
by_hand["logs"][rows, kinds[picked]] = -1 / len(picked)
by_hand["parts"] = by_hand["logs"] / parts
by_hand["total"] = -(by_hand["parts"] * powers / total**2).sum(1, keepdim=True)
by_hand["powers"] = by_hand["parts"] / total + by_hand["total"]
by_hand["lowered"] = by_hand["powers"] * powers
for name, gradient in by_hand.items(): print(name, torch.allclose(gradient, steps[name].grad, atol=1e-6))
steps["scores"].grad[0]
table.grad.shape, scale.grad.abs().max() < 1

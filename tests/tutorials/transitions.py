import math

import numpy as np
import torch
import torch.nn.functional as F

weather = "ssrcssrrcscs"
names = sorted(set(weather))
number = {name: place for place, name in enumerate(names)}
days = torch.tensor([number[each] for each in weather])
seen = torch.zeros((3, 3), dtype=torch.int32)
for today, tomorrow in zip(days[:-1], days[1:]): seen[today, tomorrow] += 1
seen
likely = (seen + 1).float()
likely /= likely.sum(1, keepdims=True)
likely
likely[2].sum(), likely.argmax(dim=1)
source = torch.Generator().manual_seed(31)
start = torch.rand(3, generator=source)
start = start / start.sum()
start
torch.multinomial(start, num_samples=8, replacement=True, generator=source).shape
torch.matrix_power(likely, 8)
surprise = 0.0
for today, tomorrow in zip(days, days[1:]): surprise -= torch.log(likely[today, tomorrow])
print(f"{surprise=}")
print(f"a day: {surprise / (len(days) - 1)}")
scores = torch.randn((3, 3), generator=source, requires_grad=True)
for turn in range(12):
    today = F.one_hot(days[:-1], num_classes=3).float()
    chances = (today @ scores).exp()
    chances = chances / chances.sum(1, keepdims=True)
    loss = -chances[torch.arange(len(days) - 1), days[1:]].log().mean() + 0.05 * scores.square().mean()
    scores.grad = None
    loss.backward()
    scores.data += -3 * scores.grad
loss
scores
F.nll_loss(F.log_softmax(scores[days[:-1]], dim=1), days[1:])

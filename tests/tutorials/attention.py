import math

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(90)
batch, length, width, inner = 2, 5, 3, 4
notes = torch.randn(batch, length, width)
ask, offer, give = (torch.randn(width, inner).requires_grad_() for _ in range(3))
asked, offered, given = notes @ ask, notes @ offer, notes @ give
closeness = torch.einsum("bti,bsi->bts", asked, offered) / math.sqrt(inner)
torch.allclose(closeness, asked @ offered.mT / inner**0.5, atol=1e-6)
later = torch.ones(length, length, dtype=torch.bool).triu(diagonal=1)
later
closeness = closeness.masked_fill(later, -math.inf)
closeness[1]
shares = closeness.softmax(dim=-1)
shares[0]
shares.sum(dim=-1)
mixed = shares.bmm(given)
mixed
(mixed * mixed).mean().backward()
ask.grad
offer.grad.abs().sum() > 0, give.grad.shape
alone = F.scaled_dot_product_attention(asked, offered, given, is_causal=True)
torch.allclose(alone, mixed, atol=1e-6)
running = torch.ones(length, length).tril()
running /= running.sum(dim=1, keepdim=True)
running
torch.allclose(running @ notes, notes.cumsum(1) / torch.arange(1, length + 1).view(-1, 1), atol=1e-6)
table = torch.randn(length, width, requires_grad=True)
chosen = F.embedding(torch.tensor([[0, 2], [2, 4]]), table)
chosen.shape
chosen.sum().backward()
table.grad

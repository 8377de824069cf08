import math

import numpy as np
import torch
import torch.nn.functional as F

x = torch.ones(2,requires_grad=True)
y = x.exp()
y += 1
y.sum().backward()
y = (x*2).sigmoid()
y.mul_(3)
y.sum().backward()
z = (x*x).sum(); z.backward(); z.backward()
torch.tensor(1.,requires_grad=True).numpy()
torch.ones(2,2,requires_grad=True).sum(0).backward()
x + torch.ones(3)
torch.mm(torch.ones(2,3),torch.ones(2,3))
torch.ones(2,3)@torch.ones(2,3)
torch.ones(2).view(3)
torch.ones(2).reshape(-1,3)
torch.cat([torch.ones(2,3),torch.ones(3,2)],dim=0)
torch.stack([torch.ones(2),torch.ones(3)])
torch.ones(2)[2]
torch.ones(2)[0,0]
torch.ones(3).unsqueeze(3)
torch.ones(2,3).transpose(0,2)
torch.tensor([1,2]).float().requires_grad_().long().sum().backward()
torch.ones(2).sum(dim=1)
torch.ones(2).expand(3)
torch.ones(2).squeeze(1)
torch.zeros(2,3).matmul(torch.zeros(4,))
torch.zeros(2).item()
int(torch.zeros(2))
if torch.ones(2)==torch.ones(2): pass
torch.tensor([1.,2.])[torch.tensor([1.5])]
torch.ones(2,requires_grad=True).data.requires_grad
x.grad_fn
x.retain_grad()
x.backward(torch.ones(2))
x.grad
x.backward()
torch.ones(1,requires_grad=True).backward()
x.detach().backward()
torch.arange(4).reshape(2,2).float().mean().backward()
torch.randn(3, 4).mean(dim=(0, 5))
torch.tensor([1.,2.]).to(torch.int).mean()
F.cross_entropy(torch.randn(3,5),torch.tensor([1,2,7]))
F.mse_loss(torch.ones(2,requires_grad=True), torch.ones(3))
torch.nn.functional.linear(torch.ones(2,3),torch.ones(4,5))
torch.ones(2,3).view(-1,-1)
torch.max(torch.tensor([]))
torch.arange(3).sqrt_()

torch.dot(torch.ones(2),torch.ones(3))
torch.ones(3).split(0)
torch.ones(3).chunk(0)
torch.zeros(3).index_add_(0,torch.tensor([5]),torch.ones(1))
torch.eye(3)[3]
torch.randint(5,5,(2,))
torch.ones(2).to('foo')
torch.device('foo')
torch.tensor(3.).size(0)
torch.tensor([[1,2],[3,4]]).diag(5)

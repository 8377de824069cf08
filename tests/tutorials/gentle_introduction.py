import math

import numpy as np
import torch
import torch.nn.functional as F

a = torch.tensor([2., 3.], requires_grad=True)
b = torch.tensor([6., 4.], requires_grad=True)
Q = 3*a**3 - b**2
Q
external_grad = torch.tensor([1., 1.])
Q.backward(gradient=external_grad)
print(9*a**2 == a.grad)
print(-2*b == b.grad)
x = torch.rand(5, 5)
y = torch.rand(5, 5)
z = torch.rand((5, 5), requires_grad=True)
a = x + y
print(f"Does `a` require gradients?: {a.requires_grad}")
b = x + z
print(f"Does `b` require gradients?: {b.requires_grad}")
torch.manual_seed(0)
torch.rand(3)
torch.randn(5)
torch.randn(4,5)
torch.randn(20)
torch.randint(0,10,(5,))
torch.randint(3,(2,2))
torch.randperm(10)
torch.rand(2, dtype=torch.float64)
torch.randn(3, dtype=torch.float64)
torch.randn(17, dtype=torch.float64)
torch.normal(0.0, 2.0, (3,))
torch.normal(torch.zeros(3), 1.0)
torch.empty(3).uniform_(-1,1)
torch.empty(3).normal_(1,2)
torch.bernoulli(torch.full((5,),0.5))
g = torch.Generator().manual_seed(42)
torch.randn(3, generator=g)
torch.rand(3, generator=g)
torch.randint(0,5,(3,),generator=g)
torch.randn(100).sum()
torch.rand_like(torch.ones(3))
torch.randn_like(torch.ones(3))
torch.initial_seed()
torch.randperm(4, generator=g)
torch.multinomial(torch.tensor([0.1,0.2,0.7]), 2)

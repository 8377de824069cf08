import math

import numpy as np
import torch
import torch.nn.functional as F

readings = [[18.5, 21.0, 19.25], [17.0, 22.5, 20.0]]
stations = torch.tensor(readings)
counts = torch.tensor([[3, 1, 4], [1, 5, 9]])
measured = np.linspace(-2.0, 2.0, 5)
torch.from_numpy(measured)
torch.ones_like(counts), torch.zeros_like(stations)
torch.manual_seed(11)
noise = torch.rand_like(counts, dtype=torch.float)
noise
sizes = (3, 2,)
torch.rand(sizes)
print(f"{stations.shape} of {stations.dtype} on {stations.device}, {stations.ndim} axes, {stations.numel()} in all")
somewhere = "cuda" if torch.cuda.is_available() else "cpu"
stations = stations.to(somewhere)
torch.accelerator.is_available() in (True, False)
grid = torch.arange(20.0).reshape(4, 5)
print(grid[2], grid[:, 3], grid[..., -2], grid[-1, ::2])
grid[:, 2] = -1
grid
torch.cat([grid[:, :2], grid[:, 3:]], dim=1)
torch.cat((grid, -grid))[5:]
gram = grid @ grid.T
target = torch.empty(4, 4)
torch.matmul(grid, grid.T, out=target) is target
torch.equal(gram, target), torch.equal(grid.matmul(grid.T), gram)
squares = torch.zeros_like(grid)
torch.mul(grid, grid, out=squares)
torch.add(grid, 1, out=squares)
mean = grid.mean()
mean.item(), type(mean.item())
grid.sub_(mean)
f"the sum is {grid.sum().item():.3f}"
mine = torch.full((4,), 2.0)
seen = mine.numpy()
mine.mul_(3)
seen
seen -= 1
mine
np.multiply(seen, 10, out=seen)
mine
shared = np.zeros(3)
other = torch.from_numpy(shared)
shared[1] = 4
other
features, wanted = torch.tensor([0.5, -1.0, 2.0, 0.0]), torch.tensor([1.0, 0.0])
weights = torch.randn(4, 2, requires_grad=True)
offsets = torch.randn(2, requires_grad=True)
scores = features @ weights + offsets
cost = F.binary_cross_entropy_with_logits(scores, wanted)
print(scores.grad_fn, cost.grad_fn, weights.grad_fn)
print(f"made by {cost.grad_fn}")
cost.backward()
weights.grad
offsets.grad
scores.requires_grad, scores.detach().requires_grad
with torch.no_grad():
    silent = features @ weights + offsets
silent.requires_grad, torch.equal(silent, scores)
corner = torch.tensor([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]], requires_grad=True)
cubes = (2 * corner - 1).pow(3).t()
seed = torch.tensor([[1.0, 0.0], [0.5, 1.0], [2.0, -1.0]])
cubes.backward(seed, retain_graph=True)
once = corner.grad.clone()
cubes.backward(seed, retain_graph=True)
corner.grad / once
corner.grad.zero_()
cubes.backward(gradient=seed)
torch.equal(corner.grad, once)
cubes.backward(seed)

import math

import numpy as np
import torch
import torch.nn.functional as F

class Gauss(torch.autograd.Function):
    """exp(-x * x), whose derivative reads the input and the result."""
    @staticmethod
    def forward(ctx, x):
        bell = torch.exp(-x * x)
        ctx.save_for_backward(x, bell)
        return bell
    @staticmethod
    def backward(ctx, bar):
        x, bell = ctx.saved_tensors
        return -2 * x * bell * bar
torch.manual_seed(4)
points = torch.randn(2, 3, requires_grad=True, dtype=torch.double)
torch.autograd.gradcheck(Gauss.apply, points)
torch.autograd.gradgradcheck(Gauss.apply, points)
class Log1pSquare(torch.autograd.Function):
    """Reads the input alone."""
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.log1p(x**2)
    @staticmethod
    def backward(ctx, bar):
        (x,) = ctx.saved_tensors
        return bar * 2 * x / (1 + x**2)
torch.autograd.gradcheck(Log1pSquare.apply, (points,))
torch.autograd.gradgradcheck(Log1pSquare.apply, (points,))
def turned(angle):
    class Turned(torch.autograd.Function):
        """A sum of products of what it gives as well, so that those carry gradients of gradients."""
        @staticmethod
        def forward(ctx, angle):
            up, across = angle.sin(), angle.cos()
            ctx.save_for_backward(up, across)
            return up * across, up, across
        @staticmethod
        def backward(ctx, bar, up_bar, across_bar):
            up, across = ctx.saved_tensors
            found = bar * (across**2 - up**2)
            found += up_bar * across
            found -= across_bar * up
            return found
    return Turned.apply(angle)[0]
torch.autograd.gradcheck(turned, points)
torch.autograd.gradgradcheck(turned, points)
class Quartic(torch.autograd.Function):
    """Its derivative is a Function as well."""
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**4
    @staticmethod
    def backward(ctx, bar):
        return QuarticSlope.apply(bar, ctx.saved_tensors[0])
class QuarticSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx, bar, x):
        ctx.save_for_backward(bar, x)
        return 4 * x**3 * bar
    @staticmethod
    def backward(ctx, bar_of_slope):
        bar, x = ctx.saved_tensors
        return 4 * x**3 * bar_of_slope, 12 * x**2 * bar * bar_of_slope
torch.autograd.gradcheck(Quartic.apply, points)
torch.autograd.gradgradcheck(Quartic.apply, points)
start = torch.tensor(0.5, requires_grad=True)
moved = start.clone()
slope, = torch.autograd.grad(Gauss.apply(moved), moved, create_graph=True)
slope
chain(slope)
bend, = torch.autograd.grad(slope, start)
bend, (4 * start**2 - 2) * torch.exp(-start**2)
class Halved(torch.autograd.Function):
    """Its derivative is wrong."""
    @staticmethod
    def forward(ctx, x): return x * 0.5
    @staticmethod
    def backward(ctx, bar): return bar * 2
ones = torch.ones(2, dtype=torch.double, requires_grad=True)
torch.autograd.gradcheck(Halved.apply, ones, raise_exception=False)
try: torch.autograd.gradcheck(Halved.apply, ones)
except Exception as error: print(type(error).__name__, str(error)[:60])
torch.autograd.gradcheck(lambda x, y: torch.dot(x, y).exp(), (ones, torch.ones(2, dtype=torch.double)))
torch.autograd.gradcheck(torch.tanh, (torch.ones(2, dtype=torch.double),))

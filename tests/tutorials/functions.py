import math

import numpy as np
import torch
import torch.nn.functional as F

from torch.autograd import Function
from torch.autograd.function import once_differentiable
class F1(Function):
    @staticmethod
    def forward(ctx, x, y, k, flag=True):
        ctx.save_for_backward(x, y); ctx.k = k
        print(ctx.needs_input_grad)
        return x*y*k, x+y
    @staticmethod
    def backward(ctx, g1, g2):
        x, y = ctx.saved_tensors
        print(ctx.needs_input_grad, g1, g2)
        return g1*y*ctx.k+g2, g1*x*ctx.k+g2, None, None
x = torch.tensor([1.,2.],requires_grad=True)
y = torch.tensor([3.,4.])
o1,o2 = F1.apply(x,y,2.)
o1
o1,o2 = F1.apply(x,y,2.,False)
o1
o2
o1.sum().backward()
x.grad
o1.sum().backward()
class F2(Function):
    @staticmethod
    def forward(ctx, x):
        idx = (x>1)
        r = x*2
        ctx.mark_non_differentiable(idx)
        ctx.set_materialize_grads(False)
        return r, idx, x.sum()
    @staticmethod
    def backward(ctx, g, gi, gs):
        print(g, gi, gs)
        return g*2 if g is not None else None
a,b,c = F2.apply(x)
a,b,c
a.sum().backward()
x.grad
c2 = F2.apply(x)[2]
c2.backward()
class F3(Function):
    @staticmethod
    def forward(ctx, x): ctx.save_for_backward(x); return x**2
    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return 2*x*g
g, = torch.autograd.grad(F3.apply(x).sum(), x, create_graph=True)
g
g.sum().backward()
class F4(Function):
    @staticmethod
    def forward(ctx, x): return x.clone()
    @staticmethod
    def backward(ctx, g): return g, g
F4.apply(x).sum().backward()
class F5(Function):
    @staticmethod
    def forward(ctx, x): return x.clone()
F5.apply(x).sum().backward()
F5()(x)
F5()
class F6(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.mul_(2)
        return x
    @staticmethod
    def backward(ctx, g): return 2*g
z = x*1
o = F6.apply(z)
o is z
z
z.sum().backward()
F6.apply(x)
class F7(Function):
    @staticmethod
    def forward(x, n): return x**n
    @staticmethod
    def setup_context(ctx, inputs, output):
        x, n = inputs
        ctx.save_for_backward(x); ctx.n=n
    @staticmethod
    def backward(ctx, g):
        x,=ctx.saved_tensors
        return ctx.n*x**(ctx.n-1)*g, None
F7.apply(x,3)
chain(F7.apply(x,3))
class F8(Function):
    @staticmethod
    def forward(ctx, x): return x.sum()
    @staticmethod
    def backward(ctx, g): return torch.ones(5)
F8.apply(x).backward()
class F9(Function):
    @staticmethod
    def forward(ctx, x): return x*2
    @staticmethod
    def backward(ctx, g): return None
x.grad=None
F9.apply(x).sum().backward()
x.grad
class F10(Function):
    @staticmethod
    def forward(ctx, x): return x
    @staticmethod
    def backward(ctx, g): return g
r = F10.apply(x)
r
r is x
class F11(Function):
    @staticmethod
    def forward(ctx, x): return x*2, 'str', None, 3
    @staticmethod
    def backward(ctx, g, *a): return g*2
F11.apply(x)
F11.apply(x)[0].grad_fn.next_functions
class F12(Function):
    @staticmethod
    def forward(ctx, x): ctx.save_for_backward(3); return x*2
F12.apply(x)
class Capped(Function):
    """min(x, 1); above 1 no gradient passes."""
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(max=1)
    @staticmethod
    def backward(ctx, bar):
        (x,) = ctx.saved_tensors
        passed = bar.clone()
        passed[x > 1] = 0
        return passed
xx = torch.tensor([-1.,0.,2.], requires_grad=True)
Capped.apply(xx).sum().backward()
xx.grad
with torch.no_grad(): print(Capped.apply(xx))
class Named(Function):
    @staticmethod
    def forward(ctx, x, *, p=2): return x*p
    @staticmethod
    def backward(ctx, g): return g
class Rounded(Function):
    """Whole numbers, with the gradient of what was rounded, cut off at 1."""
    @staticmethod
    def forward(ctx, x): return x.round()
    @staticmethod
    def backward(ctx, bar): return bar.clamp(-1, 1)
Rounded.apply(xx)
(Rounded.apply(xx * 1.4) * 3).sum().backward()
xx.grad
class Plane(Function):
    """rows @ slopes, above a level where there is one."""
    @staticmethod
    def forward(ctx, rows, slopes, level=None):
        ctx.save_for_backward(rows, slopes)
        ctx.has_level = level is not None
        heights = rows @ slopes
        return heights + level if ctx.has_level else heights
    @staticmethod
    def backward(ctx, bar):
        rows, slopes = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (
            torch.outer(bar, slopes) if wanted[0] else None,
            bar @ rows if wanted[1] else None,
            bar.sum() if ctx.has_level and wanted[2] else None,
        )
torch.manual_seed(6)
given = (torch.randn(4, 3, dtype=torch.double, requires_grad=True), torch.randn(3, dtype=torch.double, requires_grad=True))
torch.autograd.gradcheck(Plane.apply, given, eps=1e-6, atol=1e-4)
torch.autograd.gradcheck(Plane.apply, (*given, torch.tensor(0.5, dtype=torch.double, requires_grad=True)))
Plane.apply(*given, torch.tensor(2.0, dtype=torch.double))

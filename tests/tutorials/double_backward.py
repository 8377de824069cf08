import math

import numpy as np
import torch
import torch.nn.functional as F

def chain(tensor, depth=6):
    def walk(node, depth):
        if node is None:
            return "-"
        behind = [walk(each, depth - 1) for each, _ in node.next_functions] if depth else []
        return type(node).__name__ + ("(" + ",".join(behind) + ")" if behind else "")
    return walk(tensor.grad_fn, depth)

class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2
    @staticmethod
    def backward(ctx, grad_out):
        x, = ctx.saved_tensors
        return grad_out * 2 * x
x = torch.rand(3, 3, requires_grad=True, dtype=torch.double)
torch.autograd.gradcheck(Square.apply, x)
torch.autograd.gradgradcheck(Square.apply, x)
class Exp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        result = torch.exp(x)
        ctx.save_for_backward(result)
        return result
    @staticmethod
    def backward(ctx, grad_out):
        result, = ctx.saved_tensors
        return result * grad_out
torch.autograd.gradcheck(Exp.apply, x)
torch.autograd.gradgradcheck(Exp.apply, x)
def sinh(x):
    class Sinh(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            expx = torch.exp(x)
            expnegx = torch.exp(-x)
            ctx.save_for_backward(expx, expnegx)
            return (expx - expnegx) / 2, expx, expnegx
        @staticmethod
        def backward(ctx, grad_out, _grad_out_exp, _grad_out_negexp):
            expx, expnegx = ctx.saved_tensors
            grad_input = grad_out * (expx + expnegx) / 2
            grad_input += _grad_out_exp * expx
            grad_input -= _grad_out_negexp * expnegx
            return grad_input
    return Sinh.apply(x)[0]
torch.autograd.gradcheck(sinh, x)
torch.autograd.gradgradcheck(sinh, x)
class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return cube_forward(x)
    @staticmethod
    def backward(ctx, grad_out):
        x, = ctx.saved_tensors
        return CubeBackward.apply(grad_out, x)
class CubeBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, grad_out, x):
        ctx.save_for_backward(x, grad_out)
        return cube_backward(grad_out, x)
    @staticmethod
    def backward(ctx, grad_out):
        x, grad_output = ctx.saved_tensors
        return cube_backward(grad_out, x), 6*x*grad_output*grad_out
def cube_forward(x): return x**3
def cube_backward(grad_out, x): return grad_out * 3 * x**2
torch.autograd.gradcheck(Cube.apply, x)
torch.autograd.gradgradcheck(Cube.apply, x)
x = torch.tensor(1., requires_grad=True).clone()
out = Square.apply(x)
grad_x, = torch.autograd.grad(out, x, create_graph=True)
grad_x
chain(grad_x)
class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x*2
    @staticmethod
    def backward(ctx, g): return g*3
torch.autograd.gradcheck(Wrong.apply, torch.ones(2,dtype=torch.double,requires_grad=True), raise_exception=False)
try: torch.autograd.gradcheck(Wrong.apply, torch.ones(2,dtype=torch.double,requires_grad=True))
except Exception as e: print(type(e).__name__, str(e)[:60])
torch.autograd.gradcheck(lambda x, y: (x*y).sum(), (torch.ones(2,dtype=torch.double,requires_grad=True),torch.ones(2,dtype=torch.double)))
torch.autograd.gradcheck(torch.sin, (torch.ones(2,dtype=torch.double),))

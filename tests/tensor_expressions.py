"""Expressions of tensors, and what evaluating one shows in any module that has PyTorch's names."""
from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
from tensor_more_expressions import GROUPS as MORE

NUMBERS = np.random.RandomState(3)
X = NUMBERS.uniform(-2, 2, (3, 4)).astype(np.float32)
Y = NUMBERS.uniform(-2, 2, (3, 4)).astype(np.float32)
V = NUMBERS.uniform(0.1, 0.9, 4).astype(np.float32)
W = NUMBERS.uniform(-1, 1, (4, 5)).astype(np.float32)
B = NUMBERS.uniform(-1, 1, (2, 3, 4)).astype(np.float32)

ARITHMETIC = """
x + y ; x + 2 ; 2 + x ; x + True ; x + v ; v + x ; x - y ; x - 1 ; 1 - x ; x * y ; x * 3 ; 0.5 * x ; x / y ; x / 4 ; 2 / x
-x ; +x ; x ** 2 ; x ** 3 ; p ** 0.5 ; p ** -1 ; p ** 2.5 ; p ** y ; 2 ** x ; x % 1.5 ; x.remainder(v) ; abs(x) ; x.abs()
x // 0.7 ; x.add(y, alpha=3) ; x.sub(y, alpha=2) ; x.mul(2) ; x.div(y) ; x.div(2, rounding_mode='floor') ; x.pow(2)
x.div(0.7, rounding_mode='trunc') ; x.square() ; p.sqrt() ; p.rsqrt() ; p.reciprocal() ; x.exp() ; x.expm1() ; p.log()
p.log1p() ; x.sin() ; x.cos() ; v.tan() ; x.sinh() ; x.cosh() ; x.tanh() ; x.atan() ; x.atan2(y) ; x.sigmoid() ; x.erf()
x.sign() ; x.floor() ; x.ceil() ; x.round() ; x.trunc() ; x.relu() ; x.clamp(-1, 1) ; x.clamp(min=0) ; x.clamp(max=0.5)
x.clip(-1, 1) ; torch.maximum(x, y) ; torch.minimum(x, v) ; x.logaddexp(y) ; torch.where(x > 0, x, y)
torch.where(x > 0, x, 0.0) ; x.fmod(0.7) ; i + 1 ; i + 1.5 ; i / 2 ; i * True ; i // 2 ; i % 2 ; -i // 2 ; i - 2 ; i ** 2
i + x[0, :3] ; i.float() ; i + i.double() ; i > 1 ; x > y ; x >= 0 ; x < y ; x <= v ; x == x ; x != y ; x.eq(y)
(x > 0) & (y > 0) ; (x > 0) | (y > 0) ; ~(x > 0) ; (x > 0) ^ (y > 0) ; i & 1 ; i | 1 ; i ^ 3 ; ~i ; torch.logical_not(x)
torch.logical_and(x, y) ; x.double() ; x.double() + y ; x.to(torch.float64) ; x.long() ; x.bool() ; x.int() ; x.type_as(i)
(x * 1).float() ; s + i ; s * x ; s + 1 ; i * s ; s64 * x ; x.masked_fill(x > 0, -1.0)
"""

REDUCTION = """
x.sum() ; x.sum(0) ; x.sum(1) ; x.sum(-1, keepdim=True) ; x.sum((0, 1)) ; x.sum(dim=1) ; torch.sum(x, 0) ; i.sum()
(x > 0).sum() ; x.sum(axis=1) ; x.mean() ; x.mean(0) ; x.mean((0, 1)) ; x.mean(1, True) ; x.prod() ; x.prod(1) ; x.var()
x.var(0) ; x.std() ; x.std(1) ; x.var(unbiased=False) ; x.var(0, False) ; x.var(1, keepdim=True) ; x.std(correction=0)
x.max() ; x.min() ; x.max(0)[0] ; x.max(1)[1] ; x.min(1).values ; x.min(0).indices ; x.max(1, True)[0] ; x.amax()
x.amax(0) ; x.amin((0, 1)) ; x.argmax() ; x.argmax(1) ; x.argmin(0) ; x.argmax(1, keepdim=True) ; (x > 0).all()
(x > 0).any() ; (x > 0).all(0) ; (x > 0).any(1, True) ; x.norm() ; x.norm(1) ; x.norm(2, 1) ; x.norm(3)
x.norm(float('inf')) ; x.norm(dim=1, keepdim=True) ; x.logsumexp(0) ; x.logsumexp(1, True) ; x.softmax(0) ; x.softmax(-1)
x.log_softmax(1) ; x.cumsum(0) ; x.cumsum(1) ; v.cumprod(0) ; x[:, :3].trace() ; x.count_nonzero()
x.sum(dtype=torch.float64)
"""

SHAPE = """
x.view(12) ; x.view(2, -1) ; x.view(4, 3) ; x.reshape(-1) ; x.reshape(6, 2) ; x.t() ; x.T ; x.t().reshape(-1)
x.t().contiguous() ; x.transpose(0, 1) ; b.transpose(0, -1) ; b.permute(2, 0, 1) ; x.unsqueeze(0) ; x.unsqueeze(-1)
x[None] ; x.unsqueeze(0).squeeze() ; x.unsqueeze(0).squeeze(0) ; v.expand(3, 4) ; v.view(1, 4).expand(3, -1) ; x.flatten()
b.flatten(1) ; b.flatten(0, 1) ; x[0] ; x[1, 2] ; x[:, 1] ; x[1:] ; x[::2] ; x[:, 1:3] ; x[..., 0] ; x[-1] ; x[1:2, ::3]
x[[0, 2]] ; x[[0, 2], [1, 3]] ; x[:, [0, 0, 1]] ; x[j] ; x[j, j] ; x[x > 0] ; x[x[:, 0] > 0] ; b[:, j] ; b[0, :, [1, 2]]
torch.cat([x, y]) ; torch.cat([x, y], 1) ; torch.cat([x, x[:1]]) ; torch.stack([x, y]) ; torch.stack([x, y], 1)
torch.stack([x[0], y[0]], -1) ; x.split(2)[0] ; x.split(2, 1)[1] ; x.split([1, 2])[1] ; x.chunk(2)[1] ; x.chunk(2, 1)[0]
x.unbind()[1] ; x.unbind(1)[2] ; x.narrow(1, 1, 2) ; x.select(0, 1) ; x.clone() ; x.repeat(2, 1) ; v.repeat(3)
v.repeat(2, 2) ; x.flip(0) ; x.flip(0, 1) ; x.roll(1) ; x.roll(1, 0) ; x.roll(-1, 1) ; x.expand_as(b) ; x.view_as(y)
b.diagonal(0, 1, 2) ; x.diagonal() ; x.gather(1, k) ; x.index_select(0, j) ; x.index_select(1, j) ; x.masked_select(x > 0)
torch.broadcast_to(v, (2, 4)) ; x.unflatten(1, (2, 2))
"""

PRODUCT = """
x @ w ; x.matmul(w) ; torch.mm(x, w) ; v @ v ; v.dot(v) ; x @ v ; torch.mv(x, v) ; v @ w ; b @ w ; b @ x.t() ; b @ v
b @ b.transpose(1, 2) ; torch.bmm(b, b.transpose(1, 2)) ; torch.outer(v, v) ; torch.einsum('ij,jk->ik', x, w)
torch.einsum('ij->j', x) ; torch.einsum('bij,bkj->bik', b, b) ; torch.einsum('i,i->', v, v)
torch.tensordot(x, y, ([0, 1], [0, 1])) ; torch.addmm(torch.zeros(5), x, w)
torch.addmm(torch.ones(3, 5), x, w, beta=2, alpha=3)
"""

FUNCTIONAL = """
F.relu(x) ; F.leaky_relu(x) ; F.leaky_relu(x, 0.2) ; F.elu(x) ; F.selu(x) ; F.silu(x) ; F.gelu(x)
F.gelu(x, approximate='tanh') ; F.softplus(x) ; F.softplus(x * 20) ; F.softplus(x, beta=2) ; F.logsigmoid(x) ; F.hardtanh(x)
F.relu6(x * 5) ; F.sigmoid(x) ; F.tanh(x) ; F.softmax(x, 1) ; F.log_softmax(x, dim=0) ; F.mse_loss(x, y)
F.mse_loss(x, y, reduction='sum') ; F.mse_loss(x, y, reduction='none') ; F.l1_loss(x, y) ; F.smooth_l1_loss(x, y)
F.smooth_l1_loss(x, y, beta=0.5) ; F.huber_loss(x, y) ; F.huber_loss(x, y, delta=0.5)
F.kl_div(x, y.detach().softmax(1), reduction='batchmean') ; F.binary_cross_entropy(v, torch.tensor([0., 1., 0.5, 1.]))
F.binary_cross_entropy_with_logits(v, torch.tensor([0., 1., 0.5, 1.]))
F.binary_cross_entropy_with_logits(x * 100, (y > 0).float())
F.binary_cross_entropy_with_logits(v, torch.tensor([0., 1., 0., 1.]), reduction='sum')
F.binary_cross_entropy_with_logits(v, torch.tensor([0., 1., 0., 1.]), pos_weight=torch.tensor([2., 1., 1., 3.]))
F.cross_entropy(x, j) ; F.cross_entropy(x, j, reduction='none') ; F.cross_entropy(x, j, reduction='sum')
F.cross_entropy(x, y.softmax(1)) ; F.cross_entropy(x, j, label_smoothing=0.1)
F.cross_entropy(x, j, weight=torch.tensor([1., 2., 3., 4.])) ; F.cross_entropy(x, torch.tensor([1, -100, 2]))
F.cross_entropy(x[0], j[1]) ; F.cross_entropy(b, k[:2].clamp(max=2)) ; F.nll_loss(F.log_softmax(x, 1), j)
F.linear(x, w.t()) ; F.linear(x, w.t(), torch.ones(5)) ; F.linear(v, w.t(), torch.ones(5)) ; F.linear(b, w.t())
F.normalize(x) ; F.normalize(x, dim=0) ; F.layer_norm(x, (4,)) ; F.layer_norm(x, (4,), v, v) ; F.one_hot(j, 4)
F.dropout(x, 0.5, training=False)
"""

GROUPS = {
    "arithmetic": ARITHMETIC, "reduction": REDUCTION, "shape": SHAPE, "product": PRODUCT, "functional": FUNCTIONAL, **MORE,
}  # fmt: skip


def expressions(group: str) -> list[str]:
    """The expressions of a group."""
    parts = re.split(r" ; |\n", GROUPS[group].strip())
    return [part.strip() for part in parts if part.strip()]


def inputs(module: Any) -> dict[str, Any]:
    """Tensors by the names that expressions use; those of floats require grad."""
    leaves = {"x": X, "y": Y, "v": V, "w": W, "b": B, "p": np.abs(Y) + 0.1}
    found = {name: module.tensor(array, requires_grad=True) for name, array in leaves.items()}
    found["s"] = module.tensor(1.5, requires_grad=True)
    found["s64"] = module.tensor(1.5, dtype=module.float64)
    found["i"] = module.tensor([1, 2, 3])
    found["j"] = module.tensor([2, 0, 1])
    found["k"] = module.tensor([[0, 3, 1, 1], [2, 2, 0, 3], [1, 0, 2, 3]])
    return found


def shown(array: Any) -> str:
    """Numbers to six digits."""
    def text(number: Any) -> str:
        if isinstance(number, float):
            return f"{number + 0.0:.5g}"
        return str(number)

    def nested(values: Any) -> str:
        return "[" + " ".join(nested(each) for each in values) + "]" if isinstance(values, list) else text(values)

    return nested(array.tolist())


def show(module: ModuleType, expression: str) -> str:
    """What evaluating an expression and going back from its sum of weighted elements shows."""
    names = inputs(module)
    leaves = {name: tensor for name, tensor in names.items() if tensor.requires_grad}
    result = eval(expression, {"torch": module, "F": module.nn.functional}, names)
    lines = [f"{expression}", f"  {str(result.dtype).removeprefix('torch.')}{list(result.shape)} {shown(result)}"]
    node = result.grad_fn
    if node is not None:
        behind = [type(each).__name__ if each is not None else "-" for each, _ in node.next_functions]
        lines.append(f"  {type(node).__name__} {' '.join(behind)}")
        weights = np.cos(np.arange(result.numel())).reshape(tuple(result.shape))
        try:
            result.backward(module.tensor(weights, dtype=result.dtype))
        except RuntimeError as error:
            lines.append(f"  {str(error).splitlines()[0]}")
        lines += [f"  {name}: {shown(leaf.grad)}" for name, leaf in leaves.items() if leaf.grad is not None]
    return "\n".join(lines)

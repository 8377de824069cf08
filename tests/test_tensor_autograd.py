"""Autograd beyond single operations: graphs, hooks, modes, Function, gradients of gradients, memory, and PyTorch's errors."""
from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.errors import PullbackError
from pullback.ir.ops.shape import Assemble
from pullback.nn import functional
from pullback.tracer.deferred import ENGINE
from pullback.tracer.unit import Several


def leaf(*values: float) -> Any:
    return pb.tensor(list(values), requires_grad=True)


def test_the_graph_can_be_walked() -> None:
    x = leaf(1.0, 2.0)
    y = (x * 3 + 1).sum()
    names = []
    node = y.grad_fn
    while node is not None:
        names.append(node.name())
        node = node.next_functions[0][0] if node.next_functions else None
    assert names == ["SumBackward0", "AddBackward0", "MulBackward0", "torch::autograd::AccumulateGrad"]
    accumulate = y.grad_fn.next_functions[0][0].next_functions[0][0].next_functions[0][0]
    assert accumulate.variable is x
    assert (x.is_leaf, y.is_leaf, x.grad_fn, y.output_nr) == (True, False, None, 0)
    assert (x * 2).grad_fn.next_functions[0][0] is accumulate


def test_gradients_accumulate_into_the_same_tensor() -> None:
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad is first
    assert first.tolist() == [5.0, 7.0]
    x.grad.zero_()
    assert first.tolist() == [0.0, 0.0]
    x.grad = None
    x.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_backward_of_inputs_only() -> None:
    x, y = leaf(2.0), leaf(3.0)
    (x * y).sum().backward(inputs=[x])
    assert x.grad.tolist() == [3.0] and y.grad is None


def test_autograd_grad() -> None:
    x, y, z = leaf(2.0), leaf(3.0), leaf(4.0)
    out = (x * y).sum()
    gx, gz = pb.autograd.grad(out, [x, z], retain_graph=True, allow_unused=True)
    assert gx.tolist() == [3.0] and gz is None and x.grad is None
    (gx,) = pb.autograd.grad(out, x, grad_outputs=pb.tensor(2.0))
    assert gx.tolist() == [6.0]
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        pb.autograd.grad((x * y).sum(), z)


def test_gradients_of_gradients() -> None:
    x = pb.tensor(0.7, dtype=pb.double, requires_grad=True)
    y, expected = pb.exp(pb.sin(x)) * x**3, []
    derivative = y
    for _ in range(3):
        (derivative,) = pb.autograd.grad(derivative, x, create_graph=True)
        expected.append(derivative.item())

    def f(v: float) -> float:
        return float(np.exp(np.sin(v)) * v**3)

    step = 1e-3
    points = [f(0.7 + k * step) for k in range(-3, 4)]
    assert expected[0] == pytest.approx((points[4] - points[2]) / (2 * step), rel=1e-5)
    assert expected[1] == pytest.approx((points[4] - 2 * points[3] + points[2]) / step**2, rel=1e-5)
    third = (points[5] - 2 * points[4] + 2 * points[2] - points[1]) / (2 * step**3)
    assert expected[2] == pytest.approx(third, rel=1e-4)


def test_gradient_penalty_trains_through_a_gradient() -> None:
    w, x = leaf(0.5, -1.0), leaf(1.0, 2.0)
    out = pb.tanh(w * x).sum()
    (g,) = pb.autograd.grad(out, x, create_graph=True)
    (g * g).sum().backward()
    w0, x0 = np.array([0.5, -1.0]), np.array([1.0, 2.0])
    t = np.tanh(w0 * x0)
    slope = w0 * (1 - t**2)
    by_w = 2 * slope * ((1 - t**2) + w0 * -2 * t * (1 - t**2) * x0)
    np.testing.assert_allclose(w.grad.numpy(), by_w, rtol=1e-5)


def test_modes() -> None:
    x = leaf(1.0)
    with pb.no_grad():
        assert not (x * 2).requires_grad and not pb.is_grad_enabled()
        with pb.enable_grad():
            assert (x * 2).requires_grad
    assert (x * 2).requires_grad

    @pb.no_grad()
    def inner() -> Any:
        return x * 2

    assert not inner().requires_grad
    with pb.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert pb.is_grad_enabled()
    pb.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    pb.set_grad_enabled(True)
    assert not (x.detach() * 2).requires_grad


def test_hooks() -> None:
    seen: list[Any] = []
    x = leaf(1.0, 2.0)
    y = x * 2
    first = y.register_hook(lambda grad: seen.append(grad.tolist()))
    y.register_hook(lambda grad: grad * 10)
    x.register_hook(lambda grad: grad + 1)
    x.register_post_accumulate_grad_hook(lambda tensor: seen.append(tensor.grad.tolist()))
    y.sum().backward()
    assert x.grad.tolist() == [21.0, 21.0]
    assert seen == [[1.0, 1.0], [21.0, 21.0]]
    first.remove()
    (x * 2).sum().backward()
    assert len(seen) == 3


def test_node_hooks() -> None:
    x = leaf(1.0)
    y = x * 2
    y.grad_fn.register_prehook(lambda outputs: (outputs[0] * 3,))
    y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] * 5, *inputs[1:]))
    y.sum().backward()
    assert x.grad.tolist() == [30.0]


def test_retain_grad() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [4.0, 8.0] and y.retains_grad
    with pytest.warns(UserWarning, match="not a leaf Tensor is being accessed"):
        assert (x * 2).grad is None


class Cube(pb.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, scale: float) -> Any:
        ctx.save_for_backward(x)
        ctx.scale = scale
        return x**3 * scale

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        (x,) = ctx.saved_tensors
        return gradient * 3 * x**2 * ctx.scale, None


def test_function() -> None:
    x = leaf(2.0)
    y = Cube.apply(x, 0.5)
    assert repr(y) == "tensor([4.], grad_fn=<CubeBackward>)"
    y.sum().backward()
    assert x.grad.tolist() == [6.0]
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.sum().backward()
    (g,) = pb.autograd.grad(Cube.apply(x, 1.0).sum(), x, create_graph=True)
    (h,) = pb.autograd.grad(g.sum(), x)
    assert h.tolist() == [12.0]


def test_function_with_setup_context_and_two_results() -> None:
    class SumAndProduct(pb.autograd.Function):
        @staticmethod
        def forward(x: Any, y: Any) -> Any:
            return x + y, x * y

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx: Any, by_sum: Any, by_product: Any) -> Any:
            _, y = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False)
            return by_sum + by_product * y, None

    x, y = leaf(2.0), pb.tensor([5.0])
    total, product = SumAndProduct.apply(x, y)
    (total * 2 + product).sum().backward()
    assert x.grad.tolist() == [7.0]


def test_compiled_functions_and_numpy_on_tensors() -> None:
    @pb.compile_grad
    def f(x: Any, scale: Any) -> Any:
        return np.sum(np.tanh(x * scale))

    x = leaf(0.5, -1.0)
    y = f(x, 2.0)
    assert repr(y.grad_fn).startswith("<fBackward object")
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * (1 - np.tanh([1.0, -2.0]) ** 2), rtol=1e-6)
    z = np.sum(np.sin(x)) + np.array([1.0, 2.0], np.float32) @ x
    assert isinstance(z, pb.Tensor) and z.requires_grad
    assert np.sin(x.detach()).dtype == pb.float32


def test_arrays_share_memory_and_nothing_is_detached_in_silence() -> None:
    array = np.arange(4.0)
    x = pb.from_numpy(array)
    y = x * 2
    array[0] = 7.0
    assert x[0].item() == 7.0 and y.tolist() == [0.0, 2.0, 4.0, 6.0]
    x.add_(1)
    assert array.tolist() == [8.0, 2.0, 3.0, 4.0]
    t = pb.ones(2)
    shown = t.numpy()
    t.mul_(3)
    assert shown.tolist() == [3.0, 3.0]
    assert np.asarray(t) is not None and np.from_dlpack(t).tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match=r"Can't call numpy\(\) on Tensor that requires grad"):
        np.asarray(leaf(1.0))


def test_seeds_give_the_same_numbers_again() -> None:
    pb.manual_seed(3)
    first = [pb.randn(4).tolist(), pb.rand(2, 2).tolist(), pb.randint(0, 9, (5,)).tolist(), pb.randperm(6).tolist()]
    pb.manual_seed(3)
    again = [pb.randn(4).tolist(), pb.rand(2, 2).tolist(), pb.randint(0, 9, (5,)).tolist(), pb.randperm(6).tolist()]
    assert first == again


def test_a_graph_that_comes_back_is_compiled_once_and_gives_the_same_bits() -> None:
    x0 = np.linspace(-1, 1, 37).astype(np.float32)

    def step(x: Any) -> Any:
        y = (pb.tanh(x * 1.7) / (pb.exp(x).sum() + x * x)).pow(3).mean()
        y.backward()
        return y.item(), x.grad.tolist()

    before = len(ENGINE.graphs)
    results = [step(pb.tensor(x0, requires_grad=True)) for _ in range(4)]
    assert all(result == results[0] for result in results)
    new = list(ENGINE.graphs.values())[before:]
    assert [known.runner is not None for known in new] == [True] * len(new)


def test_a_training_step_comes_back_as_one_graph() -> None:
    pb.manual_seed(0)
    x, y = pb.randn(5, 3), pb.tensor([0, 1, 1, 0, 1])
    weights = [pb.randn(3, 4, requires_grad=True), pb.zeros(4, requires_grad=True), pb.randn(4, 2, requires_grad=True),
               pb.zeros(2, requires_grad=True)]  # fmt: skip

    def step() -> float:
        hidden = pb.relu(x @ weights[0] + weights[1])
        loss = functional.cross_entropy(hidden @ weights[2] + weights[3], y)
        loss.backward()
        value: float = loss.item()
        with pb.no_grad():
            for weight in weights:
                weight -= 0.1 * weight.grad
                weight.grad = None
        return value

    before = set(ENGINE.graphs)
    losses = [step() for _ in range(12)]
    assert losses[-1] < losses[0]
    # The first step starts from weights that are known, the others from weights that wait for their update.
    assert sorted(known.count for key, known in ENGINE.graphs.items() if key not in before) == [1, 11]


def test_looking_at_a_loss_after_backward_runs_nothing_more() -> None:
    x = leaf(1.0, 2.0)
    loss = (x * x).sum()
    loss.backward()
    counts = [known.count for known in ENGINE.graphs.values()]
    assert loss.item() == 5.0
    assert [known.count for known in ENGINE.graphs.values()] == counts


def test_windows_of_one_array_are_put_together_though_they_wait_as_units() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    before = set(ENGINE.graphs)
    ((x[:2] * x[:2]).sum() + (x[1:3] * 3).sum() + x[3] * 5).backward()
    assert x.grad.tolist() == [2.0, 7.0, 3.0, 5.0]
    (key,) = set(ENGINE.graphs) - before
    units = [part for part in key[0] if isinstance(part, Several)]
    assert max(len(step.op.starts) for unit in units for step in unit.steps if isinstance(step.op, Assemble)) > 1


def test_memory_goes_with_the_tensors() -> None:
    held: list[weakref.ref[Any]] = []

    def run() -> None:
        x = pb.randn(1000, requires_grad=True)
        y = pb.exp(x * 2)
        loss = (y * y).sum()
        loss.backward()
        loss.item()
        held.extend(weakref.ref(each.value) for each in (x, y, loss, x.grad))

    gc.disable()
    try:
        run()
        assert [each() for each in held] == [None] * 4
    finally:
        gc.enable()


def test_what_a_step_does_not_need_is_not_kept() -> None:
    x = pb.randn(1000, requires_grad=True)
    inner = x + 1
    inner.tolist()
    kept = weakref.ref(inner.value)
    outer = inner + 2
    outer.tolist()
    del inner
    assert kept() is None
    outer.sum().backward()
    assert x.grad.tolist() == [1.0] * 1000


def test_long_chains_neither_recurse_nor_grow() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(5000):
        y = y * 1.0001
    y.sum().backward()
    assert x.grad.item() == pytest.approx(1.0001**5000, rel=1e-3)
    del y


MISTAKES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: (leaf(1.0, 2.0) * 2).backward(), RuntimeError, "grad can be implicitly created only for scalar outputs"),
    (lambda: pb.ones(1).backward(), RuntimeError, "element 0 of tensors does not require grad and does not have a grad_fn"),
    (lambda: leaf(1.0).add_(1), RuntimeError, "a leaf Variable that requires grad is being used in an in-place operation."),
    (lambda: leaf(1.0)[0:1].add_(1), RuntimeError, "a view of a leaf Variable that requires grad is being used in an in-place"),
    (lambda: pb.arange(3).requires_grad_(), RuntimeError, "only Tensors of floating point dtype can require gradients"),
    (lambda: (leaf(1.0) * 2).requires_grad_(False), RuntimeError, "you can only change requires_grad flags of leaf"),
    (lambda: leaf(1.0, 2.0).backward(pb.ones(3)), RuntimeError, "Mismatch in shape: grad_output[0] has a shape of"),
    (lambda: pb.ones(2).register_hook(print), RuntimeError, "cannot register a hook on a tensor that doesn't require gradient"),
    (lambda: pb.ones(2) + pb.ones(3), RuntimeError, "The size of tensor a (2) must match the size of tensor b (3)"),
    (lambda: pb.ones(2, 3) @ pb.ones(2, 3), RuntimeError, "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)"),
    (lambda: pb.ones(2).view(3), RuntimeError, "shape '[3]' is invalid for input of size 2"),
    (lambda: pb.ones(2, 3).t().view(6), RuntimeError, "view size is not compatible with input tensor's size and stride"),
    (lambda: pb.ones(2)[5], IndexError, "index 5 is out of bounds for dimension 0 with size 2"),
    (lambda: pb.ones(2).sum(3), IndexError, "Dimension out of range (expected to be in range of [-1, 0], but got 3)"),
    (lambda: pb.ones(2).item(), RuntimeError, "a Tensor with 2 elements cannot be converted to Scalar"),
    (lambda: bool(pb.ones(2)), RuntimeError, "Boolean value of Tensor with more than one value is ambiguous"),
    (lambda: pb.tensor([1, 2]).mean(), RuntimeError, "mean(): could not infer output dtype."),
    (lambda: pb.tensor([1, 2]).add_(1.5), RuntimeError, "result type Float can't be cast to the desired output type Long"),
    (lambda: pb.ones(1).expand(3).add_(1), RuntimeError, "unsupported operation: more than one element of the written-to"),
    (lambda: pb.ones(2) + "a", TypeError, "unsupported operand type(s) for +: 'Tensor' and 'str'"),
    (lambda: pb.tensor([[1, 2], [3]]), ValueError, "expected sequence of length 2 at dim 1 (got 1)"),
    (lambda: pb.tensor(["a"]), TypeError, "new(): invalid data type 'str'"),
    (lambda: pb.ones(2).to("cuda"), AssertionError, "Torch not compiled with CUDA enabled"),
    (lambda: len(pb.tensor(1.0)), TypeError, "len() of a 0-d tensor"),
]


@pytest.mark.parametrize(("mistake", "kind", "text"), MISTAKES, ids=[text[:40] for _, _, text in MISTAKES])
def test_mistakes_are_named_as_pytorch_names_them(mistake: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        mistake()
    assert str(caught.value).startswith(text)
    assert isinstance(caught.value, PullbackError)
    assert "test_tensor_autograd.py" in str(caught.value)


def test_a_saved_tensor_that_was_written_to() -> None:
    y = leaf(1.0, 2.0, 3.0).exp()
    y.add_(1)
    what = r"\[torch.FloatTensor \[3\]\], which is output 0 of Exp, is at version 1; expected version 0"
    with pytest.raises(RuntimeError, match=what):
        y.sum().backward()


def test_a_second_backward() -> None:
    x = leaf(1.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 4.0
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()
    z = (x + 1).sum()
    z.backward()
    z.backward()

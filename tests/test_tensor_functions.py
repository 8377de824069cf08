"""Where tensors once gave other numbers than PyTorch, or broke: the values are PyTorch 2.13's."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim


def leaf(*values: float) -> Any:
    return pb.tensor(list(values), requires_grad=True)


class TwoResults(pb.autograd.Function):
    """Its second result is often used by nobody."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2, x + 1

    @staticmethod
    def backward(ctx: Any, first: Any, second: Any) -> Any:
        assert second is not None
        return first * 2 + second


def test_results_that_nobody_used_have_gradients_of_zeros() -> None:
    x = leaf(1.0, 2.0)
    TwoResults.apply(x)[0].sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    TwoResults.apply(x)[1].sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize(("index", "shape"), [(True, (1, 2, 3)), (False, (0, 2, 3)), ((True, 0), (1, 3)), ((0, True), (1, 3))])
def test_truth_values_in_an_index_are_no_numbers(index: Any, shape: tuple[int, ...]) -> None:
    assert tuple(pb.arange(6.0).view(2, 3)[index].shape) == shape


def test_assignment_under_a_truth_value() -> None:
    x = pb.zeros(2, 2)
    x[True] = 1.0
    x[False] = 5.0
    assert x.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_diagonals_are_views() -> None:
    for x in (pb.zeros(2, 3), pb.zeros(3, 2).t(), pb.zeros(2, 2, 3)[1]):
        x.diagonal(1).fill_(7)
        assert x.tolist() == [[0.0, 7.0, 0.0], [0.0, 0.0, 7.0]]
    y = leaf(1.0, 2.0, 3.0, 4.0)
    z = y.view(2, 2) * 1
    z.diagonal().mul_(3)
    z.sum().backward()
    assert y.grad.tolist() == [3.0, 1.0, 1.0, 3.0]


def test_the_median_shares_its_gradient_among_equal_elements() -> None:
    x = leaf(1.0, 3.0, 3.0, 5.0, 3.0)
    x.median().backward()
    assert x.grad.tolist() == pytest.approx([0.0, 1 / 3, 1 / 3, 0.0, 1 / 3])


def test_label_smoothing_with_weights_and_classes_left_out() -> None:
    x = pb.tensor([[0.5, -1.0, 2.0], [0.1, 0.2, 0.3]])
    target, weight = pb.tensor([2, -100]), pb.tensor([1.0, 2.0, 3.0])
    found = nn.functional.cross_entropy(x, target, weight=weight, label_smoothing=0.1)
    # Of the second row nothing counts; the even part is weighted by class, over the weight of the target.
    logs = np.array([0.5, -1.0, 2.0]) - np.log(np.exp([0.5, -1.0, 2.0]).sum())
    assert found.item() == pytest.approx(-0.9 * logs[2] - 0.1 / 3 * (logs @ [1, 2, 3]) / 3, rel=1e-5)


def test_numbers_of_numpy_leave_the_dtype_alone() -> None:
    x = pb.ones(2)
    for found in (np.float64(2) * x, x * np.float64(2), np.sqrt(2.0) / x, np.float32(1) - x, np.int64(3) + x):
        assert found.dtype == pb.float32


def test_signs_and_extremes_of_unusual_numbers() -> None:
    assert pb.sign(pb.tensor([float("nan"), -2.0, 0.0])).tolist() == [0.0, -1.0, 0.0]
    flags = pb.tensor([True, False])
    assert pb.maximum(flags, ~flags).tolist() == [True, True] and pb.sign(flags).tolist() == [True, False]
    with pytest.raises(RuntimeError, match="std and var only support floating point"):
        pb.tensor([1, 2]).std()


def test_shapes_change_in_place_inside_of_a_graph() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    y = (x * 1).view(4).clone()
    assert y.unsqueeze_(0).shape == (1, 4) and type(y.grad_fn).__name__ == "UnsqueezeBackward1"
    y.t_().mul_(pb.tensor([[1.0], [2.0], [3.0], [4.0]]))
    (y * y).sum().backward()
    assert y.shape == (4, 1) and x.grad.tolist() == [2.0, 16.0, 54.0, 128.0]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.unsqueeze_(0)


def test_integers_over_zero_are_an_error() -> None:
    for operation in (lambda x: x // 0, lambda x: x % 0, lambda x: 3 // (x - x), lambda x: x % (x - x),
                      lambda x: pb.div(x, 0, rounding_mode="floor")):  # fmt: skip
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            operation(pb.tensor([1, 2]))


@pytest.mark.parametrize(("hook", "kind", "words"), [
    (lambda g: 3, TypeError, "expected Variable, but hook returned 'int'"),
    (lambda g: g[:1], RuntimeError, "hook '<lambda>' has changed the size of value"),
])  # fmt: skip
def test_hooks_that_give_what_no_gradient_is(hook: Any, kind: type[Exception], words: str) -> None:
    x = leaf(1.0, 2.0)
    x.register_hook(hook)
    with pytest.raises(kind, match=words):
        (x * 2).sum().backward()


def test_the_random_numbers_are_pytorchs() -> None:
    pb.manual_seed(0)
    assert str(pb.randn(3)) == "tensor([ 1.5410, -0.2934, -2.1788])"
    assert str(pb.rand(2)) == "tensor([0.4556, 0.6323])"
    pb.manual_seed(0)
    assert pb.randint(10, (6,)).tolist() == [4, 9, 3, 0, 3, 9]
    pb.manual_seed(0)
    assert pb.randperm(6).tolist() == [2, 5, 3, 0, 1, 4]


DRAWS = [
    "randn(40)", "randn(7)", "rand(5, 3)", "randint(9, (50,))", "randperm(20)", "normal(1.0, 2.0, (20,))",
    "zeros(4).random_()", "zeros(4).random_(-5, 0)",
    "zeros(4, dtype=module.int64).random_()", "zeros(9).bernoulli_(module.linspace(0, 1, 9))",
]  # fmt: skip


@pytest.mark.parametrize("draw", DRAWS)
def test_random_numbers_beside_pytorchs(draw: str) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for module in (pb, torch):
        module.manual_seed(1234)
        eval(f"module.{draw}", {"module": module})
        found.append(eval(f"module.{draw}", {"module": module}).numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_optimizers_beside_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    settings = {"momentum": 0.9, "nesterov": True} if name == "SGD" else {"amsgrad": True}
    found = []
    for module in (pb, torch):
        w = module.tensor([1.0, -2.0, 0.5], requires_grad=True)
        steps = getattr(optim if module is pb else torch.optim, name)([w], lr=0.05, weight_decay=0.1, **settings)
        for _ in range(10):
            steps.zero_grad()
            (w**4).sum().backward()
            steps.step()
        found.append(w.detach().numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_state_of_an_optimizer_goes_on_elsewhere() -> None:
    w = leaf(1.0, 2.0)
    first = optim.Adam([w], lr=0.1)
    (w * w).sum().backward()
    first.step()
    twin = w.detach().clone().requires_grad_()
    second = optim.Adam([twin], lr=0.7)
    second.load_state_dict(first.state_dict())
    for tensor, steps in ((w, first), (twin, second)):
        tensor.grad = None
        (tensor * tensor).sum().backward()
        steps.step()
    assert w.tolist() == twin.tolist()


def test_anomalies_are_named() -> None:
    x = leaf(-1.0)
    with pytest.warns(UserWarning, match="Anomaly Detection"), pb.autograd.detect_anomaly():
        y = pb.sqrt(x)
        with pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th output"):
            y.backward()


def test_a_wrong_gradient_does_not_pass_gradcheck() -> None:
    class Wrong(pb.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3

    x = pb.ones(2, dtype=pb.float64, requires_grad=True)
    assert not pb.autograd.gradcheck(Wrong.apply, x, raise_exception=False)
    with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"):
        pb.autograd.gradcheck(Wrong.apply, x)
    assert pb.autograd.gradcheck(lambda x: x * 2, x) and pb.autograd.gradgradcheck(lambda x: x**3, x)


def test_bools_and_bytes_stay_what_they_are() -> None:
    flags, numbers = pb.tensor([[True, False], [True, True]]), pb.tensor([[1, 0], [3, 1]], dtype=pb.uint8)
    for found, expected in (
        (flags.triu(), [[True, False], [False, True]]), (flags.tril(), [[True, False], [True, True]]),
        (pb.diag_embed(flags[0]), [[True, False], [False, False]]), (pb.diff(flags), [[True], [False]]),
        (pb.sgn(flags), [[True, False], [True, True]]), (flags.any(0), [True, True]),
    ):  # fmt: skip
        assert found.dtype is pb.bool
        assert found.tolist() == expected
    for found, expected in ((numbers.all(0), [1, 0]), (numbers.any(1), [1, 1]), (numbers.triu(), [[1, 0], [0, 1]])):
        assert found.dtype is pb.uint8
        assert found.tolist() == expected


def test_the_rest_of_integers_over_zero() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        pb.fmod(pb.tensor([1, 2]), 0)


def test_special_functions_far_out() -> None:
    assert pb.erfc(pb.tensor([9.0], dtype=pb.float64)).item() / 4.137031746513811e-37 == pytest.approx(1.0, rel=1e-14)
    assert pb.logit(pb.tensor([0.5 + 1e-12], dtype=pb.float64)).item() / 3.999911513119514e-12 == pytest.approx(1.0, rel=1e-14)


def test_the_first_power_of_a_matrix_is_a_copy() -> None:
    x = pb.ones(2, 2)
    pb.matrix_power(x, 1).add_(1)
    assert x.tolist() == [[1.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize(("call", "words"), [
    (lambda x: x.quantile(0.5, interpolation="middle"), "interpolation must be one of"),
    (lambda x: x.long().quantile(0.5), "must be either float or double"),
    (lambda x: pb.searchsorted(x, x, right=True, side="left"), "can't be set to opposites"),
    (lambda x: pb.bincount(x), "non-negative integral"),
    (lambda x: pb.linalg.cholesky(-x.outer(x)).tolist(), "not positive definite"),
    (lambda x: pb.linalg.svd(x[None]), "full_matrices=False"),
    (lambda x: pb.linalg.inv(x.outer(x).long()), "Expected a floating point"),
    (lambda x: x.__setitem__(pb.tensor([True]), 1.0), "The shape of the mask"),
    (lambda x: x.__setitem__(pb.tensor([0]), pb.tensor([1])), "got Float for the destination and Long for the source"),
    (lambda x: x.masked_fill(pb.tensor([0, 1]), 1.0), "only supports boolean masks"),
    (lambda x: x.scatter(0, pb.tensor([0]), 1.0, reduce="mean"), "reduce argument must be"),
    (lambda x: x.scatter_reduce(0, pb.tensor([0]), pb.tensor([1]), "sum"), "to be equal to src.dtype"),
    (lambda x: x.index_copy(0, pb.tensor([0]), pb.tensor([1])), "expected to have the same dtype"),
    (lambda x: x.index_add(0, pb.tensor([0]), x), "source has sizes"),
    (lambda x: x.masked_scatter(x > 0, pb.tensor([1, 2])), "same dtypes"),
])  # fmt: skip
def test_what_is_refused(call: Any, words: str) -> None:
    with pytest.raises((RuntimeError, ValueError, NotImplementedError, TypeError, IndexError), match=words):
        call(pb.tensor([1.0, 2.0]))


@pytest.mark.parametrize("index", [(0, slice(None), [0, 1]), (pb.tensor(0), slice(None), pb.tensor([0, 1]))])
def test_assignment_by_numbers_and_lists(index: Any) -> None:
    x = pb.zeros(2, 3, 2, requires_grad=True)
    y = x * 1
    values = pb.arange(6.0).view(3, 2).requires_grad_()
    y[index] = values
    assert y.tolist() == [[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [[0.0] * 2] * 3]
    (y * y).sum().backward()
    assert values.grad.tolist() == [[0.0, 2.0], [4.0, 6.0], [8.0, 10.0]]


def test_diagonals_of_three_axes_are_filled() -> None:
    assert pb.zeros(2, 2, 2).fill_diagonal_(2.0).tolist() == [[[2.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]]]
    assert pb.zeros(3, 1).fill_diagonal_(2.0).tolist() == [[2.0], [0.0], [0.0]]


def test_new_tensors_on_other_devices() -> None:
    x = pb.ones(2)
    for make in (x.new_zeros, x.new_ones, lambda size, device: x.new_full(size, 1, device=device), x.new_tensor, pb.as_tensor):
        with pytest.raises(TypeError, match="there is no device cuda"):
            make([2], device="cuda")

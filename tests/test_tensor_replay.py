"""Steps and ways back that come again: as those made for the first time, whatever a program does in between."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.errors import PullbackError
from pullback.nn import functional
from pullback.tracer import backward, way_back
from pullback.tracer.deferred import ENGINE
from pullback.tracer.recipe import kept_rules
from pullback.tracer.tensor_plan import PLANS
from pullback.tracer.way_back import WAYS


def leaf(*sizes: int, seed: int = 0, dtype: Any = np.float32) -> Any:
    return pb.tensor(np.random.default_rng(seed).normal(size=sizes).astype(dtype)).requires_grad_()


def _shared(x: Any, y: Any) -> Any:
    z = x * y
    return (z * z + x).sum() + z.mean()


def _windows(x: Any, y: Any) -> Any:
    return (x[:2] * y[1:3]).sum() + (x[1:, :2] * 3).exp().sum() + x[0, 0] * y[2, 1]


def _several_results(x: Any, y: Any) -> Any:
    values, _ = x.max(dim=1)
    return (values * y.sum(1)).sum() + (x * y).min()


def _masked(x: Any, y: Any) -> Any:
    return (pb.where(x > 0, x, y).log1p().clamp(min=-0.5) * pb.relu(y)).sum()


def _two_dtypes(x: Any, y: Any) -> Any:
    return (x.double() * y + y.double().sigmoid()).sum().float()


def _not_through_all(x: Any, y: Any) -> Any:
    return (x @ y.T).sum() + (y.detach() * 2 * x).sum() + pb.floor(y).sum()


def _written(x: Any, y: Any) -> Any:
    z = x * 1.5
    z += y
    z[0] = y[1] * y[1]
    return (z * z).sum()


def _losses(x: Any, y: Any) -> Any:
    return functional.cross_entropy(x, pb.tensor([2, 0, 1])) + functional.mse_loss(x, y) + functional.gelu(y).sum()


PROGRAMS = [_shared, _windows, _several_results, _masked, _two_dtypes, _not_through_all, _written, _losses]


def _by_steps(*_: Any) -> None:
    """What `go_back` gives where the steps have to be gone through one by one."""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_whole_way_back_gives_the_bits_of_its_steps(program: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def gradients() -> list[Any]:
        x, y = leaf(3, 3), leaf(3, 3, seed=1)
        found = []
        for number in range(3):
            program(x, y).backward()
            # The third time is added to the second.
            found += [x.grad.tolist(), None if y.grad is None else y.grad.tolist()]
            if number == 0:
                x.grad = y.grad = None
        return found

    with monkeypatch.context() as patched:
        patched.setattr(backward, "go_back", _by_steps)
        by_steps = gradients()
    with monkeypatch.context() as patched:
        patched.setattr(backward, "walk_back", None)
        whole = gradients()
    assert whole == by_steps


def test_a_way_is_found_again_and_tells_shapes_apart() -> None:
    x, y = leaf(7, 3), leaf(7, 3, seed=1)

    def run(factor: float, turned: bool) -> Any:
        x.grad = y.grad = None
        left, right = (y, x) if turned else (x, y)
        ((left * factor).tanh() * right * right).sum().backward()
        return x.grad

    # Tests before this one may have left as many ways as are kept.
    WAYS.known.clear()
    run(2.0, False)
    count = len(WAYS.known)
    assert run(3.0, False).tolist() != run(2.0, False).tolist()
    assert len(WAYS.known) == count
    a, b = x.detach().numpy(), y.detach().numpy()
    # Which of two leaves comes first is no part of a shape; that the same comes twice is.
    np.testing.assert_allclose(run(2.0, True).numpy(), 2 * np.tanh(2 * b) * a, rtol=1e-5)
    assert len(WAYS.known) == count
    x.grad = None
    ((x * 2.0).tanh() * x * x).sum().backward()
    assert len(WAYS.known) == count + 1
    np.testing.assert_allclose(x.grad.numpy(), 2 * a * np.tanh(2 * a) + 2 * a * a / np.cosh(2 * a) ** 2, rtol=1e-4)


def test_a_way_tells_leaves_and_results_apart() -> None:
    x, y, fixed = leaf(3), leaf(3, seed=1), pb.tensor([2.0, 3.0, 4.0])
    a, b = x.detach().numpy(), y.detach().numpy()

    def gradient(program: Callable[..., Any]) -> Any:
        x.grad = y.grad = None
        program().sum().backward()
        return y.grad.tolist()

    for _ in range(2):
        np.testing.assert_allclose(gradient(lambda: (fixed * x) * x * y), np.array([2, 3, 4]) * a * a, rtol=1e-6)
        np.testing.assert_allclose(gradient(lambda: (fixed * y) * x * y), np.array([4, 6, 8]) * a * b, rtol=1e-6)
        pair = leaf(2)
        parts = np.split(pair, 2)
        parts[0].backward(retain_graph=True)
        assert pair.grad.tolist() == [1.0, 0.0]
        pair.grad = None
        parts[1].backward()
        assert pair.grad.tolist() == [0.0, 1.0]


def test_graphs_tell_results_and_sizes_apart() -> None:
    pair, small, large = pb.tensor([1.0, 2.0]), pb.tensor(np.arange(8.0).reshape(4, 2)), pb.tensor(np.ones((5, 2)))
    for _ in range(3):
        assert [(np.split(pair, 2)[number] * 2).tolist() for number in range(2)] == [[2.0], [4.0]]
        assert small[:2].tolist() == [[0.0, 1.0], [2.0, 3.0]]
        assert large[:2].tolist() == [[1.0, 1.0], [1.0, 1.0]]
        for size in (2, 3):
            # A graph of one operation that does not say the types of what it reads.
            x = leaf(size)
            x.backward(pb.ones(size))
            x.backward(pb.ones(size))
            assert x.grad.tolist() == [2.0] * size


def test_what_nobody_holds_is_not_handed_out() -> None:
    before = set(ENGINE.graphs)
    x = pb.ones(11)
    held = x + 2
    (((x + 1) * 2) * held).tolist()
    (key,) = set(ENGINE.graphs) - before
    assert len(key[1]) == 2


def test_only_what_depends_on_leaves_requires_grad() -> None:
    x, y = leaf(2), pb.ones(2)
    for _ in range(2):
        assert ((x > 0).requires_grad, (y * 2).requires_grad, (y * 2).grad_fn) == (False, False, None)
        assert ((x * y).requires_grad, (x * y).grad_fn.next_functions[1]) == (True, (None, 0))
        with pb.no_grad():
            assert (x * y).grad_fn is None


def test_what_was_looked_at_waits_no_more() -> None:
    x = pb.zeros(2)
    for _ in range(10):
        x = x + 1
        x.tolist()
    assert (x + 1).value.contents.depth == (pb.zeros(2) + 1).value.contents.depth


def test_kept_rules_are_one_for_equal_arguments_of_one_type() -> None:
    made = kept_rules(lambda first, second: lambda b, x: x)
    assert made(1, 2) is made(1, 2)
    assert len({made(1, 2), made(2, 2), made(True, 2)}) == 3


def test_a_hook_is_called_on_a_way_that_is_known() -> None:
    x = leaf(4)

    def run(hook: Callable[..., Any] | None, where: str) -> Any:
        x.grad = None
        y = x * 3
        z = y.sum()
        handle = None
        if hook is not None:
            target = {"leaf": x, "inner": y}.get(where)
            handle = target.register_hook(hook) if target is not None else y.grad_fn.register_hook(
                lambda inputs, outputs: tuple(None if each is None else hook(each) for each in inputs))  # fmt: skip
        z.backward()
        if handle is not None:
            handle.remove()
        return x.grad.tolist()

    assert run(None, "") == run(None, "") == [3.0] * 4
    for where in ("leaf", "inner", "step"):
        assert run(lambda gradient: gradient * 2, where) == [6.0] * 4, where
    seen: list[Any] = []
    x.register_post_accumulate_grad_hook(lambda tensor: seen.append(tensor.grad.tolist()))
    assert run(None, "") == seen[0] == [3.0] * 4


def test_errors_on_a_way_that_is_known() -> None:
    def run(spoil: bool, twice: bool = False, retain: bool | None = None) -> Any:
        x = leaf(3)
        y = x.exp()
        z = (y * y).sum()
        if spoil:
            y += 1
        z.backward(retain_graph=retain)
        if twice:
            z.backward()
        return x.grad

    first = run(False).tolist()
    assert run(False).tolist() == first
    with pytest.raises(PullbackError, match=r"modified by an inplace operation.*output 0 of \w+, is at version 1"):
        run(True)
    with pytest.raises(PullbackError, match="backward through the graph a second time"):
        run(False, twice=True)
    assert run(False, twice=True, retain=True).tolist() == [2 * each for each in first]


def test_gradients_that_share_their_memory_are_added_to_one_by_one() -> None:
    for _ in range(3):
        x, y = leaf(2), leaf(2, seed=1)
        x.grad = y.grad = pb.ones(2)
        (x * 2 + y * 3).sum().backward()
        assert x.grad.tolist() == [6.0, 6.0]
        memory = np.ones(2, np.float32)
        x.grad, y.grad = pb.from_numpy(memory), pb.from_numpy(memory)
        (x * 2 + y * 3).sum().backward()
        assert memory.tolist() == [6.0, 6.0]


def test_a_gradient_of_another_dtype_or_shape_is_not_taken_for_the_usual() -> None:
    x = leaf(2)
    for _ in range(3):
        x.grad = None
        for total in (3.0, 6.0):
            (x * 3).sum().backward()
            assert x.grad.tolist() == [total, total]
    for _ in range(3):
        x = leaf(1)
        y = (x * 3).sum()
        x.grad = pb.ones(1)
        y.backward(retain_graph=True)
        x.data = pb.ones(4)
        x.grad = pb.ones(4)
        with pytest.raises(PullbackError):
            y.backward()


def test_what_is_saved_goes_with_backward() -> None:
    gc.disable()
    try:
        for _ in range(3):
            x = leaf(1000)
            y = x.exp()
            loss = (y * y).sum()
            held = weakref.ref(y.value)
            del y
            loss.backward()
            assert held() is None
            values = [weakref.ref(each.value) for each in (x, x.grad, loss)]
            del x, loss
            assert [each() for each in values] == [None] * 3
    finally:
        gc.enable()


def test_a_long_graph_goes_back_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way_back, "MAX_NODES", 400)
    x = leaf(2)
    before = len(WAYS.known)
    y = x
    for _ in range(way_back.MAX_NODES + 5):
        y = y + x
    y.sum().backward()
    assert x.grad.tolist() == [way_back.MAX_NODES + 6.0] * 2
    assert len(WAYS.known) == before


def test_lines_of_steps_are_kept_on_a_way_back() -> None:
    x = leaf(3)
    y = x.exp()
    z = (y * y).sum()
    z.backward(retain_graph=True)
    unit = way_back.Unit
    made: list[Any] = []

    class Kept(unit):  # type: ignore[misc, valid-type]
        __slots__ = ()

        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(way_back, "Unit", Kept)
        way_back.go_back(z, pb.ones(()).value, True)
    lines = {made[0].location_of(number).line for number in range(len(made[0].op.steps))}
    assert {each.location.line for each in (y.grad_fn, z.grad_fn)} <= lines


# Plans


def test_plans_tell_operands_apart() -> None:
    x, whole = pb.tensor([1.0, -2.0]), pb.tensor([1, -2])
    for _ in range(3):
        assert (x * 0.0).tolist() == (x * -0.0).neg().tolist()
        assert str((x * -0.0).tolist()) == "[-0.0, 0.0]" and str((x * 0.0).tolist()) == "[0.0, -0.0]"
        assert str((x * 0).tolist()) == "[0.0, -0.0]"
        assert (whole + 1).tolist() == [2, -1] and (whole + 1).dtype is pb.int64
        assert (whole + 1.0).dtype is pb.float32 and (whole + True).dtype is pb.int64
        assert ((whole > 0) + True).dtype is pb.bool and ((whole > 0) + 1).dtype is pb.int64
        assert (x + whole).dtype is pb.float32 and (x.double() + x).dtype is pb.float64
        assert (x + pb.tensor(2.0).double()).dtype is pb.float32
        assert (x**2).tolist() == (x**2.0).tolist() == [1.0, 4.0] and (x**True).tolist() == [1.0, -2.0]
        assert (x + pb.tensor([[1.0], [2.0]])).tolist() == [[2.0, -1.0], [3.0, 0.0]]
        assert [functional.leaky_relu(x, slope).tolist()[1] for slope in (0.5, 0.25)] == [-1.0, -0.5]
        assert [x.add(x, alpha=alpha).tolist() for alpha in (1, 2, 0.5)] == [[2.0, -4.0], [3.0, -6.0], [1.5, -3.0]]
        assert x.sum(0).shape != x.sum(0, keepdim=True).shape
        assert [pb.tensor([[3.0, 4.0]]).sum(axis).tolist() for axis in (0, 1, (0, 1))] == [[3.0, 4.0], [7.0], 7.0]


def test_a_number_that_changes_needs_no_other_plan() -> None:
    x = pb.tensor([1.0, 2.0])
    (x * 1.25).tolist()
    plans, graphs = len(PLANS.known), len(ENGINE.graphs)
    assert [(x * (1.25 + number)).tolist()[0] for number in range(5)] == [1.25 + number for number in range(5)]
    assert (len(PLANS.known), len(ENGINE.graphs)) == (plans, graphs)


def test_errors_come_whether_a_step_is_known_or_not() -> None:
    base, flags = pb.tensor([1.0, 2.0, 3.0, 4.0]), pb.tensor([True, False])
    spread = pb.tensor([1.0]).expand(3)
    for _ in range(3):
        fine = pb.tensor([1.0, 2.0, 3.0])
        fine -= pb.ones(3)
        with pytest.raises(PullbackError, match="single memory location"):
            base[1:].sub_(base[:-1])
        with pytest.raises(PullbackError, match="more than one element"):
            spread.sub_(pb.ones(3))
        with pytest.raises(PullbackError, match="can't be cast"):
            pb.tensor([1, 2]).sub_(0.5)
        with pytest.raises(PullbackError, match="doesn't match the broadcast shape"):
            pb.ones(3).sub_(pb.ones(2, 3))
        with pytest.raises(PullbackError, match="two bool tensors"):
            flags - flags
        with pytest.raises(PullbackError, match="leaf Variable that requires grad"):
            leaf(3).sub_(pb.ones(3))
    assert base.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_writing_in_place_is_seen_by_views_and_counted() -> None:
    with pb.no_grad():
        for _ in range(3):
            weight = leaf(2, 2)
            row = weight[0]
            before = row.tolist()
            weight -= 1
            assert row.tolist() == [np.float32(each) - np.float32(1) for each in before]
            row *= 2
            assert weight.tolist()[0] == row.tolist()
            assert weight._version == row._version == 2
            weight.data -= 1
            assert weight._version == 2 and weight.tolist()[0] == row.tolist()
            weight -= weight
            assert weight.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_memory_whose_array_was_given_another_shape_is_read_as_the_tensor_has_it() -> None:
    x = pb.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    x.numpy()
    x._storage.array = x._storage.array.reshape(3, 2)
    for _ in range(3):
        assert (x + 1).tolist() == [[2.0, 3.0, 4.0], [5.0, 6.0, 7.0]]


# Losses of class numbers


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.int8])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nll_loss_of_any_integers(dtype: Any, reduction: str) -> None:
    classes = 300 if dtype is np.int32 else 100
    x = np.random.default_rng(0).normal(size=(5, classes)).astype(np.float32)
    chosen = np.array([0, 3, classes - 1, 7, 99]).astype(dtype)
    losses = -x[np.arange(5), chosen.astype(int)]
    expected = losses.mean() if reduction == "mean" else losses.sum() if reduction == "sum" else losses
    for _ in range(3):
        logs = pb.tensor(x).requires_grad_()
        found = functional.nll_loss(logs, pb.tensor(chosen), reduction=reduction)
        np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-6)
        found.sum().backward()
        slope = np.zeros_like(x)
        slope[np.arange(5), chosen.astype(int)] = -0.2 if reduction == "mean" else -1
        np.testing.assert_array_equal(logs.grad.numpy(), slope)


def test_a_class_number_that_a_byte_cannot_hold_is_no_other_class() -> None:
    x = np.random.default_rng(0).normal(size=(2, 300)).astype(np.float32)
    found = functional.nll_loss(pb.tensor(x), pb.tensor(np.array([0, 44], np.uint8)), reduction="none")
    assert found.tolist() == [-x[0, 0], -x[1, 44]]


def test_nll_loss_leaves_out_what_is_to_be_ignored_and_refuses_other_numbers() -> None:
    x = pb.tensor(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
    for ignored, chosen in ((-100, [1, -100, 2]), (1, [3, 1, 2]), (3, [0, 1, 2])):
        expected = [-x.tolist()[row][each] for row, each in enumerate(chosen) if each != ignored]
        loss = functional.nll_loss(x, pb.tensor(chosen), ignore_index=ignored)
        np.testing.assert_allclose(loss.item(), np.mean(expected), rtol=1e-6)
    for wrong in (4, -1):
        with pytest.raises(PullbackError, match=f"Target {wrong} is out of bounds"):
            functional.nll_loss(x, pb.tensor([1, wrong, 2]))


@pytest.mark.parametrize(
    "step",
    [
        lambda x: x + 1.5, lambda x: 2.5 - x, lambda x: x / 2, lambda x: 2 / x, pb.sin, pb.sigmoid, lambda x: pb.atan2(x, x),
        lambda x: pb.xlogy(x, x), lambda x: x.logsumexp(0), lambda x: x.softmax(0), lambda x: x.log_softmax(0),
        lambda x: x.clamp(max=1.5), lambda x: pb.where(x > 1, x, 0.5), lambda x: x.pow(0.5), lambda x: pb.logit(x, 0.1),
        lambda x: pb.maximum(x, pb.tensor(1.5)), lambda x: x.lerp(x, 0.5) if x.dtype.is_floating_point else x * 0.5,
    ],
)  # fmt: skip
def test_the_default_float_is_a_part_of_what_is_asked_for(step: Callable[[Any], Any]) -> None:
    found = []
    try:
        for kind in (pb.float32, pb.float64) * 2:
            pb.set_default_dtype(kind)
            result = step(pb.tensor([1, 2, 3]))
            found.append((result.dtype, result.tolist()))
    finally:
        pb.set_default_dtype(pb.float32)
    assert [dtype for dtype, _ in found] == [pb.float32, pb.float64] * 2
    assert found[:2] == found[2:]
    assert np.allclose(found[0][1], found[1][1], rtol=1e-6)


def test_the_default_float_leaves_tensors_of_floats_alone() -> None:
    x, y = leaf(3), leaf(3)
    try:
        for kind in (pb.float32, pb.float64, pb.float32):
            pb.set_default_dtype(kind)
            assert (x * 1.5 + 2.5).dtype is pb.float32
            assert pb.exp(y.detach()).dtype is pb.float32
            with pb.no_grad():
                y -= 0.5
            assert y.dtype is pb.float32
    finally:
        pb.set_default_dtype(pb.float32)


def test_anomalies_are_looked_for_on_a_way_that_is_known() -> None:
    def losses(x: Any) -> Any:
        return (x.sqrt() * 0).sum()

    for _ in range(2):
        losses(leaf(3).abs()).backward()
        x = pb.zeros(3, requires_grad=True)
        losses(x).backward()
        assert np.isnan(x.grad.tolist()).all()
    loss = losses(pb.zeros(3, requires_grad=True))
    with (
        pytest.warns(UserWarning, match="Anomaly Detection"),
        pb.autograd.detect_anomaly(),
        pytest.raises(RuntimeError, match="returned nan values in its 0th output"),
    ):
        loss.backward()


STEPS = [
    lambda x, n: x.add(x, alpha=0.5 + n),
    lambda x, n: x.sub(2.0, alpha=0.5 + n),
    lambda x, n: pb.rsub(x, 1.5 + n, alpha=2.5 + n),
    lambda x, n: x.addcmul(x, x, value=0.5 + n),
    lambda x, n: x.addcdiv(x, x, value=0.5 + n),
    lambda x, n: x.lerp(2 * x, 0.01 * n),
    lambda x, n: x.detach().clone().add_(x.detach(), alpha=0.5 + n),
    lambda x, n: functional.layer_norm(x, (4,), x[0], x[1]),
    lambda x, n: functional.group_norm(x.view(1, 4, 4), 2, x[0], x[1]),
    lambda x, n: functional.batch_norm(x, None, None, x[0], x[1], training=True),
    lambda x, n: functional.conv2d(x.view(1, 1, 4, 4), x[:2, :2].reshape(1, 1, 2, 2), padding=1),
    lambda x, n: functional.avg_pool2d(x.view(1, 1, 4, 4), 2, padding=1, count_include_pad=False),
    lambda x, n: functional.pad(x, (1, 2)),
    lambda x, n: functional.embedding(pb.tensor([n % 4, 1]), x, padding_idx=1),
    lambda x, n: x[pb.tensor([n % 4, 1])],
    lambda x, n: x[:, [n % 4, 2], None],
    lambda x, n: x[pb.tensor([n % 4, 1]), pb.tensor([1, n % 3])],
    lambda x, n: x.gather(1, pb.tensor([[n % 4, 0]] * 4)),
    lambda x, n: x.index_select(1, pb.tensor([n % 4, 0])),
    lambda x, n: x.flip(0).roll(1, 1),
]


@pytest.mark.parametrize("step", STEPS)
def test_numbers_and_indices_that_change_make_no_new_plans_or_graphs(step: Callable[..., Any]) -> None:
    x = leaf(4, 4)
    plans, graphs = [], []
    for number in range(1, 6):
        step(x, number).sum().tolist()
        plans.append(len(PLANS.known))
        graphs.append(len(ENGINE.graphs))
    assert plans[1] == plans[4]
    assert graphs[1] == graphs[4]


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_an_optimizers_steps_are_one_graph(name: str) -> None:
    x = leaf(5)
    optimizer = getattr(pb.optim, name)([x], lr=0.1)
    graphs = []
    for number in range(6):
        optimizer.param_groups[0]["lr"] = 0.1 / (1 + number)
        optimizer.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        optimizer.step()
        loss.item()
        graphs.append(len(ENGINE.graphs))
    assert graphs[2] == graphs[5]


def test_alpha_has_to_fit_what_is_added() -> None:
    whole = pb.tensor([1, 2])
    for add in (whole.add, whole.sub, whole.clone().add_, whole.clone().sub_):
        with pytest.raises(PullbackError, match="alpha must not be a floating point number"):
            add(whole, alpha=0.5)
    with pytest.raises(PullbackError, match="Boolean alpha only supported for Boolean results"):
        whole.add(whole, alpha=True)
    assert whole.add(whole, alpha=2).tolist() == [3, 6]
    assert whole.addcmul(whole, whole, value=0.5).tolist() == [1, 2]
    with pytest.raises(PullbackError, match='"lerp_kernel_scalar" not implemented for'):
        whole.lerp(whole, 0.5)

"""Arguments of `nn.functional`, `optim`, `func` and `autograd` change a result as PyTorch's do, or are refused."""
from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.nn import functional as F

torch = pytest.importorskip("torch")


def given(module: Any, *sizes: int, seed: int = 0) -> Any:
    return module.tensor(np.random.default_rng(seed).normal(size=sizes).tolist(), dtype=module.float64, requires_grad=True)


def outcome(expression: str, module: Any) -> Any:
    """The result and all gradients of its sum, or the kind of Python error."""
    made: list[Any] = []

    def p(*sizes: int, seed: int = 0) -> Any:
        made.append(given(module, *sizes, seed=seed))
        return made[-1]

    names = {"m": module, "F": F if module is pb else torch.nn.functional, "p": p,
             "t": lambda *sizes, seed=1: given(module, *sizes, seed=seed).detach()}  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = eval(expression, names)
        if result.requires_grad:
            result.sum().backward()
    except Exception as error:
        return next(each for each in type(error).__mro__ if each.__module__ == "builtins")
    return [result.tolist(), *[None if each.grad is None else each.grad.tolist() for each in made]]


def same(expression: str) -> None:
    found, expected = (outcome(expression, module) for module in (pb, torch))
    if isinstance(expected, type):
        assert found is expected
        return
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        if two is None:
            assert one is None
        else:
            assert np.shape(one) == np.shape(two)
            np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-9)


CLASSES = "m.tensor([0, 1, 2, 0])"


@pytest.mark.parametrize("switches", ["size_average=False", "size_average=True", "reduce=False", "reduce=True",
                                      "size_average=False, reduce=False", "size_average=False, reduction='none'"])  # fmt: skip
@pytest.mark.parametrize("call", [
    f"F.cross_entropy(p(4, 3), {CLASSES}, ", f"F.nll_loss(p(4, 3), {CLASSES}, ", "F.kl_div(p(4, 3), t(4, 3).exp(), ",
    "F.poisson_nll_loss(p(4), t(4).exp(), ", "F.cosine_embedding_loss(p(4, 3), t(4, 3), m.tensor([1, -1, 1, -1]), ",
    "F.hinge_embedding_loss(p(4), t(4).sign(), ", "F.margin_ranking_loss(p(4), t(4), t(4, seed=2).sign(), ",
    "F.triplet_margin_loss(p(4, 3), t(4, 3), t(4, 3, seed=2), ", "F.soft_margin_loss(p(4), t(4).sign(), ",
    f"F.multi_margin_loss(p(4, 3), {CLASSES}, ", "F.multilabel_soft_margin_loss(p(4, 3), (t(4, 3) > 0).double(), ",
])  # fmt: skip
def test_the_older_words_for_reductions(call: str, switches: str) -> None:
    same(call + switches + ")")


@pytest.mark.parametrize("expression", [
    "F.kl_div(p(4, 3), t(4, 3).exp(), reduction='batchmean')",
    "F.l1_loss(p(4), t(4), reduction='median')",
    "F.cross_entropy(p(4, 3), t(4, 3).softmax(1), reduction='median')",
    "F.cross_entropy(p(4, 3), t(4, 3).softmax(1), ignore_index=2)",
    f"F.cross_entropy(p(4, 3), {CLASSES}, label_smoothing=1.5)",
    "F.smooth_l1_loss(p(4), t(4), beta=-1.0)",
    "F.huber_loss(p(4), t(4), delta=0.0)",
    "F.gelu(p(4), approximate='erf')",
    "F.one_hot(m.tensor([0, -1]), 3)",
    "F.one_hot(m.tensor([0, 4]), 3)",
    f"F.multi_margin_loss(p(4, 3), {CLASSES}, p=2)",
    f"F.multi_margin_loss(p(4, 3), {CLASSES}, p=3)",
    "F.gaussian_nll_loss(p(4), t(4), p(4, seed=2).square() * 1e-7)",
    "F.gaussian_nll_loss(p(4, 3), t(4, 3), p(4, seed=2).square(), full=True)",
    "F.gaussian_nll_loss(p(4), t(4), 0.3, reduction='sum')",
    "F.gaussian_nll_loss(p(4), t(4), t(4))",
])  # fmt: skip
def test_settings_of_losses(expression: str) -> None:
    same(expression)


def test_a_class_out_of_reach_is_refused() -> None:
    with pytest.raises(IndexError, match="target out of range"):
        F.multi_margin_loss(pb.ones(2, 3), pb.tensor([0, -1]))


@pytest.mark.parametrize("expression", [
    "F.binary_cross_entropy_with_logits(p(4), t(4), p(4, seed=2))",
    "F.binary_cross_entropy_with_logits(p(4), t(4), pos_weight=p(4, seed=2))",
    "F.binary_cross_entropy(p(4).sigmoid(), t(4).sigmoid(), p(4, seed=2))",
    f"F.nll_loss(p(4, 3), {CLASSES}, p(3, seed=2))",
    f"F.cross_entropy(p(4, 3), {CLASSES}, p(3, seed=2), label_smoothing=0.1)",
    "F.soft_margin_loss(p(4), p(4, seed=2))",
    f"F.multi_margin_loss(p(4, 3), {CLASSES}, weight=p(3, seed=2))",
])  # fmt: skip
def test_weights_without_a_gradient_do_not_ask_for_one(expression: str) -> None:
    """Such a gradient was missing without a word."""
    same(expression)
    assert outcome(expression, pb) is RuntimeError
    with pb.no_grad():
        assert isinstance(outcome(expression, pb), list)


@pytest.mark.parametrize("expression", [
    f"F.nll_loss(p(4, 3), {CLASSES}, t(4))",
    "F.embedding(m.tensor([0, 1]), p(3, 2), padding_idx=-1)",
    "F.instance_norm(p(2, 3, 1))",
    "F.batch_norm(p(2, 3), None, None)",
    "F.batch_norm(p(2, 3), t(3), None, training=True)",
    "F.batch_norm(p(2, 3), p(3, seed=2), t(3).square())",
    "F.layer_norm(p(2, 3, 4), (3, 4), p(3, 4, seed=2), p(3, 4, seed=3))",
    "F.layer_norm(p(2, 4), (5,))",
    "F.layer_norm(p(2, 4), (4,), p(1))",
    "F.rms_norm(p(2, 4), (4,), p(4, seed=2))",
    "F.rms_norm(p(2, 4), (5,))",
    "F.pad(p(2, 4), (1, 1), 'reflect', 2.0)",
    "F.pad(p(2, 2, 4), (4, 1), 'circular')",
    "F.pad(p(2, 2, 4), (5, 1), 'circular')",
    "F.interpolate(p(1, 2, 5), scale_factor=1.5, mode='linear')",
    "F.interpolate(p(1, 2, 5), scale_factor=0.7, mode='linear')",
    "F.interpolate(p(1, 2, 5), scale_factor=1.5, mode='linear', align_corners=True)",
    "F.interpolate(p(1, 2, 5, 4), scale_factor=(1.7, 0.6), mode='bilinear')",
    "F.interpolate(p(1, 2, 5, 4), scale_factor=(1.7, 0.6))",
    "F.interpolate(p(1, 2, 4), size=3, scale_factor=2)",
    "F.interpolate(p(1, 2, 4))",
    "F.interpolate(p(1, 2, 4), size=3, align_corners=True)",
    "F.interpolate(p(1, 2, 4, 4), size=3, mode='linear')",
    "F.scaled_dot_product_attention(p(3, 4), p(3, 4, seed=2), p(3, 4, seed=3), p(3, 3, seed=4))",
    "F.scaled_dot_product_attention(p(3, 4), p(3, 4, seed=2), p(3, 4, seed=3), t(3, 3), is_causal=True)",
    "F.avg_pool2d(p(1, 4, 4), 2, divisor_override=0)",
    "F.avg_pool2d(p(1, 4, 4), 2, divisor_override=3)",
    "F.conv1d(p(1, 2, 8), p(3, 2, 3), stride=2, padding='same')",
    "F.conv1d(p(1, 2, 8), p(3, 2, 3), padding='some')",
    "F.conv1d(p(1, 2, 8), p(3, 2, 3), p(1))",
    "F.conv1d(p(2, 8), p(3, 2, 3), p(3, seed=2))",
    "F.conv_transpose1d(p(1, 2, 4), p(2, 3, 3), p(1))",
    "F.conv_transpose1d(p(1, 2, 4), p(2, 3, 3), stride=2, output_padding=2)",
    "F.conv_transpose1d(p(1, 2, 4), p(2, 3, 3), stride=2, output_padding=1)",
    "F.conv_transpose1d(p(1, 2, 4), p(2, 3, 3), padding=4)",
    "F.conv_transpose2d(p(2, 4, 4), p(2, 3, 3, 3), p(3, seed=2), stride=2)",
    "F.unfold(p(2, 4, 4), 2)",
    "F.unfold(p(3, 2, 4, 4), 2, 1, 1, 2)",
    "F.rrelu(p(5), 0.5, 0.1, training=True)",
    "F.alpha_dropout(p(5), 1.0, True)",
    "F.alpha_dropout(p(5), 1.5, True)",
])  # fmt: skip
def test_settings_of_layers(expression: str) -> None:
    same(expression)


def test_a_row_of_padding_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="Padding_idx must be within num_embeddings"):
        F.embedding(pb.tensor([0, 1]), pb.ones(3, 2), padding_idx=7)


def test_the_nearest_element_where_rounding_decides() -> None:
    for old in range(1, 24):
        for new in range(1, 40):
            found, expected = (each(module.arange(float(old))[None, None], size=new).tolist()
                               for module, each in ((pb, F.interpolate), (torch, torch.nn.functional.interpolate)))  # fmt: skip
            assert found == expected


@pytest.mark.parametrize("sizes", [(2, 3, 4), (2, 3, 4, 5)])
def test_normalized_instances_move_the_running_ones(sizes: tuple[int, ...]) -> None:
    results = []
    for module, functions in ((pb, F), (torch, torch.nn.functional)):
        mean, variance = module.zeros(3, dtype=module.float64), module.ones(3, dtype=module.float64)
        functions.instance_norm(given(module, *sizes), mean, variance, momentum=0.3)
        results.append([mean.tolist(), variance.tolist()])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-9)


def test_a_query_that_may_look_nowhere_gives_zeros() -> None:
    query, key, value = (given(pb, 2, 4, seed=seed) for seed in range(3))
    mask = pb.tensor([[True, True], [False, False]])
    found = F.scaled_dot_product_attention(query, key, value, mask)
    expected = torch.nn.functional.scaled_dot_product_attention(
        *(given(torch, 2, 4, seed=seed) for seed in range(3)), torch.tensor(mask.tolist()))  # fmt: skip
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-9)
    found.sum().backward()
    assert query.grad[1].tolist() == [0.0] * 4 and not np.isnan(value.grad.numpy()).any()


@pytest.mark.parametrize(("name", "sizes", "shared"), [
    ("dropout1d", (6, 5), 1), ("dropout1d", (2, 6, 5), 2), ("dropout2d", (4, 6, 5), 2), ("dropout2d", (2, 6, 5, 3), 2),
    ("dropout3d", (6, 2, 2, 2), 1), ("dropout3d", (2, 6, 2, 2, 2), 2),
])  # fmt: skip
def test_what_counts_as_a_channel(name: str, sizes: tuple[int, ...], shared: int) -> None:
    """Of three axes, dropout2d takes the first for the batch."""
    for module, functions in ((pb, F), (torch, torch.nn.functional)):
        module.manual_seed(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = getattr(functions, name)(module.ones(*sizes)).numpy().reshape(int(np.prod(sizes[:shared])), -1)
        assert (found == found[:, :1]).all() and set(found[:, 0]) == {0.0, 2.0}


def test_steps_that_would_be_differentiable_are_refused() -> None:
    for kind in (pb.optim.SGD, pb.optim.Adam, pb.optim.AdamW):
        with pytest.raises(NotImplementedError, match="differentiable=True is not supported"):
            kind([given(pb, 2)], lr=0.1, differentiable=True)
        with pytest.raises(NotImplementedError, match="differentiable=True is not supported"):
            kind([{"params": [given(pb, 2)], "differentiable": True}], lr=0.1)


def test_a_parameter_belongs_to_one_group() -> None:
    x, y = given(pb, 2), given(pb, 2)
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        pb.optim.SGD([{"params": [x]}, {"params": [y, x]}], lr=0.1)
    assert pb.optim.SGD([x], lr=0.1).state[x] == {}


def test_a_rate_may_be_a_tensor() -> None:
    results = []
    for module in (pb, torch):
        x = given(module, 3)
        for kind in (module.optim.AdamW, module.optim.Adam, module.optim.SGD):
            x.grad = module.ones(3, dtype=module.float64)
            kind([x], lr=module.tensor(0.125), weight_decay=0.5).step()
        results.append(x.tolist())
    np.testing.assert_allclose(*results, rtol=1e-6)


@pytest.mark.parametrize(("retain", "again"), [(None, False), (False, False), (True, True)])
def test_a_batch_of_gradients_frees_the_graph(retain: bool | None, again: bool) -> None:
    for module in (pb, torch):
        x = given(module, 2)
        y = x * x
        module.autograd.grad(y, x, module.eye(2, dtype=module.float64), retain_graph=retain, is_grads_batched=True)
        if again:
            y.sum().backward()
        else:
            with pytest.raises(RuntimeError, match="a second time"):
                y.sum().backward()


@pytest.mark.parametrize("mode", ["all", "any"])
def test_one_hook_of_several_tensors(mode: str) -> None:
    results: list[list[Any]] = []
    for module in (pb, torch):
        x, y = given(module, 2), given(module, 2, seed=1)
        called: list[Any] = []

        def hook(found: Any, called: list[Any] = called) -> None:
            several = found if isinstance(found, list | tuple) else [found]
            called.append([None if each is None else each.tolist() for each in several])

        handle = module.autograd.graph.register_multi_grad_hook((x, y), hook, mode=mode)
        for value in (x * x, y * 3, x * y, x - y * 2):
            value.sum().backward()
        if mode == "any":
            module.autograd.grad((x * y).sum(), x)
        handle.remove()
        (x * y).sum().backward()
        results.append(called)
    assert len(results[0]) == len(results[1]) >= 4
    if mode == "all":
        assert results[0] == results[1]
    for module in (pb, torch):
        with pytest.raises(ValueError, match="Expects mode to be one of"):
            module.autograd.graph.register_multi_grad_hook((given(module, 2),), print, mode="some")


@pytest.mark.parametrize(("name", "function"), [
    ("jvp", lambda m, x: m.ones(2, dtype=m.float64, requires_grad=True) * 1), ("vhp", lambda m, x: x.sum()),
    ("hvp", lambda m, x: x.sum()), ("hessian", lambda m, x: x.sum()), ("vjp", lambda m, x: m.ones(1, dtype=m.float64)),
    ("jacobian", lambda m, x: m.ones(2, dtype=m.float64, requires_grad=True) * 1),
])  # fmt: skip
def test_strict_derivatives_refuse_what_does_not_depend(name: str, function: Any) -> None:
    for module in (pb, torch):
        vectors = [] if name in ("hessian", "jacobian") else [module.ones(1 if name == "vjp" else 2, dtype=module.float64)]
        derivative = partial(getattr(module.autograd.functional, name), partial(function, module), given(module, 2), *vectors)
        with pytest.raises(RuntimeError):
            derivative(strict=True)
        derivative()


@pytest.mark.parametrize("draw", ["rand(1)", "randn(2)", "randint(0, 9, (3,))"])
def test_random_numbers_of_mapped_functions(draw: str) -> None:
    def function(module: Any) -> Any:
        return lambda x: x * 0 + eval(f"module.{draw}", {"module": module})

    for module in (pb, torch):
        module.manual_seed(0)
        rows = [module.func.vmap(function(module), randomness=word)(module.ones(3)).tolist() for word in ("same", "different")]
        assert rows[0][0] == rows[0][1] == rows[0][2]
        assert rows[1][0] != rows[1][1]
        with pytest.raises(RuntimeError, match="random operation while in randomness error mode"):
            module.func.vmap(function(module))(module.ones(3))
        with pytest.raises(RuntimeError, match="Only allowed values for randomness"):
            module.func.vmap(function(module), randomness="some")(module.ones(3))
        with pytest.raises(ValueError, match="chunk_size should be None or greater than 0"):
            module.func.vmap(function(module), chunk_size=0)(module.ones(3))


def test_hooks_of_leaves_see_every_gradient() -> None:
    for module in (pb, torch):
        x = given(module, 2)
        expected = (20 * x).tolist()
        x.register_hook(lambda gradient: gradient * 10)
        assert module.autograd.grad((x * x).sum(), x)[0].tolist() == expected
        (x * x).sum().backward(inputs=[x])
        assert x.grad.tolist() == expected
        (x * x).sum().backward()
        assert x.grad.tolist() == (40 * x).tolist()


def test_hooks_of_the_step_where_a_gradient_arrives() -> None:
    for module in (pb, torch):
        x = given(module, 2)
        called: list[Any] = []
        y = (x * x).sum()
        step = (x * 2).grad_fn.next_functions[0][0]
        step.register_hook(lambda before, after, called=called: called.append((before, after[0].tolist())))
        y.backward()
        assert called == [((), (2 * x).tolist())]
        module.autograd.grad((x * x).sum(), x)
        assert len(called) == 1


def test_arguments_of_to() -> None:
    for module in (pb, torch):
        x = module.ones(2)
        assert x.to(module.float32, False, True) is not x and x.to("cpu", copy=True) is not x
        assert x.to(module.float32, True) is x
        with pytest.raises(TypeError):
            x.to(dtypes=module.float64)

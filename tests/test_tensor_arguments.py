"""Arguments of `nn.functional`, `optim`, `func` and `autograd` change a result as PyTorch's do, or are refused."""
from __future__ import annotations

import warnings
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

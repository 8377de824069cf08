"""Golden IR: what each pass and each derivative makes of small functions, as text, and that it means the same.

Files are ``golden/<pass>.ir``: cases of a title, IR, ``// =>``, and the IR expected. ``pytest --bless`` writes what was
found; read it before you commit it.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from golden_cases import Case, all_cases, bless, read
from random_functions import random_arguments

from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.clone import copy_function
from pullback.ir.core import Array, Function, Operation, walk
from pullback.ir.interpret import interpret
from pullback.ir.ops.arithmetic import Pow
from pullback.ir.parse import parse_function
from pullback.ir.passes import algebra, canonicalize
from pullback.ir.passes.algebra import algebra as algebra_pass
from pullback.ir.passes.canonicalize import canonicalize as canonicalize_pass
from pullback.ir.passes.cse import cse
from pullback.ir.passes.dce import dce
from pullback.ir.passes.fold import fold
from pullback.ir.passes.pipeline import simplify
from pullback.ir.passes.reroll import reroll, rolled_copy
from pullback.ir.print import print_function
from pullback.ir.rewrite import Rewriter, Rule, rewrite
from pullback.ir.verify import verify

PASSES: dict[str, Callable[[Function], bool]] = {
    "canonicalize": canonicalize_pass, "algebra": algebra_pass, "fold": fold, "cse": cse, "dce": dce,
    "simplify": simplify, "reroll": partial(reroll, worth=8),
}  # fmt: skip
CASES = all_cases()


def identify(case: object) -> str | None:
    return f"{case.file.stem}: {case.title}" if isinstance(case, Case) else None


def float_parameters(function: Function) -> list[int]:
    return [index for index, value in enumerate(function.parameters) if value.type.dtype.is_float]


def derived(case: Case, function: Function) -> tuple[Function, bool]:
    """What the file's pass or derivative makes of a function, and whether it says that it changed something."""
    if case.file.stem == "adjoint":
        return adjoint(function, float_parameters(function)), True
    if case.file.stem == "pushforward":
        return pushforward(function, float_parameters(function)), True
    result = copy_function(function)
    return result, PASSES[case.file.stem](result)


def same_bits(found: list[Array], wanted: list[Array]) -> None:
    """Equal to the last bit, signs of zeros included; a NaN is as good as another."""
    for left, right in zip(found, wanted, strict=True):
        assert left.dtype == right.dtype and left.shape == right.shape
        if left.dtype.kind == "f":
            np.testing.assert_array_equal(np.isnan(left), np.isnan(right))
            left, right = (np.where(np.isnan(each), np.zeros_like(each), each) for each in (left, right))
        assert left.tobytes() == right.tobytes(), (left, right)


def bind(function: Function) -> None:
    """Give captured arguments data."""
    random = np.random.default_rng(8)
    function.captured = [random.normal(size=value.type.shape).astype(value.type.dtype.numpy)
                         for value in function.captured_arguments]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_text(case: Case, request: pytest.FixtureRequest) -> None:
    """The text is the expected one; it is valid; a second run changes nothing."""
    function = parse_function(case.given)
    verify(function)
    result, changed = derived(case, function)
    verify(result)
    text = print_function(result)
    if request.config.getoption("--bless"):
        bless(case, text)
    else:
        assert text == case.expected, f"{case.title}: expected\n{case.expected}\nfound\n{text}"
    if case.file.stem == "reroll":
        given = print_function(function)
        assert print_function(rolled_copy(function, worth=8)) == text
        assert print_function(function) == given
    if case.file.stem in PASSES:
        assert changed == (text != print_function(function))
        assert not PASSES[case.file.stem](result)
        assert print_function(result) == text


@pytest.mark.parametrize("case", [case for case in CASES if case.file.stem in PASSES], ids=identify)
def test_numbers(case: Case) -> None:
    """The same bits before and after, on ordinary numbers and on zeros of both signs, infinities and NaNs."""
    function = parse_function(case.given)
    bind(function)
    result, _ = derived(case, function)
    exact = not any(isinstance(operation.op, Pow) for operation in walk(function.body))
    for seed in range(8):
        arguments = random_arguments(function, seed, special=seed >= 4)
        found, wanted = interpret(result, arguments), interpret(function, arguments)
        if exact:
            same_bits(found, wanted)
        else:
            for left, right in zip(found, wanted, strict=True):
                np.testing.assert_allclose(left, right, rtol=2.0**-51, atol=0)


@pytest.mark.parametrize("case", [case for case in CASES if case.file.stem == "adjoint"], ids=identify)
def test_derivatives_agree(case: Case) -> None:
    """The primal's bits are kept, and <bar, J dot> = <J^T bar, dot>."""
    function = parse_function(case.given)
    bind(function)
    active = float_parameters(function)
    backward, forward = adjoint(function, active), pushforward(function, active)
    verify(forward)
    random = np.random.default_rng(4)
    for seed in range(3):
        arguments = random_arguments(function, seed)
        wanted = interpret(function, arguments)
        dots = [random.normal(size=arguments[index].shape).astype(arguments[index].dtype) for index in active]
        moved = interpret(forward, [*arguments, *dots])
        floats = [value for value in wanted if value.dtype.kind == "f"]
        bars = [random.normal(size=value.shape).astype(value.dtype) for value in floats]
        pulled = interpret(backward, [*arguments, *bars])
        same_bits(moved[: len(wanted)], wanted)
        same_bits(pulled[: len(wanted)], wanted)
        left = sum(np.vdot(bar, dot) for bar, dot in zip(bars, moved[len(wanted) :], strict=True))
        right = sum(np.vdot(bar, dot) for bar, dot in zip(pulled[len(wanted) :], dots, strict=True))
        tolerance = 1e-3 if any(array.dtype == np.float32 for array in arguments) else 1e-9
        np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["canonicalize", "algebra"])
def test_every_rule_has_a_case(name: str) -> None:
    """Some case of the pass's file is changed by each rule, for each op that it is a rule of."""
    rules = {"canonicalize": canonicalize.RULES, "algebra": algebra.RULES}[name]
    used = set()

    def watched(op: type, rule: Rule) -> Rule:
        def run(operation: Operation, rewriter: Rewriter) -> object:
            result = rule(operation, rewriter)
            if result is not None:
                used.add((op.__name__, getattr(rule, "__name__", "")))
            return result

        return run  # type: ignore[return-value]

    for case in CASES:
        if case.file.stem == name:
            watched_rules = {op: [watched(op, rule) for rule in each] for op, each in rules.items()}
            rewrite(parse_function(case.given), watched_rules)
    wanted = {(op.__name__, getattr(rule, "__name__", "")) for op, each in rules.items() for rule in each}
    assert used == wanted


def test_bless_fills_in_one_case(tmp_path: object) -> None:
    file = tmp_path / "dce.ir"  # type: ignore[operator]
    file.write_text("// head\n\n// case: one\nfunc a\n// =>\nold\n\n// case: two\nfunc b\n// =>\n")
    bless(read(file)[1], "new\n")
    assert file.read_text() == "// head\n\n// case: one\nfunc a\n// =>\nold\n\n// case: two\nfunc b\n// =>\nnew\n"
    assert [case.expected for case in read(file)] == ["old\n", "new\n"]

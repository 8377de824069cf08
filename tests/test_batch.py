"""Functions mapped over a new axis give what case after case gives: every op, random functions, and `vmap`."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_functions import random_array, random_function
from test_op_table import OPS, function_of, operands_of

from pullback.ir.ad.batch import batch
from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.core import Array, Function
from pullback.ir.interpret import interpret
from pullback.ir.parse import parse_function
from pullback.ir.verify import verify


def cases(array: Array, count: int) -> Array:
    """The array itself and more of its kind: with elements in other places, so that indices stay in range."""
    random = np.random.default_rng(3)
    others = [random.permutation(array.reshape(-1)).reshape(array.shape) for _ in range(count - 1)]
    return np.stack([array, *others])[:count]


def multiples(array: Array, count: int) -> Array:
    """The array and multiples of it, which are positive definite if it is."""
    return np.stack([array * np.float32(1 + case) for case in range(max(count, 1))])[:count]


def check(function: Function, arguments: list[Array], flags: list[bool], size: int) -> None:
    """All cases at once are what the interpreter gives case after case."""
    made, many = batch(function, flags, size)
    verify(made)
    found = interpret(made, arguments)
    for has_axis, kind, result in zip(many, function.result_types, found, strict=True):
        assert result.shape == ((size,) if has_axis else ()) + kind.shape
    for case in range(size):
        single = [array[case] if has_axis else array for array, has_axis in zip(arguments, flags, strict=True)]
        for has_axis, result, wanted in zip(many, found, interpret(function, single), strict=True):
            one = result[case] if has_axis else result
            assert one.dtype == wanted.dtype
            if one.dtype.kind == "f":
                np.testing.assert_allclose(one, wanted, rtol=1e-12 if one.dtype == np.float64 else 1e-5, atol=1e-12)
            else:
                np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if not op.effect])
def test_every_op(name: str) -> None:
    """With each choice of operands that have the axis, and for no cases at all."""
    for sample in list(OPS[name].samples())[:14]:
        operands = operands_of(sample)
        if not operands:
            continue
        count = len(operands)
        choices = [[True] * count] + [[place == only for place in range(count)] for only in range(count)]
        for flags in choices:
            for size in (3, 0):
                pairs = zip(operands, flags, strict=True)
                more = multiples if name == "cholesky" else cases
                arguments = [more(each, size) if has_axis else each for each, has_axis in pairs]
                check(function_of(sample), arguments, flags, size)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_random_functions(seed: int, data: st.DataObject) -> None:
    """Functions with loops and branches, too: mapped where all cases go the same way, else case after case."""
    function = random_function(seed, 20)
    random = np.random.default_rng(seed)
    flags = [data.draw(st.booleans()) for _ in function.parameters]
    size = data.draw(st.integers(0, 3))
    arguments = [random_array(random, value.type.dtype, (*((size,) if has_axis else ()), *value.type.shape))
                 for value, has_axis in zip(function.parameters, flags, strict=True)]  # fmt: skip
    with np.errstate(all="ignore"):
        check(function, arguments, flags, size)


LOOP = """func @f(%x: f64[3], %w: f64[3, 3], %n: i64[]) -> (f64[]) {
  %0 = full {value = 0, dtype = i64, dims = ()} : i64[]
  %1 = full {value = 1, dtype = i64, dims = ()} : i64[]
  %2 = for %0, %n, %1, %x {saved = ()} { ^(%i: i64[], %s: f64[3])
    %3 = reshape %s {dims = (3, 1)} : f64[3, 1]
    %4 = matmul %w, %3 {transpose_x = false, transpose_y = false} : f64[3, 1]
    %5 = reshape %4 {dims = (3,)} : f64[3]
    %6 = tanh %5 : f64[3]
    %7 = mul %6, %x : f64[3]
    yield %7
  } : f64[3]
  %8 = reduce_sum %2 {axes = (0,)} : f64[]
  return %8
}"""


@pytest.mark.parametrize("flags", [
    [True, False, False], [False, True, False], [True, True, False], [False, False, True], [True, True, True],
], ids=str)  # fmt: skip
def test_derivatives_of_loops(flags: list[bool]) -> None:
    """Gradients with their tapes, and tangents, for several cases: bounds alike, or of each case its own."""
    function = parse_function(LOOP)
    random = np.random.default_rng(1)
    full = [random.normal(size=(4, 3)), random.normal(size=(4, 3, 3)), np.array([2, 0, 5, 1])]
    arguments = [each if has_axis else each[0] for each, has_axis in zip(full, flags, strict=True)]
    check(function, arguments, flags, 4)
    check(adjoint(function, [0, 1], seeded=[0]), arguments, flags, 4)
    dots = [random.normal(size=(4, 3)), random.normal(size=(3, 3))]
    check(pushforward(function, [0, 1]), [*arguments, *dots], [*flags, True, False], 4)


def test_one_loop_for_all_cases() -> None:
    """A loop that runs equally often stays one loop, and its products are one product."""
    made, many = batch(parse_function(LOOP), [True, False, False], 4)
    assert many == (True,)
    assert [operation.op.name for operation in made.body.operations].count("for") == 1
    names = [operation.op.name for operation in made.body.operations[-2].regions[0].operations]
    assert names.count("matmul") == 1 and "dynamic_slice" not in names


def test_what_does_not_depend_on_the_cases_is_computed_once() -> None:
    text = """func @f(%x: f64[3], %y: f64[3]) -> (f64[3], f64[3]) {
      %0 = exp %x : f64[3]
      %1 = mul %0, %y : f64[3]
      return %0, %1
    }"""
    made, many = batch(parse_function(text), [False, True], 5)
    assert many == (False, True)
    assert str(made.body.operations[0].result.type) == "f64[3]"

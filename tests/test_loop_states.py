"""What a loop hands to its next iteration, in any order and any number of times: native code as the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from pullback.compiler import compile_function
from pullback.dtypes import f64, i64
from pullback.ir.core import Function, Op, Region, RegionBuilder, Value
from pullback.ir.interpret import interpret
from pullback.ir.ops.arithmetic import Add, Mul, Sub
from pullback.ir.ops.control import For
from pullback.ir.ops.creation import Full
from pullback.ir.ops.elementary import Sin, Tanh
from pullback.ir.ops.reduction import Broadcast, ReduceSum
from pullback.ir.ops.window import DynamicUpdate
from pullback.ir.types import ArrayType
from pullback.ir.verify import verify

UNARY: tuple[Op, ...] = (Sin(), Tanh())
BINARY: tuple[Op, ...] = (Add(), Sub(), Mul())


def program(seed: int) -> Function:
    """A loop whose state is computed, passed on, exchanged and given twice at random, and what is around it."""
    random = np.random.default_rng(seed)
    dims = [(3,), (4, 16), (9, 9)][seed % 3]
    kind = ArrayType(f64, dims)
    arguments = [Value(kind, name=name) for name in "xyz"]
    b = RegionBuilder(Region(arguments))

    def step(known: list[Value]) -> Value:
        first, second = (known[int(random.integers(len(known)))] for _ in range(2))
        number = int(random.integers(8))
        if number < 2:
            return b.value(UNARY[number], first)
        if number == 7:
            axes = tuple(range(len(dims)))
            return b.value(Broadcast(dims, ()), b.value(Tanh(), b.value(ReduceSum(axes), first)))
        return b.value(BINARY[number % 3], first, second)

    known = [*arguments, *(step(arguments) for _ in range(2))]
    zero, one, trips = (b.value(Full(number, i64, ())) for number in (0, 1, int(random.integers(1, 4))))
    starts = [known[int(random.integers(len(known)))] for _ in range(int(random.integers(1, 6)))]
    outer, body = b.region, Region([Value(ArrayType(i64, ()), name="i"), *(Value(kind, name="s") for _ in starts)])
    b.region = body
    state = body.arguments[1:]
    inside = [*state, known[0]]
    for _ in range(int(random.integers(1, 7))):
        inside.append(step(inside))
    if seed % 4 == 0:
        row = b.value(Full(0.5, f64, (1, *dims[1:])))
        inside.append(b.value(DynamicUpdate(False), state[-1], row, body.arguments[0], *(zero for _ in dims[1:])))
    recent = inside[-4:]
    body.yields = tuple([(inside if random.integers(2) else recent)[int(random.integers(len(recent)))] for _ in starts])
    b.region = outer
    results = b.emit(For(()), zero, trips, one, *starts, regions=(body,)).results
    outer.yields = (*results, *known[3:]) if seed % 2 else results
    return Function("states", outer)


@pytest.mark.parametrize("block", range(10))
def test_states_of_loops(block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        function = program(seed)
        verify(function)
        random = np.random.default_rng(seed)
        arrays = [random.normal(size=value.type.shape) for value in function.parameters]
        wanted = interpret(function, arrays)
        found = compile_function(function)(arrays)
        for left, right in zip(found, wanted, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-10, atol=1e-12, err_msg=f"seed {seed}")

"""A nest's operations in, stages out: each ends with an elementary function, the last holds what is left.

A row whose body holds several elementary functions is run strip by strip, and each strip stage by stage, with what later
stages need in memory that stays in the first cache. An elementary function is a chain of dependent operations; a
processor looks a hundred operations ahead or two, so that it overlaps the chains of neighbouring elements only where
little else stands between them.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pullback.codegen.nest import Nest
from pullback.ir.core import Operation, Value
from pullback.ir.ops.arithmetic import Pow
from pullback.ir.ops.elementary import Smooth
from pullback.ir.ops.scalar import Elementary

PERIODIC = frozenset({Elementary.SIN, Elementary.COS})
"""Functions of two polynomials side by side: chains enough, and a tenth slower with more or with constants loaded."""
STRIP = 256
"""Elements of a strip: some kilobytes for each value that is passed on, few enough to stay in the first cache."""
MOST_PASSED = 8
"""Values passed on at most: that many strips of float64 fill half of a first cache of 32 KiB."""


@dataclass(frozen=True)
class Stage:
    """Operations in order, and those of their results that later stages read."""

    operations: list[Operation]
    passed: list[Value]


def is_periodic(operations: Iterable[Operation]) -> bool:
    """Whether a function of `PERIODIC` is among the operations."""
    return any(isinstance(each.op, Smooth) and each.op.function in PERIODIC for each in operations)


def stages(nest: Nest) -> list[Stage]:
    """The stages of a nest: a single one where it has less than two elementary functions, or too much to pass on.

    Sine and cosine, powers and logarithms have code in common wherever they stand in a body, and gain little by stages:
    nests with either have one.
    """
    heads = [operation for operation in nest.operations if isinstance(operation.op, Smooth)]
    powers = any(isinstance(operation.op, Pow) for operation in nest.operations)
    if len(heads) < 2 or powers or is_periodic(heads):
        return [Stage(nest.operations, [])]
    producer = {operation.result: operation for operation in nest.operations}
    steps: dict[Operation, int] = {}
    for number, head in enumerate(heads):
        pending = [head]
        while pending:
            operation = pending.pop()
            if operation not in steps:
                steps[operation] = number
                operands = (nest.aliases.get(operand, operand) for operand in operation.operands)
                pending += [producer[value] for value in operands if value in producer]
    # What is left over may be nothing: then the last function's stage is the last one.
    last = len(heads) - (len(steps) == len(nest.operations))
    parts: list[list[Operation]] = [[] for _ in range(last + 1)]
    passed: list[dict[Value, None]] = [{} for _ in range(last + 1)]

    def read(value: Value, reader: int) -> None:
        value = nest.aliases.get(value, value)
        if value in producer and (made := steps.get(producer[value], last)) < reader:
            passed[made][value] = None

    for operation in nest.operations:
        number = steps.get(operation, last)
        parts[number].append(operation)
        for operand in operation.operands:
            read(operand, number)
    for value, _ in (*nest.writes, *nest.adds):
        read(value, last)
    for reduced in nest.reductions:
        read(reduced.operand, last)
    if sum(map(len, passed)) > MOST_PASSED:
        return [Stage(nest.operations, [])]
    made = [Stage(operations, list(values)) for operations, values in zip(parts, passed, strict=True)]
    return [stage for stage in made if stage.passed or stage is made[-1]]

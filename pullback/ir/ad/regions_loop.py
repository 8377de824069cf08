"""Reverse mode of loops: a for, while or replay and its results' cotangents in, a loop that runs the other way out."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pullback.errors import DerivativeError
from pullback.ir.ad.build import DerivativeBuilder
from pullback.ir.ad.cotangents import Cotangents
from pullback.ir.ad.reversal import Adjoint, reverse_loop
from pullback.ir.ad.tapes import moving, tangent_type, zeros_like
from pullback.ir.analysis.activity import useful_values
from pullback.ir.analysis.uses import closed_over
from pullback.ir.core import Builder, Operation, Value
from pullback.ir.loop_parts import take_apart
from pullback.ir.types import TapeType


class PullBack(Protocol):
    """`reverse.pull_back`, handed in: regions hold operations of all kinds."""

    def __call__(
        self,
        b: Builder,
        operations: Sequence[Operation],
        outputs: Sequence[Value],
        cotangents: Sequence[Value | None],
        inputs: Sequence[Value],
        bases: Mapping[Value, Value] | None = None,
    ) -> list[Value | None]: ...


def pull_loop(
    d: DerivativeBuilder,
    operation: Operation,
    complete: Sequence[Value | None],
    bars: Cotangents,
    active: set[Value],
    pull_back: PullBack,
) -> None:
    """The primal saves in each iteration what its adjoint reads; the adjoint takes that off, last to first.

        %1 = for %a, %b, %c, %x { ^(%i, %y)      // =>  %1, %2 = for %a, %b, %c, %x {saved = (1,)} { ^(%i, %y)
          %0 = mul %y, %w : f64[]                         %0 = mul %y, %w : f64[]
          yield %0                                        yield %0, %y
        } : f64[]                                       } : f64[], tape<f64[]>
                                                        %x_bar, %w_bar = replay %2, %1_bar, %0.0 { ^(%y, %bar, %sum)
                                                          yield %bar * %w, %sum + %bar * %y
                                                        }

    Cotangents of carried values are carried; those of values from around the loop are sums, carried too; those of what
    came off tapes go onto tapes. Source: A. Griewank and A. Walther, Evaluating Derivatives, 2nd edition, chapter 4.
    """
    sources = [value for value in closed_over(operation.regions) if value in active]
    if any(isinstance(source.type, TapeType) for source in sources):
        raise DerivativeError(
            "a derivative taken outside of a loop is used in the loop, which is differentiated itself",
            help="take the inner derivative inside the loop",
        )
    outputs = [result for result, bar in zip(operation.results, complete, strict=True) if bar is not None]
    useful = useful_values([operation], outputs)
    arguments = take_apart(operation).arguments
    carried = [number for number, value in enumerate(arguments) if value in active and value in useful]
    # A cotangent that starts as a zero on purpose may still be one in any iteration; so may one that a branch zeroed.
    masked = {number for number in carried if d.zero_on_purpose(complete[number])}
    while True:
        adjoint = _pull_body(d, operation, complete, carried, masked, sources, active, pull_back)
        new = {number for number, bar in adjoint.bars.items() if d.zero_on_purpose(bar)} - masked
        if not new:
            break
        masked |= new
    if not (adjoint.bars or adjoint.sums or adjoint.read):
        return
    starts = {number: complete[number] or zeros_like(d, adjoint.parts.results[number]) for number in carried}
    sums = {source: bars.take(source) for source in adjoint.sums}
    bases = [zeros_like(d, source) if base is None else base for source, base in sums.items()]
    loop = reverse_loop(d, adjoint, [*starts.values(), *bases])
    results = iter(loop.results)
    found = {number: next(results) for number in starts}
    for source, base in sums.items():
        result = next(results)
        bars.restore(source, d.masked(result) if d.zero_on_purpose(base) else result)
    for number, result in found.items():
        initial = adjoint.parts.initial[number]
        if initial in active:
            bars.add(initial, d.masked(result) if number in masked else result)
    for (tape, _), result in zip(adjoint.read, loop.results[len(loop.results) - len(adjoint.read) :], strict=True):
        bars.add(tape, result)


def _pull_body(
    d: DerivativeBuilder,
    operation: Operation,
    complete: Sequence[Value | None],
    carried: Sequence[int],
    masked: set[int],
    sources: Sequence[Value],
    active: set[Value],
    pull_back: PullBack,
) -> Adjoint:
    """The adjoint of one iteration, of a copy of the body."""
    parts = take_apart(operation, copied=True)
    adjoint = Adjoint(parts)
    inner = d.within(adjoint.region, repeated=True)
    adjoint.arguments = {number: Value(parts.arguments[number].type) for number in carried}
    for number in masked:
        d.masked(adjoint.arguments[number])
    incoming: list[Value | None] = [adjoint.arguments.get(number) for number in range(len(parts.yields))]
    for bar, record in zip(complete[len(parts.yields) :], parts.records, strict=True):
        # What the tape's writer left zero on purpose is not known here, so all of it might be.
        off = {value: d.masked(Value(tangent_type(value.type))) for value in moving(record)} if bar is not None else {}
        incoming += [off.get(value) for value in record]
        if bar is not None:
            adjoint.written.append((bar, [off[value] for value in moving(record)]))
    tapes = [(tape, moving(record)) for tape, record in parts.taken_off() if tape in active]
    inputs = [parts.arguments[number] for number in carried] + [value for _, record in tapes for value in record]
    sums = {source: Value(source.type) for source in sources}
    outputs = [*parts.yields, *(value for record in parts.records for value in record)]
    found = pull_back(inner, parts.body.operations, outputs, incoming, [*inputs, *sources], sums)
    by_input = dict(zip([*inputs, *sources], found, strict=True))

    def complete_bar(value: Value) -> Value:
        return by_input[value] or zeros_like(inner, value)

    adjoint.bars = {number: complete_bar(parts.arguments[number]) for number in carried}
    for source, start in sums.items():
        after = by_input[source]
        if after is not None and after is not start:
            adjoint.sums[source] = start, after
    for tape, record in tapes:
        if any(by_input[value] is not None for value in record):
            adjoint.read.append((tape, [complete_bar(value) for value in record]))
    return adjoint

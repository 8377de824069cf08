"""Derivatives of custom calls: a call and tangents or cotangents in, what the function's own rule gives for them out."""
from __future__ import annotations

from collections.abc import Sequence

from pullback.errors import DerivativeError, UnboundError
from pullback.ir.ad.build import DerivativeBuilder, zeros
from pullback.ir.ad.regions_loop import PullBack
from pullback.ir.clone import copy_operation
from pullback.ir.core import Array, Function, Operation, Value
from pullback.ir.ops.custom import CustomCall, JvpRule, Rule, VjpRule
from pullback.ir.types import ArrayType


def push_custom(
    d: DerivativeBuilder, operation: Operation, tangents: Sequence[Value | None]
) -> tuple[Value | None, ...]:
    """Tangents of the results. Raises: DerivativeError for a function that has a rule of reverse mode only."""
    rule = _rule(operation)
    _check_reach(rule, [tangent is not None for tangent in tangents])
    if not isinstance(rule, JvpRule):
        raise DerivativeError(
            f"{rule.name} is a custom_vjp function, which forward mode (jvp, jacfwd, hessian) cannot differentiate",
            help="take its derivative in reverse mode (grad, vjp, jacrev), or define it by custom_jvp, which has both",
        )  # fmt: skip
    dots = [tangents[place] or zeros(d, operation.operands[place].type) for place in rule.floats]
    moved = iter(_inlined(d, rule.pushforward(), operation, dots)[0])
    return tuple([next(moved) if result.type.dtype.is_float else None for result in operation.results])


def pull_custom(
    d: DerivativeBuilder, operation: Operation, cotangents: Sequence[Value | None], active: set[Value], pull_back: PullBack
) -> list[Value | None]:
    """Cotangents of the operands."""
    rule = _rule(operation)
    _check_reach(rule, [operand in active for operand in operation.operands])
    found: list[Value | None] = [None] * len(operation.operands)
    bars = [bar for bar, result in zip(cotangents, operation.results, strict=True) if result.type.dtype.is_float]
    if isinstance(rule, JvpRule):
        # The rule is linear in the tangents, so it is differentiated by them, anywhere: at zero.
        dots = [zeros(d, operation.operands[place].type) for place in rule.floats]
        moved, operations = _inlined(d, rule.pushforward(), operation, dots)
        wanted = [number for number, place in enumerate(rule.floats) if operation.operands[place] in active]
        pulled = pull_back(d, operations, moved, bars, [dots[number] for number in wanted])
        for number, bar in zip(wanted, pulled, strict=True):
            found[rule.floats[number]] = bar
        return found
    assert isinstance(rule, VjpRule)
    halves = rule.halves()
    count = len(operation.results)
    residuals = _inlined(d, halves.forward, operation, [], count)[0][count:]
    complete = [bar or zeros(d, kind) for bar, kind in zip(bars, _float_types(operation), strict=True)]
    given = _inlined(d, halves.backward, None, [*residuals, *complete])[0]
    for place, which in enumerate(halves.found):
        found[place] = None if which is None else given[which]
    return found


def _rule(operation: Operation) -> Rule:
    assert isinstance(operation.op, CustomCall)
    return operation.op.bound()


def _float_types(operation: Operation) -> list[ArrayType]:
    return [result.type for result in operation.results if result.type.dtype.is_float]


def _check_reach(rule: Rule, moves: Sequence[bool]) -> None:
    """Raises: DerivativeError where a derivative is asked for by what the function closes over."""
    if any(moves[rule.count :]):
        raise DerivativeError(
            f"{rule.name} has its own derivative rule, but a derivative is taken by a value that it closes over",
            help="pass the value as an argument, so that the rule says its derivative",
        )


def _inlined(
    d: DerivativeBuilder, function: Function, call: Operation | None, more: Sequence[Value], results: int = 0
) -> tuple[list[Value], list[Operation]]:
    """Insert a function of a call's arguments and of `more`; gives what it yields, and the operations.

    Where the function calls the same on the same arguments, the call's results are at hand. Its first `results` yields
    stand for those, too.
    """
    arguments = [] if call is None else list(call.operands[: _rule(call).count])
    captured = [d.capture(_bound(array)) for array in function.captured]
    replaced = dict(zip(function.body.arguments, [*arguments, *more, *captured], strict=True))
    inserted: list[Operation] = []
    for operation in function.body.operations:
        if call is not None and _is_again(operation, call, replaced):
            replaced.update(zip(operation.results, call.results, strict=True))
            continue
        copy = copy_operation(operation, replaced)
        d.insert(copy)
        inserted.append(copy)
    found = [replaced.get(value, value) for value in function.body.yields]
    if call is not None and results:
        known = {made: result for made, result in zip(found, call.results, strict=False) if made not in call.operands}
        found = [known.get(value, value) for value in found]
    return found, inserted


def _bound(array: Array | None) -> Array:
    if array is None:
        raise UnboundError("an array that a derivative rule reads has no data")
    return array


def _is_again(operation: Operation, call: Operation, replaced: dict[Value, Value]) -> bool:
    """Whether an operation of a rule calls the rule's own function with the arguments of the call at hand."""
    if not isinstance(operation.op, CustomCall):
        return False
    mine, other = _rule(call), operation.op.bound()
    same = zip(operation.operands[: other.count], call.operands[: mine.count], strict=False)
    return other.key == mine.key and all(replaced.get(operand, operand) is value for operand, value in same)

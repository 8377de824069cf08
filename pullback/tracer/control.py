"""What rewritten functions call for their control flow: plain Python where that is plain, branches and loops in IR else.

The functions that a statement was moved into share the variables of the user's function through closure cells; what a
branch or loop changes is read from these cells and written back.
"""
from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import numpy as np

from pullback.config import log
from pullback.errors import ConcreteError, EffectError, PullbackError, TraceError
from pullback.ir.core import Value
from pullback.location import caller
from pullback.tracer.branches import condition_of, record_if
from pullback.tracer.effects import reaches
from pullback.tracer.exceptions import SideRaises, check_side, raised_here, raising
from pullback.tracer.expressions import RETURN, VALUE
from pullback.tracer.loops import begin_while
from pullback.tracer.record import Outside, Recorder, current_recorder
from pullback.tracer.traced import Traced, active
from pullback.tracer.undefined import UNDEFINED, Unusable

Moved = Callable[..., Any]

MAX_UNROLLED = 100_000
"""Iterations after which a loop that cannot stay one is given up."""
WATCHED_ROUNDS = 16
"""Iterations of a plain `while` that record something, after which it is tried as a loop."""


def is_traced(value: Any) -> bool:
    """Whether Python cannot tell what a value is."""
    return isinstance(value, Traced) and value.known is None


class Variables:
    """Variables of a user's function, as the functions that his statements were moved into see them."""

    def __init__(self, names: Sequence[str], *functions: Moved | None) -> None:
        self.names = names
        self.cells: dict[str, Any] = {}
        for function in functions:
            if isinstance(function, FunctionType):
                self.cells |= zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)

    def read(self) -> list[Any]:
        """What they hold, UNDEFINED where they hold nothing."""
        return [_content(self.cells[name]) for name in self.names]

    def write(self, values: Iterable[Any]) -> None:
        """Give them values."""
        for name, value in zip(self.names, values, strict=True):
            cell = self.cells[name]
            if value is not UNDEFINED:
                cell.cell_contents = value
            elif _content(cell) is not UNDEFINED:
                del cell.cell_contents

    def outside(self) -> Outside:
        """What the variables of the function hold now, and those that are carried."""
        return Outside([_content(cell) for cell in self.cells.values()], [self.cells[name] for name in self.names])

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Give the variables back what they hold now if something goes wrong."""
        before = self.read()
        try:
            yield
        except BaseException:
            self.write(before)
            raise

    def shown(self) -> list[str]:
        """Names for messages."""
        return ["the function's result" if name == VALUE else name for name in self.names]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return UNDEFINED


# Branches


def if_(
    test: Any, then: Moved, otherwise: Moved | None, names: Sequence[str], then_exits: int, else_exits: int,
    guarded: bool, else_raises: bool,
) -> None:  # fmt: skip
    """``if test: then() else: otherwise()``, which bind `names`.

    A side's exit is 0 if its end can be reached, 1 if it leaves the block, 2 if it leaves the function.
    """
    if is_traced(test):
        not_guarded(guarded)
        fill = names if then_exits or else_exits else (VALUE,)
        gone = (then_exits == 2, else_exits == 2)
        if else_raises and otherwise is not None:
            # A side that raises comes first, for then the other one is run once.
            branch(not_(test), Variables(names, then, otherwise), otherwise, then, fill, gone[::-1])
            return
        branch(test, Variables(names, then, otherwise), then, otherwise, fill, gone)
    elif test:
        then()
    elif otherwise is not None:
        otherwise()


def guard(flags: Sequence[Any], rest: Moved, names: Sequence[str]) -> None:
    """Run the rest of a block if no exit was taken. Where one was, nobody reads what the rest would have bound."""
    going = none_of(flags)
    if is_traced(going):
        branch(going, Variables(names, rest), rest, None, names)
    elif going:
        rest()


def branch(
    test: Any, variables: Variables, then: Callable[[], None] | None, otherwise: Callable[[], None] | None,
    fill: Sequence[str], gone: tuple[bool, bool] = (False, False),
) -> None:  # fmt: skip
    """A branch on a traced condition: both sides are recorded.

    A side that raises becomes a check, and the other one is run as if the condition were known.
    Variables of `fill` may have a value after one only. A side that is `gone` leaves the function: nobody reads what
    it has bound but for the result.
    """
    recorder = active()
    condition = condition_of(recorder, test)
    before = variables.read()
    sides = then, otherwise

    def run(place: int) -> list[Any]:
        variables.write(before)
        side = sides[place]
        if side is not None:
            try:
                side()
            except Exception as error:
                if (raised := raised_here(recorder, error)) is not None:
                    raise SideRaises(place, recorder.frames[-1], raised) from None
                if isinstance(error, PullbackError):
                    raise
                raise ConcreteError(
                    f"a branch raises {type(error).__name__}: {error}. Both branches are traced before their condition is "
                    "known", location=caller(), help="raise exceptions on traced conditions by a raise statement",
                ) from error  # fmt: skip
        after = variables.read()
        if gone[place]:
            return [value if name in (VALUE, RETURN) else UNDEFINED
                    for name, value in zip(variables.names, after, strict=True)]  # fmt: skip
        return after

    shown = variables.shown()
    filled = [label for label, name in zip(shown, variables.names, strict=True) if name in fill]
    try:
        with variables.kept():
            after = record_if(recorder, condition, shown, lambda: run(0), lambda: run(1), fill=filled,
                              outside=variables.outside())  # fmt: skip
    except SideRaises as left:
        check_side(recorder, condition, left)
        if (other := sides[1 - left.side]) is not None:
            other()
        return
    for name, value in zip(variables.names, after, strict=True):
        if name == VALUE and isinstance(value, Unusable):
            value.fail()
    variables.write(after)


def not_guarded(guarded: bool) -> None:
    """Raises: TraceError for control flow on traced values inside of a `try` with handlers."""
    if guarded:
        raise TraceError("control flow on traced values inside of try: compiled code cannot catch exceptions",
                         location=caller(), help="move it out of the try statement")  # fmt: skip


def none_of(flags: Sequence[Any]) -> Any:
    """Whether no flag is set."""
    traced = [flag for flag in flags if is_traced(flag)]
    if any(flag for flag in flags if not is_traced(flag)):
        return False
    if not traced:
        return True
    some = traced[0]
    for flag in traced[1:]:
        some = np.logical_or(some, flag)
    return np.logical_not(some)


def returned(flag: Any, value: Callable[[], Any]) -> Any:
    """The result of a function whose end can be reached: None there."""
    if is_traced(flag):
        raise TraceError("the function returns a value on one path, and nothing on another, depending on traced values",
                         location=caller(), help="end it with a return of the same kind of value")  # fmt: skip
    return value() if flag else None


# Expressions


def choose(test: Any, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
    """``first() if test else second()``."""
    if not is_traced(test):
        return first() if test else second()
    recorder = active()
    condition = condition_of(recorder, test)
    outside = Variables((), first, second).outside()
    (result,) = record_if(recorder, condition, ["the conditional expression"], lambda: [first()], lambda: [second()],
                          outside=outside)  # fmt: skip
    return result


SKIPPED = object()


def term(test: Any, value: Callable[[], Any]) -> Any:
    """What a sum gets of a generator: ``value()`` if the test holds; else nothing, or 0 if that is only known later."""
    if is_traced(test):
        return choose(test, value, lambda: 0)
    return value() if test else SKIPPED


def and_(*operands: Callable[[], Any]) -> Any:
    """``a and b and …``: the first that is false, or the last."""
    first, *rest = operands
    value = first()
    if not rest:
        return value
    if is_traced(value):
        return choose(value, lambda: and_(*rest), lambda: value)
    return and_(*rest) if value else value


def or_(*operands: Callable[[], Any]) -> Any:
    """``a or b or …``: the first that is true, or the last."""
    first, *rest = operands
    value = first()
    if not rest:
        return value
    if is_traced(value):
        return choose(value, lambda: value, lambda: or_(*rest))
    return value if value else or_(*rest)


def not_(value: Any) -> Any:
    """``not value``."""
    if not is_traced(value):
        return not value
    recorder = active()
    return np.logical_not(recorder.wrap(condition_of(recorder, value)))


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt, "GtE": operator.ge, "Eq": operator.eq,
    "NotEq": operator.ne, "Is": operator.is_, "IsNot": operator.is_not,
    "In": lambda x, y: x in y, "NotIn": lambda x, y: x not in y,
}  # fmt: skip


def compare(names: Sequence[str], left: Any, *rights: Callable[[], Any]) -> Any:
    """``left < b < c``: each operand is computed once, and only if all before it hold."""
    right = rights[0]()
    result = _COMPARISONS[names[0]](left, right)
    if len(rights) == 1:
        return result
    return and_(lambda: result, lambda: compare(names[1:], right, *rights[1:]))


# Loops


def while_(
    test: Moved, body: Moved, names: Sequence[str], fixed: Sequence[str], stops: Sequence[str], guarded: bool
) -> None:
    """``while test(): body()``; the loop ends when a flag of `stops` is set."""
    variables = Variables(names, test, body)
    flags = Variables(stops, test, body)
    recorder = current_recorder()
    rounds, size = 0, 0
    while True:
        going = none_of(flags.read())
        if not is_traced(going):
            if not going:
                return
            asked = test()
            if not is_traced(asked):
                if not asked:
                    return
                body()
                rounds += 1
                if recorder is not None and rounds % WATCHED_ROUNDS == 0:
                    grown = len(recorder.region.operations)
                    if grown - size >= WATCHED_ROUNDS and size and _try_while(test, body, variables, fixed, stops):
                        return
                    size = grown
                if rounds > MAX_UNROLLED:
                    raise TraceError(f"a while loop on Python values still runs after {MAX_UNROLLED} iterations",
                                     location=caller(), help="let its condition depend on an argument")  # fmt: skip
                continue
        not_guarded(guarded)
        traced_while(test, body, variables, fixed, stops)
        return


def _try_while(
    test: Moved, body: Moved, variables: Variables, fixed: Sequence[str], stops: Sequence[str]
) -> bool:
    """Go on with a loop on Python values as one in IR, if that can be."""
    try:
        traced_while(test, body, variables, fixed, stops)
    except Exception as error:
        # Whatever is wrong comes up again, where it belongs, if it is not for the loop being recorded.
        log("trace", "a while loop is written out: %s", error)
        return False
    return True


def traced_while(
    test: Moved, body: Moved, variables: Variables, fixed: Sequence[str], stops: Sequence[str]
) -> None:
    """A loop in IR, from what the variables hold now."""
    attempts(lambda numbers_stay, scratch: _record_while(test, body, variables, fixed, stops, numbers_stay, scratch))


def attempts(record: Callable[[bool, bool], None]) -> None:
    """Record a loop of a computed number of iterations, whatever it takes. Raises: TraceError for one that cannot be."""
    try:
        record(False, False)
    except ConcreteError:
        # A Python number that the loop does not change may be needed as one: a size, an index into a list.
        record(True, False)
    except TraceError as error:
        # A variable that cannot be carried may be one that each iteration binds anew.
        try:
            record(False, True)
        except PullbackError:
            raise error from None


def _record_while(
    test: Moved, body: Moved, variables: Variables, fixed: Sequence[str], stops: Sequence[str], numbers_stay: bool,
    scratch: bool,
) -> None:  # fmt: skip
    recorder = active()
    before = variables.read()
    places = [variables.names.index(stop) for stop in stops]

    def enter(trees: Sequence[Any]) -> None:
        variables.write(False if place in places else tree for place, tree in enumerate(trees))

    def step(*trees: Any) -> list[Any]:
        enter(trees)
        body()
        return variables.read()

    def condition(*trees: Any) -> Value:
        going = none_of([trees[place] for place in places])
        enter(trees)
        asked = and_(lambda: going, lambda: _truth(recorder, test()))
        return condition_of(recorder, asked)

    with variables.kept():
        loop = begin_while(recorder, variables.shown(), before, condition, step, fixed=fixed,
                           numbers_stay=numbers_stay, scratch=scratch, outside=variables.outside())  # fmt: skip
        after = loop.emit()
    variables.write(after)


def _truth(recorder: Recorder, value: Any) -> Any:
    """A condition as a bool, so that conditions of any kind can be joined."""
    return recorder.wrap(condition_of(recorder, value)) if is_traced(value) else bool(value)


# Statements of their own


def assert_(test: Any, message: Callable[[], Any], guarded: bool) -> None:
    """``assert test, message``."""
    if not __debug__:
        return

    def fail() -> None:
        raise raising(lambda: AssertionError(*[text for text in [message()] if text is not None]))

    if is_traced(test):
        not_guarded(guarded)
        branch(test, Variables(()), None, fail, ())
    elif not test:
        fail()


def set_nonlocals(names: FunctionType) -> None:
    """State that a function may bind variables of a function around it.

    Raises: EffectError in a loop or branch on traced values that does not carry these variables.
    """
    recorder = current_recorder()
    if recorder is None:
        return
    for name, cell in zip(names.__code__.co_freevars, names.__closure__ or (), strict=True):
        for frame in recorder.frames:
            carried = any(cell is each for each in frame.outside.cells)
            if not carried and reaches(frame.outside.objects, cell):
                raise EffectError(f"{name} is bound by a function that a loop or branch on traced values calls",
                                  location=caller(), help=f"return {name}, and bind it in the loop")  # fmt: skip


def set_globals(names: Sequence[str]) -> None:
    """State that global variables are about to be bound. Raises: EffectError in a loop or branch on traced values."""
    recorder = current_recorder()
    if recorder is not None and recorder.frames:
        raise EffectError(f"the global variable {names[0]} is bound in a loop or branch on traced values", location=caller(),
                          help="return the value, and bind it outside of the compiled function")  # fmt: skip

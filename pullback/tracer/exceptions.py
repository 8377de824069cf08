"""`raise` in the user's code: exceptions made while tracing in, checks in IR for conditions that are not known out.

A side of a branch on a traced condition that raises becomes a check, and the function goes on in the other side.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pullback.dtypes import boolean
from pullback.ir.complaint import Complaint, Hole
from pullback.ir.core import Region, Value
from pullback.ir.ops.check import Check
from pullback.ir.ops.control import If
from pullback.ir.ops.creation import Full
from pullback.ir.ops.logic import LogicalNot
from pullback.location import Location, caller
from pullback.tracer.record import Frame, Recorder, current_recorder
from pullback.tracer.traced import Traced


@dataclass(frozen=True)
class Raised:
    """An exception of the user's code, what a check is to raise in its place, and the values that its message shows."""

    error: BaseException
    complaint: Complaint
    values: tuple[Value, ...]
    location: Location
    depth: int


class SideRaises(BaseException):
    """Ends the recording of a branch's side that raises: side 0 or 1, recorded so far in `frame`."""

    def __init__(self, side: int, frame: Frame, raised: Raised) -> None:
        super().__init__()
        self.side = side
        self.frame = frame
        self.raised = raised


def raising(make: Callable[[], Any]) -> Any:
    """The exception of a `raise` statement. It is made once more, with holes, if its message shows traced values."""
    recorder = current_recorder()
    if recorder is None:
        return make()
    shown: list[tuple[Traced, str, str]] = []
    recorder.message = shown
    try:
        template = _instance(make())
        if not isinstance(template, BaseException):
            return template
        arguments = tuple([_with_holes(argument, shown) for argument in template.args])
    finally:
        recorder.message = None
    error = template
    if shown:
        error = _instance(make())
        template.args = arguments
    holes = [Hole(place, conversion, specification, traced.weak)
             for place, (traced, conversion, specification) in enumerate(shown)]  # fmt: skip
    values = tuple([traced.value for traced, _, _ in shown])
    recorder.raised = Raised(error, Complaint.of(template, holes), values, caller(), recorder.depth)
    return error


def _instance(error: Any) -> Any:
    return error() if isinstance(error, type) and issubclass(error, BaseException) else error


def _with_holes(argument: Any, shown: list[tuple[Traced, str, str]]) -> Any:
    """An exception's argument with holes where it holds traced values."""
    if isinstance(argument, Traced):
        shown.append((argument, "", ""))
        return Hole(len(shown) - 1, weak=argument.weak)
    if type(argument) in (list, tuple):
        return type(argument)([_with_holes(each, shown) for each in argument])
    return argument


def raised_here(recorder: Recorder, error: BaseException) -> Raised | None:
    """What a `raise` statement has left in the region that is being recorded, if `error` comes from it."""
    raised = recorder.raised
    if isinstance(raised, Raised) and raised.error is error and raised.depth == recorder.depth:
        return raised
    return None


def check_side(recorder: Recorder, condition: Value, gone: SideRaises) -> None:
    """Record that the condition must not lead into the side that raises."""
    raised, region = gone.raised, gone.frame.region
    check = Check(raised.complaint)
    recorder.location = raised.location
    if not region.operations:
        holds = condition if gone.side else recorder.value(LogicalNot(), condition)
        recorder.emit(check, holds, *raised.values)
        return
    with recorder.again(gone.frame):
        recorder.emit(check, recorder.value(Full(False, boolean, ())), *raised.values)
    regions = (Region(), region) if gone.side else (region, Region())
    recorder.emit(If(), condition, regions=regions)

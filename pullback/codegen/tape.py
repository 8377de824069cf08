"""Tapes: one growing pile of memory a call, onto which loops push records; a tape is where its last record lies.

A record holds its values one after the other, each aligned to its own size but to 8 bytes at most. Records of one tape
lie a fixed stride apart, or (stride 0) each is preceded by the position of the one before. Positions count from the
pile's start, because the pile moves when it grows.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pullback.codegen.llvm_text import FunctionText, ModuleText, is_number
from pullback.ir.types import ArrayType, TapeType

_TAPE_BYTES = 24
_FIRST_BYTES = 1 << 16
LARGEST = 1 << 46
"""Bytes that no pile has."""


@dataclass(frozen=True)
class Tape:
    """A tape in registers, all i64: the position of its last record, how many there are, and their stride."""

    position: str
    count: str
    stride: str

    def parts(self) -> list[tuple[str, str]]:
        return [("i64", self.position), ("i64", self.count), ("i64", self.stride)]


@dataclass(frozen=True)
class Layout:
    """Where values of some types lie in a record, in bytes, and the record's size."""

    offsets: tuple[int, ...]
    size: int


def layout(types: Sequence[ArrayType]) -> Layout:
    """The layout of a record."""
    offsets, place = [], 0
    for kind in types:
        alignment = 8 if isinstance(kind, TapeType) else min(8, kind.dtype.itemsize)
        place = -(-place // alignment) * alignment
        offsets.append(place)
        place += _TAPE_BYTES if isinstance(kind, TapeType) else kind.size * kind.dtype.itemsize
    return Layout(tuple(offsets), -(-place // 8) * 8)


PEAK = "tape_peak"
"""A global i64 of the process: the most bytes that the pile of any call has had in use."""


class Forecast:
    """How many bytes the pile of a call will have: `peak`, from the trips that are known; other loops count as one."""

    def __init__(self) -> None:
        self.used = 0
        self.peak = 0

    def take(self, size: int) -> None:
        self.used += size
        self.peak = max(self.peak, self.used)

    def repeat(self, mark: int, trips: int, *, pops: bool) -> None:
        """A loop's body has been seen once since `mark`; it leaves nothing if it `pops`, and else the same each time."""
        grown = self.used - mark
        if pops:
            self.used = mark
        else:
            self.take(grown * (trips - 1))


class TapeMemory:
    """The pile of one call: where it is, how much of it is used, how much there is; all in variables that LLVM turns
    into registers."""

    def __init__(self, f: FunctionText, fail: Callable[[], str]) -> None:
        self.f = f
        self.fail = fail
        self.forecast = Forecast()
        self.base, self.top, self.capacity, self.peak = f.alloca("ptr"), *(f.alloca("i64") for _ in range(3))
        f.beginning.append(f"  store ptr null, ptr {self.base}")
        f.beginning.append(f"  store i64 0, ptr {self.top}")
        f.beginning.append(f"  store i64 0, ptr {self.capacity}")
        f.beginning.append(f"  store i64 0, ptr {self.peak}")
        _define_growth(f.module)

    def start(self) -> str:
        """The pile's start: good until something is pushed."""
        return self.f.let(f"load ptr, ptr {self.base}")

    def mark(self) -> str:
        """How much is used."""
        return self.f.let(f"load i64, ptr {self.top}")

    def release(self, mark: str) -> None:
        """Drop all that was pushed since `mark`."""
        self.note()
        self.f.emit(f"store i64 {mark}, ptr {self.top}")

    def note(self) -> None:
        """Keep what is used, if it is the most so far."""
        known = self.f.let(f"load i64, ptr {self.peak}")
        self.f.emit(f"store i64 {_largest(self.f, known, self.mark())}, ptr {self.peak}")

    def reserve(self, size: str) -> str:
        """Take so many bytes from the top; gives their position. No memory leaves the function."""
        f = self.f
        place = self.mark()
        end = f.plus(place, size)
        capacity = f.let(f"load i64, ptr {self.capacity}")
        grow, ready = f.fresh_label("grow"), f.fresh_label("room")
        f.emit(f"br i1 {f.let(f'icmp ugt i64 {end}, {capacity}')}, label %{grow}, label %{ready}")
        f.label(grow)
        pair = f.call("tape_grow", "{ ptr, i64 }", (("ptr", self.start()), ("i64", capacity), ("i64", end)), declare=False)
        moved = f.let(f"extractvalue {{ ptr, i64 }} {pair}, 0")
        none, some = f.fresh_label("none"), f.fresh_label("some")
        f.emit(f"br i1 {f.let(f'icmp eq ptr {moved}, null')}, label %{none}, label %{some}")
        f.label(none)
        f.leave(self.fail())
        f.label(some)
        f.emit(f"store ptr {moved}, ptr {self.base}")
        larger = f.let(f"extractvalue {{ ptr, i64 }} {pair}, 1")
        f.emit(f"store i64 {larger}, ptr {self.capacity}")
        f.emit(f"br label %{ready}")
        f.label(ready)
        f.emit(f"store i64 {end}, ptr {self.top}")
        return place

    def reserve_each(self, count: str, size: int) -> str:
        """Take `count` times so many bytes."""
        f = self.f
        self.forecast.take((int(count) if is_number(count) else 1) * size)
        if is_number(count) and int(count) * size < LARGEST:
            return self.reserve(str(int(count) * size))
        many, few = f.fresh_label("many"), f.fresh_label("few")
        f.emit(f"br i1 {f.let(f'icmp ugt i64 {count}, {LARGEST // max(1, size)}')}, label %{many}, label %{few}")
        f.label(many)
        f.leave(self.fail())
        f.label(few)
        return self.reserve(f.times(count, size))

    def free(self) -> None:
        """Give everything back, with a note of the most that was in use."""
        f = self.f
        self.note()
        # Threads may overwrite each other's notes: it is for people to read.
        f.module.define_global(PEAK, "external global i64")
        known, here = f.let(f"load i64, ptr @{PEAK}, align 8"), f.let(f"load i64, ptr {self.peak}")
        f.emit(f"store i64 {_largest(f, known, here)}, ptr @{PEAK}, align 8")
        f.call("free", "void", (("ptr", self.start()),))


def _largest(f: FunctionText, x: str, y: str) -> str:
    return f.call("llvm.umax.i64", "i64", (("i64", x), ("i64", y)))


def _define_growth(module: ModuleText) -> None:
    """``{ ptr, i64 } @tape_grow(ptr base, i64 capacity, i64 needed)``: a quarter more, or what is needed; null if none.

    Large blocks grow without being copied where the C library can move pages, so a small step costs little and
    leaves little unused.
    """
    if "tape_grow" in module.functions:
        return
    f = module.function("tape_grow", "{ ptr, i64 }", ("ptr %base", "i64 %capacity", "i64 %needed"))
    f.header += " noinline cold"
    more = f.let(f"add i64 %capacity, {f.let('lshr i64 %capacity, 2')}")
    least = f.let(f"add i64 %needed, {_FIRST_BYTES}")
    size = _largest(f, more, least)
    moved = f.call("realloc", "ptr", (("ptr", "%base"), ("i64", size)))
    first = f.let(f"insertvalue {{ ptr, i64 }} poison, ptr {moved}, 0")
    f.emit(f"ret {{ ptr, i64 }} {f.let(f'insertvalue {{ ptr, i64 }} {first}, i64 {size}, 1')}")

"""Control flow as functions: cond, while_loop, fori_loop, scan, associative_scan; as JAX defines them.

Inside of a traced function they record branches and loops; outside they run as plain Python on arrays.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from pullback import dtypes
from pullback.errors import ArgumentError, ArgumentValueError
from pullback.ir.core import Value
from pullback.location import caller
from pullback.tracer.branches import condition_of, record_if
from pullback.tracer.loops import begin_while, record_for
from pullback.tracer.memory import Known
from pullback.tracer.record import Recorder, current_recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.slots import described, slot_of
from pullback.tracer.traced import Traced, array_of
from pullback.tracer.tree import Structure, flatten, map_leaves, paths, unflatten
from pullback.tracer.undefined import Unusable

Tree = Any


def cond(
    pred: Any, true_fun: Callable[..., Tree], false_fun: Callable[..., Tree], *operands: Any
) -> Tree:
    """``true_fun(*operands)`` if `pred` holds, else ``false_fun(*operands)``; both give the same nest of arrays.

    Only the chosen one runs. Raises: ArgumentError if they give different nests, shapes or kinds of things.
    """
    if not isinstance(pred, Traced) or pred.known is not None:
        return true_fun(*operands) if pred else false_fun(*operands)
    recorder = _active()
    condition = condition_of(recorder, pred)
    (result,) = record_if(
        recorder, condition, ["the result of cond"], lambda: [true_fun(*operands)], lambda: [false_fun(*operands)]
    )
    if isinstance(result, Unusable):
        raise ArgumentError(result.reason, location=caller(), help="give the same nest of arrays in both functions")
    return result


def while_loop(cond_fun: Callable[[Tree], Any], body_fun: Callable[[Tree], Tree], init_val: Tree) -> Tree:
    """``val = init_val; while cond_fun(val): val = body_fun(val)``; gives val, which keeps its types and shapes.

    Raises: CarryError where it does not.
    """
    recorder = current_recorder()
    if recorder is None:
        while cond_fun(init_val):
            init_val = body_fun(init_val)
        return init_val
    recorder.note()
    start = _as_arrays(init_val)
    loop = begin_while(recorder, ["init_val"], [start], lambda value: condition_of(recorder, cond_fun(value)),
                       lambda value: [body_fun(value)])  # fmt: skip
    (result,) = loop.emit()
    return result


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Tree], Tree], init_val: Tree) -> Tree:
    """``for i in range(lower, upper): val = body_fun(i, val)``, from `init_val`; gives val.

    Raises: CarryError where val does not keep its types and shapes.
    """
    recorder = current_recorder()
    if recorder is None:
        for i in range(lower, upper):
            init_val = body_fun(i, init_val)
        return init_val
    recorder.note()
    counts = None if isinstance(lower, Traced) or isinstance(upper, Traced) else range(lower, upper)
    bounds = _index(recorder, lower), _index(recorder, upper), _index(recorder, 1)
    (result,) = record_for(
        recorder, bounds, ["init_val"], [_as_arrays(init_val)], lambda i, value: [body_fun(i, value)], counts=counts
    )
    return result


def scan(
    f: Callable[[Tree, Tree], tuple[Tree, Tree]], init: Tree, xs: Tree = None, length: int | None = None,
    reverse: bool = False,
) -> tuple[Tree, Tree]:  # fmt: skip
    """``carry, y = f(carry, x)`` for each x along the first axis of `xs`; gives the last carry, and the ys stacked.

    `xs` is a nest of arrays with equal first sizes, or None with a `length`. With `reverse` it goes from the end; the
    ys then still lie at the places of their xs. Raises: ArgumentError, ArgumentValueError, CarryError.
    """
    leaves, structure = flatten(xs)
    arrays = [leaf if isinstance(leaf, Traced) else np.asarray(leaf) for leaf in leaves]
    count = _length(arrays, structure, length)
    recorder = current_recorder()
    if recorder is None:
        return _scan_plain(f, init, arrays, structure, count, reverse)
    recorder.note()
    stacks = _Stacks(recorder, count)

    def step(i: Any, carry: Tree) -> list[Any]:
        place = count - 1 - i if reverse else i
        rows = [recorder.wrap(array_of(recorder, array))[place] for array in arrays]
        pair = f(carry, unflatten(structure, rows))
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ArgumentError(f"scan needs a function that gives a pair (carry, y), not {described(pair)}",
                                location=caller())  # fmt: skip
        stacks.put(place, pair[1])
        return [pair[0]]

    bounds = _index(recorder, 0), _index(recorder, count), _index(recorder, 1)
    (carry,) = record_for(recorder, bounds, ["init"], [_as_arrays(init)], step, counts=range(count))
    return carry, stacks.tree()


class _Stacks:
    """The results of a scan: one array per leaf, made when the first iteration tells what it gives."""

    def __init__(self, recorder: Recorder, count: int) -> None:
        self.recorder = recorder
        self.count = count
        self.arrays: list[Any] | None = None
        self.structure: Structure | None = None

    def put(self, place: Any, tree: Tree) -> None:
        leaves, structure = flatten(tree)
        slots = [slot_of(leaf) for leaf in leaves]
        if self.arrays is None or structure != self.structure:
            self.structure = structure
            self.arrays = []
            for leaf, slot, path in zip(leaves, slots, paths(structure, "y"), strict=True):
                if slot is None:
                    raise ArgumentError(f"scan: {path} is {described(leaf)}, no array", location=caller())
                array = np.zeros((self.count, *slot.type.shape), slot.type.dtype.numpy)
                made = empty_array(self.recorder, array)
                made.depth -= 1
                self.arrays.append(made)
        for array, leaf in zip(self.arrays, leaves, strict=True):
            array[place] = leaf

    def tree(self) -> Tree:
        return None if self.structure is None or self.arrays is None else unflatten(self.structure, self.arrays)


def empty_array(recorder: Recorder, array: np.ndarray[Any, Any]) -> Any:
    """A traced array of zeros, which Python knows until it is written."""
    made = recorder.made()
    made.state = (None, Known(array, False if array.dtype == bool else array.dtype.type(0).item()))
    return made


def _scan_plain(
    f: Callable[[Tree, Tree], tuple[Tree, Tree]], carry: Tree, arrays: Sequence[Any], structure: Structure, count: int,
    reverse: bool,
) -> tuple[Tree, Tree]:  # fmt: skip
    found = []
    for place in reversed(range(count)) if reverse else range(count):
        carry, y = f(carry, unflatten(structure, [array[place] for array in arrays]))
        found.append(flatten(y))
    if not found:
        raise ArgumentValueError("scan over no elements, outside of a compiled function, cannot tell what f gives",
                                 location=caller())  # fmt: skip
    if reverse:
        found.reverse()
    stacks = [np.stack([leaves[place] for leaves, _ in found]) for place in range(len(found[0][0]))]
    return carry, unflatten(found[0][1], stacks)


def _length(arrays: Sequence[Any], structure: Structure, length: int | None) -> int:
    """How many steps a scan takes. Raises: ArgumentError or ArgumentValueError if that is not told, or told twice."""
    sizes = {}
    for array, path in zip(arrays, paths(structure, "xs"), strict=True):
        if not np.ndim(array):
            raise ArgumentValueError(f"scan: {path} has no axis to go along", location=caller())
        sizes[path] = np.shape(array)[0]
    if length is not None:
        sizes["length"] = length
    if not sizes:
        raise ArgumentError("scan needs xs or a length", location=caller())
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{path}: {size}" for path, size in sizes.items())
        raise ArgumentValueError(f"scan: numbers of steps differ ({shown})", location=caller())
    return int(next(iter(sizes.values())))


def associative_scan(fn: Callable[[Tree, Tree], Tree], elems: Tree, reverse: bool = False, axis: int = 0) -> Tree:
    """Running combinations ``e[0], fn(e[0], e[1]), fn(fn(e[0], e[1]), e[2]), …`` along `axis`, in O(log n) steps.

    `fn` is associative and works on whole arrays of elements at once. (Pairs are combined, their running combinations
    found by recursion, and the odd places filled in between: Ladner and Fischer, JACM 27(4), 1980.)
    Raises: ArgumentError or ArgumentValueError for no arrays, or arrays of different sizes.
    """
    leaves, structure = flatten(elems)
    if not leaves:
        raise ArgumentError("associative_scan needs at least one array", location=caller())
    arrays: list[Any] = [leaf if isinstance(leaf, Traced) else np.asarray(leaf) for leaf in leaves]
    for array, path in zip(arrays, paths(structure, "elems"), strict=True):
        if not -np.ndim(array) <= axis < np.ndim(array):
            raise ArgumentValueError(f"associative_scan: {path} has no axis {axis}", location=caller())
    moved = [np.moveaxis(array, axis, 0) for array in arrays]
    _length(moved, structure, None)
    if reverse:
        moved = [array[::-1] for array in moved]

    def combine(left: list[Any], right: list[Any]) -> list[Any]:
        # fn sees the elements along their own axis.
        pair = (unflatten(structure, [np.moveaxis(array, 0, axis) for array in side]) for side in (left, right))
        found, nested = flatten(fn(*pair))
        if nested != structure:
            raise ArgumentError("associative_scan: fn must give the nest of arrays that it takes", location=caller())
        return [np.moveaxis(array, axis, 0) for array in found]

    running = _running(combine, moved)
    if reverse:
        running = [array[::-1] for array in running]
    return unflatten(structure, [np.moveaxis(array, 0, axis) for array in running])


def _running(combine: Callable[[list[Any], list[Any]], list[Any]], arrays: list[Any]) -> list[Any]:
    count = arrays[0].shape[0]
    if count < 2:
        return arrays
    pairs = combine([array[0 : count - 1 : 2] for array in arrays], [array[1:count:2] for array in arrays])
    odd = _running(combine, pairs)
    # What ends at an even place is what ends before it, and the element there.
    before = [array[: (count - 1) // 2] for array in odd]
    after = [array[2:count:2] for array in arrays]
    even = combine(before, after) if count > 2 else [array[:0] for array in arrays]
    results = []
    for array, at_even, at_odd in zip(arrays, even, odd, strict=True):
        at_even = np.concatenate([array[:1], at_even])
        short = min(at_even.shape[0], at_odd.shape[0])
        mixed = np.stack([at_even[:short], at_odd[:short]], axis=1).reshape((2 * short, *array.shape[1:]))
        results.append(np.concatenate([mixed, at_even[short:]]) if at_even.shape[0] > short else mixed)
    return results


def _active() -> Recorder:
    recorder = current_recorder()
    assert recorder is not None
    recorder.note()
    return recorder


def _index(recorder: Recorder, number: Any) -> Value:
    """A bound of a loop as i64."""
    value = array_of(recorder, number)
    if value.type.dims or not value.type.dtype.is_integer:
        raise ArgumentError(f"a loop counts with integers, not {value.type}", location=caller())
    return s.cast(recorder, value, dtypes.i64)


def _as_arrays(tree: Tree) -> Tree:
    """The nest with its leaves checked to be arrays or numbers. Raises: ArgumentError for others."""

    def checked(leaf: Any) -> Any:
        if slot_of(leaf) is None:
            raise ArgumentError(f"a loop carries arrays and numbers, not {described(leaf)}", location=caller())
        return leaf

    return cast(Any, map_leaves(checked, tree))

"""The sequence of passes that every function goes through before code is made."""
from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

from pullback.config import log, settings
from pullback.ir.core import Function, Operation
from pullback.ir.ops.arithmetic import Add, Mul, Neg, Sub
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.creation import Creation, Full
from pullback.ir.passes import algebra, canonicalize, fold, windows
from pullback.ir.passes.control import control
from pullback.ir.passes.cse import cse, key_of
from pullback.ir.passes.dce import dce
from pullback.ir.passes.licm import licm
from pullback.ir.passes.reroll import reroll
from pullback.ir.rewrite import Rules, Sources, rewrite
from pullback.ir.verify import verify


def local(function: Function) -> bool:
    """The rules of canonicalize, fold, algebra and windows together, in one walk."""
    return rewrite(function, local_rules(), _local_sources())


def straight(function: Function) -> bool:
    """`local` and `cse` in one walk, which is all that is to be done for a function without regions."""
    return rewrite(function, local_rules(), _local_sources(), _number)


def _number(operation: Operation) -> object:
    return key_of(operation.op, operation.operands)


def trim(function: Function) -> bool:
    """The rules of `local` that take factors 1 and -1, terms 0 and signs out of sums and products, in one walk.

    What they leave has the same derivative, in fewer operations; so has arithmetic that is done once.
    """
    return rewrite(function, _trim_rules(), _local_sources(), _number_plain)


def _number_plain(operation: Operation) -> object:
    """As `_number` for arithmetic and constants; everything else is by itself."""
    return _number(operation) if isinstance(operation.op, (Elementwise, Creation)) else operation


@cache
def _trim_rules() -> Rules:
    # Constants stay on the left where that is all: `local` moves them.
    return {op: algebra.RULES[op] for op in (Add, Sub, Mul, Neg)}


@cache
def local_rules() -> Rules:
    """The rules of `local`, by op."""
    families = (canonicalize.RULES, fold.rules(), algebra.RULES, windows.RULES)
    ops = {op for family in families for op in family}
    return {op: tuple([rule for family in families for rule in family.get(op, ())]) for op in ops}


@cache
def _local_sources() -> Sources:
    """Constants for the ops that all is known of when none of their operands is one, and what `algebra` adds."""
    folded = {op: frozenset((Full,)) for op, rules in local_rules().items() if rules == (fold.fold_constant,)}
    return {**folded, **algebra.SOURCES}


PASSES = (dce, reroll, control, local, licm, cse, dce)
STRAIGHT_PASSES = (dce, reroll, straight, dce)
"""The same for functions without regions."""
MAX_ROUNDS = 4


def simplify(function: Function, *, rolls: bool = True, rolled: bool = False) -> bool:
    """Run the passes until none changes anything; whether any did. Verifies after each under ``verify``.

    With `rolls` False what is straight-line code stays so; `rolled` says that `reroll` finds nothing as it is now.
    """
    changed = False
    rolls = rolls and (not rolled or _has_regions(function))
    # What has run since the last change, or made it.
    done: set[Callable[[Function], bool]] = {reroll} if rolled else set()
    for _ in range(MAX_ROUNDS):
        again = False
        for run in PASSES if _has_regions(function) else STRAIGHT_PASSES:
            if run in done or (run is reroll and not rolls):
                continue
            started = time.perf_counter()
            did = run(function)
            again |= did
            if run is reroll and not did and not _has_regions(function):
                # Straight-line code that did not repeat as it was traced is not looked through again.
                rolls = False
            # No rule looks at who reads a value: with fewer operations none matches that did not.
            kept = done & {straight} if run is dce else set()
            done = {run, *(kept if did else done)}
            log("passes", "%s: %s in %.2f ms", run.__name__, "changed" if did else "same",
                1e3 * (time.perf_counter() - started))  # fmt: skip
            if settings().verify:
                verify(function)
        if not again:
            break
        changed = True
    return changed


def prepare(function: Function, *, rolled: bool = False) -> None:
    """What is done before a function is differentiated; `rolled` as for `simplify`.

    A loop that was written out is rolled up, so that its derivative is one too. Of loops, what is the same in all
    iterations, or is not needed at all, must not be saved in each. Straight-line code is trimmed.
    """
    if settings().opt and not rolled:
        reroll(function)
    if _has_regions(function):
        simplify(function)
    elif settings().opt:
        trim(function)


def _has_regions(function: Function) -> bool:
    return any(operation.regions for operation in function.body.operations)

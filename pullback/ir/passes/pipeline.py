"""The sequence of passes that every function goes through before code is made."""
from __future__ import annotations

import time

from pullback.config import log, settings
from pullback.ir.core import Function
from pullback.ir.passes.algebra import algebra
from pullback.ir.passes.canonicalize import canonicalize
from pullback.ir.passes.control import control
from pullback.ir.passes.cse import cse
from pullback.ir.passes.dce import dce
from pullback.ir.passes.fold import fold
from pullback.ir.passes.licm import licm
from pullback.ir.passes.windows import windows
from pullback.ir.verify import verify

PASSES = (dce, control, canonicalize, fold, algebra, windows, licm, cse, dce)
MAX_ROUNDS = 4


def simplify(function: Function) -> bool:
    """Run the passes until none changes anything; whether any did. Verifies after each under ``verify``."""
    changed = False
    for _ in range(MAX_ROUNDS):
        again = False
        for run in PASSES:
            started = time.perf_counter()
            did = run(function)
            again |= did
            log("passes", "%s: %s in %.2f ms", run.__name__, "changed" if did else "same",
                1e3 * (time.perf_counter() - started))  # fmt: skip
            if settings().verify:
                verify(function)
        if not again:
            break
        changed = True
    return changed

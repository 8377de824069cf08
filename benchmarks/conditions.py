"""The same conditions for every side of a benchmark: one thread, one processor, CPU time, turn by turn.

Import it before NumPy, which reads the variables when it is loaded.
"""
from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if hasattr(os, "sched_setaffinity"):
    # XLA's own thread pool does not follow the flags alone; one processor for everyone does.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

ROUNDS = 40


def measure(sides: Mapping[str, Callable[[], object]], calls: int) -> dict[str, float]:
    """CPU seconds per call of each side, called before: the minimum over rounds in which the sides take turns."""
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(ROUNDS):
        for name, side in sides.items():
            start = time.process_time_ns()
            for _ in range(calls):
                side()
            best[name] = min(best[name], (time.process_time_ns() - start) / calls / 1e9)
    return best

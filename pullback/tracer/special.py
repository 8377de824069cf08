"""One of SciPy's special functions in, its rule out: they are ufuncs, known here by name, and SciPy is never imported."""
from __future__ import annotations

import sys

import numpy as np

from pullback.ir.core import Op
from pullback.ir.ops.elementary import Erf, Sigmoid

_OPS: dict[str, Op] = {"erf": Erf(), "expit": Sigmoid()}


def special_op(ufunc: np.ufunc) -> Op | None:
    """The op that computes ``scipy.special``'s `ufunc` as exactly as it does, None where there is none.

    Only what an op computes to a few ulp everywhere belongs here: ``ndtr`` by way of erf has no digit right in its tail.
    """
    module = sys.modules.get("scipy.special")
    op = _OPS.get(ufunc.__name__)
    return op if op is not None and getattr(module, ufunc.__name__, None) is ufunc else None

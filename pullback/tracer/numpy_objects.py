"""NumPy's callable objects on traced values: np.polynomial's series, and np.vectorize, which is refused."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.errors import TraceError
from pullback.location import caller
from pullback.tracer.chosen.elements import Chosen
from pullback.tracer.control import is_traced

_SERIES = (
    np.polynomial.Polynomial, np.polynomial.Chebyshev, np.polynomial.Legendre, np.polynomial.Hermite,
    np.polynomial.HermiteE, np.polynomial.Laguerre,
)  # fmt: skip


def object_stand_in(function: Any) -> Callable[..., Any] | None:
    """What one of these objects is on traced values, and itself on others; None for anything else."""
    if isinstance(function, _SERIES):
        series: Any = function

        def evaluated(arg: Any) -> Any:
            if not is_traced(arg) and not isinstance(arg, Chosen):
                return series(arg)
            offset, scale = series.mapparms()
            return series._val(offset + scale * arg, series.coef)

        return evaluated
    if isinstance(function, np.vectorize):

        def refused(*args: Any, **named: Any) -> Any:
            if any(is_traced(each) for each in (*args, *named.values())):
                raise TraceError(
                    "np.vectorize is not traced", location=caller(),
                    help="let the function take whole arrays, with np.where for its branches; or loop over the elements, "
                    "or map it by pb.vmap",
                )  # fmt: skip
            return function(*args, **named)

        return refused
    return None

"""NumPy's functions that are not traced, and for each kind of them the way out."""
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from pullback.errors import TraceError
from pullback.location import caller

_IN_PLACE = "assign instead: x[mask] = value, or x = np.where(mask, value, x)"
_SHAPE = "its result's shape depends on values: choose with np.where(mask, x, 0), or compute it outside of the function"
_LINALG = (
    "of symmetric matrices use np.linalg.eigh or eigvalsh; else decompose outside of the traced function and pass the result "
    "as an argument"
)
_COMPLEX = "complex numbers are not supported: keep real and imaginary parts in arrays of their own"
_FILE = "return the array from the function, and save or show the result"
_COUNTS = "counts have no derivative: compute them outside of the traced function"

_HELP: dict[str, str] = {
    **dict.fromkeys(("place", "put_along_axis"), _IN_PLACE),
    **dict.fromkeys((
        "unique", "unique_all", "unique_counts", "unique_inverse",
        "unique_values", "union1d", "intersect1d", "setdiff1d", "setxor1d", "trim_zeros",
    ), _SHAPE),
    **dict.fromkeys(("angle", "sort_complex"), _COMPLEX),
    **dict.fromkeys(("save", "savez", "savez_compressed", "savetxt"), _FILE),
    **dict.fromkeys(("histogram", "histogram2d", "histogramdd", "histogram_bin_edges"), _COUNTS),
    "polymul": "use np.convolve(p, q)",
    "geomspace": "use np.exp(np.linspace(np.log(start), np.log(stop), num))",
    "apply_over_axes": "call the function for each axis with keepdims=True",
    "i0": "write it as a series, or pass its result as an argument",
}  # fmt: skip

_BY_MODULE: Mapping[str, str] = MappingProxyType({
    "numpy.linalg": _LINALG, "numpy.fft": _COMPLEX, "numpy.lib.scimath": _COMPLEX,
})  # fmt: skip

_UFUNCS: Mapping[str, str] = MappingProxyType({
    "frexp": "use np.floor(np.log2(np.abs(x)))", "ldexp": "use x * np.exp2(i)",
    "gamma": "use np.exp(gammaln(x)), where x is positive", "beta": "use np.exp(gammaln(a) + gammaln(b) - gammaln(a + b))",
    "betaln": "use gammaln(a) + gammaln(b) - gammaln(a + b)", "poch": "use np.exp(gammaln(x + m) - gammaln(x))",
    **dict.fromkeys(("ndtri", "erfinv", "erfcinv"), "take pb.implicit_root of ndtr, erf or erfc, solved by Newton's method"),
    "isnat": "dates are not supported", "nextafter": "add np.spacing of a known number",
})  # fmt: skip

_NO_MEMORY = "a traced array has no memory of its own: use its shape and dtype"
_ATTRIBUTES: Mapping[str, str] = MappingProxyType({
    **dict.fromkeys(("strides", "ctypes", "data", "flags", "base", "setflags"), _NO_MEMORY),
    **dict.fromkeys(("view", "getfield", "setfield", "byteswap"), "bits are not read as another type: use x.astype(dtype)"),
    **dict.fromkeys(("tofile", "dump", "dumps"), _FILE),
    "resize": "use np.resize, or x.reshape", "put": "assign instead: x[places] = values",
    "partition": "use np.partition", "newbyteorder": "leave it out", "to_device": "leave it out", "device": "leave it out",
})  # fmt: skip
"""What an ndarray has and a traced array has not."""


def refuse_attribute(name: str) -> NoReturn:
    """Raises: TraceError for what only an ndarray has, AttributeError for what nobody has."""
    if name not in _ATTRIBUTES:
        raise AttributeError(f"a traced array has no attribute {name!r}")
    raise TraceError(f"the attribute {name} of a traced array is not known", location=caller(), help=_ATTRIBUTES[name])


DEFAULT = "write it in terms of functions that are, or pass its result as an argument"


def refuse_function(function: Any) -> NoReturn:
    """Raises: TraceError that names a function of NumPy and the way out."""
    module, name = getattr(function, "__module__", "numpy") or "numpy", function.__name__
    help = _HELP.get(name) if module == "numpy" else _BY_MODULE.get(module)
    raise TraceError(
        f"{module.replace('numpy', 'np', 1)}.{name} is not traced", location=caller(), help=help or DEFAULT
    )


def refuse_ufunc(ufunc: np.ufunc, method: str) -> NoReturn:
    """Raises: TraceError that names a ufunc, or a method of one, and the way out."""
    whose = "np." if getattr(np, ufunc.__name__, None) is ufunc else ""
    name, help = f"{whose}{ufunc.__name__}", _UFUNCS.get(ufunc.__name__, DEFAULT)
    match method:
        case "__call__":
            pass
        case "reduceat":
            name, help = f"{name}.reduceat", "reduce slices of the array one by one"
        case _:
            name = f"{name}.{method}"
    raise TraceError(f"{name} is not traced", location=caller(), help=help)

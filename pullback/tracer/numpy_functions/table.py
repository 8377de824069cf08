"""Every function of NumPy that is traced, in one table."""
from __future__ import annotations

from types import MappingProxyType

from pullback.tracer.numpy_functions.arguments import Functions
from pullback.tracer.numpy_functions.decompositions import DECOMPOSITIONS
from pullback.tracer.numpy_functions.joining import JOINING
from pullback.tracer.numpy_functions.products import PRODUCTS
from pullback.tracer.numpy_functions.reductions import REDUCTIONS
from pullback.tracer.numpy_functions.running import RUNNING
from pullback.tracer.numpy_functions.selection import SELECTION
from pullback.tracer.numpy_functions.shapes import SHAPES
from pullback.tracer.numpy_functions.sorting import SORTING
from pullback.tracer.numpy_functions.values import VALUES

FUNCTIONS: Functions = MappingProxyType(
    {**REDUCTIONS, **RUNNING, **SHAPES, **JOINING, **PRODUCTS, **SELECTION, **SORTING, **VALUES, **DECOMPOSITIONS}
)

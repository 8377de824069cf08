"""Every op family; importing this package fills the registry."""
from pullback.ir.ops import (
    arithmetic,
    check,
    composed,
    contraction,
    control,
    creation,
    custom,
    decomposition,
    elementary,
    host,
    linear_system,
    logic,
    reduction,
    shape,
    sorting,
    special,
    window,
)

__all__ = [
    "arithmetic", "check", "composed", "contraction", "control", "creation", "custom", "decomposition", "elementary", "host",
    "linear_system", "logic", "reduction", "shape", "sorting", "special",
    "window",
]  # fmt: skip

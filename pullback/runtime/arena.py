"""The memory that calls take for their temporaries: one block, kept between calls for whoever comes next.

Memory from the C library has to be mapped anew, page by page, when it was given back to the system in between; for a
large arena that takes longer than the call's own work. So a call takes the block that is kept, and leaves its own for
others. Calls at the same time, or inside each other, find none and make one; at the end one is kept. Entries do all that
by themselves: see `abi.KEPT_BYTES`.
"""
from __future__ import annotations

import ctypes
import sys

_cell = ctypes.c_void_p(None)
CELL_ADDRESS = ctypes.addressof(_cell)
"""Where the kept block's address stands, 0 while there is none. Only read and written together, atomically."""


def release() -> None:
    """Give the kept block back to the system. Needs that no call runs in another thread."""
    library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    block, _cell.value = _cell.value, None
    if block:
        library.free(ctypes.c_void_p(block))

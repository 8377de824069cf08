"""Write what PyTorch shows in the sessions of `tests/tutorials`: ``python tests/record_tutorials.py`` (needs torch)."""
from __future__ import annotations

import warnings
from pathlib import Path

from session import session

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for program in sorted((Path(__file__).parent / "tutorials").glob("*.py")):
        program.with_suffix(".golden").write_text(session(program.read_text(), "torch"))

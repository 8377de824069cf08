"""Write what PyTorch shows for every expression of `tensor_expressions`: ``python tests/record_pytorch.py`` (needs torch)."""
from __future__ import annotations

from pathlib import Path

from tensor_expressions import GROUPS, expressions, show

if __name__ == "__main__":
    import torch
    import torch.nn.functional

    for group in GROUPS:
        text = "\n\n".join(show(torch, expression) for expression in expressions(group))
        (Path(__file__).parent / "pytorch" / f"{group}.txt").write_text(text + "\n")

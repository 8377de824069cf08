"""The package's own names: all there, and none loaded before it is asked for."""
from __future__ import annotations

import subprocess
import sys

import pullback
import pullback.tensors


def test_every_name_is_there() -> None:
    for name in pullback.__all__:
        assert getattr(pullback, name) is not None, name
    assert set(pullback.tensors.__all__) <= set(pullback.__all__)
    assert set(dir(pullback)) == set(pullback.__all__)


def test_a_name_that_is_not_there() -> None:
    assert not hasattr(pullback, "tensr")


def test_functions_do_not_load_tensors() -> None:
    code = """
import sys, pullback
assert not [name for name in sys.modules if name.startswith('pullback.tracer')]
pullback.compile_grad
print([name for name in sys.modules if name.startswith('pullback.tracer.tensor_')])
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "['pullback.tracer.tensor_mark']"

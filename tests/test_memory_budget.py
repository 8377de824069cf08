"""checkpoint and memory_budget as users write them: same values, same gradients, less memory."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.config import byte_count
from pullback.errors import ConfigError


def orbit(a: Any, x: Any, steps: Any) -> Any:
    for _ in range(steps):
        x = x + 0.01 * np.sin(a * x)
    return x


def settle(a: Any, x: Any) -> Any:
    while x < 1.0:
        x = x + 0.001 * np.exp(a * x)
    return x


@pytest.mark.parametrize("budget", [1000, "20 kB", "1MiB"])
def test_loops_within_a_budget(budget: int | str) -> None:
    plain, bounded = pb.compile_grad(orbit, argnums=(0, 1)), pb.compile_grad(orbit, argnums=(0, 1), memory_budget=budget)
    for steps in (0, 1, 7, 3000):
        value, gradient = plain.value_and_grad(1.3, 0.2, steps)
        found, within = bounded.value_and_grad(1.3, 0.2, steps)
        assert found == value
        np.testing.assert_allclose(within, gradient, rtol=1e-10)
    assert "checkpoint" in bounded.lower(1.3, 0.2, 10).adjoint
    assert "checkpoint" not in plain.lower(1.3, 0.2, 10).adjoint


def test_while_within_a_budget() -> None:
    wanted = pb.compile_grad(settle).value_and_grad(0.3, 0.0)
    found = pb.compile_grad(settle, memory_budget=1000).value_and_grad(0.3, 0.0)
    assert found[0] == wanted[0]
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-10)


def test_the_budget_goes_along() -> None:
    """To methods, to other derivatives, and to the function inside of others."""
    bounded = pb.compile_grad(orbit, memory_budget="10kB")
    assert bounded.options.memory_budget == 10_000
    assert bounded.differentiated_by(1).options.memory_budget == 10_000

    class Model:
        @pb.compile_grad(memory_budget="1kB")
        def run(self, a: Any) -> Any:
            return orbit(a, 0.2, 1000)

    np.testing.assert_allclose(Model().run.grad(1.3), pb.grad(lambda a: orbit(a, 0.2, 1000))(1.3), rtol=1e-10)
    second = pb.grad(lambda a: pb.grad(bounded)(a, 0.2, 500))(1.3)
    plain = pb.grad(lambda a: pb.grad(orbit)(a, 0.2, 500))(1.3)
    np.testing.assert_allclose(second, plain, rtol=1e-9)


def test_checkpoint() -> None:
    matrix = np.random.default_rng(0).normal(size=(5, 5))

    def layer(x: Any, w: Any) -> tuple[Any, dict[str, Any]]:
        y = np.tanh(matrix @ x * w)
        return np.exp(y), {"norm": np.sum(y * y)}

    def loss(w: Any, inner: Any) -> Any:
        x = np.ones(5)
        total = 0.0
        for _ in range(4):
            x, extra = inner(x, w)
            total = total + extra["norm"]
        return total + np.sum(x)

    again = pb.checkpoint(layer)
    value, gradient = pb.value_and_grad(lambda w: loss(w, layer))(0.3)
    found, under = pb.value_and_grad(lambda w: loss(w, again))(0.3)
    assert found == value
    np.testing.assert_allclose(under, gradient, rtol=1e-12)
    np.testing.assert_allclose(pb.hessian(lambda w: loss(w, again))(0.3), pb.hessian(lambda w: loss(w, layer))(0.3))
    text = pb.compile_grad(lambda w: loss(w, again)).lower(0.3).optimized
    assert "checkpoint" in text
    assert again.__name__ == "layer"
    np.testing.assert_array_equal(again(np.ones(5), 0.3)[0], layer(np.ones(5), 0.3)[0])


@pytest.mark.parametrize("size", ["64", "64 B", 64])
def test_sizes(size: int | str) -> None:
    assert byte_count(size) == 64


def test_units() -> None:
    assert [byte_count(each) for each in ("2kB", "1.5 MB", "3GiB", "1 kib")] == [2000, 1_500_000, 3 * 2**30, 1024]


@pytest.mark.parametrize("size", ["", "MB", "64 bananas", "-1MB", 0, -5, 2.5, True, "0.1 B", None])
def test_no_sizes(size: Any) -> None:
    with pytest.raises(ConfigError, match="no size in bytes") as caught:
        byte_count(size)
    assert "64MB" in caught.value.help


LIMITED = """
import resource, sys
import pullback as pb

def orbit(a, x, steps):
    for _ in range(steps):
        x = x + 1e-6 * a * x * x
    return x

f = pb.compile_grad(orbit, memory_budget=None if sys.argv[1] == "none" else sys.argv[1])
f.grad(1.3, 0.2, 10)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 16_000_000,) * 2)
try:
    print(f.grad(1.3, 0.2, 4_000_000))
except MemoryError:
    print("no memory")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited as Linux does it")
def test_the_memory_taken(tmp_path: Path) -> None:
    """Four million steps keep 32 MB, and have 16 MB; under a budget of 4 MB they need no more."""
    script = tmp_path / "limited.py"
    script.write_text(LIMITED)
    environment = {**os.environ, "PYTHONPATH": str(Path(pb.__file__).parents[1])}
    outputs = []
    for budget in ("none", "4MB"):
        command = [sys.executable, str(script), budget]
        outputs.append(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)
    assert outputs[0].strip() == "no memory"
    wanted = pb.grad(orbit_of_squares)(1.3, 0.2, 4_000_000)
    np.testing.assert_allclose(float(outputs[1]), wanted, rtol=1e-9)


def orbit_of_squares(a: Any, x: Any, steps: Any) -> Any:
    for _ in range(steps):
        x = x + 1e-6 * a * x * x
    return x


MEASURED = """
import ctypes, sys
import numpy as np
import pullback as pb
from pullback.runtime import arena

def waves(a, x):
    return np.sum(np.exp(a * x - np.max(x)) * np.tanh(x))

def layers(w, x):
    for _ in range(3):
        x = np.tanh(x @ w)
    return np.sum(x * x)

def orbit(a, x, steps):
    for _ in range(steps):
        x = x + 1e-6 * np.sin(a * x)
    return x

def settle(a, x):
    while x < 1.0:
        x = x + 1e-6 * np.exp(a * x)
    return x

def resident(kind):
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(kind))

name, form, budget = sys.argv[1:]
ones = np.ones((900, 900)) / 900
given = {"waves": (1.3, np.linspace(0, 1, 2_000_000)), "layers": (ones, ones), "orbit": (1.3, 0.2, 2_000_000),
         "settle": (0.3, 0.0)}[name]
f = pb.compile_grad(globals()[name], memory_budget=None if budget == "none" else budget)
call = f if form == "value" else getattr(f, form)
call(*given)
arena.release()
ctypes.CDLL(None).malloc_trim(0)
open("/proc/self/clear_refs", "w").write("5")  # the most pages so far are those of now
before = resident("VmRSS")
result = call(*given)
print(f.memory()[form], resident("VmHWM") - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is measured as Linux does it")
@pytest.mark.parametrize(("name", "form", "budget"), [
    ("waves", "value", "none"), ("waves", "grad", "none"), ("waves", "value_and_grad", "none"),
    ("layers", "value", "none"), ("layers", "value_and_grad", "none"),
    ("orbit", "grad", "none"), ("orbit", "grad", "8MB"), ("orbit", "value_and_grad", "64MB"),
    ("settle", "grad", "none"), ("settle", "grad", "8MB"), ("settle", "value_and_grad", "4MB"),
])  # fmt: skip
def test_memory_is_told_as_it_is(tmp_path: Path, name: str, form: str, budget: str) -> None:
    """Within a fifth of the pages that a call touches, and within 1.1 times a budget."""
    script = tmp_path / "measured.py"
    script.write_text(MEASURED)
    environment = {**os.environ, "PYTHONPATH": str(Path(pb.__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
    output = subprocess.run(
        [sys.executable, str(script), name, form, budget], capture_output=True, text=True, check=True, env=environment
    ).stdout
    told, measured = map(int, output.split())
    assert abs(told - measured) < 0.2 * measured + 100_000
    if budget != "none":
        assert measured <= 1.1 * byte_count(budget)

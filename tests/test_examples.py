"""The programs in ``examples/`` run and reach what they promise."""
from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
# For each program, what its main() gives and may be at most.
LIMITS = {
    "black_scholes": 1e-10,  # relative difference of a Greek from the closed form
    "predator_prey": 0.03,  # relative error of a rate
    "gaussian_mixture": 4.0,  # standard errors between a mean and the truth
    "regularisation": 1e-4,  # distance from the best strength that a search without gradients finds
    "bratu": 1e-9,  # difference from the known solution
    "tensors": 0.01,  # error of a slope
}


def test_every_example_is_run() -> None:
    assert {file.stem for file in FOLDER.glob("*.py")} == set(LIMITS)


@pytest.mark.parametrize("name", LIMITS)
def test_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("scipy")
    specification = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert module.main() <= LIMITS[name]
    shown = capsys.readouterr().out
    assert shown.count("\n") >= 4 and "nan" not in shown

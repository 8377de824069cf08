"""The demonstration: both fits reach their accuracy, progress is shown, what is missing is said before any work."""
from __future__ import annotations

import io
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import pullback as pb
from pullback.cli import main
from pullback.config import settings
from pullback.demo import digits, softmax
from pullback.demo.progress import Progress
from pullback.graphs import function_graph
from pullback.runtime import blas


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def steps(stream: io.StringIO, count: int = 10) -> str:
    with Progress("step", count, stream) as progress:
        for step in range(1, count + 1):
            progress.update(step, f"loss {1 / step:.2f}")
    return stream.getvalue()


def test_progress_is_a_few_plain_lines_in_a_file() -> None:
    assert steps(io.StringIO()) == "".join(f"  step {n}: loss {1 / n:.2f}\n" for n in (2, 4, 6, 8, 10))
    assert steps(io.StringIO(), 2) == "  step 1: loss 1.00\n  step 2: loss 0.50\n"


def test_progress_moves_on_a_terminal_and_leaves_nothing() -> None:
    shown = steps(Terminal())
    assert "\n" not in shown and "  step [########################] loss 0.10" in shown
    assert shown.endswith("\r") and shown.split("\r")[-2].strip() == ""


def test_progress_can_be_chosen() -> None:
    with pb.config(progress=True):
        assert "\r" in steps(io.StringIO())
    with pb.config(progress=False):
        assert "\r" not in steps(Terminal())
    assert settings().progress is None


@pytest.fixture(scope="module")
def parts() -> tuple[digits.Digits, digits.Digits]:
    library = blas.find()
    if library is not None:
        library.set_thread_count(1)
    return digits.split(digits.load(), held_out=0.2, seed=0)


def test_softmax_regression_reaches_its_accuracy(parts: tuple[digits.Digits, digits.Digits]) -> None:
    pytest.importorskip("scipy")
    fitted = softmax.fit(*parts)
    assert fitted.accuracy >= 0.95
    assert len(fitted.training) == len(fitted.held_out) <= softmax.MAX_ITERATIONS + 1
    assert fitted.training[0] == pytest.approx(np.log(10)) and fitted.training[-1] < 0.15
    assert all(later <= earlier + 1e-9 for earlier, later in zip(fitted.training, fitted.training[1:], strict=False))
    times = softmax.timing(fitted, parts[0])
    assert 0 < times.gradient < 1 and 0 < times.numpy_forward < 1


def test_the_loss_is_numpys(parts: tuple[digits.Digits, digits.Digits]) -> None:
    training, _ = parts
    parameters = np.random.RandomState(1).normal(size=650)
    chosen = softmax.one_hot(training.labels)
    value, gradient = softmax.loss.value_and_grad(parameters, training.images, chosen)
    plain = softmax.loss.__wrapped__
    assert value == pytest.approx(plain(parameters, training.images, chosen), rel=1e-12)
    for place in (0, 333, 645):
        moved = parameters.copy()
        moved[place] += 1e-6
        numeric = (plain(moved, training.images, chosen) - value) / 1e-6
        assert gradient[place] == pytest.approx(numeric, abs=1e-5)


def test_scipy_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    assert main(["demo", "-o", str(tmp_path / "x.svg")]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("pullback: error: the demonstration needs SciPy, which is not installed\n  help: ")
    assert captured.out == ""


@pytest.mark.parametrize("name", ["no/where.svg", "."])
def test_a_place_for_the_picture_is_asked_for_first(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["demo", "-o", str(tmp_path / name)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("pullback: error: cannot write ") and captured.out == ""


def test_a_brief_graph_leaves_constants_out() -> None:
    traced = pb.compile_grad(lambda x: (np.sum(x * 2.0), 3.0)).lower(np.zeros(4)).value.function
    graph = function_graph(traced, brief=True)
    labels = [node.label for node in graph.nodes]
    assert labels == ["%x\nf64[4]", "mul\nf64[4]", "reduce_sum\nf64[]", "result 0\nf64[]", "result 1\nf64[]"]
    assert len(function_graph(traced).nodes) == len(labels) + 2


def test_the_whole_demonstration(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    assert main(["demo", "-o", str(tmp_path / "picture.svg")]) == 0
    captured = capsys.readouterr()
    accuracies = [float(line.split()[-1]) for line in captured.out.splitlines() if "held-out accuracy" in line]
    assert accuracies[0] >= 0.95 and accuracies[1] >= 0.97
    assert "value and gradient" in captured.out and "in NumPy" in captured.out
    assert "iteration " in captured.err and "epoch 30: loss" in captured.err
    shown = ElementTree.parse(tmp_path / "picture.svg").getroot()
    texts = [element.text or "" for element in shown.iter("{http://www.w3.org/2000/svg}text")]
    assert any(text.startswith("softmax regression, held out") for text in texts) and "matmul" in texts

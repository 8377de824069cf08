"""``python -m pullback demo``: two models fitted to real digits, their accuracy, times and a picture out."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pullback.demo import digits, network, softmax
from pullback.demo.picture import loss_picture
from pullback.errors import UsageError
from pullback.graphs import function_graph
from pullback.runtime import blas

_HELD_OUT = 0.2


@dataclass(frozen=True)
class Outcome:
    """What the demonstration found."""

    regression: softmax.Fit
    learned: network.Fit
    timing: softmax.Timing
    picture: Path


def demo(output: Path, seed: int = 0) -> Outcome:
    """Fit both models, print what comes of it, and save the picture as SVG.

    Raises: UsageError where the picture cannot be saved, MissingPackageError without SciPy.
    """
    _require_writable(output)
    softmax.require_scipy()
    training, held_out = digits.split(digits.load(), held_out=_HELD_OUT, seed=seed)
    library = blas.find()
    # Matrices of this size are faster on one thread, NumPy's as well as ours: both call the same library.
    one_thread = library is not None and library.set_thread_count(1)
    print(f"{len(training) + len(held_out)} handwritten digits of 8 by 8 pixels (UCI): {len(training)} to learn from, "
          f"{len(held_out)} held out")  # fmt: skip

    print('\nsoftmax regression: @compile_grad, scipy.optimize.minimize(jac=True, method="L-BFGS-B")')
    fitted = softmax.fit(training, held_out)
    print(f"  loss {fitted.training[-1]:.4f} after {len(fitted.training) - 1} iterations, {fitted.calls} gradients, "
          f"{fitted.seconds:.1f} s with compiling")  # fmt: skip
    print(f"  held-out accuracy {fitted.accuracy:.4f}")
    timing = softmax.timing(fitted, training)
    print(f"  value and gradient {1e3 * timing.gradient:.2f} ms; the value alone in NumPy "
          f"{1e3 * timing.numpy_forward:.2f} ms{' (one thread)' if one_thread else ''}")  # fmt: skip

    print(f"\nnetwork of 64, {network.HIDDEN} and 10 units: Tensor, Adam")
    learned = network.fit(training, held_out, seed)
    print(f"  loss {learned.training[-1]:.4f} after {len(learned.training)} epochs, {learned.steps} gradients, "
          f"{learned.seconds:.1f} s with compiling")  # fmt: skip
    print(f"  held-out accuracy {learned.accuracy:.4f}")

    output.write_text(picture(fitted, learned, training), encoding="utf-8")
    print(f"\nlosses and graph: {output}")
    return Outcome(fitted, learned, timing, output)


def picture(fitted: softmax.Fit, learned: network.Fit, training: digits.Digits) -> str:
    """The curves of both fits beside the graph of the softmax regression's value and gradient, as SVG."""
    series = {
        "softmax regression": fitted.training, "softmax regression, held out": fitted.held_out,
        "network": learned.training, "network, held out": learned.held_out,
    }  # fmt: skip
    lowered = softmax.loss.lower(fitted.parameters, training.images, np.zeros((len(training), softmax.CLASSES)))
    graph = function_graph(lowered.gradient.optimized, brief=True)
    return loss_picture(series, graph, "Handwritten digits: losses, and the regression's gradient as a graph",
                        across="iteration or epoch", up="cross entropy")  # fmt: skip


def _require_writable(output: Path) -> None:
    """Raises: UsageError now, rather than when a minute's work is done."""
    folder = output.parent
    if output.is_dir() or not folder.is_dir() or not os.access(output if output.exists() else folder, os.W_OK):
        raise UsageError(f"cannot write {output}", help="name a file in a folder that exists: --output FILE.svg")

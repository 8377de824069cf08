"""How fast is the spine: kernels, calls, compilation and import, beside NumPy and (where installed) PyTorch and JAX.

    python benchmarks/spine.py

Every side runs single-threaded in this process on the same data; outputs are compared before anything is timed.
Times are CPU seconds of the process, the minimum over interleaved rounds, because machines are shared and noisy.
"""
from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from conditions import measure

# isort: split
import numpy as np

import pullback as pb


def report(title: str, times: Mapping[str, float], unit: float, unit_name: str) -> None:
    ours = times["pullback"]
    print(title)
    for name, seconds in times.items():
        ratio = "" if name == "pullback" else f"   pullback takes {ours / seconds:.3f} of it"
        print(f"  {name:10} {seconds / unit:10.3f} {unit_name}{ratio}")
    print()


def kernel(dtype: str, n: int = 100_000) -> None:
    """sum(tanh(x * a + b) * exp(-x * x)) with the gradients by x, a and b."""
    random = np.random.default_rng(0)
    x = random.normal(size=n).astype(dtype)
    a, b = np.asarray(0.7, dtype), np.asarray(-0.3, dtype)

    def f(x, a, b):
        return np.sum(np.tanh(x * a + b) * np.exp(-x * x))

    compiled = pb.compile_grad(f, argnums=(0, 1, 2))
    value, grads = compiled.value_and_grad(x, a, b)
    sides: dict[str, Callable[[], object]] = {"pullback": lambda: compiled.value_and_grad(x, a, b)}

    def with_numpy():
        t, e = np.tanh(x * a + b), np.exp(-x * x)
        inner = (1 - t * t) * e
        return np.sum(t * e), (inner * a - 2 * x * t * e, np.sum(inner * x), np.sum(inner))

    sides["numpy"] = with_numpy
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        leaves = [torch.tensor(each, requires_grad=True) for each in (x, a, b)]

        def with_torch():
            tx, ta, tb = leaves
            out = torch.sum(torch.tanh(tx * ta + tb) * torch.exp(-tx * tx))
            return out.detach().numpy(), [g.numpy() for g in torch.autograd.grad(out, leaves)]

        sides["torch"] = with_torch
    if importlib.util.find_spec("jax"):
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)
        jitted = jax.jit(
            jax.value_and_grad(lambda x, a, b: jnp.sum(jnp.tanh(x * a + b) * jnp.exp(-x * x)), argnums=(0, 1, 2))
        )
        on_device = [jnp.asarray(each) for each in (x, a, b)]

        def with_jax():
            return jax.block_until_ready(jitted(*on_device))

        sides["jax"] = with_jax
    tolerance = 1e-10 if dtype == "float64" else 2e-3
    for name, side in sides.items():
        other_value, other_grads = side()
        np.testing.assert_allclose(value, other_value, rtol=tolerance, err_msg=name)
        for ours, theirs in zip(grads, other_grads, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance, err_msg=name)
    report(f"sum(tanh(x*a+b)*exp(-x*x)) and all gradients, n = {n}, {dtype}: ns per element",
           {name: seconds / n for name, seconds in measure(sides, 20).items()}, 1e-9, "ns")  # fmt: skip


def rosenbrock() -> None:
    """Value and gradient of a function of two numbers, through the public function."""
    x = np.array([-1.2, 1.0])

    @pb.compile_grad
    def f(x):
        return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

    _, grad = f.value_and_grad(x)
    wanted = np.array([-2 * (1 - x[0]) - 400 * x[0] * (x[1] - x[0] ** 2), 200 * (x[1] - x[0] ** 2)])
    np.testing.assert_allclose(grad, wanted, rtol=1e-12)
    sides: dict[str, Callable[[], object]] = {"pullback": lambda: f.value_and_grad(x)}

    def with_numpy():
        rest = x[1] - x[0] ** 2
        return (1 - x[0]) ** 2 + 100 * rest**2, np.array([-2 * (1 - x[0]) - 400 * x[0] * rest, 200 * rest])

    sides["numpy"] = with_numpy
    if importlib.util.find_spec("jax"):
        import jax

        jax.config.update("jax_enable_x64", True)
        jitted = jax.jit(jax.value_and_grad(lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2))
        on_device = jax.numpy.asarray(x)
        sides["jax"] = lambda: jax.block_until_ready(jitted(on_device))
    times = measure(sides, 2000)
    report("Rosenbrock of 2 numbers, value and gradient: us per call (with a lambda around each)", times, 1e-6, "us")


def compile_times() -> None:
    """From the first call to its result: tracing, adjoint, simplification, code generation, linking."""
    x = np.linspace(0.1, 1.0, 1000)

    def twenty(x):
        y = x
        for _ in range(5):
            y = np.sin(y) * 0.5 + np.exp(-y)
        return np.sum(y)

    def chain(x):
        y = x
        for step in range(500):
            y = y * 0.999 + (x if step % 2 else 0.01)
        return np.sum(y)

    for title, f, target in (("20 operations", twenty, 30), ("a chain of 1,000 operations", chain, 250)):
        for label, pick in (("value", lambda g: g), ("value and gradient", lambda g: g.value_and_grad)):
            best = float("inf")
            for _ in range(5):
                compiled = pb.compile_grad(f)
                start = time.process_time_ns()
                pick(compiled)(x)
                best = min(best, (time.process_time_ns() - start) / 1e6)
            print(f"compile {title}, {label}: {best:.1f} ms (to reach: {target})")
    print()


def import_time() -> None:
    """CPU time of `import pullback`, less that of the bare interpreter, beside that of NumPy alone."""
    code = "import time; s = time.process_time(); import {0}; print(time.process_time() - s)"
    for name in ("numpy", "pullback"):
        runs = [
            float(subprocess.run([sys.executable, "-c", code.format(name)], capture_output=True, text=True, check=True).stdout)
            for _ in range(7)
        ]
        print(f"import {name}: {1e3 * min(runs):.0f} ms CPU")
    print()


if __name__ == "__main__":
    kernel("float64")
    kernel("float32")
    rosenbrock()
    compile_times()
    import_time()

"""How fast are loops: Python's own for, while, if and break, primal and gradient, beside C++ and, where installed, others.

    python benchmarks/loops.py              # all programs
    python benchmarks/loops.py euler hmm    # some of them

Each program is plain Python and NumPy. Beside it runs the same by hand in C++ (`loops.cpp`, g++ -O3 -march=native, skipped
without g++), and in JAX, PyTorch and Numba (primal only) where they can be imported. Every side runs single-threaded on one
processor in this process, on the same data; values and gradients are compared first. Times are CPU seconds, the minimum over
interleaved rounds.
"""
from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

from conditions import measure

# isort: split
import numpy as np

import pullback as pb

RANDOM = np.random.default_rng(0)


# The programs


def euler(a, b, c, x, dt, steps):
    """x' = a x - b x² + c, explicit Euler."""
    for _ in range(steps):
        x = x + dt * (a * x - b * x * x + c)
    return x


def ring(y, k):
    """Ten oscillators in a ring, as a list."""
    return [k[i] * y[(i + 1) % 10] - 0.1 * y[i] * y[i] for i in range(10)]


def rk4(k, start, dt, steps):
    """Classical Runge–Kutta on lists of ten numbers."""
    y = [start[i] for i in range(10)]
    for _ in range(steps):
        k1 = ring(y, k)
        k2 = ring([y[i] + 0.5 * dt * k1[i] for i in range(10)], k)
        k3 = ring([y[i] + 0.5 * dt * k2[i] for i in range(10)], k)
        k4 = ring([y[i] + dt * k3[i] for i in range(10)], k)
        y = [y[i] + dt / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]) for i in range(10)]
    total = 0.0
    for i in range(10):
        total = total + y[i] * y[i]
    return total


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def lstm(w, u, b, xs):
    """An LSTM with diagonal recurrence over a sequence."""
    hidden = np.zeros(xs.shape[1])
    cell = np.zeros(xs.shape[1])
    for x in xs:
        z = w * x + u * hidden + b
        cell = sigmoid(z[1]) * cell + sigmoid(z[0]) * np.tanh(z[3])
        hidden = sigmoid(z[2]) * np.tanh(cell)
    return np.sum(hidden * hidden)


def hmm(transition, emission, seen):
    """The log likelihood of what was seen, by the forward algorithm."""
    states = transition.shape[0]
    alpha = np.ones(states) / states
    total = 0.0
    for t in range(len(seen)):
        alpha = (alpha @ transition) * emission[:, seen[t]]
        scale = np.sum(alpha)
        total = total + np.log(scale)
        alpha = alpha / scale
    return total


def kalman(noise, f, seen):
    """Minus twice the log likelihood of a series under a model of four states, by the two variances."""
    x, p = np.zeros(4), np.eye(4)
    total = 0.0
    for t in range(len(seen)):
        x, p = f @ x, f @ p @ f.T + noise[0] * np.eye(4)
        spread, error = p[0, 0] + noise[1], seen[t] - x[0]
        total = total + np.log(spread) + error * error / spread
        gain = p[:, 0] / spread
        x, p = x + gain * error, p - np.outer(gain, p[0])
    return total


def newton(a):
    """The square root, until it stands still."""
    x = a
    while abs(x * x - a) > 1e-14 * a:
        x = 0.5 * (x + a / x)
    return x


def bisection(p, q):
    """The root of x³ + p x = q: bisection until it is close, then one secant, which gives it a slope."""
    low, high = 0.0, 4.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        if high - low < 1e-9:
            break
        if middle * middle * middle + p * middle - q > 0:
            high = middle
        else:
            low = middle
    x = 0.5 * (low + high)
    return x - (x * x * x + p * x - q) / (3 * x * x + p)


def determinant(rows):
    """By expansion along the first row, again and again."""
    if len(rows) == 1:
        return rows[0][0]
    total = 0.0
    for j in range(len(rows)):
        minor = [row[:j] + row[j + 1 :] for row in rows[1:]]
        total = total + (-1.0) ** j * rows[0][j] * determinant(minor)
    return total


def determinant_of(matrix):
    """Of an 8 by 8 matrix, as lists."""
    return determinant([[matrix[i, j] for j in range(8)] for i in range(8)])


# Measuring


@dataclass
class Program:
    """A function, its arguments, by which of them it is differentiated, and the others that compute the same."""

    name: str
    f: Callable[..., Any]
    arguments: tuple[Any, ...]
    argnums: Any
    calls: int = 1
    static: tuple[int, ...] = ()
    cpp: Callable[[], tuple[float, Any]] | None = None
    cpp_primal: Callable[[], float] | None = None
    peers: dict[str, Callable[[], tuple[Any, Any]]] = field(default_factory=dict)


def run(program: Program) -> None:
    """Compare, measure, print."""
    arguments = program.arguments
    compiled = pb.compile_grad(program.f, argnums=program.argnums, static_argnums=program.static)
    start = time.process_time()
    value = compiled(*arguments)
    first_value = time.process_time() - start
    start = time.process_time()
    _, gradient = compiled.value_and_grad(*arguments)
    first_gradient = time.process_time() - start
    plain = program.f(*arguments)
    np.testing.assert_allclose(value, plain, rtol=1e-9, err_msg="Python")
    sides: dict[str, Callable[[], object]] = {
        "primal": lambda: compiled(*arguments), "gradient": lambda: compiled.value_and_grad(*arguments)}  # fmt: skip
    others = dict(program.peers)
    if program.cpp is not None:
        others["C++ gradient"] = program.cpp
    for name, side in others.items():
        other_value, other_gradient = side()
        np.testing.assert_allclose(value, other_value, rtol=1e-7, err_msg=name)
        if other_gradient is not None:
            flat = np.concatenate([np.ravel(each) for each in (gradient if isinstance(gradient, tuple) else (gradient,))])
            theirs = np.concatenate([np.ravel(each) for each in (
                other_gradient if isinstance(other_gradient, tuple) else (other_gradient,))])  # fmt: skip
            np.testing.assert_allclose(flat, theirs, rtol=1e-6, atol=1e-9, err_msg=name)
    if program.cpp_primal is not None:
        np.testing.assert_allclose(value, program.cpp_primal(), rtol=1e-9, err_msg="C++")
        sides["C++ primal"] = program.cpp_primal
    sides.update(others)
    times = measure(sides, program.calls)
    print(f"{program.name}: first calls {first_value:.2f} s (value), {first_gradient:.2f} s (value and gradient)")
    for name, seconds in times.items():
        ratio = ""
        if name == "C++ primal":
            ratio = f"   primal / C++ = {times['primal'] / seconds:.2f}"
        elif name == "Numba primal":
            ratio = f"   primal / Numba = {times['primal'] / seconds:.3f}"
        elif name not in ("primal", "gradient"):
            ratio = f"   gradient / {name.removesuffix(' gradient')} = {times['gradient'] / seconds:.3f}"
        elif name == "gradient":
            ratio = f"   gradient / primal = {times['gradient'] / times['primal']:.2f}"
        print(f"  {name:14} {1e6 * seconds:12.2f} us{ratio}")
    print()


# The other sides


def cpp_library() -> ctypes.CDLL | None:
    """loops.cpp, compiled; None where there is no g++."""
    compiler = shutil.which("g++")
    if compiler is None:
        return None
    folder = Path(tempfile.mkdtemp())
    source = Path(__file__).with_name("loops.cpp")
    library = folder / "loops.so"
    command = [compiler, "-O3", "-march=native", "-shared", "-fPIC", str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def cpp_call(library: ctypes.CDLL | None, name: str, arguments: tuple[Any, ...], count: int | None) -> Any:
    """A call of a function of the library; with `count` it writes so many numbers of a gradient, which are given too."""
    if library is None:
        return None
    function = getattr(library, name)
    function.restype = ctypes.c_double
    keep, converted = [], []
    for each in arguments:
        if isinstance(each, np.ndarray):
            keep.append(np.ascontiguousarray(each))
            converted.append(ctypes.c_void_p(keep[-1].ctypes.data))
        else:
            converted.append(ctypes.c_int64(each) if isinstance(each, int) else ctypes.c_double(each))
    if count is None:
        return lambda _=keep: function(*converted)
    gradient = np.zeros(count)
    converted.append(ctypes.c_void_p(gradient.ctypes.data))
    return lambda _=keep: (function(*converted), gradient)


def jax_peer(make: Callable[[Any, Any, Any], Callable[..., Any]], arguments: tuple[Any, ...], argnums: Any) -> dict[str, Any]:
    """JAX's value_and_grad of a function that `make` writes, where JAX is installed."""
    if importlib.util.find_spec("jax") is None:
        return {}
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    jitted = jax.jit(jax.value_and_grad(make(jax, jnp, jax.lax), argnums=argnums))
    on_device = [jnp.asarray(each) if isinstance(each, np.ndarray) else each for each in arguments]
    return {"JAX": lambda: jax.block_until_ready(jitted(*on_device))}


def torch_peer(f: Callable[..., Any], arguments: tuple[Any, ...], argnums: Any) -> dict[str, Any]:
    """PyTorch's eager autograd of a function of tensors, where PyTorch is installed."""
    if importlib.util.find_spec("torch") is None:
        return {}
    import torch

    torch.set_num_threads(1)
    places = (argnums,) if isinstance(argnums, int) else argnums

    def called() -> Any:
        tensors = [torch.tensor(each, dtype=torch.float64) if place in places else torch.from_numpy(each)
                   if isinstance(each, np.ndarray) else each for place, each in enumerate(arguments)]  # fmt: skip
        leaves = [tensors[place].requires_grad_() for place in places]
        value = f(torch, *tensors)
        return value.item(), tuple(each.numpy() for each in torch.autograd.grad(value, leaves))

    return {"PyTorch": called}


def numba_peer(f: Callable[..., Any], arguments: tuple[Any, ...], *called: Callable[..., Any]) -> dict[str, Any]:
    """Numba's primal, where Numba is installed and can compile it; `called` are the functions that `f` calls."""
    if importlib.util.find_spec("numba") is None:
        return {}
    import numba

    known = {**globals()}
    for each in called:
        known[each.__name__] = numba.njit(FunctionType(each.__code__, known, each.__name__))
    jitted = numba.njit(FunctionType(f.__code__, known, f.__name__))
    try:
        jitted(*arguments)
    except numba.core.errors.NumbaError as error:
        print(f"Numba cannot compile {f.__name__}: {str(error).splitlines()[0]}")
        return {}
    return {"Numba primal": lambda: (jitted(*arguments), None)}


def programs(library: ctypes.CDLL | None) -> list[Program]:
    """All programs with their data."""
    made = []
    arguments = (1.0, 0.3, 0.1, 0.5, 1e-4, 100_000)

    def jax_euler(jax: Any, jnp: Any, lax: Any) -> Any:
        return lambda a, b, c: lax.fori_loop(0, 100_000, lambda i, x: x + 1e-4 * (a * x - b * x * x + c), 0.5)

    made.append(Program(
        "euler, 1e5 steps", euler, arguments, (0, 1, 2), static=(5,),
        cpp=cpp_call(library, "euler_gradient", (0.5, 1.0, 0.3, 0.1, 100_000, 1e-4), 3),
        cpp_primal=cpp_call(library, "euler", (0.5, 1.0, 0.3, 0.1, 100_000, 1e-4), None),
        peers={**jax_peer(jax_euler, (1.0, 0.3, 0.1), (0, 1, 2)), **numba_peer(euler, arguments)},
    ))  # fmt: skip

    k, start = RANDOM.uniform(0.5, 1.5, 10), RANDOM.uniform(0.5, 1.0, 10)

    def jax_rk4(jax: Any, jnp: Any, lax: Any) -> Any:
        def rates(y: Any, k: Any) -> Any:
            return k * jnp.roll(y, -1) - 0.1 * y * y

        def f(k: Any) -> Any:
            def step(i: Any, y: Any) -> Any:
                k1 = rates(y, k)
                k2 = rates(y + 0.005 * k1, k)
                k3 = rates(y + 0.005 * k2, k)
                k4 = rates(y + 0.01 * k3, k)
                return y + 0.01 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

            return jnp.sum(lax.fori_loop(0, 200, step, jnp.asarray(start)) ** 2)

        return f

    made.append(Program(
        "Runge-Kutta 4 of ten numbers, 200 steps", rk4, (k, start, 0.01, 200), 0, calls=5, static=(3,),
        cpp=cpp_call(library, "rk4_gradient", (start, k, 200, 0.01), 10), peers={
            **jax_peer(jax_rk4, (k,), 0), **numba_peer(rk4, (k, start, 0.01, 200), ring)},
    ))  # fmt: skip

    w, u, b, xs = (RANDOM.normal(size=(4, 16)) for _ in range(3)), None, None, RANDOM.normal(size=(200, 16))
    w, u, b = w

    def jax_lstm(jax: Any, jnp: Any, lax: Any) -> Any:
        def f(w: Any, u: Any, b: Any, xs: Any) -> Any:
            def step(state: Any, x: Any) -> Any:
                hidden, cell = state
                z = w * x + u * hidden + b
                cell = jax.nn.sigmoid(z[1]) * cell + jax.nn.sigmoid(z[0]) * jnp.tanh(z[3])
                return (jax.nn.sigmoid(z[2]) * jnp.tanh(cell), cell), None

            (hidden, _), _ = lax.scan(step, (jnp.zeros(16), jnp.zeros(16)), xs)
            return jnp.sum(hidden * hidden)

        return f

    def torch_lstm(torch: Any, w: Any, u: Any, b: Any, xs: Any) -> Any:
        hidden, cell = torch.zeros(16, dtype=torch.float64), torch.zeros(16, dtype=torch.float64)
        for x in xs:
            z = w * x + u * hidden + b
            cell = torch.sigmoid(z[1]) * cell + torch.sigmoid(z[0]) * torch.tanh(z[3])
            hidden = torch.sigmoid(z[2]) * torch.tanh(cell)
        return (hidden * hidden).sum()

    made.append(Program(
        "diagonal LSTM of 16, 200 steps", lstm, (w, u, b, xs), 0, calls=3,
        cpp=cpp_call(library, "lstm_gradient", (w, u, b, xs, 200, 16), 64),
        peers={**jax_peer(jax_lstm, (w, u, b, xs), 0), **torch_peer(torch_lstm, (w, u, b, xs), 0),
               **numba_peer(lstm, (w, u, b, xs), sigmoid)},
    ))  # fmt: skip

    transition = RANDOM.dirichlet(np.ones(8), 8)
    emission = RANDOM.dirichlet(np.ones(5), 8)
    seen = RANDOM.integers(0, 5, 300)

    def jax_hmm(jax: Any, jnp: Any, lax: Any) -> Any:
        def f(transition: Any, emission: Any, seen: Any) -> Any:
            def step(state: Any, letter: Any) -> Any:
                alpha, total = state
                alpha = (alpha @ transition) * emission[:, letter]
                scale = jnp.sum(alpha)
                return (alpha / scale, total + jnp.log(scale)), None

            return lax.scan(step, (jnp.ones(8) / 8, 0.0), seen)[0][1]

        return f

    made.append(Program(
        "hidden Markov model of 8 states, 300 steps", hmm, (transition, emission, seen), 0, calls=3,
        cpp=cpp_call(library, "hmm_gradient", (transition, emission, seen, 300, 8, 5), 64),
        peers={
            **jax_peer(jax_hmm, (transition, emission, seen), 0), **numba_peer(hmm, (transition, emission, seen))},
    ))  # fmt: skip

    f = np.eye(4) * 0.95 + 0.05 * RANDOM.normal(size=(4, 4))
    series = RANDOM.normal(size=200)
    noise = np.array([0.3, 0.7])

    def jax_kalman(jax: Any, jnp: Any, lax: Any) -> Any:
        def likelihood(noise: Any, f: Any, seen: Any) -> Any:
            def step(state: Any, z: Any) -> Any:
                x, p, total = state
                x, p = f @ x, f @ p @ f.T + noise[0] * jnp.eye(4)
                spread, error = p[0, 0] + noise[1], z - x[0]
                gain = p[:, 0] / spread
                total = total + jnp.log(spread) + error * error / spread
                return (x + gain * error, p - jnp.outer(gain, p[0]), total), None

            return lax.scan(step, (jnp.zeros(4), jnp.eye(4), 0.0), seen)[0][2]

        return likelihood

    made.append(Program(
        "Kalman filter of 4 states, 200 steps", kalman, (noise, f, series), 0, calls=3,
        cpp=cpp_call(library, "kalman_gradient", (f, series, 200, 0.3, 0.7), 2),
        peers={
            **jax_peer(jax_kalman, (noise, f, series), 0), **numba_peer(kalman, (noise, f, series))},
    ))  # fmt: skip

    made.append(Program(
        "Newton's square root by while", newton, (7.3,), 0, calls=2000,
        cpp=cpp_call(library, "newton_gradient", (7.3,), 1), peers=numba_peer(newton, (7.3,)),
    ))  # fmt: skip
    made.append(Program(
        "bisection with break", bisection, (1.3, 5.7), (0, 1), calls=2000,
        cpp=cpp_call(library, "bisection_gradient", (1.3, 5.7), 2), peers=numba_peer(bisection, (1.3, 5.7)),
    ))  # fmt: skip
    matrix = RANDOM.normal(size=(8, 8))
    made.append(Program(
        "determinant of 8 by 8 by expansion", determinant_of, (matrix,), 0, calls=20,
        cpp=cpp_call(library, "determinant_gradient", (matrix, 8), 64),
        peers=numba_peer(determinant_of, (matrix,), determinant),
    ))  # fmt: skip
    return made


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for each in programs(cpp_library()):
        if not wanted or any(word in each.name.lower() for word in wanted):
            run(each)

"""Random NumPy programs: smooth where they are run, with values of ordinary size, and their own source to read."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SHAPES = ((), (1,), (3,), (7,), (4, 3), (3, 1), (5, 7), (2, 1, 3), (9,), (1, 9), (40,), (6, 17))
UNARY = {
    "np.exp({0} * 0.5)": lambda x: np.exp(x * 0.5), "np.tanh({0})": np.tanh, "np.sin({0})": np.sin,
    "np.cos({0})": np.cos, "np.arctan({0})": np.arctan, "np.log1p({0} * {0})": lambda x: np.log1p(x * x),
    "np.sqrt({0} * {0} + 0.3)": lambda x: np.sqrt(x * x + 0.3), "np.expm1({0} * 0.25)": lambda x: np.expm1(x * 0.25),
    "np.log({0} * {0} + 1.5)": lambda x: np.log(x * x + 1.5), "-{0}": lambda x: -x, "{0} * {0}": lambda x: x * x,
    "{0} ** 2": lambda x: x**2, "{0} ** 3": lambda x: x**3, "1.0 / ({0} * {0} + 1.0)": lambda x: 1.0 / (x * x + 1.0),
    "np.sinh({0} * 0.2)": lambda x: np.sinh(x * 0.2), "np.cosh({0} * 0.2)": lambda x: np.cosh(x * 0.2),
    "({0} * {0} + 0.1) ** 0.7": lambda x: (x * x + 0.1) ** 0.7, "{0} * 1.25": lambda x: x * 1.25,
    "{0} / 3": lambda x: x / 3, "0.5 - {0}": lambda x: 0.5 - x, "np.square({0})": np.square,
    "np.logaddexp(0.0, {0})": lambda x: np.logaddexp(0.0, x), "np.positive({0})": np.positive,
}  # fmt: skip
BINARY = {
    "{0} + {1}": lambda x, y: x + y, "{0} - {1}": lambda x, y: x - y, "{0} * {1}": lambda x, y: x * y,
    "{0} / (1.5 + {1} * {1})": lambda x, y: x / (1.5 + y * y), "np.logaddexp({0}, {1})": np.logaddexp,
    "np.arctan2({0}, {1} * {1} + 0.5)": lambda x, y: np.arctan2(x, y * y + 0.5),
    "np.hypot({0}, {1} + 0.01)": lambda x, y: np.hypot(x, y + 0.01), "{0} + 2 * {1}": lambda x, y: x + 2 * y,
    "({0} * {0} + 0.5) ** {1}": lambda x, y: (x * x + 0.5) ** y,
}  # fmt: skip
MARGIN = 2e-3
"""How far values keep from where a function has a kink or a step."""


@dataclass(frozen=True)
class Step:
    """One line: ``v7 = text``, its operands by number."""

    text: str
    run: Callable[..., Any]
    operands: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """A function of NumPy arrays: ``(value, aux)``, the value a float scalar and aux some arrays on the way to it."""

    seed: int
    arguments: tuple[Array, ...]
    steps: tuple[Step, ...]
    weights: tuple[tuple[int, float], ...]
    squash: bool
    aux: tuple[int, ...]

    def __call__(self, *arguments: Any) -> tuple[Any, Any]:
        values = list(arguments)
        for step in self.steps:
            values.append(step.run(*[values[number] for number in step.operands]))
        total: Any = 0.0
        for number, weight in self.weights:
            value = np.tanh(values[number]) if self.squash else values[number]
            total = total + weight * np.sum(value)
        return total, tuple(values[number] for number in self.aux)

    def value(self, *arguments: Any) -> Any:
        """The scalar alone."""
        return self(*arguments)[0]

    def __repr__(self) -> str:
        lines = [f"program {self.seed}:"]
        for number, array in enumerate(self.arguments):
            lines.append(f"  v{number}: {array.dtype.name}{list(array.shape)}")
        for number, step in enumerate(self.steps, len(self.arguments)):
            lines.append(f"  v{number} = {step.text.format(*[f'v{operand}' for operand in step.operands])}")
        shown = "{} * np.sum(np.tanh(v{}))" if self.squash else "{} * np.sum(v{})"
        total = " + ".join(shown.format(weight, number) for number, weight in self.weights)
        return "\n".join([*lines, f"  value = {total}; aux = {self.aux}"])


class Maker:
    """Makes one program; `values` are what its lines give for its arguments."""

    def __init__(
        self, seed: int, dtypes: Sequence[type], shapes: Sequence[tuple[int, ...]], *, plain: bool = False
    ) -> None:
        self.plain = plain
        self.unaries = [text for text in UNARY if "np." not in text or not plain]
        self.binaries = [text for text in BINARY if "np." not in text or not plain]
        self.random = np.random.default_rng(seed)
        self.seed = seed
        self.values: list[Any] = []
        for _ in range(1 + self.below(3)):
            shape = shapes[self.below(len(shapes))]
            self.values.append(np.asarray(self.random.normal(size=shape)).astype(dtypes[self.below(len(dtypes))]))
        self.arguments = tuple(self.values)
        self.steps: list[Step] = []

    def below(self, count: int) -> int:
        return int(self.random.integers(count))

    def pick(self) -> int:
        """A value, a late one more likely."""
        count = len(self.values)
        return count - 1 - min(self.below(count), self.below(count))

    def fits(self, *numbers: int) -> bool:
        try:
            np.broadcast_shapes(*[np.shape(self.values[number]) for number in numbers])
        except ValueError:
            return False
        return True

    def add(self, text: str, run: Callable[..., Any], *operands: int) -> bool:
        """Take a line if its values are of ordinary size."""
        with np.errstate(all="ignore"):
            value = run(*[self.values[number] for number in operands])
        size = np.size(value)
        if not size or size > 400 or not np.all(np.isfinite(value)) or np.max(np.abs(value)) > 30:
            return False
        self.steps.append(Step(text, run, operands))
        self.values.append(value)
        return True

    def unary(self) -> None:
        text = self.unaries[self.below(len(self.unaries))]
        self.add(text, UNARY[text], self.pick())

    def binary(self) -> None:
        text = self.binaries[self.below(len(self.binaries))]
        x, y = self.pick(), self.pick()
        if self.fits(x, y):
            self.add(text, BINARY[text], x, y)

    def choice(self) -> None:
        """where, maximum, minimum, abs, clip: away from their kinks."""
        x, y, c = self.pick(), self.pick(), self.pick()
        if not self.fits(x, y, c):
            return
        left, right, chooser = (np.asarray(self.values[number], np.float64) for number in (x, y, c))
        far = np.min(np.abs(left - right)) > MARGIN
        level = float(np.float32(self.random.normal()))
        clear = np.min(np.abs(chooser - level)) > MARGIN
        match self.below(6):
            case 0 if clear:
                self.add(f"np.where({{0}} > {level}, {{1}}, {{2}})", lambda c, x, y: np.where(c > level, x, y), c, x, y)
            case 1 if clear:
                self.add(f"np.where({{0}} > {level}, {{1}}, 0.25)", lambda c, x: np.where(c > level, x, 0.25), c, x)
            case 2 if far:
                self.add("np.maximum({0}, {1})", np.maximum, x, y)
            case 3 if far:
                self.add("np.minimum({0}, {1})", np.minimum, x, y)
            case 4 if np.min(np.abs(left)) > MARGIN:
                self.add("np.abs({0})", np.abs, x)
            case 5 if np.min(np.abs(left)) > MARGIN and np.min(np.abs(left - 1)) > MARGIN:
                self.add("np.clip({0}, 0.0, 1.0)", lambda x: np.clip(x, 0.0, 1.0), x)

    def masked(self) -> None:
        """A branch whose derivative is infinite or undefined where it is not taken."""
        c = self.pick()
        if np.min(np.abs(self.values[c])) > MARGIN:
            branch = "np.sqrt" if self.plain else ("np.sqrt", "np.log")[self.below(2)]
            function = {"np.sqrt": np.sqrt, "np.log": np.log}[branch]

            def run(x: Any) -> Any:
                return np.where(x > 0, function(np.where(x > 0, x, 0.0)), x)

            self.add(f"np.where({{0}} > 0, {branch}(np.where({{0}} > 0, {{0}}, 0.0)), {{0}})", run, c)

    def reduction(self) -> None:
        x = self.pick()
        rank = np.ndim(self.values[x])
        axes = tuple(axis for axis in range(rank) if self.below(2)) or None
        keep = bool(self.below(2))
        name = ("sum", "mean", "sum", "prod", "var", "max", "min")[self.below(7)]
        function = getattr(np, name)
        if name in ("max", "min"):
            parts = np.sort(np.asarray(self.values[x], np.float64).reshape(-1))
            if np.min(np.diff(parts), initial=1.0) < MARGIN:
                return
        self.add(f"np.{name}({{0}}, axis={axes}, keepdims={keep})",
                 lambda x: function(x, axis=axes, keepdims=keep), x)  # fmt: skip

    def shape(self) -> None:
        x = self.pick()
        shape = np.shape(self.values[x])
        rank = len(shape)
        match self.below(9):
            case 0 if rank:
                self.add("{0}.T", lambda x: x.T, x)
            case 1 if rank > 1:
                self.add("{0}.reshape(-1)", lambda x: x.reshape(-1), x)
            case 2 if rank:
                self.add("{0}[..., None]", lambda x: x[..., None], x)
            case 3 if rank:
                step, start = (1, 2, -1, -2)[self.below(4)], self.below(2)
                self.add(f"{{0}}[{start}::{step}]", lambda x: x[start::step], x)
            case 4 if rank:
                self.add("{0}[-1]", lambda x: x[-1], x)
            case 5 if rank > 1:
                self.add("{0}[:, ::-1]", lambda x: x[:, ::-1], x)
            case 6 if rank:
                index = self.random.integers(-shape[0], shape[0], 4)
                self.add(f"{{0}}[np.array({index.tolist()})]", lambda x: x[index], x)
            case 7:
                self.add("np.concatenate([np.ravel({0}), np.ravel({0})[:2]])",
                         lambda x: np.concatenate([np.ravel(x), np.ravel(x)[:2]]), x)  # fmt: skip
            case 8 if rank:
                self.add("np.pad({0}, 1)[1:]", lambda x: np.pad(x, 1)[1:], x)

    def join(self) -> None:
        x, y = self.pick(), self.pick()
        if np.shape(self.values[x]) == np.shape(self.values[y]) and np.ndim(self.values[x]):
            name = ("concatenate", "stack")[self.below(2)]
            function = getattr(np, name)
            self.add(f"np.{name}([{{0}}, {{1}}])", lambda x, y: function([x, y]), x, y)

    def product(self) -> None:
        x, y = self.pick(), self.pick()
        left, right = np.shape(self.values[x]), np.shape(self.values[y])
        if left and right and left[-1] == right[-2 if len(right) > 1 else -1]:
            if len(left) > 2 and len(right) > 2 and left[:-2] != right[:-2]:
                return
            self.add("{0} @ {1} / 4", lambda x, y: x @ y / 4, x, y)
        elif len(left) == len(right) == 2 and left[0] == right[0]:
            self.add("{0}.T @ {1} / 4", lambda x, y: x.T @ y / 4, x, y)
        elif len(left) == len(right) == 2 and left[1] == right[1]:
            self.add("{0} @ {1}.T / 4", lambda x, y: x @ y.T / 4, x, y)
        elif len(left) == len(right) == 1:
            self.add("np.outer({0}, {1})", np.outer, x, y)

    def dtype(self) -> None:
        kind = (np.float32, np.float64)[self.below(2)]
        self.add(f"{{0}}.astype(np.{kind.__name__})", lambda x: x.astype(kind), self.pick())

    def counting(self) -> None:
        """Integers from floats, far from a step, and back into floats."""
        x = self.pick()
        value = np.asarray(self.values[x], np.float64) * 2
        if np.ndim(value) and np.min(np.abs(value - np.round(value))) > 2 * MARGIN:
            self.add("np.floor({0} * 2).astype(np.int64) * {0}", lambda x: np.floor(x * 2).astype(np.int64) * x, x)

    def program(self, size: int, mixed: bool) -> Program:
        kinds = [self.unary, self.unary, self.binary, self.binary, self.choice, self.masked, self.reduction, self.shape,
                 self.join, self.product, self.counting]  # fmt: skip
        if mixed:
            kinds.append(self.dtype)
        while len(self.steps) < size:
            kinds[self.below(len(kinds))]()
        count = len(self.values)
        used = {operand for step in self.steps for operand in step.operands}
        last = [number for number in range(count) if number not in used or number >= count - 2]
        weights = tuple((number, round(float(self.random.normal()), 3)) for number in last)
        aux = tuple(sorted({self.below(count) for _ in range(3)}))
        return Program(self.seed, self.arguments, tuple(self.steps), weights, not self.plain, aux)


def numpy_program(seed: int, size: int = 10) -> Program:
    """A random program: float64 alone, with single precision in between, or all in float32 (`seed` modulo 4).

    Every other one is plain, without elementary functions: quick to compile.
    """
    dtypes = {2: (np.float64, np.float32), 3: (np.float32,)}.get(seed % 4, (np.float64,))
    return Maker(seed, dtypes, SHAPES, plain=seed // 4 % 2 == 1).program(size, seed % 4 == 2)


def is_double(program: Program) -> bool:
    """Whether everything is computed in float64."""
    return program.seed % 4 < 2

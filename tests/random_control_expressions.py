"""Random expressions of programs with control flow: scalars, arrays, matrices, integers, conditions, as Python text.

What decides between two smooth pieces stands between the marks `OPEN` and `CLOSE`, so that a run can note it.
"""
from __future__ import annotations

from random import Random

OPEN, CLOSE = "⟦", "⟧"
N = 4
"""Length of vectors and of a matrix' rows."""
ROWS = 3


def noted(text: str) -> str:
    """A condition, marked."""
    return f"{OPEN}{text}{CLOSE}"


class Expressions:
    """Draws expressions over the variables in `known`: names to kinds.

    Kinds: s scalar, a vector, m matrix, i integer, j integer from 0 to 2 that nothing binds, b bool, l list of three
    scalars, v array of some shape, p list of two vectors.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.known: dict[str, str] = {}
        self.helpers: list[str] = []
        self.vector_helpers: list[str] = []

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def names(self, kinds: str) -> list[str]:
        return [name for name, kind in self.known.items() if kind in kinds]

    def name(self, kinds: str) -> str | None:
        """A variable of one of the kinds, a late one more often."""
        found = self.names(kinds)
        return found[max(self.random.randrange(len(found)), self.random.randrange(len(found)))] if found else None

    def number(self) -> str:
        return repr(round(self.random.uniform(-1, 1), 2))

    def place(self, size: int) -> str:
        """An index into an axis."""
        name = self.name("ij")
        draw = self.random.random()
        if name is None or draw < 0.2:
            return str(self.random.randrange(-size, size))
        if self.known[name] == "j" and draw < 0.7:
            return name
        return self.random.choice((f"{name} % {size}", f"-({name} % {size}) - 1", f"({name} + 1) % {size}"))

    def part(self) -> str:
        """A slice of a vector."""
        return self.random.choice(("1:", ":-1", "::2", "1:3", "::-1", ":", "-3:"))

    # Scalars

    def s(self, depth: int = 2) -> str:
        random = self.random
        name = self.name("s")
        if depth <= 0 or self.chance(0.25):
            return name if name is not None and self.chance(0.75) else self.number()
        makers = [
            lambda: f"{self.vector()}[{self.place(N)}]",
            lambda: f"{self.vector()}[{self.place(N)}]",
            lambda: f"np.{random.choice(('sin', 'cos', 'tanh'))}({self.s(depth - 1)})",
            lambda: f"({random.choice(('0.5', '0.3', '-0.7'))} * {self.s(depth - 1)} + {self.s(0)})",
            lambda: f"np.tanh({self.s(depth - 1)} * {self.s(depth - 1)})",
            lambda: f"({self.s(depth - 1)} - {self.s(depth - 1)})",
            lambda: f"np.sin({self.s(depth - 1)}) / (1 + {self.s(0)} ** 2)",
            lambda: f"np.tanh(np.sum({self.a(depth - 1)}))",
            lambda: f"{self.vector()}.mean()",
            lambda: f"np.sin({self.a(0)} @ {self.a(0)})",
            lambda: f"({self.s(depth - 1)} if {self.condition(depth - 1)} else {self.s(depth - 1)})",
            lambda: f"{random.choice(('abs', 'np.abs'))}({self.s(depth - 1)})",
            lambda: f"{random.choice(('max', 'min', 'np.maximum', 'np.minimum'))}({self.s(depth - 1)}, {self.s(0)})",
            lambda: f"np.{random.choice(('max', 'min'))}({self.a(depth - 1)})",
            lambda: f"0.1 * {self.i(depth - 1)}",
            # Without [()] it is an array without axes, which += changes in place.
            lambda: f"np.where({self.condition(depth - 1)}, {self.s(depth - 1)}, {self.s(0)})[()]",
            lambda: f"sum([{self.s(depth - 1)}, {self.s(0)}])",
            lambda: f"np.tanh(sum(q * {self.s(0)} for q in {self.vector()}))",
        ]
        if self.helpers:
            makers += [lambda: f"{random.choice(self.helpers)}({self.s(depth - 1)}, {self.s(0)})"] * 2
        if self.names("l"):
            makers.append(lambda: f"{self.name('l')}[{random.randrange(3)}]")
        if self.names("p"):
            makers.append(lambda: f"{self.name('p')}[{random.randrange(2)}][{self.place(N)}]")
        if self.names("m"):
            makers += [lambda: f"{self.name('m')}[{self.place(ROWS)}, {self.place(N)}]",
                       lambda: f"np.sin(np.sum({self.name('m')}[{self.place(ROWS)}]))"]  # fmt: skip
        if self.names("v"):
            makers.append(lambda: f"np.tanh(np.sum({self.name('v')}))")
        return random.choice(makers)()

    # Arrays

    def vector(self) -> str:
        """A variable that holds a vector, or a row."""
        matrix = self.name("m")
        if matrix is not None and self.chance(0.2):
            return f"{matrix}[{self.place(ROWS)}]"
        return self.name("a") or "x"

    def a(self, depth: int = 2) -> str:
        random = self.random
        if depth <= 0 or self.chance(0.2):
            return self.vector()
        makers = [
            lambda: f"np.{random.choice(('sin', 'cos', 'tanh'))}({self.a(depth - 1)})",
            lambda: f"({random.choice(('0.5', '0.3', '-0.7'))} * {self.a(depth - 1)} + {self.s(0)})",
            lambda: f"np.tanh({self.a(depth - 1)} * {self.a(0)})",
            lambda: f"({self.a(depth - 1)} - {self.a(0)})",
            lambda: f"np.sin({self.s(depth - 1)} * {self.a(0)})",
            lambda: f"np.where({noted(f'{self.a(0)} > {self.s(0)}')}, {self.a(depth - 1)}, {self.s(0)})",
            lambda: f"np.where({self.condition(0)}, {self.a(depth - 1)}, {self.a(0)})",
            lambda: f"{self.vector()}[::-1]",
            lambda: f"np.maximum({self.a(depth - 1)}, {self.s(0)})",
            lambda: f"({self.a(0)} if {self.condition(0)} else {self.a(0)})",
            lambda: f"np.array([{self.s(1)}, {self.s(0)}, {self.s(0)}, {self.s(0)}])",
            lambda: f"np.array([np.sin(q * {self.s(0)}) for q in {self.vector()}])",
            lambda: f"{self.vector()}.copy()",
            lambda: f"np.roll({self.a(0)}, {random.randrange(1, 3)})",
            lambda: f"np.tanh(np.cumsum({self.a(0)}))",
        ]
        if self.names("m"):
            makers += [lambda: f"np.tanh({self.name('m')}.sum(axis=0))",
                       lambda: f"np.sin({self.name('m')}.T @ {self.name('m')}[:, {self.place(N)}])"]  # fmt: skip
        if self.names("p"):
            makers.append(lambda: f"{self.name('p')}[{random.randrange(2)}]")
        if self.vector_helpers:
            makers += [lambda: f"{random.choice(self.vector_helpers)}({self.a(0)}, {self.s(0)})"] * 2
        return random.choice(makers)()

    def m(self) -> str:
        matrix = self.name("m") or f"np.tanh(np.outer(np.array([0.2, 0.7, -0.4]), {self.a(0)}))"
        return self.random.choice((
            f"np.sin({matrix} + {self.s(0)})", f"np.tanh({matrix} * {self.a(0)})", f"0.5 * {matrix}",
            f"np.where({noted(f'{matrix} > {self.s(0)}')}, {matrix}, {self.s(1)})", f"{matrix}[::-1]",
            f"np.stack([{self.a(0)}, {self.a(1)}, {self.a(0)}])", f"({matrix}).copy()",
        ))  # fmt: skip

    # Integers

    def i(self, depth: int = 1) -> str:
        random = self.random
        name = self.name("ij")
        if depth <= 0 or self.chance(0.3):
            return name if name is not None and self.chance(0.85) else str(random.randrange(0, 4))
        return random.choice((
            lambda: f"({self.i(depth - 1)} + {random.randrange(1, 4)})",
            lambda: f"({self.i(depth - 1)} - {self.i(0)})",
            lambda: f"({self.i(depth - 1)} * 2)",
            lambda: f"({self.i(depth - 1)} // 2)",
            lambda: f"({self.i(depth - 1)} % 3)",
            lambda: f"max({self.i(depth - 1)}, {random.randrange(3)})",
            lambda: f"int(3 * {self.s(0)})",
            lambda: f"len({self.name('a') or 'x'})",
            lambda: f"np.argmax({self.a(0)})",
            lambda: f"np.sum({noted(f'{self.a(0)} > {self.s(0)}')})",
            lambda: f"({self.i(0)} if {self.condition(depth - 1)} else {self.i(0)})",
            lambda: f"abs({self.i(depth - 1)})",
        ))()  # fmt: skip

    def small(self) -> str:
        """A number of iterations, at most 4."""
        return f"{self.i(1)} % {self.random.randrange(2, 6)}"

    # Conditions

    def condition(self, depth: int = 1) -> str:
        random = self.random
        flag = self.name("b")
        if flag is not None and self.chance(0.15):
            return flag
        makers = [
            lambda: noted(f"{self.s(depth)} {random.choice('<>')} {self.s(0)}"),
            lambda: noted(f"{self.s(depth)} {random.choice(('<', '>', '<=', '>='))} {self.number()}"),
            lambda: noted(f"{self.i(depth)} % 2 == {random.randrange(2)}"),
            lambda: noted(f"{self.i(depth)} {random.choice(('<', '>', '==', '!=', '<='))} {self.i(0)}"),
            lambda: noted(f"{self.number()} < {self.s(depth)} < {self.number()}"),
            lambda: noted(f"0 < {self.i(depth)} <= {random.randrange(1, 4)}"),
            lambda: f"np.any({noted(f'{self.a(0)} > {self.s(0)}')})",
            lambda: f"np.all({noted(f'{self.a(0)} < {self.s(0)}')})",
        ]
        if depth > 0:
            makers += [
                lambda: f"(not {self.condition(depth - 1)})",
                lambda: f"({self.condition(depth - 1)} and {self.condition(depth - 1)})",
                lambda: f"({self.condition(depth - 1)} or {self.condition(depth - 1)})",
            ]
        return random.choice(makers)()

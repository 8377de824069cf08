"""Random functions of nothing but arrays under several names: bound, swapped, written, in branches and loops."""
from __future__ import annotations

import linecache
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

NAMES = ("a", "b", "p", "q", "r")


class Aliases:
    """Draws the lines of one function."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.lines: list[str] = []
        self.loops = 0

    def array(self) -> str:
        draw = self.random.random()
        name = self.random.choice(NAMES)
        if draw < 0.12:
            return f"{name} * 1.5"
        if draw < 0.2:
            return f"{name}.copy()"
        if draw < 0.28:
            return f"{name}[::-1]"
        return f"({name} if c > {self.random.randrange(-1, 4)} else {self.random.choice(NAMES)})" if draw < 0.4 else name

    def condition(self) -> str:
        return self.random.choice((f"c > {self.random.randrange(-1, 5)}", "c % 2 < 1", f"{self.random.choice(NAMES)}[1] > 4"))

    def block(self, margin: str, count: int, depth: int) -> None:
        for _ in range(count):
            self.statement(margin, depth)

    def statement(self, margin: str, depth: int) -> None:
        random = self.random
        one, two, three = random.sample(NAMES, 3)
        draw = random.random()
        if depth < 3 and draw < 0.2:
            self.lines.append(f"{margin}if {self.condition()}:")
            self.block(margin + "    ", random.randrange(1, 3), depth + 1)
            if random.random() < 0.4:
                self.lines.append(f"{margin}else:")
                self.block(margin + "    ", random.randrange(1, 3), depth + 1)
        elif depth < 2 and draw < 0.35:
            self.loops += 1
            counter = f"k{self.loops}"
            limit = random.choice(("2", "3", "c % 4", "c - 1"))
            self.lines += [f"{margin}{counter} = 0", f"{margin}while {counter} < {limit}:", f"{margin}    {counter} += 1"]
            self.block(margin + "    ", random.randrange(1, 4), depth + 1)
        elif draw < 0.6:
            self.lines.append(f"{margin}{one} = {self.array()}")
        elif draw < 0.72:
            self.lines.append(random.choice((f"{margin}{one}, {two} = {two}, {one}",
                                             f"{margin}{one}, {two}, {three} = {two}, {three}, {one}",
                                             f"{margin}{one}, {two} = {two}, {self.array()}")))  # fmt: skip
        elif draw < 0.94:
            value = random.choice(("2.5", "c", f"{two}[2]"))
            place = random.randrange(4)
            self.lines.append(random.choice((f"{margin}{one}[{place}] = {value}", f"{margin}{one} += {value}",
                                             f"{margin}{one}[1:] *= 0.5",
                                             f"{margin}np.add({two}, 1.0, out={one})")))  # fmt: skip
        else:
            self.lines.append(f"{margin}total = 0.5 * total + np.sum({one} * w)")


def random_aliases(seed: int) -> tuple[str, Callable[..., Any]]:
    """The source of a seed's function of an array and an integer, and the function."""
    random = Random(seed)
    made = Aliases(random)
    made.lines = ["def f(x, c):", "    w = np.array([1.0, -2.0, 0.5, 3.0])", "    total = 0.0"]
    made.lines += [f"    {name} = x * {place + 1}.0" for place, name in enumerate(NAMES)]
    made.block("    ", random.randrange(3, 9), 0)
    shown = random.sample(NAMES, random.randrange(1, 4))
    sums = [f"{place + 2} * np.sum({name} * w)" for place, name in enumerate(shown)]
    made.lines.append(f"    return {' + '.join(['total', *sums])}")
    source = "\n".join(made.lines) + "\n"
    name = f"<aliases {seed}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    names: dict[str, Any] = {"np": np, "__name__": "random_aliases_program"}
    exec(compile(source, name, "exec"), names)
    return source, names["f"]

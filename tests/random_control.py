"""Random Python functions with loops, branches, exits, assignment, aliases and closures, as source text, one a seed.

Values stay bounded; whether a program is smooth where it is differentiated shows when it runs: its decisions are noted.
"""
from __future__ import annotations

import linecache
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
from random_control_expressions import CLOSE, OPEN, ROWS, Expressions, N, noted
from random_control_running import Notes


@dataclass(frozen=True)
class Program:
    """Marked source of `f` (and of `smooth`, which is `f` of its floats alone), arguments, and how many are floats."""

    seed: int
    marked: str
    arguments: tuple[Any, ...]
    floats: int

    @property
    def source(self) -> str:
        return self.marked.replace(OPEN, "").replace(CLOSE, "")

    def fresh(self) -> list[Any]:
        """Arguments that may be written to."""
        return [np.copy(each) if isinstance(each, np.ndarray) else each for each in self.arguments]

    def load(self) -> SimpleNamespace:
        """The functions of the source, which tracebacks and the tracer can read."""
        return SimpleNamespace(**_executed(self.source, f"<program {self.seed}>", {"np": np}))

    def noting(self) -> tuple[Callable[..., Any], Notes]:
        """`f` with every decision noted; it takes complex numbers, too."""
        notes = Notes()
        text = self.marked.replace(OPEN, "_noted(").replace(CLOSE, ")")
        return _executed(text, f"<noted {self.seed}>", notes.names())["f"], notes


def _executed(source: str, name: str, names: dict[str, Any]) -> dict[str, Any]:
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    names["__name__"] = "random_control_program"
    exec(compile(source, name, "exec"), names)
    return names


@dataclass(frozen=True)
class Place:
    """Where statements stand: how deep, in a loop or not, what `return` gives, and whether Python alone gets there."""

    depth: int
    loops: int = 0
    gives: str = "s"
    plain: bool = True


class Statements(Expressions):
    """Draws statements; `lines` are those written so far."""

    def __init__(self, random: Random, size: int) -> None:
        super().__init__(random)
        self.lines: list[str] = []
        self.margin = 1
        self.left = size
        self.count = 0

    def put(self, *lines: str) -> None:
        self.lines += ["    " * self.margin + line for line in lines]

    def fresh(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def bind(self, kind: str) -> str:
        """A variable to assign to: a new one, or one that there is."""
        known = [name for name in self.names(kind) if not name.startswith("t_")]
        if known and self.chance(0.65):
            return self.random.choice(known)
        return self.fresh(kind)

    def body(self, place: Place, count: int) -> None:
        """A block; what it binds first is nobody else's."""
        before = dict(self.known)
        self.margin += 1
        start = len(self.lines)
        self.block(place, count)
        if len(self.lines) == start:
            self.put("pass")
        self.margin -= 1
        self.known = before

    def block(self, place: Place, count: int) -> None:
        for _ in range(count):
            if self.left <= 0:
                break
            self.left -= 1
            self.statement(place)
        if place.depth > 0 and self.chance(0.1):
            self.exit(place)

    def exit(self, place: Place) -> None:
        exits = ["return"]
        if place.loops:
            exits += ["break", "continue"] * 2
        drawn = self.random.choice(exits)
        self.put(f"return {self.result(place.gives)}" if drawn == "return" else drawn)

    def result(self, gives: str) -> str:
        return self.s(1) if gives == "s" else self.a(1)

    def statement(self, place: Place) -> None:
        flat: list[Callable[[Place], None]] = [
            self.scalar, self.scalar, self.scalar_update, self.array, self.array, self.array_update, self.item, self.item,
            self.item_update, self.slice_update, self.mask, self.view, self.view, self.alias, self.swap, self.integer,
            self.flag, self.lists, self.list_item, self.matrix, self.matrix_item, self.out, self.add_at, self.closure,
            self.unpack,
        ]  # fmt: skip
        nested: list[Callable[[Place], None]] = [self.for_range, self.for_range, self.for_items, self.while_loop, self.branch,
                                                 self.branch, self.branch]  # fmt: skip
        if place.depth < 3:
            flat = flat + nested * (3 if place.depth == 0 else 2)
        if (place.loops and self.chance(0.12)) or (place.depth == 0 and self.chance(0.06)):
            self.guarded_exit(place)
        else:
            self.random.choice(flat)(place)

    # Assignments

    def scalar(self, place: Place) -> None:
        value = self.s()
        name = self.bind("s")
        self.put(f"{name} = {value}")
        self.known[name] = "s"

    def scalar_update(self, place: Place) -> None:
        name = self.name("s")
        if name is None:
            return self.scalar(place)
        self.put(f"{name} {self.random.choice(('+=', '-=', '*='))} {self.s(1)}")
        return None

    def array(self, place: Place) -> None:
        value = self.a()
        if self.chance(0.2):
            value = self.random.choice((f"np.zeros({N})", f"np.full({N}, {self.s(0)})", "np.zeros_like(x)", "x.copy()",
                                        f"np.linspace(0.1, 0.9, {N})", f"np.ones({N}) * {self.s(0)}"))  # fmt: skip
        name = self.bind("a")
        self.put(f"{name} = {value}")
        self.known[name] = "a"

    def array_update(self, place: Place) -> None:
        name = self.name("a") or "x"
        self.put(f"{name} {self.random.choice(('+=', '-=', '*='))} {self.random.choice((self.s(1), self.a(1)))}")

    def item(self, place: Place) -> None:
        self.put(f"{self.name('a') or 'x'}[{self.place(N)}] = {self.s()}")

    def item_update(self, place: Place) -> None:
        self.put(f"{self.name('a') or 'x'}[{self.place(N)}] {self.random.choice(('+=', '-=', '*='))} {self.s()}")

    def slice_update(self, place: Place) -> None:
        name = self.name("a") or "x"
        self.put(self.random.choice((
            f"{name}[{self.part()}] {self.random.choice(('+=', '*=', '='))} {self.s(1)}",
            f"{name}[1:] += {self.name('a') or 'x'}[:-1]", f"{name}[1:] = {name}[:-1]", f"{name}[:] = {self.a(1)}",
            f"{name}[::-1] *= {self.a(0)}", f"{name}[::2] = {self.a(0)}[1::2]",
            f"{name}[1:], {name}[0] = {name}[:-1] * 0.9, {self.s(1)}",
        )))  # fmt: skip

    def mask(self, place: Place) -> None:
        name = self.name("am") or "x"
        left = name if self.known.get(name) == "m" or self.chance(0.6) else self.name("a") or "x"
        self.put(f"{name}[{noted(f'{left} > {self.s(0)}')}] {self.random.choice(('=', '+=', '*='))} {self.s(1)}")

    def view(self, place: Place) -> None:
        matrix = self.name("m")
        if matrix is not None and self.chance(0.6):
            row = f"{matrix}[{self.place(ROWS)}]"
            if self.chance(0.6):
                name = self.bind("a")
                self.put(f"{name} = {row}")
                self.known[name] = "a"
            else:
                name = self.fresh("v")
                part = self.random.choice((f"{matrix}[:, {self.place(N)}]", f"{matrix}[1:]", f"{matrix}.T"))
                self.put(f"{name} = {part}")
                self.known[name] = "v"
        elif self.chance(0.5):
            name = self.fresh("v")
            self.put(f"{name} = {self.name('a') or 'x'}[{self.part()}]")
            self.known[name] = "v"
        else:
            name = self.fresh("a")
            self.put(f"{name} = {self.name('a') or 'x'}[{self.random.choice(('::-1', ':', '...'))}]")
            self.known[name] = "a"
        if self.chance(0.6):
            self.put(self.random.choice((f"{name} += {self.s(1)}", f"{name} *= {self.s(0)}", f"{name}[0] = {self.s(1)}",
                                         f"{name}[-1] += {self.s(1)}")))  # fmt: skip

    def alias(self, place: Place) -> None:
        old = self.name("a") or "x"
        name = self.bind("a") if self.chance(0.3) else self.fresh("a")
        self.put(f"{name} = {old}")
        self.known[name] = "a"
        self.put(f"{self.random.choice((name, old))}{self.random.choice(('', f'[{self.place(N)}]'))} += {self.s(1)}")

    def swap(self, place: Place) -> None:
        kind = self.random.choice("ssa")
        names = self.names(kind)
        if len(names) < 2:
            return self.scalar(place)
        one, two = self.random.sample(names, 2)
        text = f"0.5 * {one} - {two}" if self.chance(0.6) else one
        self.put(f"{one}, {two} = {two}, {text}")
        return None

    def unpack(self, place: Place) -> None:
        names = [self.fresh("s") for _ in range(3)]
        target = self.random.choice((", ".join(names), f"{names[0]}, ({names[1]}, {names[2]})"))
        values = [self.s(1), self.s(0), self.s(0)]
        self.put(f"{target} = {values[0]}, ({values[1]}, {values[2]})" if "(" in target else f"{target} = {', '.join(values)}")
        self.known |= dict.fromkeys(names, "s")

    def integer(self, place: Place) -> None:
        value = f"{self.i(2)} % {self.random.randrange(2, 8)}"
        name = self.bind("i")
        self.put(f"{name} = {value}" if name not in self.known or self.chance(0.6) else f"{name} += 1")
        self.known[name] = "i"

    def flag(self, place: Place) -> None:
        value = self.condition(1)
        name = self.bind("b")
        self.put(f"{name} = {value}")
        self.known[name] = "b"

    def lists(self, place: Place) -> None:
        draw = self.random.random()
        if draw < 0.3:
            name = self.fresh("p")
            self.put(f"{name} = [{self.a(1)}, {self.a(0)}]")
            self.known[name] = "p"
            return
        name = self.fresh("l")
        if draw < 0.6 or not place.plain:
            self.put(f"{name} = [{self.s(1)}, {self.s(0)}, {self.s(1)}]")
        elif draw < 0.8:
            self.put(f"{name} = [{self.s(1)} * q for q in range(3)]")
        else:
            counter = self.fresh("k")
            self.put(f"{name} = []", f"for {counter} in range(3):")
            self.known[counter] = "j"
            self.put(f"    {name}.append({self.s(2)})")
            del self.known[counter]
        self.known[name] = "l"

    def list_item(self, place: Place) -> None:
        name = self.name("lp")
        if name is None or not place.plain:
            return self.item(place)
        if self.known[name] == "l":
            self.put(f"{name}[{self.random.randrange(3)}] {self.random.choice(('=', '+='))} {self.s(1)}")
        else:
            self.put(f"{name}[{self.random.randrange(2)}]{self.random.choice(('', f'[{self.place(N)}]'))} += {self.s(1)}")
        return None

    def matrix(self, place: Place) -> None:
        value = self.m()
        name = self.bind("m")
        self.put(f"{name} = {value}")
        self.known[name] = "m"

    def matrix_item(self, place: Place) -> None:
        name = self.name("m")
        if name is None:
            return self.matrix(place)
        target = self.random.choice((f"[{self.place(ROWS)}, {self.place(N)}]", f"[{self.place(ROWS)}]",
                                     f"[:, {self.place(N)}]", f"[1:, {self.place(N)}]",
                                     f"[{self.place(ROWS)}][{self.place(N)}]", "[1:, ::2]"))  # fmt: skip
        self.put(f"{name}{target} {self.random.choice(('=', '+=', '*='))} {self.s(1)}")
        return None

    def out(self, place: Place) -> None:
        name = self.name("a") or "x"
        self.put(self.random.choice((f"np.sin({self.a(0)}, out={name})", f"np.multiply({self.a(0)}, {self.s(0)}, out={name})",
                                     f"np.add({self.a(0)}, {self.a(0)}, out={name})")))  # fmt: skip

    def add_at(self, place: Place) -> None:
        name = self.name("a") or "x"
        places = self.random.choice(("[0, 2, 0]", "[1, 1]", f"[{self.place(N)}, {self.place(N)}]"))
        self.put(f"np.add.at({name}, {places}, {self.s(1)})")

    # Functions inside

    def closure(self, place: Place) -> None:
        """A function, or a lambda, that reads or binds variables around it, and a call of it."""
        name = self.fresh("f")
        own = [each for each in self.names("s") if each != "w"]
        variable = self.random.choice(own) if own else None
        draw = self.random.random()
        before = dict(self.known)
        if draw < 0.35 or variable is None:
            self.known["w"] = "s"
            self.put(f"{name} = lambda w: {self.s(2)}")
            self.known = before
        else:
            self.put(f"def {name}(w):")
            binds = draw < 0.6
            if binds:
                self.put(f"    nonlocal {variable}")
            self.known["w"] = "s"
            if binds:
                self.put(f"    {variable} = 0.5 * {variable} + {self.s(1)}")
            else:
                # What a function assigns to is its own, so that it cannot read what is around it by that name.
                self.margin += 1
                self.local(place)
                self.margin -= 1
            self.put(f"    return {self.s(1)}")
            self.known = before
        target = self.bind("s")
        self.put(f"{target} = {name}({self.s(1)})")
        if self.chance(0.4):
            self.put(f"{target} += {name}({target})")
        self.known[target] = "s"

    def local(self, place: Place) -> None:
        """Statements of a function inside: a loop or branch over its own variables, with exits."""
        own = self.fresh("s")
        self.put(f"{own} = {self.s(1)}")
        self.known[own] = "s"
        if self.chance(0.5):
            counter = self.fresh("k")
            self.put(f"for {counter} in range({self.random.choice(('3', self.small()))}):")
            self.known[counter] = "j" if self.lines[-1].endswith("(3):") else "i"
            self.put(f"    {own} = {self.s(2)}")
            if self.chance(0.5):
                self.put(f"    if {self.condition(1)}:",
                         f"        {self.random.choice(('break', 'continue', f'return {own}'))}",
                         f"    {own} += {self.s(1)}")  # fmt: skip
            del self.known[counter]
        else:
            self.put(f"if {self.condition(1)}:", f"    return {self.s(1)}", f"{own} *= {self.s(1)}")

    # Loops and branches

    def inner(self, place: Place, loop: bool = False, plain: bool = False) -> Place:
        return replace(place, depth=place.depth + 1, loops=place.loops + loop, plain=place.plain and plain)

    def for_range(self, place: Place) -> None:
        random = self.random
        counter = self.fresh("k")
        kind = "j"
        if self.chance(0.6):
            text = random.choice(("3", "0, 3", "2, -1, -1", "1, 3", "0", "2, 0", f"0, {N - 1}", "0, 3, 2"))
        else:
            kind = "i"
            text = random.choice((self.small(), f"1, {self.small()} + 1", f"{self.small()}, -1, -1", f"{self.place(2)}, 4",
                                  "7, 0, -2", "n", f"len({self.name('a') or 'x'})", f"0, {self.small()}, 2"))  # fmt: skip
        self.put(f"for {counter} in range({text}):")
        before = dict(self.known)
        self.known[counter] = kind
        self.body(self.inner(place, True), random.randrange(1, 5))
        self.known = before
        if text in ("3", "1, 3", "2, -1, -1", "7, 0, -2") and self.chance(0.4):
            self.known[counter] = kind
        self.orelse(place)

    def for_items(self, place: Place) -> None:
        random = self.random
        before = dict(self.known)
        array = self.name("a") or "x"
        matrix = self.name("m")
        one, two, counter = self.fresh("s"), self.fresh("s"), self.fresh("k")
        choices: list[tuple[str, dict[str, str]]] = [
            (f"{one} in {array}", {one: "s"}), (f"{counter}, {one} in enumerate({array})", {counter: "i", one: "s"}),
            (f"{one}, {two} in zip({array}, {self.a(1)})", {one: "s", two: "s"}),
            (f"{one} in {array}[{self.part()}]", {one: "s"}), (f"{one} in ({self.s(1)}, {self.s(0)}, 0.3)", {one: "s"}),
            (f"{counter} in reversed(range(3))", {counter: "j"}), (f"{counter} in (2, 0, 1)", {counter: "j"}),
            (f"{counter}, {one} in zip(range({self.small()}), {array})", {counter: "i", one: "s"}),
            (f"{one} in reversed({array})", {one: "s"}),
        ]  # fmt: skip
        if matrix is not None:
            row = self.fresh("a")
            choices += [(f"{row} in {matrix}", {row: "a"})] * 3
            choices += [(f"{counter}, {row} in enumerate({matrix})", {counter: "j", row: "a"}),
                        (f"{counter}, ({row}, {one}) in enumerate(zip({matrix}, {array}))", {counter: "j", row: "a", one: "s"}),
                        (f"{row} in {matrix}[::-1]", {row: "a"})]  # fmt: skip
        if listed := self.name("l"):
            choices.append((f"{one} in {listed}", {one: "s"}))
        head, names = random.choice(choices)
        self.put(f"for {head}:")
        self.known |= names
        self.body(self.inner(place, True), random.randrange(1, 5))
        self.known = before
        self.orelse(place)

    def orelse(self, place: Place) -> None:
        if self.chance(0.12):
            self.put("else:")
            self.body(self.inner(place), self.random.randrange(1, 3))

    def while_loop(self, place: Place) -> None:
        counter = self.fresh("t_")
        limit = self.random.randrange(2, 6)
        draw = self.random.random()
        self.put(f"{counter} = 0")
        if draw < 0.6:
            self.put(f"while {self.condition(1)} and {counter} < {limit}:", f"    {counter} += 1")
        elif draw < 0.75:
            self.put(f"while {counter} < {limit}:", f"    {counter} += 1")
        else:
            self.put("while True:", f"    {counter} += 1", f"    if {counter} > {limit} or {self.condition(1)}:",
                     "        break")  # fmt: skip
        before = dict(self.known)
        self.known[counter] = "i"
        self.body(self.inner(place, True), self.random.randrange(1, 5))
        self.known = before
        if self.chance(0.5):
            self.known[counter] = "i"
        if draw < 0.75:
            self.orelse(place)

    def branch(self, place: Place) -> None:
        plain = self.chance(0.1)
        self.put(f"if {'len(x) > 2' if plain else self.condition(2)}:")
        inner = self.inner(place, plain=plain)
        # A name that both sides bind has a value afterwards.
        both = self.fresh("s") if self.chance(0.25) else ""
        self.side(inner, both)
        if self.chance(0.25):
            self.put(f"elif {self.condition(1)}:")
            self.side(inner, both)
        if both or self.chance(0.5):
            self.put("else:")
            self.side(inner, both)
        if both:
            self.known[both] = "s"

    def side(self, place: Place, both: str) -> None:
        if both:
            self.put(f"    {both} = {self.s(1)}")
        self.body(place, self.random.randrange(1, 4))

    def guarded_exit(self, place: Place) -> None:
        self.put(f"if {self.condition(1)}:")
        before = dict(self.known)
        self.margin += 1
        if self.chance(0.4):
            self.scalar_update(place)
        self.exit(place)
        self.margin -= 1
        self.known = before


def random_control(seed: int) -> Program:
    """The program of a seed."""
    random = Random(seed)
    size = random.randrange(3, 18)
    made = Statements(random, size)
    sources: list[str] = []
    for _ in range(random.randrange(0, 3)):
        sources += helper(random, made)
    made.lines = []
    parameters = ["x"]
    arguments: list[Any] = [np.array([round(random.uniform(-1, 1), 3) for _ in range(N)])]
    made.known = {"x": "a"}
    match random.randrange(4):
        case 0:
            parameters.append("y")
            made.known["y"] = "m"
            arguments.append(np.array([[round(random.uniform(-1, 1), 3) for _ in range(N)] for _ in range(ROWS)]))
        case 1:
            parameters.append("y")
            made.known["y"] = "a"
            arguments.append(np.array([round(random.uniform(-1, 1), 3) for _ in range(N)]))
    if random.random() < 0.6:
        parameters.append("c")
        made.known["c"] = "s"
        arguments.append(round(random.uniform(-1, 1), 3))
    floats = len(arguments)
    parameters.append("n")
    made.known["n"] = "i"
    number = random.randrange(0, 5)
    arguments.append(number)
    # Compiled functions leave their arguments as they are.
    made.put("x = x.copy()")
    if "y" in made.known:
        made.put("y = y * 1.0")
    made.block(Place(0), size)
    made.put(f"return {summary(made)}")
    head = ", ".join(parameters)
    inner = ", ".join(parameters[:floats])
    body = [f"def f({head}):", *made.lines, "", f"def smooth({inner}):", f"    return f({inner}, {number})"]
    return Program(seed, "\n".join([*sources, *body, ""]), tuple(arguments), floats)


def helper(random: Random, made: Statements) -> list[str]:
    """A function of the module: of two scalars, or of a vector and a scalar; or one that calls itself."""
    inner = Statements(random, random.randrange(1, 6))
    draw = random.random()
    name = f"h{len(made.helpers) + len(made.vector_helpers)}"
    if draw < 0.3:
        inner.known = {"u": "s", "w": "s", "np.array([w, u, 0.3, w])": "a"}
        made.helpers.append(name)
        test = random.choice(("d == 0", f"d == 0 or {inner.condition(1)}"))
        value = inner.s(1)
        return [f"def {name}(u, w, d=3):", f"    if {test}:", f"        return {value}",
                f"    return np.sin({name}({inner.s(1)}, w, d - 1)) + {inner.s(1)}", ""]  # fmt: skip
    if draw < 0.65:
        inner.known = {"u": "s", "w": "s", "x": "a"}
        head, gives = f"def {name}(u, w):", "s"
        inner.put(f"x = np.array([u, w, {inner.number()}, u])")
        made.helpers.append(name)
    else:
        inner.known = {"x": "a", "w": "s"}
        head, gives = f"def {name}(x, w):", "a"
        if random.random() < 0.7:
            inner.put("x = x.copy()")
        made.vector_helpers.append(name)
    inner.put("n = 3")
    inner.known["n"] = "i"
    inner.block(Place(1, gives=gives), inner.left)
    inner.put(f"return {inner.result(gives)}")
    return [head, *inner.lines, ""]


def summary(made: Statements) -> str:
    """A number that depends on all that there is."""
    parts = [f"{0.3 + 0.1 * place:.1f} * {text}" for place, text in enumerate(_scalars(made.known))]
    return " + ".join(parts)


def _scalars(known: dict[str, str]) -> list[str]:
    weights = "np.array([0.7, -0.4, 1.1, 0.2])"
    shown = {"s": "{0}", "a": "({0} @ " + weights + ")", "m": "np.sum({0} * " + weights + ")", "i": "{0}", "j": "{0}",
             "b": "(1.0 if {0} else 0.5)", "l": "(1.5 * {0}[0] - {0}[1] + {0}[2])", "v": "np.sum({0})",
             "p": "np.sum({0}[0] - 0.6 * {0}[1])"}  # fmt: skip
    return [shown[kind].format(name) for name, kind in known.items() if kind in shown]

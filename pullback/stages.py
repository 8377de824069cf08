"""The stages of compiling a function, for people: a trace in, texts, graphs, a page out; nothing is linked or run."""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from pullback.codegen import target
from pullback.codegen.jit import compile_assembly
from pullback.codegen.program import Kernel, Program
from pullback.compiler import CallSpec, emit, optimize
from pullback.dispatch import call_spec
from pullback.drawing import Graph, draw_dot, draw_svg
from pullback.errors import DerivativeError
from pullback.graphs import buffer_names, function_graph, program_graph
from pullback.ir.core import Function, Operation, Value, walk
from pullback.ir.print import operation_text, print_function
from pullback.page import page
from pullback.tracer.trace import Trace

STAGES = ("trace", "adjoint", "optimized", "kernels", "llvm", "asm")
_LABEL = re.compile(r"^_?(body|kernel\d+):")


@dataclass
class Stages:
    """One function's way to machine code, each stage made when asked for; nothing is linked or run.

    `call` says how Python calls it; without, there is no native entry among the code.
    """

    function: Function
    call: CallSpec | None = None

    @cached_property
    def optimized(self) -> Function:
        return optimize(self.function)

    @cached_property
    def program(self) -> Program:
        return emit(self.optimized, self.call, annotated=True)

    @property
    def kernels(self) -> str:
        """Every kernel with the buffers it takes and the operations it fuses."""
        names = buffer_names(self.program, self.optimized)
        around = _around(self.optimized, names)
        lines = [f"arena: {self.program.arena_bytes} bytes"]
        for number, kernel in enumerate(self.program.kernels):
            lines += ["", _kernel_head(number, kernel, names)]
            lines += next((around[operation] for operation in kernel.operations if operation in around), ())
            place: object = None
            for operation in kernel.operations:
                if operation.location.line and operation.location.place != place:
                    place = operation.location.place
                    lines.append(f"  // {operation.location.comment()}")
                lines.append(f"  {operation_text(operation, names)}")
        return "\n".join(lines) + "\n"

    @property
    def asm(self) -> str:
        """The machine's assembly, above each function the kernels that stand in it and the lines they come from."""
        mark = _assembly_comment()
        names = buffer_names(self.program, self.optimized)
        lines = []
        for line in compile_assembly(str(self.program.module)).split("\n"):
            found = _LABEL.match(line)
            for number, kernel in enumerate(self.program.kernels):
                if found is None or kernel.function != found.group(1):
                    continue
                lines.append(f"{mark} {_kernel_head(number, kernel, names)}")
                lines += [f"{mark} {comment}" for comment in _source_comments(kernel.operations)]
            lines.append(line)
        return "\n".join(lines)


def _kernel_head(number: int, kernel: Kernel, names: Mapping[Value, str]) -> str:
    buffers = ", ".join(
        f"{'out ' if buffer in kernel.written else ''}{names[buffer]}: {buffer.type}" for buffer in kernel.buffers
    )
    return f"kernel{number} {kernel.title} ({buffers})"


def _around(function: Function, names: Mapping[Value, str]) -> dict[Operation, tuple[str, ...]]:
    """For operations inside loops and branches: a comment for each of these, the outermost first."""
    found: dict[Operation, tuple[str, ...]] = {}
    for operation in walk(function.body):
        for number, region in enumerate(operation.regions):
            results = ", ".join(names[result] for result in operation.results)
            comment = f"  // in region {number} of {results} = {operation.op.name}"
            found.update(dict.fromkeys(region.operations, (*found.get(operation, ()), comment)))
    return found


def _source_comments(operations: tuple[Operation, ...]) -> list[str]:
    """The user's lines that operations come from, each once, in order of first appearance."""
    return list(dict.fromkeys(each.location.comment() for each in operations if each.location.line))


def _assembly_comment() -> str:
    """What begins a comment in the host's assembly."""
    return "//" if target.host().triple.startswith(("aarch64", "arm64")) else "#"


class Lowered:
    """The stages of one function for one kind of arguments, each a text made when asked for.

    ``ir`` is the function as traced, ``adjoint`` value and gradient before simplification, ``optimized`` after it;
    ``kernels``, ``llvm`` and ``asm`` are the code of value and gradient. A function that has no gradient shows those
    of its value alone, and a first line that says why. ``dot`` and ``svg`` draw the graph of ``optimized``, ``html`` is
    a page of everything.

    Raises (when asked for): DerivativeError for the adjoint of a function without a gradient, and what tracing and
    compiling raise.
    """

    def __init__(
        self, value: Callable[[], Stages], gradient: Callable[[], Stages], *, value_only: bool = False
    ) -> None:
        self._value = value
        self._gradient = gradient
        self._value_only = value_only

    @cached_property
    def value(self) -> Stages:
        """The function alone."""
        return self._value()

    @cached_property
    def gradient(self) -> Stages:
        """Value and gradient. Raises: DerivativeError for a function that has none."""
        return self._gradient()

    @cached_property
    def _main(self) -> tuple[Stages, str]:
        """What the later stages show, and why it is not value and gradient where it is not."""
        if self._value_only:
            return self.value, ""
        try:
            return self.gradient, ""
        except DerivativeError as error:
            return self.value, f"value alone, there is no gradient: {error.message}"

    def _noted(self, text: str, mark: str) -> str:
        note = self._main[1]
        return f"{mark} {note}\n{text}" if note else text

    @property
    def ir(self) -> str:
        return print_function(self.value.function, source_comments=True)

    @property
    def adjoint(self) -> str:
        return print_function(self.gradient.function, source_comments=True)

    @property
    def optimized(self) -> str:
        return self._noted(print_function(self._main[0].optimized, source_comments=True), "//")

    @property
    def kernels(self) -> str:
        return self._noted(self._main[0].kernels, "//")

    @property
    def llvm(self) -> str:
        return self._noted(str(self._main[0].program.module), ";")

    @property
    def asm(self) -> str:
        return self._noted(self._main[0].asm, _assembly_comment())

    @property
    def dot(self) -> str:
        return self.picture("optimized", "dot")

    @property
    def svg(self) -> str:
        return self.picture("optimized", "svg")

    @property
    def html(self) -> str:
        return self.page()

    def text(self, stage: str) -> str:
        """The text of one of `STAGES`."""
        return str(getattr(self, "ir" if stage == "trace" else stage))

    def graph(self, stage: str) -> tuple[Graph, str]:
        """The graph of a stage and its title; those of LLVM and assembly are that of their kernels."""
        match stage:
            case "trace":
                function = self.value.function
            case "adjoint":
                function = self.gradient.function
            case "optimized":
                function = self._main[0].optimized
            case _:
                main = self._main[0]
                return program_graph(main.program, main.optimized), f"{main.optimized.name}: kernels"
        return function_graph(function), f"{function.name}: {stage}"

    def picture(self, stage: str, form: str) -> str:
        """The graph of a stage for Graphviz (`form` "dot") or as SVG ("svg")."""
        graph, title = self.graph(stage)
        return (draw_dot if form == "dot" else draw_svg)(graph.nodes, graph.edges, title)

    def page(self, shown: str = "optimized") -> str:
        """One HTML page: the source beside the stages, `shown` on top, and the graph."""
        texts: dict[str, str] = {}
        for stage in STAGES:
            try:
                texts[stage] = self.text(stage)
            except DerivativeError as error:
                texts[stage] = f"// {error.message}\n"
        name = self.value.function.name
        return page(name, texts, shown, self.picture("optimized", "svg"), _locations(self.value.function))


def _locations(function: Function) -> list[tuple[str, int]]:
    """The user's lines in a function, as file and number."""
    places = {operation.location.place for operation in walk(function.body) if operation.location.line}
    return sorted(places)


def lowered(value: Callable[[], Trace], gradient: Callable[[], Trace]) -> Lowered:
    """The stages of a traced function and of its traced value and gradient."""

    def stages(traced: Trace) -> Stages:
        return Stages(traced.function, call_spec(traced))

    return Lowered(lambda: stages(value()), lambda: stages(gradient()))

"""IR functions and programs in, graphs to be drawn out: a box an operation, or a box a kernel."""
from __future__ import annotations

from collections.abc import Mapping

from pullback.codegen.program import Program
from pullback.drawing import Edge, Graph, Node
from pullback.ir.attributes import attributes_text
from pullback.ir.core import Function, Operation, Region, Value, walk
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.contraction import Gather, Matmul, ScatterAdd
from pullback.ir.ops.control import Control
from pullback.ir.ops.creation import Full, Iota
from pullback.ir.ops.decomposition import Decomposition
from pullback.ir.ops.linear_system import Solve
from pullback.ir.ops.reduction import ArgExtreme, Reduction
from pullback.ir.print import value_names

_WIDEST = 48  # characters of a line in a box


def function_graph(function: Function, *, brief: bool = False) -> Graph:
    """Arguments, operations and results of a function; the regions of a loop or branch hang below its box.

    A `brief` one names ops and types only, and leaves constants out.
    """
    names = value_names(function)
    nodes: list[Node] = []
    edges: list[Edge] = []
    owners: dict[Value, str] = {}

    def take(region: Region, group: str, parent: str, label: str) -> None:
        """The region's arguments as boxes; one that takes none hangs below its first operations only by order."""
        for value in region.arguments:
            key = names[value]
            owners[value] = key
            nodes.append(Node(key, f"{key}\n{value.type}", captured.get(value, group)))
            if parent:
                edges.append(Edge(parent, key, label))

    def give(region: Region, key: str, label: str) -> None:
        for index, value in enumerate(region.yields):
            ending = f"{label} {index}" if len(region.yields) > 1 else label
            nodes.append(Node(f"{key}{index}", f"{ending}\n{value.type}", "result" if not key else "region"))
            if value in owners:
                edges.append(Edge(owners[value], f"{key}{index}"))

    captured = dict.fromkeys(function.captured_arguments, "captured array")
    take(function.body, "argument", "", "")
    count = 0
    stack = [(iter(function.body.operations), function.body, "")]
    while stack:
        operations, region, key = stack.pop()
        for operation in operations:
            if brief and _group(operation) == "constant":
                continue
            own = f"operation{count}"
            count += 1
            nodes.append(Node(own, _brief(operation) if brief else _label(operation, names), _group(operation)))
            for operand in dict.fromkeys(operation.operands):
                if operand in owners:
                    edges.append(Edge(owners[operand], own))
            owners.update(dict.fromkeys(operation.results, own))
            if operation.regions:
                stack.append((operations, region, key))
                for number, inner in reversed(list(enumerate(operation.regions))):
                    take(inner, "region", own, f"region {number}" if len(operation.regions) > 1 else "")
                    stack.append((iter(inner.operations), inner, f"{own}.{number}."))
                break
        else:
            give(region, key, "yield" if key else "result")
    return Graph(nodes, edges)


def _label(operation: Operation, names: Mapping[Value, str]) -> str:
    """Op and operands, then attributes if they are short, then types."""
    operands = ", ".join(names[operand] for operand in operation.operands)
    results = ", ".join(names[result] for result in operation.results)
    lines = [_short(f"{results} = {operation.op.name} {operands}".strip())]
    if attributes := attributes_text(operation.op).strip():
        lines.append(_short(attributes))
    lines.append(_short(", ".join(str(result.type) for result in operation.results)))
    return "\n".join(lines)


def _brief(operation: Operation) -> str:
    return f"{operation.op.name}\n{_short(', '.join(str(result.type) for result in operation.results))}"


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _group(operation: Operation) -> str:
    match operation.op:
        case Full() | Iota():
            return "constant"
        case Elementwise():
            return "elementwise"
        case Reduction() | ArgExtreme():
            return "reduction"
        case Matmul() | Gather() | ScatterAdd() | Solve() | Decomposition():
            return "contraction"
        case Control():
            return "control"
        case _:
            return "shape"


def program_graph(program: Program, function: Function) -> Graph:
    """Kernels, the loops and branches around them, and the values that go from one to another.

    `function` is the one that the program was made of.
    """
    names = buffer_names(program, function)
    nodes: list[Node] = []
    flows: dict[tuple[str, str], dict[str, None]] = {}
    owners: dict[Value, str] = {}
    homes: dict[Operation, str] = {}
    for number, kernel in enumerate(program.kernels):
        homes.update(dict.fromkeys(kernel.operations, f"kernel{number}"))
        owners.update({result: f"kernel{number}" for operation in kernel.operations for result in operation.results})

    def flow(value: Value, target: str) -> None:
        source = owners.get(value)
        if source is not None and source != target:
            flows.setdefault((source, target), {})[names[value]] = None

    captured = set(function.captured_arguments)
    for value in function.body.arguments:
        owners[value] = names[value]
        group = "captured array" if value in captured else "argument"
        nodes.append(Node(names[value], f"{names[value]}\n{value.type}", group))
    control: list[Operation] = []
    for operation in walk(function.body):
        if operation.regions:
            key = f"control{len(control)}"
            control.append(operation)
            nodes.append(Node(key, operation.op.name, "control"))
            owned = [*operation.results, *(value for region in operation.regions for value in region.arguments)]
            owners.update(dict.fromkeys(owned, key))
        elif operation not in homes:
            # A view: its operand's memory seen in another way.
            found = next((owners[operand] for operand in operation.operands if operand in owners), None)
            owners.update({} if found is None else dict.fromkeys(operation.results, found))
    for number, kernel in enumerate(program.kernels):
        key = f"kernel{number}"
        count = f"{len(kernel.operations)} operation" + ("s" if len(kernel.operations) != 1 else "")
        nodes.append(Node(key, f"{key}\n{kernel.title}\n{count}", "kernel"))
        for operation in kernel.operations:
            for operand in operation.operands:
                flow(operand, key)
    for number, operation in enumerate(control):
        for value in operation.operands:
            flow(value, f"control{number}")
        for region in operation.regions:
            for value in region.yields:
                flow(value, f"control{number}")
    for index, value in enumerate(function.body.yields):
        nodes.append(Node(f"result{index}", f"result {index}\n{value.type}", "result"))
        flow(value, f"result{index}")
    # An argument's name stands in its box already.
    edges = [
        Edge(source, target, "" if source in values else _short(", ".join(values)))
        for (source, target), values in flows.items()
    ]
    return Graph(nodes, edges)


def buffer_names(program: Program, function: Function) -> dict[Value, str]:
    """What each value of a program is called: as in the function's text, copies that codegen made as ``%copy0``."""
    names = value_names(function)
    count = 0
    for kernel in program.kernels:
        values = [*kernel.buffers, *(result for operation in kernel.operations for result in operation.results)]
        for value in values:
            if value not in names:
                names[value] = f"%copy{count}"
                count += 1
    return names

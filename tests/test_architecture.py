"""The layers of the design hold: no upward import, no cycle, no file too long to read."""
from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "pullback").rglob("*.py"))
LAYER_0 = {"errors", "dtypes", "location", "config", "drawing"}


def module_name(file: Path) -> str:
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}


def imports_of(name: str) -> set[str]:
    """Modules of this project that a module imports, function-local imports included."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import in line {node.lineno}"
            base = node.module or ""
            wanted = [f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names]
        else:
            continue
        found |= {each for each in wanted if each in MODULES}
    return found - {name}


def outside_imports(name: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def layer(name: str) -> str:
    parts = name.split(".")
    if len(parts) == 1:
        return "front"
    if parts[1] in LAYER_0:
        return "base"
    return parts[1] if parts[1] in ("ir", "runtime", "tracer", "codegen") else "front"


FOR_CODEGEN = ("pullback.runtime.abi", "pullback.runtime.blas", "pullback.runtime.host_call")
ALLOWED = {
    "base": {"base"},
    "ir": {"ir", "base"},
    "runtime": {"runtime", "base"},
    "tracer": {"tracer", "ir", "base"},
    "codegen": {"codegen", "ir", "base"},
    "front": {"front", "tracer", "codegen", "runtime", "ir", "base"},
}


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down(name: str) -> None:
    for wanted in imports_of(name):
        allowed = layer(wanted) in ALLOWED[layer(name)]
        from_codegen = layer(name) == "codegen" and wanted in FOR_CODEGEN
        assert allowed or from_codegen, f"{name} imports {wanted}"
    if layer(name) != "codegen":
        assert "llvmlite" not in outside_imports(name)


def test_no_import_cycle() -> None:
    edges = {name: imports_of(name) for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for wanted in edges[name]:
                visit(wanted, (*path, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


@pytest.mark.parametrize("file", [*FILES, *sorted((ROOT / "tests").rglob("*.py"))], ids=lambda file: file.name)
def test_files_can_be_read(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 600


def test_import_is_light() -> None:
    code = "import sys, pullback; print(sorted({'llvmlite', 'networkx', 'scipy'} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"

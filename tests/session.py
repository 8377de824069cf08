"""A program run as if it were typed at the prompt: what each statement prints, shows, or raises, as one text."""
from __future__ import annotations

import ast
import contextlib
import io
import re
from typing import Any

ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
NUMBER = re.compile(r"-?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf)|nan")


def chain(tensor: Any, depth: int = 6) -> str:
    """The names of the steps that lead to a tensor; every session has this function."""
    def walk(node: Any, depth: int) -> str:
        if node is None:
            return "-"
        behind = [walk(each, depth - 1) for each, _ in node.next_functions] if depth else []
        return type(node).__name__ + ("(" + ",".join(behind) + ")" if behind else "")

    return walk(tensor.grad_fn, depth)


def session(program: str, module: str) -> str:
    """The text of a session with `module` in place of torch: after ``>>>`` each statement's first line, then what it shows."""
    text = re.sub(r"^import torch$", f"import {module} as torch", program, flags=re.M)
    text = re.sub(r"^(import|from) torch\b(?! as)", rf"\1 {module}", text, flags=re.M)
    names: dict[str, Any] = {"__name__": "__main__", "chain": chain}
    shown = []
    for statement in ast.parse(text).body:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            _run(statement, names)
        source = ast.get_source_segment(text, statement) or ""
        shown.append(f">>> {source.splitlines()[0]}\n{printed.getvalue()}")
    shown_text = ADDRESS.sub("0x…", "".join(shown))
    return shown_text.replace(f"import {module}", "import torch").replace(f"from {module}", "from torch")


def _run(statement: ast.stmt, names: dict[str, Any]) -> None:
    try:
        if isinstance(statement, ast.Expr):
            value = eval(compile(ast.Expression(statement.value), "session", "eval"), names)
            if value is not None:
                print(repr(value))
        else:
            exec(compile(ast.Module([statement], []), "session", "exec"), names)
    except Exception as error:
        kind = next(each for each in type(error).__mro__ if each.__module__ == "builtins")
        print(f"{kind.__name__}: {str(error).splitlines()[0]}")

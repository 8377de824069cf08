"""What Python's syntax tree says about names and exits: which names a block binds, which blocks never reach their end."""
from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
MOVED = "_pb_"
"""How names begin that rewriting makes up."""


def bound_names(nodes: Iterable[ast.AST]) -> list[str]:
    """Names that statements or expressions bind in their own scope, in order of appearance."""
    return list(dict.fromkeys(_bound(nodes)))


def _bound(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.FunctionDef() if node.name.startswith(MOVED):
                # A block that was moved into a function binds for the function around it.
                for statement in node.body:
                    if isinstance(statement, ast.Nonlocal):
                        yield from statement.names
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
                yield from _bound(node.decorator_list)
                if not isinstance(node, ast.ClassDef):
                    yield from _bound(_defaults(node.args))
            case ast.Lambda():
                yield from _bound(_defaults(node.args))
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                # Targets are the comprehension's own; a walrus inside binds outside of it.
                yield from (inner.target.id for inner in walk_scope(node) if isinstance(inner, ast.NamedExpr))
            case ast.alias():
                yield (node.asname or node.name).split(".")[0]
            case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar():
                if node.name:
                    yield node.name
                yield from _bound(ast.iter_child_nodes(node))
            case ast.MatchMapping():
                if node.rest:
                    yield node.rest
                yield from _bound(ast.iter_child_nodes(node))
            case _:
                yield from _bound(ast.iter_child_nodes(node))


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(default for default in arguments.kw_defaults if default is not None)]


def walk_scope(node: ast.AST) -> Iterator[ast.AST]:
    """A node and what is inside, without the bodies of functions, lambdas and classes."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            continue
        yield from walk_scope(child)


def own_nodes(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Everything in a function's statements that belongs to the function itself, not to one inside."""
    for statement in body:
        if not isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
            yield from walk_scope(statement)


def declared(body: Sequence[ast.stmt], kind: type[ast.Global] | type[ast.Nonlocal]) -> set[str]:
    """Names that a function declares global, or nonlocal."""
    return {name for node in own_nodes(body) if isinstance(node, kind) for name in node.names}


def bound_by_inner(body: Iterable[ast.AST]) -> set[str]:
    """Names that functions inside of a function declare nonlocal."""
    return {name for statement in body for node in ast.walk(statement) if isinstance(node, FUNCTIONS)
            for inner in ast.walk(node) if isinstance(inner, ast.Nonlocal) for name in inner.names}  # fmt: skip


def parameters(arguments: ast.arguments) -> list[str]:
    """Names of a function's parameters."""
    found = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    found += [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [each.arg for each in found]


def has_yield(body: Sequence[ast.stmt]) -> bool:
    """Whether a function is a generator, or async."""
    suspending = (ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith)
    return any(isinstance(node, suspending) for node in own_nodes(body))


def has_walrus(node: ast.AST) -> bool:
    """Whether an expression binds names, so that it cannot be moved into a function."""
    return any(isinstance(inner, ast.NamedExpr) for inner in walk_scope(node))


def leaves(body: Sequence[ast.stmt]) -> bool:
    """Whether a block never reaches its end: it returns, raises, breaks or continues on every path."""
    return any(_leaves(statement) for statement in body)


def returns_always(body: Sequence[ast.stmt]) -> bool:
    """Whether a block leaves its function on every path, so that nobody reads what it has bound."""
    return leaves(body) and not breaks(body) and not continues(body)


def _leaves(statement: ast.stmt) -> bool:
    match statement:
        case ast.Return() | ast.Raise() | ast.Break() | ast.Continue():
            return True
        case ast.If():
            return leaves(statement.body) and leaves(statement.orelse)
        case ast.While(test=ast.Constant(value=value)):
            return bool(value) and not breaks(statement.body)
        case ast.With():
            # A context manager may swallow an exception.
            return any(isinstance(each, ast.Return) for each in statement.body)
        case ast.Try():
            handled = all(leaves(handler.body) for handler in statement.handlers)
            return leaves(statement.finalbody) or (handled and leaves([*statement.body, *statement.orelse]))
    return False


def breaks(body: Sequence[ast.stmt]) -> bool:
    """Whether a loop's body has a `break` of that loop."""
    return _has(body, ast.Break)


def continues(body: Sequence[ast.stmt]) -> bool:
    """Whether a loop's body has a `continue` of that loop."""
    return _has(body, ast.Continue)


def _has(body: Sequence[ast.stmt], kind: type[ast.stmt]) -> bool:
    for statement in body:
        if isinstance(statement, kind):
            return True
        if isinstance(statement, ast.For | ast.While):
            if _has(statement.orelse, kind):
                return True
        elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and any(
            _has(block, kind) for block in blocks(statement)
        ):
            return True
    return False


def returns(body: Sequence[ast.stmt]) -> bool:
    """Whether a block has a `return` of its function."""
    return any(isinstance(node, ast.Return) for node in own_nodes(body))


def blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks inside of a compound statement."""
    found = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
    found += [handler.body for handler in getattr(statement, "handlers", [])]
    found += [case.body for case in getattr(statement, "cases", [])]
    return [block for block in found if block]


def mangled(name: str, owner: str) -> str:
    """A private name of a class as it is outside of the class' source: ``__x`` is ``_C__x``."""
    if not owner or not name.startswith("__") or name.endswith("__") or "." in name:
        return name
    return f"_{owner.lstrip('_')}{name}" if owner.lstrip("_") else name

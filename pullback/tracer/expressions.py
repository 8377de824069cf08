"""Expressions of a function: calls, items, and what asks for the truth of something, as calls of `control`'s functions."""
from __future__ import annotations

import ast
import copy
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from pullback.tracer import scopes

RUNTIME = "__pullback__"
VALUE = "_pb_value"
RETURN = "_pb_return"
TEMPORARY = "_pb_item"

Node = TypeVar("Node", bound=ast.AST)


class Scope:
    """Names of one user function: its variables, and which are declared global or nonlocal."""

    def __init__(self, arguments: ast.arguments, body: Sequence[ast.stmt]) -> None:
        self.parameters = scopes.parameters(arguments)
        own = {*self.parameters, *scopes.bound_names(body)}
        self.first = self.parameters[0] if self.parameters else ""
        self.globals = scopes.declared(body, ast.Global)
        self.nonlocals = scopes.declared(body, ast.Nonlocal)
        self.shared = sorted(scopes.bound_by_inner(body) & own)
        self.bound: list[str] = []
        self.locals = own - self.globals - self.nonlocals

    def is_local(self, name: str) -> bool:
        return name in self.locals or name.startswith("_pb_")

    def declarations(self, node: ast.AST) -> list[ast.stmt]:
        """Statements that make names the function's own although only functions inside of it bind them."""
        new: list[ast.stmt] = []
        if self.globals:
            new.append(at(ast.Global(sorted(self.globals)), node))
        if self.nonlocals:
            new.append(at(ast.Nonlocal(sorted(self.nonlocals)), node))
        names = [name for name in dict.fromkeys(self.bound) if name not in self.nonlocals and name not in self.parameters]
        if names:
            never = ast.Assign([ast.Name(name, ast.Store()) for name in names], ast.Constant(None))
            new.append(at(ast.If(ast.Constant(False), [never], []), node))
        return new


class Expressions(ast.NodeTransformer):
    """Rewrites the expressions of a function. `owner` is the class whose body the function is in."""

    def __init__(self, owner: str = "") -> None:
        self.owner = owner
        self.count = 0
        self.scopes: list[Scope] = []

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        node.args = self.visit(node.args)
        self.scopes.append(Scope(node.args, []))
        node.body = self.visit(node.body)
        self.scopes.pop()
        return node

    def is_local(self, node: ast.expr) -> bool:
        """Whether an object is reached by a variable of the function: not by one of a module or a function around."""
        while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Starred):
            node = node.func if isinstance(node, ast.Call) else node.value
        return not isinstance(node, ast.Name) or self.scopes[-1].is_local(node.id)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.name(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self.name(node.arg)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.attr = self.name(node.attr)
        node.value = self.visit(node.value)
        return node

    def name(self, name: str) -> str:
        return scopes.mangled(name, self.owner)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        owner = self.visit(node.value)
        if not isinstance(node.ctx, ast.Load):
            return at(ast.Subscript(owner, self.visit(node.slice), node.ctx), node)
        return self.runtime("get_item", node, owner, self.index(node.slice))

    def index(self, node: ast.expr) -> ast.expr:
        """An index as an expression of its own: a slice has no syntax outside of brackets."""
        if isinstance(node, ast.Slice):
            bounds = [constant(None) if each is None else self.visit(each) for each in (node.lower, node.upper, node.step)]
            return self.runtime("slice", node, *bounds)
        if isinstance(node, ast.Tuple):
            return at(ast.Tuple([self.index(each) for each in node.elts], ast.Load()), node)
        return cast(ast.expr, self.visit(node))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        local = self.is_local(node.func)
        function = self.visit(node.func)
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args and self.scopes:
            first = self.scopes[-1].first
            if first:
                node.args = [load("__class__"), load(first)]
                return ast.fix_missing_locations(node)
        may_be_sum = isinstance(node.func, ast.Name) and node.func.id == "sum"
        extra = [] if local else [constant(False)]
        node.func = self.runtime("call", node.func, function, *extra)
        node.args = [self.terms(function, each) if may_be_sum and is_filtered(each) else self.visit(each)
                     for each in node.args]  # fmt: skip
        node.keywords = [self.visit(each) for each in node.keywords]
        return node

    def terms(self, function: ast.expr, node: ast.expr) -> ast.expr:
        """The argument of what may be the builtin sum: a generator whose last condition may be one that is computed."""
        assert isinstance(node, ast.GeneratorExp)
        filtered = self.visit(copy.deepcopy(node))
        *others, last = node.generators
        test = last.ifs[0] if len(last.ifs) == 1 else at(ast.BoolOp(ast.And(), last.ifs), node)
        generators = [self.visit(each) for each in (*others, ast.comprehension(last.target, last.iter, [], 0))]
        item = self.runtime("term", node, self.visit(test), self.lazy(node.elt))
        conditional = at(ast.GeneratorExp(item, generators), node)
        lambdas = [at(ast.Lambda(no_arguments(), each), node) for each in (filtered, conditional)]
        return self.runtime("terms", node, copy.deepcopy(function), *lambdas)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        if scopes.has_walrus(node):
            return self.generic_visit(node)
        name = "and_" if isinstance(node.op, ast.And) else "or_"
        return self.runtime(name, node, *[self.lazy(value) for value in node.values])

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        if isinstance(node.op, ast.Not):
            return self.runtime("not_", node, self.visit(node.operand))
        return self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        if scopes.has_walrus(node):
            return self.generic_visit(node)
        test = self.visit(node.test)
        return self.runtime("choose", node, test, self.lazy(node.body), self.lazy(node.orelse))

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if len(node.ops) == 1 or scopes.has_walrus(node):
            return self.generic_visit(node)
        names = constant(tuple(type(op).__name__ for op in node.ops))
        return self.runtime("compare", node, names, self.visit(node.left), *[self.lazy(c) for c in node.comparators])

    def lazy(self, value: ast.expr) -> ast.expr:
        """An expression as a function of nothing, to be asked for its value if that is needed."""
        return at(ast.Lambda(no_arguments(), self.visit(value)), value)

    def runtime(self, name: str, node: ast.AST, *arguments: ast.expr) -> ast.expr:
        """A call of a function of `control`."""
        function = at(ast.Attribute(load(RUNTIME), name, ast.Load()), node)
        return at(ast.Call(function, list(arguments), []), node)

    def fresh(self, kind: str) -> str:
        self.count += 1
        return f"_pb_{kind}_{self.count}"

    def temporary(self) -> str:
        return self.fresh("temporary")


def is_filtered(node: ast.expr) -> bool:
    """Whether a generator leaves items out by a condition that may stand in a function of its own."""
    if not isinstance(node, ast.GeneratorExp) or not node.generators[-1].ifs or scopes.has_walrus(node):
        return False
    inside = list(ast.walk(node))
    return not any(isinstance(each, ast.Await) or (isinstance(each, ast.comprehension) and each.is_async) for each in inside)


def is_temporary(name: str) -> bool:
    return name.startswith("_pb_temporary_") or name == TEMPORARY or (
        name.startswith("_pb_") and name.split("_")[2] in ("then", "else", "rest", "body", "test")
    )


def load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def store(name: str) -> ast.Name:
    return ast.Name(name, ast.Store())


def constant(value: Any) -> ast.expr:
    return ast.Constant(value)


def no_arguments() -> ast.arguments:
    return ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[], vararg=None, kwarg=None)


def assign_constant(name: str, value: object, node: ast.AST) -> list[ast.stmt]:
    return [at(ast.Assign([store(name)], constant(value)), node)]


def at(new: Node, node: ast.AST) -> Node:
    """A new node with the position of one of the user's."""
    return ast.copy_location(new, node)

"""A function's syntax tree in, one out in which control flow and assignment call `control`, so that they can be traced.

    if x > 0:                      def _pb_then_1():
        y = x                          nonlocal y
    else:                              y = x
        y = -x           ==>       def _pb_else_1():
                                       nonlocal y
                                       y = -x
                                   __pullback__.if_(x > 0, _pb_then_1, _pb_else_1, ("y",), …)

The functions share the variables of the user's function, so that nothing changes where the condition is plain Python.
`break`, `continue` and `return` become flags, and what follows a statement that may set one is guarded by it.
Every new node has the position of the user's own, so that errors and tracebacks show his lines.
"""
from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pullback.tracer import scopes
from pullback.tracer.expressions import (
    RETURN,
    TEMPORARY,
    VALUE,
    Expressions,
    Scope,
    assign_constant,
    at,
    constant,
    is_temporary,
    load,
    no_arguments,
    store,
)


@dataclass(frozen=True)
class Context:
    """Where a statement stands: flags for the exits that it may take, and whether it was moved out of the function.

    `guarded` says that it stands in a `try` with handlers, which compiled code cannot enter.
    """

    breaks: str = ""
    continues: str = ""
    moved: bool = False
    guarded: bool = False


class Rewriter(Expressions):
    """Rewrites one function, functions inside of it included. `owner` is the class whose body the function is in."""

    def __init__(self, owner: str = "") -> None:
        super().__init__(owner)
        self.resets: dict[str, ast.stmt] = {}

    # Functions

    def outermost(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """The function that is asked for."""
        node.args = self.visit(node.args)
        return self.function(node)

    def function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """A function definition with its body rewritten."""
        if scopes.has_yield(node.body):
            return node
        scope = Scope(node.args, node.body)
        self.scopes.append(scope)
        always = scopes.leaves(node.body)
        body = [statement for statement in node.body if not isinstance(statement, ast.Global | ast.Nonlocal)]
        head: list[ast.stmt] = []
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            head.append(body.pop(0))
        flagged = needs_flags(body)
        new, _ = self.block(body, Context(moved=flagged))
        if flagged:
            new = [*assign_constant(RETURN, False, node), *new, self.final_return(node, always)]
            scope.bound += [RETURN, VALUE]
        head += scope.declarations(node)
        if scope.nonlocals:
            names = at(ast.Tuple([load(name) for name in sorted(scope.nonlocals)], ast.Load()), node)
            asked = at(ast.Lambda(no_arguments(), names), node)
            head.append(at(ast.Expr(self.runtime("set_nonlocals", node, asked)), node))
        node.body = [*head, *new] if head or new else [at(ast.Pass(), node)]
        self.scopes.pop()
        return node

    def final_return(self, node: ast.FunctionDef, always: bool) -> ast.stmt:
        """The end of a function whose returns have become flags."""
        last = node.body[-1]
        if always:
            return at(ast.Return(load(VALUE)), last)
        # The value is read only if there is one.
        value = at(ast.Lambda(no_arguments(), load(VALUE)), last)
        return at(ast.Return(self.runtime("returned", last, load(RETURN), value)), last)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = [self.visit(each) for each in node.decorator_list]
        node.args = self.visit(node.args)
        return self.function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    # Blocks

    def block(self, body: Sequence[ast.stmt], context: Context) -> tuple[list[ast.stmt], list[str]]:
        """Rewritten statements, and the flags that they may set. What follows a statement that sets one is guarded."""
        new: list[ast.stmt] = []
        flags: list[str] = []
        for place, statement in enumerate(body):
            rest = list(body[place + 1 :])
            if isinstance(statement, ast.If) and rest:
                statement, rest, moved = with_rest(statement, rest)
                if moved:
                    made, set_here = self.statement(statement, context)
                    return [*new, *made], [*flags, *set_here]
            made, set_here = self.statement(statement, context)
            new += made
            flags += set_here
            if isinstance(statement, ast.Return | ast.Break | ast.Continue | ast.Raise):
                return new, flags
            if set_here and rest:
                inner, more = self.block(rest, replace(context, moved=True))
                new += self.guard(set_here, inner, rest[0])
                return new, [*flags, *more]
        return new, flags

    def moved_block(self, body: Sequence[ast.stmt], context: Context) -> tuple[list[ast.stmt], list[str]]:
        return self.block(body, replace(context, moved=True))

    def guard(self, flags: Sequence[str], body: list[ast.stmt], node: ast.AST) -> list[ast.stmt]:
        """Run statements if no flag is set."""
        if not body:
            return []
        node = getattr(node, "test", getattr(node, "iter", node))
        function, name = self.moved("rest", body, node)
        names = tuple(self.local_names([function]))
        flag_values = at(ast.Tuple([load(flag) for flag in dict.fromkeys(flags)], ast.Load()), node)
        return [function, at(ast.Expr(self.runtime("guard", node, flag_values, load(name), constant(names))), node)]

    def moved(self, kind: str, body: list[ast.stmt], node: ast.AST, parameter: str = "") -> tuple[ast.stmt, str]:
        """A function that runs `body` on the variables of the function around it."""
        self.count += 1
        name = f"_pb_{kind}_{self.count}"
        scope = self.scopes[-1]
        # A flag that is reset here is nobody else's.
        own = {flag for flag, reset in self.resets.items() if any(each is reset for each in body)}
        outer = [each for each in self.local_names(body) if each not in own]
        head: list[ast.stmt] = [ast.Nonlocal(outer)] if outer else []
        if used := [each for each in scopes.bound_names(body) if each in scope.globals]:
            names = constant(tuple(used))
            head += [ast.Global(used), at(ast.Expr(self.runtime("set_globals", node, names)), node)]
        scope.bound += [each for each in outer if each not in scope.bound]
        arguments = no_arguments()
        if parameter:
            arguments.args = [ast.arg(parameter)]
        statements = [*(at(each, node) for each in head), *body] or [ast.Pass()]
        function = ast.FunctionDef(name=name, args=arguments, body=statements, decorator_list=[], returns=None)
        if "type_params" in ast.FunctionDef._fields:
            function.type_params = []  # type: ignore[attr-defined]
        return at(function, node), name

    def local_names(self, body: Sequence[ast.AST]) -> list[str]:
        """Variables of the user's function that statements bind, but for globals and temporaries of one statement."""
        scope = self.scopes[-1]
        bound = dict.fromkeys([*scopes.bound_names(body), *scope.shared])
        return [name for name in bound if name not in scope.globals and not is_temporary(name)]

    # Statements

    def statement(self, statement: ast.stmt, context: Context) -> tuple[list[ast.stmt], list[str]]:
        """One statement rewritten, and the flags that it may set."""
        if isinstance(statement, ast.Global | ast.Nonlocal):
            return [], []
        match statement:
            case ast.If():
                return self.branch(statement, context)
            case ast.While():
                return self.while_loop(statement, context)
            case ast.For():
                return self.for_loop(statement, context)
            case ast.Return():
                return self.return_statement(statement, context)
            case ast.Break():
                return assign_constant(context.breaks, True, statement), [context.breaks]
            case ast.Continue():
                return assign_constant(context.continues, True, statement), [context.continues]
            case ast.With():
                statement.items = [self.visit(item) for item in statement.items]
                statement.body, flags = self.block(statement.body, context)
                return [statement], flags
            case ast.Try():
                return self.try_statement(statement, context)
            case ast.Match():
                statement.subject = self.visit(statement.subject)
                found: list[str] = []
                for case in statement.cases:
                    case.guard = case.guard and self.visit(case.guard)
                    case.body, flags = self.block(case.body, context)
                    found += flags
                return [statement], found
            case ast.Assign() | ast.AnnAssign():
                return self.assignment(statement), []
            case ast.AugAssign():
                return [self.augmented(statement)], []
            case ast.Delete():
                return [new for target in statement.targets for new in self.deletion(target, statement)], []
            case ast.Assert():
                message = statement.msg or constant(None)
                arguments = self.visit(statement.test), self.lazy(message), constant(context.guarded)
                return [at(ast.Expr(self.runtime("assert_", statement.test, *arguments)), statement)], []
            case ast.Raise(exc=ast.expr() as error) if not scopes.has_walrus(error):
                statement.exc = self.runtime("raising", error, self.lazy(error))
                statement.cause = statement.cause and self.visit(statement.cause)
                return [statement], []
            case _:
                return [self.visit(statement)], []

    def branch(self, node: ast.If, context: Context) -> tuple[list[ast.stmt], list[str]]:
        test = self.visit(node.test)
        # What a function has bound of the function around it is read after it has returned.
        most = 1 if self.scopes[-1].nonlocals else 2
        exits = [constant(min(most, scopes.leaves(side) + scopes.returns_always(side)))
                 for side in (node.body, node.orelse)]  # fmt: skip
        then, flags = self.moved_block(node.body, context)
        otherwise, more = self.moved_block(node.orelse, context)
        first, then_name = self.moved("then", then, node.body[0])
        new, second = [first], constant(None)
        if otherwise:
            function, else_name = self.moved("else", otherwise, node.orelse[0])
            new.append(function)
            second = load(else_name)
        names = tuple(self.local_names(new))
        raises = any(isinstance(each, ast.Raise) for each in node.orelse)
        call = self.runtime("if_", node.test, test, load(then_name), second, constant(names), *exits,
                            constant(context.guarded), constant(raises))  # fmt: skip
        return [*new, at(ast.Expr(call), node)], [*flags, *more]

    def loop_flags(self, node: ast.For | ast.While, context: Context) -> tuple[Context, list[ast.stmt], list[str]]:
        """The context of a loop's body, statements that reset its flags, and the flags that end the loop."""
        self.count += 1
        inner = Context(f"_pb_break_{self.count}", f"_pb_continue_{self.count}", True, context.guarded)
        stops = [inner.breaks] if scopes.breaks(node.body) else []
        reset = self.reset(inner.breaks, False, node) if stops else []
        if scopes.returns(node.body):
            stops.append(RETURN)
        return inner, reset, stops

    def reset(self, flag: str, value: bool, node: ast.AST) -> list[ast.stmt]:
        """Give a flag its first value; it belongs to the function in which that is done."""
        new = assign_constant(flag, value, node)
        self.resets[flag] = new[0]
        return new

    def loop_body(self, node: ast.For | ast.While, inner: Context, head: list[ast.stmt]) -> tuple[list[ast.stmt], list[str]]:
        body, flags = self.block(node.body, inner)
        if scopes.continues(node.body):
            body = [*self.reset(inner.continues, False, node), *body]
        return [*head, *body], [flag for flag in dict.fromkeys(flags) if flag == RETURN]

    def after_loop(
        self, node: ast.For | ast.While, stops: list[str], flags: list[str], context: Context
    ) -> tuple[list[ast.stmt], list[str]]:
        """The `else` of a loop, which runs if it was not left."""
        if not node.orelse:
            return [], flags
        body, more = self.moved_block(node.orelse, context) if stops else self.block(node.orelse, context)
        return (self.guard(stops, body, node.orelse[0]) if stops else body), [*flags, *more]

    def while_loop(self, node: ast.While, context: Context) -> tuple[list[ast.stmt], list[str]]:
        if scopes.has_walrus(node.test):
            flag = self.fresh("go")
            new, flags = self.block([without_walrus(node, flag)], context)
            return [*self.reset(flag, True, node), *new], flags
        inner, reset, stops = self.loop_flags(node, context)
        fixed = only_augmented(node.body)
        body, flags = self.loop_body(node, inner, [])
        test = at(ast.Return(self.visit(node.test)), node.test)
        asks, test_name = self.moved("test", [test], node.test)
        does, body_name = self.moved("body", body, node.body[0])
        arguments = self.loop_arguments([does, asks], fixed, stops, context)
        call = self.runtime("while_", node.test, load(test_name), load(body_name), *arguments)
        after, flags = self.after_loop(node, stops, flags, context)
        return [*reset, asks, does, at(ast.Expr(call), node), *after], flags

    def for_loop(self, node: ast.For, context: Context) -> tuple[list[ast.stmt], list[str]]:
        inner, reset, stops = self.loop_flags(node, context)
        target = node.target.id if isinstance(node.target, ast.Name) else ""
        if target in scopes.bound_names(node.body) or target in self.scopes[-1].globals:
            target = ""
        fixed = only_augmented(node.body)
        head = self.assignment(at(ast.Assign([node.target], load(TEMPORARY)), node.target))
        body, flags = self.loop_body(node, inner, head)
        does, name = self.moved("body", body, node.target, TEMPORARY)
        arguments = self.loop_arguments([does], fixed, stops, context)
        call = self.runtime("for_", node.iter, self.visit(node.iter), load(name), *arguments, constant(target))
        after, flags = self.after_loop(node, stops, flags, context)
        return [*reset, does, at(ast.Expr(call), node), *after], flags

    def loop_arguments(
        self, moved: list[ast.stmt], fixed: list[str], stops: list[str], context: Context
    ) -> list[ast.expr]:
        """Names that the loop binds, those that it only changes in place, flags that end the loop, `guarded`."""
        return [constant(tuple(self.local_names(moved))), constant(tuple(fixed)), constant(tuple(stops)),
                constant(context.guarded)]  # fmt: skip

    def return_statement(self, node: ast.Return, context: Context) -> tuple[list[ast.stmt], list[str]]:
        value = constant(None) if node.value is None else self.visit(node.value)
        if not context.moved:
            return [at(ast.Return(value), node)], []
        return [at(ast.Assign([store(VALUE)], value), node), *assign_constant(RETURN, True, node)], [RETURN]

    def try_statement(self, node: ast.Try, context: Context) -> tuple[list[ast.stmt], list[str]]:
        inner = replace(context, guarded=True) if node.handlers else context
        node.body, flags = self.block(node.body, inner)
        found = list(flags)
        for handler in node.handlers:
            handler.type = handler.type and self.visit(handler.type)
            handler.body, more = self.block(handler.body, context)
            found += more
        if node.orelse:
            body, more = self.moved_block(node.orelse, context) if flags else self.block(node.orelse, context)
            node.orelse = self.guard(flags, body, node.orelse[0]) if flags else body
            found += more
        if node.finalbody:
            node.finalbody, more = self.block(node.finalbody, context)
            found += more
        return [node], found

    # Assignment

    def assignment(self, node: ast.Assign | ast.AnnAssign) -> list[ast.stmt]:
        """``target = value``; targets that are items or attributes are set by the runtime."""
        if isinstance(node, ast.AnnAssign):
            if node.value is None:
                return []
            node = at(ast.Assign([node.target], node.value), node)
        value = self.visit(node.value)
        if all(is_plain(target) for target in node.targets):
            node.value = value
            return [node]
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Subscript | ast.Attribute):
            return [self.set_target(node.targets[0], value, node)]
        name = self.temporary()
        new: list[ast.stmt] = [at(ast.Assign([store(name)], value), node)]
        for target in node.targets:
            new += self.unpacked(target, load(name), node)
        return new

    def unpacked(self, target: ast.expr, value: ast.expr, node: ast.AST) -> list[ast.stmt]:
        """Assign to one target, however it nests."""
        if isinstance(target, ast.Subscript | ast.Attribute):
            return [self.set_target(target, value, node)]
        if is_plain(target):
            return [at(ast.Assign([target], value), node)]
        assert isinstance(target, ast.Tuple | ast.List)
        names: list[ast.expr] = []
        later: list[ast.stmt] = []
        for element in target.elts:
            inner = element.value if isinstance(element, ast.Starred) else element
            name = self.temporary()
            names.append(at(ast.Starred(store(name), ast.Store()), element) if inner is not element else store(name))
            later += self.unpacked(inner, load(name), node)
        return [at(ast.Assign([at(ast.Tuple(names, ast.Store()), target)], value), node), *later]

    def set_target(self, target: ast.Subscript | ast.Attribute, value: ast.expr, node: ast.AST) -> ast.stmt:
        owner = self.visit(target.value)
        local = constant(self.is_local(target.value))
        if isinstance(target, ast.Subscript):
            call = self.runtime("set_item", target, value, owner, self.index(target.slice), local)
        else:
            call = self.runtime("set_attribute", target, value, owner, constant(self.name(target.attr)), local)
        return at(ast.Expr(call), node)

    def augmented(self, node: ast.AugAssign) -> ast.stmt:
        operator = constant(type(node.op).__name__)
        target = node.target
        if isinstance(target, ast.Name):
            call = self.runtime("update", node, operator, at(ast.Name(target.id, ast.Load()), target),
                                self.visit(node.value), constant(self.is_local(target)))  # fmt: skip
            return at(ast.Assign([self.visit(target)], call), node)
        local = constant(self.is_local(target.value))
        owner, value = self.visit(target.value), self.lazy(node.value)
        if isinstance(target, ast.Subscript):
            call = self.runtime("update_item", node, operator, owner, self.index(target.slice), value, local)
        else:
            name = constant(self.name(target.attr))
            call = self.runtime("update_attribute", node, operator, owner, name, value, local)
        return at(ast.Expr(call), node)

    def deletion(self, target: ast.expr, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(target, ast.Subscript):
            local = constant(self.is_local(target.value))
            call = self.runtime("delete_item", target, self.visit(target.value), self.index(target.slice), local)
            return [at(ast.Expr(call), node)]
        if isinstance(target, ast.Tuple | ast.List):
            return [new for each in target.elts for new in self.deletion(each, node)]
        return [at(ast.Delete([self.visit(target)]), node)]


def needs_flags(body: Sequence[ast.stmt]) -> bool:
    """Whether a `return` stands where it is moved into another function: in a branch, after one that leaves, in a loop."""
    for place, statement in enumerate(body):
        if isinstance(statement, ast.If | ast.For | ast.While):
            if scopes.returns([statement]) or (moves_rest(statement) and scopes.returns(body[place + 1 :])):
                return True
        elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and any(
            needs_flags(block) for block in scopes.blocks(statement)
        ):
            return True
    return False


def moves_rest(node: ast.stmt) -> bool:
    """Whether one side of a branch leaves, so that only the other one reaches what follows."""
    return isinstance(node, ast.If) and scopes.leaves(node.body) != scopes.leaves(node.orelse)


def with_rest(node: ast.If, rest: list[ast.stmt]) -> tuple[ast.If, list[ast.stmt], bool]:
    """Move what follows a branch into the side that reaches it, if the other side leaves."""
    first, second = scopes.leaves(node.body), scopes.leaves(node.orelse)
    if first and not second:
        return at(ast.If(node.test, node.body, [*node.orelse, *rest]), node), [], True
    if second and not first:
        return at(ast.If(node.test, [*node.body, *rest], node.orelse), node), [], True
    return node, rest, first and second


def without_walrus(node: ast.While, flag: str) -> ast.While:
    """A loop whose condition binds names, with the condition asked in its body."""
    ask = at(ast.Assign([store(flag)], node.test), node.test)
    body = at(ast.If(load(flag), node.body, []), node.test)
    return at(ast.While(load(flag), [ask, body], node.orelse), node)


def only_augmented(body: Sequence[ast.stmt]) -> list[str]:
    """Names that a block binds only by ``name += value``."""
    augmented: list[str] = []
    bound: list[str] = []
    for node in scopes.own_nodes(body):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            augmented.append(node.target.id)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            bound.append(node.id)
    return [name for name in dict.fromkeys(augmented) if bound.count(name) == augmented.count(name)]


def is_plain(target: ast.expr) -> bool:
    """Whether a target binds names only."""
    return not any(isinstance(node, ast.Subscript | ast.Attribute) for node in ast.walk(target))

"""How tensors meet in elementwise operations: PyTorch's promotion, a common shape, and steps recorded by plan.

Numbers are weakest, then tensors without axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import ArgumentError, AutogradError
from pullback.ir.core import Builder, Op, Value
from pullback.location import caller
from pullback.tracer.contents import known
from pullback.tracer.grad_mode import is_grad_enabled
from pullback.tracer.recipe import KeyedRule, kept_rules, recipe_for, rule_key
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.tensor_base import (
    TensorBase,
    Unseen,
    check_unshared,
    check_writable,
    record,
    shown_places,
    values_of,
    write_recorded,
)
from pullback.tracer.tensor_plan import PLANS, Plan, rule_identity

Number: TypeAlias = "bool | int | float"


class Hidden:
    """A number among the operands that no graph shows: `alpha` of `add`. Another number is no other step."""

    __slots__ = ("number",)

    def __init__(self, number: Number) -> None:
        self.number = number


Operand: TypeAlias = "TensorBase | Number | Hidden"
Rule: TypeAlias = Callable[..., Value]

_default_float: ContextVar[DType] = ContextVar("pullback_default_float", default=dtypes.f32)


def default_float() -> DType:
    """The float dtype of Python's floats and of float functions of integers."""
    return _default_float.get()


def set_default_float(dtype: DType) -> None:
    """Make another float dtype the default, in this thread or task."""
    _default_float.set(dtype)


def category(dtype: DType) -> int:
    """0 for bool, 1 for integers, 2 for floats."""
    return 2 if dtype.is_float else 0 if dtype.is_bool else 1


def promote(first: DType, second: DType) -> DType:
    """torch.promote_types: a float beats every integer whatever its width."""
    if first == second:
        return first
    if first.is_float and second.is_float:
        return first if first.itemsize >= second.itemsize else second
    if category(first) != category(second) and 2 in (category(first), category(second)):
        return first if first.is_float else second
    return dtypes.promote(first, second)


def number_dtype(number: Number) -> DType:
    """The dtype that a Python number has on its own."""
    return dtypes.boolean if isinstance(number, bool) else dtypes.i64 if isinstance(number, int) else default_float()


def result_dtype(operands: Sequence[Operand]) -> DType:
    """torch.result_type of any number of operands, without hidden numbers."""
    levels: list[DType | None] = [None, None, None]
    for operand in operands:
        if isinstance(operand, TensorBase):
            level, dtype = (0 if operand.sizes else 1), operand.dtype_
        elif isinstance(operand, Hidden):
            continue
        else:
            level, dtype = 2, number_dtype(operand)
        before = levels[level]
        levels[level] = dtype if before is None else promote(before, dtype)
    result: DType | None = None
    for dtype_found in levels:
        if dtype_found is None:
            continue
        if result is None or category(dtype_found) > category(result):
            result = dtype_found
    assert result is not None
    return result


def as_float(dtype: DType) -> DType:
    """Float functions of integers are taken in the default dtype."""
    return dtype if dtype.is_float else default_float()


def float_dtype(operands: Sequence[Operand]) -> DType:
    """The dtype of a float function of the operands."""
    return as_float(result_dtype(operands))


def own_dtype(operands: Sequence[Operand]) -> DType:
    """The dtype of the first operand, which is a tensor."""
    dtype: DType = operands[0].dtype_  # type: ignore[union-attr]
    return dtype


def own_float_dtype(operands: Sequence[Operand]) -> DType:
    """The dtype of a float function of the first operand, which is a tensor."""
    return as_float(own_dtype(operands))


_OPERANDS = (TensorBase, float, int, Hidden)


def checked(operand: Any, tensor: TensorBase, name: str = "") -> Operand:
    """An operand as a tensor or a Python number. Raises: ArgumentError for anything else."""
    if isinstance(operand, _OPERANDS):
        return operand
    if isinstance(operand, np.ndarray | np.generic) and dtypes.from_numpy(operand.dtype) is not None:
        return tensor.of_array(np.array(operand, order="C")) if operand.ndim else operand.item()
    raise ArgumentError(
        f"unsupported operand type(s) for {name}: 'Tensor' and '{type(operand).__name__}'", location=caller(),
        help="operands are tensors, numbers or NumPy arrays",
    )  # fmt: skip


def constant(number: Number | Hidden, dtype: DType) -> Value:
    """A Python number as a value of its own: it may differ from call to call without another graph."""
    if isinstance(number, Hidden):
        number = number.number
    return _known_other_than_zero(number, dtype) if number else _known_of(number, dtype)


@lru_cache(maxsize=1 << 10)
def _known_other_than_zero(number: Number, dtype: DType) -> Value:
    # Equal numbers have equal contents, but for zeros, which have signs.
    return _known_of(number, dtype)


def _known_of(number: Number, dtype: DType) -> Value:
    return _known_number(np.asarray(number, dtype.numpy).tobytes(), dtype)


@lru_cache(maxsize=1 << 10)
def _known_number(content: bytes, dtype: DType) -> Value:
    # One value for one number: a chain of steps by the same number reads it once.
    return known(np.frombuffer(content, dtype.numpy).reshape(()))


def fit(b: Builder, operand: Value | Number | Hidden, dtype: DType, shape: tuple[int, ...]) -> Value:
    """An operand in a dtype and shape."""
    if not isinstance(operand, Value):
        operand = constant(operand, dtype)
    return s.broadcast_to(b, s.cast(b, operand, dtype), shape)


def sizes_of(operand: Operand) -> tuple[int, ...]:
    return operand.sizes if isinstance(operand, TensorBase) else ()


def broadcast(operands: Sequence[Operand]) -> tuple[int, ...]:
    """The operands' common shape. Raises: AutogradError where there is none."""
    return common_shape([sizes_of(operand) for operand in operands])


def common_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """What shapes broadcast to. Raises: AutogradError in PyTorch's words."""
    result = shapes[0]
    for shape in shapes[1:]:
        if shape == result:
            continue
        rank = max(len(shape), len(result))
        left, right = (1,) * (rank - len(result)) + result, (1,) * (rank - len(shape)) + shape
        for axis, (m, n) in reversed(list(enumerate(zip(left, right, strict=True)))):
            if m != n and 1 not in (m, n):
                raise AutogradError(
                    f"The size of tensor a ({m}) must match the size of tensor b ({n}) at non-singleton dimension {axis}",
                    location=caller(),
                )
        result = tuple(n if m == 1 else m for m, n in zip(left, right, strict=True))
    return result


Policy: TypeAlias = "DType | Callable[[Sequence[Operand]], DType]"
"""The dtype in which a rule takes its operands, or what tells it from their dtypes, sizes, classes, and the default float."""


def apply(name: str, rule: Rule, operands: Sequence[Operand], policy: Policy, gaps: bool = True) -> Any:
    """A rule of operands in one dtype and shape, recorded; with `gaps` numbers show as inputs of the step.

    Raises: what the policy raises; AutogradError where the operands have no common shape.
    """
    identity = rule_identity(rule)
    parts: list[Any] = [apply, name, identity, policy, gaps, _default_float.get()]
    values: list[Any] = []
    flows = numbers = False
    kind: Any = None
    for each in operands:
        if isinstance(each, TensorBase):
            parts += (each._layout.shape, each.dtype_)
            values.append(each.value)
            flows = flows or each.needs_grad
            if kind is None:
                kind = type(each)
        else:
            parts.append(each.__class__)
            values.append(each)
            numbers = True
    key = tuple(parts)
    found = None if identity is None else PLANS.known.get(key)
    if found is not None:
        plan = found[0]
        if numbers:
            values = [each if isinstance(each, Value) else constant(each, plan.numbers) for each in values]
        return plan.follow(operands, values, kind, flows)
    dtype = policy if isinstance(policy, DType) else policy(operands)
    fitted, shown = Fitted(rule, dtype, broadcast(operands)), as_values(operands, dtype, gaps)
    if identity is not None:
        recipe = recipe_for(fitted, values_of(shown))
        if Plan.fits(recipe):
            PLANS.keep(key, Plan(name, recipe, *shown_places(shown), dtype), rule)
    return record(name, fitted, *shown)


def as_values(operands: Sequence[Operand], dtype: DType, gaps: bool = True) -> list[Any]:
    """Operands with numbers as values of a dtype."""
    found: list[Any] = []
    for operand in operands:
        if isinstance(operand, TensorBase):
            found.append(operand)
        else:
            number = constant(operand, dtype)
            found.append(number if gaps and not isinstance(operand, Hidden) else Unseen(number))
    return found


class Fitted(KeyedRule):
    """A rule of operands that are brought to one dtype and shape first."""

    __slots__ = ("dtype", "rule", "shape")

    def __init__(self, rule: Callable[..., Value], dtype: DType, shape: tuple[int, ...]) -> None:
        self.rule = rule
        self.dtype = dtype
        self.shape = shape

    def key(self) -> Any:
        inner = rule_key(self.rule)
        return None if inner is None else (Fitted, inner, self.dtype, self.shape)

    def __call__(self, b: Builder, *values: Value) -> Value:
        return self.rule(b, *[fit(b, value, self.dtype, self.shape) for value in values])


@kept_rules
def emit(op: Op) -> Rule:
    """The rule of one op of the operands."""
    return lambda b, *values: b.value(op, *values)


# In place


def written(name: str, rule: Rule, target: Any, *others: Any) -> Any:
    """An operation whose result goes into its first operand. Raises: AutogradError where the dtype cannot hold it."""
    operands = (target, *[checked(other, target, name) for other in others])
    identity = rule_identity(rule)
    # The default float is no part: a target that takes a result of that dtype has a float dtype itself, which wins.
    parts: list[Any] = [written, name, identity]
    flows = False
    for each in operands:
        if isinstance(each, TensorBase):
            parts += (each._layout.shape, each.dtype_)
            flows = flows or each.needs_grad
        else:
            parts.append(each.__class__)
    key = tuple(parts)
    if not (flows and is_grad_enabled()):
        found = None if identity is None else PLANS.known.get(key)
        if found is not None:
            check_unshared(target, operands[1:])
            return _overwritten(found[0], target, operands)
    check_writable(target)
    dtype = result_dtype(operands)
    if category(dtype) > category(target.dtype_):
        raise AutogradError(f"result type {DTYPE_WORDS[dtype.name]} can't be cast to the desired output type "
                            f"{DTYPE_WORDS[target.dtype_.name]}", location=caller())  # fmt: skip
    fitted, shown = Fitted(rule, dtype, broadcast(operands)), as_values(operands[1:], dtype)
    if identity is not None:
        recipe = recipe_for(fitted, values_of((target, *shown)))
        (kind,) = recipe.output_types
        if Plan.fits(recipe) and kind.shape == target.sizes and kind.dtype == target.dtype_:
            PLANS.keep(key, Plan(name, recipe, *shown_places((target, *shown)), dtype), rule)
    return write_recorded(target, name, fitted, *shown)


def _overwritten(plan: Plan, target: TensorBase, operands: Sequence[Operand]) -> TensorBase:
    """The target, its elements replaced by a planned step that nobody goes back through."""
    target.overwrite(plan.put([
        each.value if isinstance(each, TensorBase) else constant(each, plan.numbers) for each in operands
    ]))  # fmt: skip
    return target


DTYPE_WORDS = {
    "bool": "Bool", "i8": "Char", "i16": "Short", "i32": "Int", "i64": "Long", "u8": "Byte", "u16": "UInt16",
    "u32": "UInt32", "u64": "UInt64", "f32": "Float", "f64": "Double",
}  # fmt: skip

"""Attributes and types in, their text out, and back: numbers, bools, dtypes, symbols, types, complaints, and tuples of such."""
from __future__ import annotations

import dataclasses
import json
import re
from functools import cache, lru_cache
from operator import index
from types import UnionType
from typing import Any, SupportsFloat, SupportsIndex, cast, get_args, get_origin, get_type_hints

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import ParseError
from pullback.ir.complaint import Complaint
from pullback.ir.core import Op, Opaque
from pullback.ir.tokens import Tokens
from pullback.ir.types import ArrayType, Dim, TapeType


def attributes_text(op: Op) -> str:
    """`` {name = value, …}`` from the op's fields, or nothing. Raises: TypeError for a value without a text."""
    names = _fields(cast(Any, type(op)))
    if not names:
        return ""
    return " {" + ", ".join([f"{name} = {_attribute_text(getattr(op, name))}" for name in names]) + "}"


def parse_attributes(cls: type[Op], tokens: Tokens) -> Op:
    """The op with the attributes that the tokens, braces taken off, say to their end. Raises: ParseError."""
    values: list[Any] = []
    for position, (name, hint) in enumerate(_fields(cast(Any, cls)).items()):
        if position:
            tokens.expect(",")
        start = tokens.place
        tokens.expect(name)
        tokens.expect("=")
        value = _attribute(tokens)
        if not _fits(value, hint):
            tokens.place = start
            tokens.fail(f"{cls.name}: {name} must be {_shown(hint)}")
        values.append(Opaque(value) if hint is Opaque else value)
    if tokens.peek() != "end":
        tokens.fail(f"{cls.name} has no such attribute")
    return cls(*values)


def has_attributes(cls: type[Op]) -> bool:
    """Whether an op class has any."""
    return bool(_fields(cast(Any, cls)))


@cache
def _fields(cls: Any) -> dict[str, Any]:
    """Names and types of the attributes."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _attribute_text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case DType() | ArrayType():
            return str(value)
        case str():
            return value
        case Complaint():
            return quoted(value.text)
        case Opaque(name=name):
            return name
        case tuple():
            return "(" + ", ".join([_attribute_text(each) for each in value]) + ("," if len(value) == 1 else "") + ")"
        # NumPy's scalars count as numbers, and are written as such.
        case SupportsIndex():
            return str(index(value))
        case SupportsFloat():
            return repr(float(value))
    raise TypeError(f"an attribute cannot be a {type(value).__name__}")


def _attribute(tokens: Tokens) -> Any:
    kind, text, _ = tokens.tokens[tokens.place]
    if at_type(tokens):
        return take_type(tokens)
    if kind == "number":
        tokens.place += 1
        if text.lstrip("-").isdigit():
            return integer(tokens, text)
        return float(text)
    if kind == "text":
        tokens.place += 1
        return Complaint(str(json.loads(text)))
    if kind == "word":
        tokens.place += 1
        return text == "true" if text in ("true", "false") else dtypes.BY_NAME.get(text, text)
    tokens.expect("(")
    items = []
    while not tokens.found(")"):
        items.append(_attribute(tokens))
        if not tokens.found(","):
            tokens.expect(")")
            break
    return tuple(items)


def quoted(text: str) -> str:
    """A text in quotes, without braces, which end attributes."""
    return json.dumps(text).replace("{", "\\u007b").replace("}", "\\u007d")


def at_type(tokens: Tokens) -> bool:
    """Whether a type comes next."""
    kind, text, _ = tokens.tokens[tokens.place]
    return kind == "type" or (text == "tape" and kind == "word" and tokens.tokens[tokens.place + 1][1] == "<")


def take_type(tokens: Tokens) -> ArrayType:
    """``f64[n, 3]``, or ``tape<f64[], f64[3]>``. Raises: ParseError."""
    if at_type(tokens) and tokens.found("tape"):
        tokens.expect("<")
        record = []
        while not tokens.found(">"):
            record.append(take_type(tokens))
            if not tokens.found(","):
                tokens.expect(">")
                break
        return TapeType(tuple(record))
    text = tokens.take("type", "a type, as f64[3]")
    try:
        return _array_type(text)
    except ParseError as error:
        tokens.place -= 1
        tokens.fail(error.message)


@lru_cache(maxsize=4096)
def _array_type(text: str) -> ArrayType:
    name, _, dims = text[:-1].partition("[")
    dtype = dtypes.BY_NAME.get(name)
    if dtype is None:
        raise ParseError(f"{name} is no dtype; the dtypes are {', '.join(dtypes.BY_NAME)}")
    found: list[Dim] = []
    for dim in (each.strip() for each in dims.split(",")) if dims.strip() else ():
        if not re.fullmatch(r"[0-9]{1,18}|[^\W\d]\w*", dim) or dim in ("inf", "nan", "true", "false"):
            raise ParseError(f"{dim or 'nothing'} is no dim: a number or a symbol")
        found.append(int(dim) if dim[0].isdigit() else dim)
    return ArrayType(dtype, tuple(found))


def integer(tokens: Tokens, text: str) -> int:
    """A whole number of the token before the next. Raises: ParseError for one beyond 64 bits."""
    if len(text) > 21:
        tokens.place -= 1
        tokens.fail("the number is too large")
    return int(text)


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(hint, UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(each, get_args(hint)[0]) for each in value)
    if hint is Opaque:
        return isinstance(value, str)
    return isinstance(value, hint) if hint is ArrayType else type(value) is hint


def _shown(hint: Any) -> str:
    """A type as an error says it."""
    if isinstance(hint, UnionType):
        return " or ".join(_shown(each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a tuple of ({_shown(get_args(hint)[0])})"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a symbol", DType: "a dtype",
             ArrayType: "a type", Complaint: "a text", Opaque: "a name"}  # fmt: skip
    return names.get(hint, str(hint))

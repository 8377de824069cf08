"""The IR's text: what is printed is read back letter by letter; what is wrong is refused at its place."""
from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_functions import random_arguments, random_function

from pullback.dtypes import ALL, boolean, f32, f64, i8, i64, u8, u64
from pullback.errors import DTypeError, ParseError, VerifyError
from pullback.ir.complaint import Complaint
from pullback.ir.core import Function, Operation, Region, RegionBuilder, Value
from pullback.ir.interpret import interpret
from pullback.ir.ops.arithmetic import Add
from pullback.ir.ops.check import Check
from pullback.ir.ops.control import Call, If
from pullback.ir.ops.creation import Full, Iota
from pullback.ir.ops.elementary import Sin
from pullback.ir.ops.logic import Less
from pullback.ir.ops.reduction import Broadcast
from pullback.ir.ops.shape import Concatenate
from pullback.ir.parse import MAX_NESTING, parse_function, parse_functions
from pullback.ir.print import print_function
from pullback.ir.types import ArrayType
from pullback.ir.verify import verify
from pullback.location import UNKNOWN, Location

X = ArrayType(f64, (3,))


def round_trip(function: Function) -> Function:
    """The function read back from its text, which must be the same letter by letter."""
    text = print_function(function)
    back = parse_function(text)
    verify(back)
    assert print_function(back) == text
    assert list(back.result_types) == list(function.result_types)
    return back


# Letter by letter


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_random_functions(seed: int, size: int) -> None:
    function = random_function(seed, size)
    verify(function)
    back = round_trip(function)
    arguments = random_arguments(function, seed, special=True)
    # Captured arrays are not part of the text.
    back.captured = function.captured
    for found, wanted in zip(interpret(back, arguments), interpret(function, arguments), strict=True):
        assert found.tobytes() == wanted.tobytes() and found.dtype == wanted.dtype


REGIONS = """\
func @nested(%c: bool[], %x: f64[n, 3]; %data: f64[3, 0]) -> (f64[n, 3], i64[]) {
  %0 = full {value = 7, dtype = i64, dims = ()} : i64[]
  %1, %2 = if %c, %x, %0 { ^(%a: f64[n, 3], %b: i64[])
    %3, %4 = while %a, %b { ^(%a_1: f64[n, 3], %b_1: i64[])
      yield %c
    } { ^(%a_2: f64[n, 3], %b_2: i64[])
      %5 = call { ^()
        %6 = sin %a_2 : f64[n, 3]  loc("f.py":7:4-9 "step")
        yield %6
      } : f64[n, 3]
      yield %5, %b
    } : f64[n, 3], i64[]
    yield %3, %4
  } { ^(%a_3: f64[n, 3], %b_3: i64[])
    %7 = for %b_3, %0, %0, %a_3 {saved = ()} { ^(%i: i64[], %a_4: f64[n, 3])
      yield %a_4
    } : f64[n, 3]
    yield %7, %0
  } : f64[n, 3], i64[]  loc("f.py":3:0-2 "f")
  call { ^()
    yield
  } :
  return %1, %2
}
"""


def test_regions_symbols_and_captured_arguments() -> None:
    text = REGIONS.replace("while %a, %b {", "while %a, %b {saved = ()} {")
    function = parse_function(text)
    verify(function)
    assert print_function(function) == text
    assert [value.name for value in function.captured_arguments] == ["data"] and function.captured == [None]
    assert "loc" not in print_function(function, locations=False)


@pytest.mark.parametrize("number", [
    0.0, -0.0, 1.0, 0.1, -2.5, 1e16, 1e22, 1e-320, 5e-324, 1.7976931348623157e308, -1e-9, float("inf"), -float("inf"),
    1 / 3, 2.0**-1074, 123456789.125,
])  # fmt: skip
def test_floats(number: float) -> None:
    region = Region()
    region.yields = RegionBuilder(region).emit(Full(number, f64, ())).results
    back = round_trip(Function("f", region))
    (operation,) = back.body.operations
    assert isinstance(operation.op, Full) and operation.op == Full(number, f64, ())
    assert np.float64(operation.op.value).tobytes() == np.float64(number).tobytes()


def test_nan_and_whole_numbers() -> None:
    values = [(float("nan"), f32), (2, f64), (-128, i8), (255, u8), (2**64 - 1, u64), (-(2**63), i64), (True, boolean)]
    region = Region()
    b = RegionBuilder(region)
    region.yields = tuple(b.value(Full(value, dtype, (2,))) for value, dtype in values)
    back = round_trip(Function("f", region))
    for operation, (value, dtype) in zip(back.body.operations, values, strict=True):
        assert operation.op == Full(value, dtype, (2,))
    interpret(back, [])


def test_numpy_scalars_as_attributes_print_as_numbers() -> None:
    region = Region()
    b = RegionBuilder(region)
    region.yields = (b.value(Full(np.float64(0.5), f64, (int(np.int64(3)),))), b.value(Iota(0, i64, (np.int64(3),))))  # type: ignore[arg-type]
    assert "value = 0.5" in print_function(Function("f", region)) and "np." not in print_function(Function("f", region))


@pytest.mark.parametrize("file", [
    "train.py", 'a "quoted" name.py', "C:\\work\\net.py", "größe_µ_数.py", "tab\tand\nnewline.py",
    "{braces} // no comment.py",
    'x":1:2-3 "y', "\udc80 not utf-8.py", "<stdin>", "%0 = add",
])  # fmt: skip
def test_locations_keep_odd_names(file: str) -> None:
    region = Region([Value(X, name="x")])
    b = RegionBuilder(region)
    b.location = Location(file, 12, 4, 17, f"in {file}")
    region.yields = b.emit(Sin(), *region.arguments).results
    back = round_trip(Function("f", region))
    assert back.body.operations[0].location == b.location


def test_names_are_made_unique_and_printable() -> None:
    names = ["x", "x", "x_1", "", "", "arg", "0", "7x", "a b", "params['w']", "λ", "x.y", "x", "@%", "x_1"]
    region = Region([Value(X, name=name) for name in names])
    b = RegionBuilder(region)
    inner = Region([Value(X, name="x"), Value(X, name="1")])
    inner.yields = (inner.arguments[1],)
    first = b.value(Add(), region.arguments[0], region.arguments[6])
    called = b.emit(Call(), first, first, regions=(inner,)).results[0]
    region.yields = (b.value(Add(), called, region.arguments[1]), *region.arguments)
    function = Function("my function", region)
    text = print_function(function)
    assert text.startswith("func @my_function(%x: f64[3], %x_1: f64[3], %x_1_1: f64[3], %arg: f64[3], %arg_1: f64[3], ")
    back = round_trip(function)
    arrays = [np.full(3, float(number)) for number in range(len(names))]
    for found, wanted in zip(interpret(back, arrays), interpret(function, arrays), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_many_equal_names_stay_linear() -> None:
    region = Region([Value(X, name="x") for _ in range(3000)])
    region.yields = (region.arguments[-1],)
    assert "%x_2999" in print_function(round_trip(Function("f", region)))


def test_comments_and_odd_spacing_are_skipped() -> None:
    text = """
      // A comment (with braces { and "quotes")
      func @f(%x:f64[ 3 ]) -> (f64[3]){ // another
        %0=add %x,%x:f64[3] %1 = transpose %0 {
           axes = (0,) // inside { } attributes is not allowed, but this
        } : f64[3]
        return %1 } // at the end"""
    text = text.replace("{ } ", "")
    assert print_function(parse_function(text)).splitlines()[1:4] == [
        "  %0 = add %x, %x : f64[3]", "  %1 = transpose %0 {axes = (0,)} : f64[3]", "  return %1",
    ]  # fmt: skip


def test_several_functions() -> None:
    text = "func @a() -> () {\n  return\n}\nfunc @b(%x: f64[]) -> (f64[]) {\n  return %x\n}\n"
    assert "".join(map(print_function, parse_functions(text))) == text
    assert parse_functions("  // nothing\n") == []
    with pytest.raises(ParseError, match="expected one function, found 2"):
        parse_function(text)


def test_source_comments_are_read_back() -> None:
    region = Region([Value(X, name="x")])
    b = RegionBuilder(region)
    b.location = Location(__file__, 1, 0, 3, "f")
    region.yields = b.emit(Sin(), *region.arguments).results
    text = print_function(Function("f", region), source_comments=True)
    assert '// test_ir_text.py:1: """The IR' in text
    assert print_function(parse_function(text), source_comments=True) == text


def test_dtypes_stay_one_object_each() -> None:
    for dtype in ALL:
        assert pickle.loads(pickle.dumps(dtype)) is dtype and copy.deepcopy(dtype) is dtype


# Refused at its place

HEAD = "func @f(%x: f64[3], %c: bool[]) -> (f64[3]) {\n"
ERRORS = [
    ("fun @f", 1, 1, "expected func, found fun"),
    ("func f", 1, 6, "expected the function's name, as @name, found f"),
    ("func @f(%x: f16[3])", 1, 13, "f16 is no dtype"),
    ("func @f(%x: f64[-3])", 1, 13, "-3 is no dim"),
    ("func @f(%x: f64[3,,4])", 1, 13, "nothing is no dim"),
    ("func @f(%x: f64[inf])", 1, 13, "inf is no dim"),
    ("func @f(%x: 3)", 1, 13, "expected a type, as f64[3], found 3"),
    ("func @f(%x: f64[3], %x: f64[])", 1, 21, "%x is defined twice"),
    ("func @f(%x: f64[3]) -> (f64[3]) {\n  return", 2, 9, "expected }, found the end of the text"),
    ("func @f(%x: f64[3]) -> (f64[3]) {\n  return }", 2, 3, "@f returns nothing, not what it says: f64[3]"),
    (HEAD + "  return %y\n}", 2, 10, "%y is not defined here"),
    (HEAD + "  %0 = sinn %x : f64[3]", 2, 8, "there is no op called sinn; do you mean sin"),
    (HEAD + "  %0 = sin %x, %x : f64[3]", 2, 8, "sin takes 1 operands, not 2"),
    (HEAD + "  %0 = sin %c : bool[]", 2, 8, "sin does not take bool"),
    (HEAD + "  %0 = sin %x : f32[3]", 2, 8, "sin gives f64[3], not f32[3]"),
    (HEAD + "  %0, %1 = sin %x : f64[3]", 2, 12, "sin has 2 results and 1 types"),
    (HEAD + "  %0 = sin %x {axes = (1,)} : f64[3]", 2, 16, "sin has no such attribute"),
    (HEAD + "  %0 = sin %x { ^() yield } : f64[3]", 2, 8, "sin has 0 regions, not 1"),
    (HEAD + "  %0 = transpose %x : f64[3]", 2, 21, "expected the attributes of transpose, found :"),
    (HEAD + "  %0 = transpose %x {axis = (0,)} : f64[3]", 2, 22, "expected axes, found axis"),
    (HEAD + "  %0 = transpose %x {axes = 0} : f64[3]", 2, 22, "transpose: axes must be a tuple of (a whole number)"),
    (HEAD + "  %0 = transpose %x {axes = (0.0,)} : f64[3]", 2, 22, "transpose: axes must be"),
    (HEAD + "  %0 = transpose %x {axes = (true,)} : f64[3]", 2, 22, "transpose: axes must be"),
    (HEAD + "  %0 = transpose %x {axes = (0,), } : f64[3]", 2, 33, "transpose has no such attribute"),
    (HEAD + "  %0 = transpose %x {axes = (1,)} : f64[3]", 2, 8, "transpose: axes (1,) do not permute"),
    (HEAD + "  %0 = full {value = 1, dtype = f16, dims = ()} : f64[]", 2, 25, "full: dtype must be a dtype"),
    (HEAD + "  %0 = full {value = 256, dtype = u8, dims = ()} : u8[]", 2, 8, "full: 256 is no value of u8"),
    (HEAD + "  %0 = full {value = -1, dtype = u8, dims = ()} : u8[]", 2, 8, "full: -1 is no value of u8"),
    (HEAD + "  %0 = full {value = 1.5, dtype = i64, dims = ()} : i64[]", 2, 8, "full: 1.5 is no value of i64"),
    (HEAD + "  %0 = full {value = true, dtype = f64, dims = ()} : f64[]", 2, 8, "full: True is no value of f64"),
    (HEAD + "  %0 = full {value = 1.0, dtype = f64, dims = (-2,)} : f64[]", 2, 8, "with a negative size"),
    (HEAD + f"  %0 = full {{value = {'9' * 5000}, dtype = i64, dims = ()}} : i64[]", 2, 22, "the number is too large"),
    (HEAD + "  %0 = iota {axis = 1, dtype = i64, dims = (3,)} : i64[3]", 2, 8, "no counting in i64 along axis 1"),
    (HEAD + "  %0 = broadcast %x {dims = (3,), axes = (4,)} : f64[3]", 2, 8, "broadcast: f64[3] does not fit"),
    (HEAD + "  %0 = concatenate {axis = 0} : f64[3]", 2, 8, "concatenate takes at least 1 operands"),
    (HEAD + "  %0 = concatenate %x {axis = 1} : f64[3]", 2, 8, "f64[3] has no axis 1"),
    (HEAD + "  %0 = if %c, %x { ^(%a: f64[3])\n  yield %a\n} : f64[3]", 2, 8, "if has 2 regions, not 1"),
    (HEAD + "  %0 = call { ^()\n  %1 = sin %x : f64[3]\n  yield %1\n} : f64[3]\n  return %1 }", 6, 10,
     "%1 is not defined here"),
    (HEAD + "  %x = sin %x : f64[3]", 2, 3, "%x is defined twice"),
    (HEAD + '  %0 = sin %x : f64[3]  loc("a\\q":1:2-3 "f")\n  return %0 }', 2, 25, "no JSON string"),
    (HEAD + '  %0 = sin %x : f64[3]  loc("a":1 "f")', 2, 29, "a location is loc"),
    (HEAD + "  ? ", 2, 3, "this is no part of the IR"),
    (HEAD + "\t\t%0 = sin %x ! : f64[3]", 2, 15, "this is no part of the IR"),
    (HEAD + "  %0 = empty_tape {record = (f64[, 3],)} : tape<f64[3]>", 2, 30, "nothing is no dim"),
    ("func @f() -> () {" + "call { ^()\n" * (MAX_NESTING + 1), MAX_NESTING + 1, 8, "regions nest deeper than"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "column", "message"), ERRORS, ids=[error[3] for error in ERRORS])
def test_errors_say_where(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_function(text)
    first, shown, caret = str(caught.value).split("\n")
    assert first.startswith(f"line {line}, column {column}: ") and message in first
    assert shown == "  " + text.split("\n")[line - 1]
    assert caret.index("^") == column + 1
    assert caret.count("\t") == shown[: column + 1].count("\t")


def test_nesting_as_deep_as_allowed() -> None:
    opened = "".join(f"  %{n} = call {{ ^()\n" for n in range(MAX_NESTING))
    closed = "".join(f"yield %{n + 1}\n}} : f64[]\n" for n in reversed(range(MAX_NESTING - 1)))
    text = f"func @f(%x: f64[]) -> (f64[]) {{\n{opened}yield %x\n}} : f64[]\n{closed}return %0\n}}"
    function = round_trip(parse_function(text))
    assert interpret(function, [np.array(2.5)]) == [2.5]


WORDS = ["%x", "%0", "%9", "f64[3]", "bool[]", "i64[]", "(", ")", "{", "}", "{axes = (0,)}", ":", ",", "=", "sin",
         "add", "if", "for", "call", "return", "yield", "^", "->", "loc(", "-1", "inf", "1e5", "tape<", ">", "true",
         "@f", ";", "transpose", "reduce_sum", "{", "full", "gather", "{value = 1, dtype = f64, dims = ()}", "func",
         "dynamic_add", "{checked = true}", "slice", "{starts = (0,), sizes = (2,), steps = (1,)}", "assemble",
         "iota"]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_damaged_text_gives_parse_errors_only(seed: int, data: st.DataObject) -> None:
    """Words exchanged, dropped or put in: the text is still good, or a ParseError; nothing else is ever raised."""
    text = print_function(random_function(seed, 6))
    words = text.split(" ")
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(words) - 1))
        words[place : place + data.draw(st.integers(0, 2))] = data.draw(st.lists(st.sampled_from(WORDS), max_size=2))
    try:
        function = parse_function(" ".join(words))
    except ParseError as error:
        assert str(error).count("\n") == 2 or "expected one function" in str(error)
        return
    verify(function)


# Verify

Breaker = Callable[[Function], None]


def sample() -> Function:
    """``%0 = sin %x; %1 = if %c, %0 {add %a %x} {%b}; return %1``."""
    region = Region([Value(X, name="x"), Value(ArrayType(boolean, ()), name="c"), Value(X, name="k")])
    b = RegionBuilder(region)
    b.location = Location(__file__, 7, 0, 1, "sample")
    first = b.value(Sin(), region.arguments[0])
    branches = []
    for number in range(2):
        inner = Region([Value(X, name="a")])
        inner.yields = (inner.arguments[0],)
        if number == 0:
            inner.yields = RegionBuilder(inner).emit(Add(), inner.arguments[0], region.arguments[0]).results
        branches.append(inner)
    region.yields = b.emit(If(), region.arguments[1], first, regions=tuple(branches)).results
    return Function("f", region, [np.zeros(3)])


def _use_before_definition(f: Function) -> None:
    f.body.operations.reverse()


def _value_of_another_function(f: Function) -> None:
    f.body.operations[0].operands = (Value(X),)


def _inner_value_outside(f: Function) -> None:
    f.body.yields = f.body.operations[1].regions[0].yields


def _sibling_value(f: Function) -> None:
    then, otherwise = f.body.operations[1].regions
    otherwise.yields = then.yields


def _operation_twice(f: Function) -> None:
    f.body.operations.insert(1, f.body.operations[0])


def _argument_twice(f: Function) -> None:
    f.body.operations[1].regions[1].arguments = [f.body.arguments[0]]


def _argument_with_owner(f: Function) -> None:
    f.body.arguments[0] = f.body.operations.pop(0).result


def _wrong_result_type(f: Function) -> None:
    f.body.operations[0].result.type = ArrayType(f32, (3,))


def _wrong_operand_type(f: Function) -> None:
    f.body.operations[0].operands = (f.body.arguments[1],)


def _operand_count(f: Function) -> None:
    f.body.operations[0].operands = (f.body.arguments[0],) * 2


def _stolen_result(f: Function) -> None:
    f.body.operations[0].result.owner = f.body.operations[1]


def _result_number(f: Function) -> None:
    f.body.operations[0].result.index = 1


def _region_missing(f: Function) -> None:
    f.body.operations[1].regions = f.body.operations[1].regions[:1]


def _region_too_many(f: Function) -> None:
    f.body.operations[0].regions = (Region(),)


def _branch_type(f: Function) -> None:
    f.body.operations[1].regions[0].yields = (f.body.arguments[1],)


def _captured_type(f: Function) -> None:
    f.captured = [np.zeros(4)]


def _captured_too_many(f: Function) -> None:
    f.captured = [None] * 4


def _negative_size(f: Function) -> None:
    f.body.operations.append(Operation(Full(0.0, f64, (-1,)), (), (ArrayType(f64, (-1,)),)))


def _symbol_where_a_number_is_needed(f: Function) -> None:
    f.body.arguments[2].type = kind = ArrayType(f64, ("n",))
    f.captured = []
    f.body.operations.append(Operation(Concatenate(0), (f.body.arguments[2],), (kind,)))


def _missing_operands(f: Function) -> None:
    f.body.operations.append(Operation(Concatenate(0), (), (X,)))


def _axis_outside(f: Function) -> None:
    f.body.operations.append(Operation(Broadcast((3,), (1,)), (f.body.arguments[0],), (X,)))


BREAKERS = [value for name, value in globals().copy().items() if name.startswith("_") and callable(value)
            and getattr(value, "__module__", "") == __name__]  # fmt: skip


@pytest.mark.parametrize("breaker", BREAKERS, ids=lambda breaker: breaker.__name__.strip("_"))
def test_verify_refuses(breaker: Breaker) -> None:
    function = sample()
    verify(function)
    breaker(function)
    with pytest.raises(VerifyError):
        verify(function)


def test_verify_names_the_line() -> None:
    function = sample()
    _wrong_operand_type(function)
    with pytest.raises(VerifyError, match=r"sin does not take bool\n  test_ir_text\.py:7 in sample:"):
        verify(function)
    function = sample()
    _sibling_value(function)
    with pytest.raises(VerifyError, match=r"a region yields a value .*\n  test_ir_text\.py:7"):
        verify(function)


def test_emitting_checks_types() -> None:
    b = RegionBuilder(Region())
    with pytest.raises(DTypeError):
        b.emit(Less(), Value(X), Value(ArrayType(f32, (3,))))
    assert b.region.operations == [] and b.location is UNKNOWN


def test_texts_with_any_letters_are_read_back() -> None:
    text = 'ValueError(\'a "quoted" {brace}, \\\\ and \\n, é\')'
    region = Region([Value(ArrayType(boolean, ()), name="c")])
    RegionBuilder(region).emit(Check(Complaint(text)), *region.arguments)
    shown = print_function(Function("f", region))
    read = parse_function(shown)
    assert print_function(read) == shown
    assert read.body.operations[0].op == Check(Complaint(text))

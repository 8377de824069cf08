"""Control operations as text and in the interpreter: loops, tapes, replay, branches; round trips and type rules."""
from __future__ import annotations

import numpy as np
import pytest

from pullback.errors import ArgumentValueError, OutOfBoundsError, ParseError
from pullback.ir.interpret import interpret
from pullback.ir.parse import parse_function
from pullback.ir.print import print_function
from pullback.ir.verify import verify

POWERS = """\
func @powers(%x: f64[], %n: i64[]) -> (f64[], f64[]) {
  %0 = full {value = 0, dtype = i64, dims = ()} : i64[]
  %1 = full {value = 1, dtype = i64, dims = ()} : i64[]
  %2 = full {value = 1.0, dtype = f64, dims = ()} : f64[]
  %3, %4 = for %0, %n, %1, %2 {saved = (2,)} { ^(%i: i64[], %p: f64[])
    %5 = mul %p, %x : f64[]
    yield %5, %p, %i
  } : f64[], tape<f64[], i64[]>  loc("a.py":3:0-0 "f")
  %6 = full {value = 0.0, dtype = f64, dims = ()} : f64[]
  %7, %8 = replay %4, %2, %6 {tapes = 1, saved = ()} { ^(%p_1: f64[], %k: i64[], %p_bar: f64[], %x_bar: f64[])
    %9 = mul %p_bar, %p_1 : f64[]
    %10 = add %x_bar, %9 : f64[]
    %11 = mul %p_bar, %x : f64[]
    yield %11, %10
  } : f64[], f64[]
  return %3, %8
}
"""

NESTED = """\
func @nested(%x: f64[3], %n: i64[]) -> (f64[3]) {
  %0 = full {value = 0, dtype = i64, dims = ()} : i64[]
  %1 = full {value = 1, dtype = i64, dims = ()} : i64[]
  %2, %3 = for %0, %n, %1, %x {saved = (1,)} { ^(%i: i64[], %y: f64[3])
    %4, %5 = for %0, %i, %1, %y {saved = (1,)} { ^(%j: i64[], %z: f64[3])
      %6 = sin %z : f64[3]
      yield %6, %z
    } : f64[3], tape<f64[3]>
    yield %4, %5
  } : f64[3], tape<tape<f64[3]>>
  %7 = full {value = 1.0, dtype = f64, dims = (3,)} : f64[3]
  %8 = replay %3, %7 {tapes = 1, saved = ()} { ^(%inner: tape<f64[3]>, %bar: f64[3])
    %9 = replay %inner, %bar {tapes = 1, saved = ()} { ^(%w: f64[3], %w_bar: f64[3])
      %10 = cos %w : f64[3]
      %11 = mul %w_bar, %10 : f64[3]
      yield %11
    } : f64[3]
    yield %9
  } : f64[3]
  return %8
}
"""


@pytest.mark.parametrize("text", [POWERS, NESTED])
def test_round_trip(text: str) -> None:
    function = parse_function(text)
    verify(function)
    assert print_function(function) == text


@pytest.mark.parametrize("trips", [0, 1, 5])
def test_reverse_of_a_power(trips: int) -> None:
    value, x_bar = interpret(parse_function(POWERS), [np.array(1.5), np.array(trips)])
    assert value == 1.5**trips
    assert x_bar == (trips * 1.5 ** (trips - 1) if trips else 0)


def test_tapes_in_tapes() -> None:
    x = np.array([0.1, 0.5, 2.0])
    (found,) = interpret(parse_function(NESTED), [x, np.array(4)])
    wanted, y = np.ones(3), x
    for _ in range(6):
        wanted, y = wanted * np.cos(y), np.sin(y)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_empty_tape_and_branches() -> None:
    text = """\
func @f(%c: bool[], %n: i64[]) -> (i64[]) {
  %0 = full {value = 0, dtype = i64, dims = ()} : i64[]
  %1 = full {value = 1, dtype = i64, dims = ()} : i64[]
  %2 = if %c { ^()
    %3, %4 = for %0, %n, %1, %0 {saved = (1,)} { ^(%i: i64[], %k: i64[])
      yield %i, %i
    } : i64[], tape<i64[]>
    yield %4
  } { ^()
    %5 = empty_tape {record = (i64[],)} : tape<i64[]>
    yield %5
  } : tape<i64[]>
  %6 = replay %2, %0 {tapes = 1, saved = ()} { ^(%r: i64[], %s: i64[])
    %7 = add %s, %s : i64[]
    %8 = add %7, %r : i64[]
    yield %8
  } : i64[]
  return %6
}
"""
    function = parse_function(text)
    assert print_function(function) == text
    assert interpret(function, [np.array(True), np.array(3)])[0] == (2 * 2 + 1) * 2 + 0
    assert interpret(function, [np.array(False), np.array(3)])[0] == 0


def test_while_sees_outer_values() -> None:
    text = """\
func @f(%a: f64[]) -> (f64[], i64[]) {
  %0 = full {value = 1.0, dtype = f64, dims = ()} : f64[]
  %1 = full {value = 0, dtype = i64, dims = ()} : i64[]
  %2 = full {value = 1, dtype = i64, dims = ()} : i64[]
  %3, %4 = while %0, %1 {saved = ()} { ^(%x: f64[], %k: i64[])
    %5 = less %x, %a : bool[]
    yield %5
  } { ^(%y: f64[], %m: i64[])
    %6 = add %y, %y : f64[]
    %7 = add %m, %2 : i64[]
    yield %6, %7
  } : f64[], i64[]
  return %3, %4
}
"""
    value, count = interpret(parse_function(text), [np.array(100.0)])
    assert (value, count) == (128.0, 7)


def test_errors_name_the_line() -> None:
    text = """\
func @f(%x: f64[3], %i: i64[]) -> (f64[1]) {
  %0 = dynamic_slice %x, %i {sizes = (1,), checked = true} : f64[1]  loc("user.py":7:4-9 "f")
  return %0
}
"""
    for index, shown in ((3, "index 3"), (-1, "index -4")):
        with pytest.raises(OutOfBoundsError, match=shown) as caught:
            interpret(parse_function(text), [np.zeros(3), np.array(index)])
        assert caught.value.location.line == 7
    text = POWERS.replace("%1 = full {value = 1,", "%1 = full {value = 0,")
    with pytest.raises(ArgumentValueError, match="step of a range") as step:
        interpret(parse_function(text), [np.array(1.5), np.array(4)])
    assert step.value.location.line == 3


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("saved = (2,)", "saved = (1, 3)", "of 3 yields cannot be saved"),
        ("saved = (2,)", "saved = (1,)", "operands and body results"),
        ("saved = (2,)", "saved = (2, 0)", "of 3 yields cannot be saved"),
        ("replay %4, %2", "replay %2, %2", "operand 0 is a tape"),
        ("tapes = 1", "tapes = 2", "operand 1 is a tape"),
        ("tapes = 1", "tapes = 0", "0 tapes among 3 operands"),
        ("tape<f64[], i64[]>  loc", "tape<f64[]>  loc", "for gives"),
        ("yield %11, %10", "yield %10", "operands and body results"),
    ],
)
def test_type_rules(before: str, after: str, message: str) -> None:
    assert before in POWERS
    with pytest.raises(ParseError, match=message):
        parse_function(POWERS.replace(before, after))


def test_tapes_side_by_side_and_a_replay_that_keeps_one() -> None:
    """The tape that a replay keeps runs first to last: here digits are read back in both orders."""
    text = """\
func @f(%n: i64[]) -> (i64[], i64[]) {
  %0 = full {value = 0, dtype = i64, dims = ()} : i64[]
  %1 = full {value = 1, dtype = i64, dims = ()} : i64[]
  %2 = full {value = 10, dtype = i64, dims = ()} : i64[]
  %3, %4 = for %1, %n, %1 {saved = (1, 2)} { ^(%i: i64[])
    yield %i, %i, %0
  } : tape<i64[]>, tape<i64[], i64[]>
  %5, %6 = replay %4, %3, %0 {tapes = 2, saved = (1,)} { ^(%a: i64[], %zero: i64[], %b: i64[], %s: i64[])
    %7 = mul %s, %2 : i64[]
    %8 = add %7, %a : i64[]
    yield %8, %b
  } : i64[], tape<i64[]>
  %9 = replay %6, %0 {tapes = 1, saved = ()} { ^(%c: i64[], %t: i64[])
    %10 = mul %t, %2 : i64[]
    %11 = add %10, %c : i64[]
    yield %11
  } : i64[]
  return %5, %9
}
"""
    function = parse_function(text)
    verify(function)
    assert print_function(function) == text
    assert [int(each) for each in interpret(function, [np.array(5)])] == [4321, 1234]

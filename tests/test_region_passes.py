"""Passes on loops, branches and windows: the text after, the same numbers, and nothing more on a second run."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pullback.ir.analysis.uses import reads
from pullback.ir.clone import copy_function
from pullback.ir.core import Array, Function, Region
from pullback.ir.interpret import interpret
from pullback.ir.parse import parse_function
from pullback.ir.passes.control import control
from pullback.ir.passes.cse import cse
from pullback.ir.passes.dce import dce
from pullback.ir.passes.licm import licm
from pullback.ir.passes.windows import windows
from pullback.ir.print import print_function
from pullback.ir.verify import verify

HEAD = "func @f(%c: bool[], %n: i64[], %x: f64[], %w: f64[], %a: f64[5])"
COUNTS = """\
  %0 = full {value = 0, dtype = i64, dims = ()} : i64[]
  %1 = full {value = 1, dtype = i64, dims = ()} : i64[]
"""
ARGUMENTS: list[Array] = [np.array(True), np.array(3), np.array(0.7), np.array(-1.3), np.arange(5.0)]


def text(body: str, results: str) -> str:
    return f"{HEAD} -> ({results}) {{\n{COUNTS}{body.strip(chr(10))}\n}}\n"


CASES: list[tuple[str, Callable[[Function], bool], str, str, str]] = []


def case(title: str, run: Callable[[Function], bool], results: str, before: str, after: str) -> None:
    CASES.append((title, run, results, before, after))


case("a carried value that nobody reads goes, and what it was computed from", dce, "f64[]", """
  %2, %3 = for %0, %n, %1, %x, %w {saved = ()} { ^(%i: i64[], %p: f64[], %q: f64[])
    %4 = mul %p, %x : f64[]
    %5 = add %q, %p : f64[]
    yield %4, %5
  } : f64[], f64[]
  return %2
""", """
  %2 = for %0, %n, %1, %x {saved = ()} { ^(%i: i64[], %p: f64[])
    %3 = mul %p, %x : f64[]
    yield %3
  } : f64[]
  return %2
""")
case("a carried value that another needs in the next iteration stays", dce, "f64[]", """
  %2, %3 = for %0, %n, %1, %x, %w {saved = ()} { ^(%i: i64[], %p: f64[], %q: f64[])
    %4 = mul %p, %q : f64[]
    %5 = sin %q : f64[]
    yield %4, %5
  } : f64[], f64[]
  return %2
""", "")
case("what a while's condition reads stays", dce, "f64[]", """
  %2, %3, %4 = while %0, %x, %w {saved = ()} { ^(%i: i64[], %p: f64[], %q: f64[])
    %5 = less %i, %n : bool[]
    yield %5
  } { ^(%j: i64[], %r: f64[], %s: f64[])
    %6 = add %j, %1 : i64[]
    %7 = sin %r : f64[]
    %8 = cos %s : f64[]
    yield %6, %7, %8
  } : i64[], f64[], f64[]
  return %3
""", """
  %2, %3 = while %0, %x {saved = ()} { ^(%i: i64[], %p: f64[])
    %4 = less %i, %n : bool[]
    yield %4
  } { ^(%j: i64[], %r: f64[])
    %5 = add %j, %1 : i64[]
    %6 = sin %r : f64[]
    yield %5, %6
  } : i64[], f64[]
  return %3
""")
case("places of a record that no replay reads are not saved", dce, "f64[]", """
  %2, %3, %4 = for %0, %n, %1, %x {saved = (2, 1)} { ^(%i: i64[], %p: f64[])
    %5 = sin %p : f64[]
    %6 = cos %p : f64[]
    yield %5, %p, %6, %i
  } : f64[], tape<f64[], f64[]>, tape<i64[]>
  %7 = replay %3, %x {tapes = 1, saved = ()} { ^(%q: f64[], %r: f64[], %s: f64[])
    %8 = mul %r, %s : f64[]
    yield %8
  } : f64[]
  return %7
""", """
  %2, %3 = for %0, %n, %1, %x {saved = (1,)} { ^(%i: i64[], %p: f64[])
    %4 = sin %p : f64[]
    %5 = cos %p : f64[]
    yield %4, %5
  } : f64[], tape<f64[]>
  %6 = replay %3, %x {tapes = 1, saved = ()} { ^(%r: f64[], %s: f64[])
    %7 = mul %r, %s : f64[]
    yield %7
  } : f64[]
  return %6
""")
case("a tape that only counts keeps its smallest place", dce, "f64[]", """
  %2, %3 = for %0, %n, %1, %x {saved = (2,)} { ^(%i: i64[], %p: f64[])
    %4 = sin %p : f64[]
    yield %4, %4, %c
  } : f64[], tape<f64[], bool[]>
  %5 = replay %3, %x {tapes = 1, saved = ()} { ^(%q: f64[], %b: bool[], %s: f64[])
    %6 = sin %s : f64[]
    yield %6
  } : f64[]
  return %5
""", """
  %2 = for %0, %n, %1 {saved = (1,)} { ^(%i: i64[])
    yield %c
  } : tape<bool[]>
  %3 = replay %2, %x {tapes = 1, saved = ()} { ^(%b: bool[], %s: f64[])
    %4 = sin %s : f64[]
    yield %4
  } : f64[]
  return %3
""")
case("places go through branches and tapes in tapes", dce, "f64[]", """
  %2 = if %c { ^()
    %3 = for %0, %n, %1 {saved = (2,)} { ^(%i: i64[])
      %4 = for %0, %i, %1 {saved = (2,)} { ^(%j: i64[])
        yield %j, %x
      } : tape<i64[], f64[]>
      yield %w, %4
    } : tape<f64[], tape<i64[], f64[]>>
    yield %3
  } { ^()
    %5 = empty_tape {record = (f64[], tape<i64[], f64[]>)} : tape<f64[], tape<i64[], f64[]>>
    yield %5
  } : tape<f64[], tape<i64[], f64[]>>
  %6 = replay %2, %x {tapes = 1, saved = ()} { ^(%p: f64[], %t: tape<i64[], f64[]>, %s: f64[])
    %7 = replay %t, %s {tapes = 1, saved = ()} { ^(%k: i64[], %q: f64[], %r: f64[])
      %8 = add %r, %q : f64[]
      yield %8
    } : f64[]
    yield %7
  } : f64[]
  return %6
""", """
  %2 = if %c { ^()
    %3 = for %0, %n, %1 {saved = (1,)} { ^(%i: i64[])
      %4 = for %0, %i, %1 {saved = (1,)} { ^(%j: i64[])
        yield %x
      } : tape<f64[]>
      yield %4
    } : tape<tape<f64[]>>
    yield %3
  } { ^()
    %5 = empty_tape {record = (tape<f64[]>,)} : tape<tape<f64[]>>
    yield %5
  } : tape<tape<f64[]>>
  %6 = replay %2, %x {tapes = 1, saved = ()} { ^(%t: tape<f64[]>, %s: f64[])
    %7 = replay %t, %s {tapes = 1, saved = ()} { ^(%q: f64[], %r: f64[])
      %8 = add %r, %q : f64[]
      yield %8
    } : f64[]
    yield %7
  } : f64[]
  return %6
""")
case("results and operands of branches", dce, "f64[]", """
  %2, %3 = if %c, %x, %w { ^(%p: f64[], %q: f64[])
    %4 = exp %p : f64[]
    yield %4, %q
  } { ^(%r: f64[], %s: f64[])
    %5 = exp %s : f64[]
    yield %r, %5
  } : f64[], f64[]
  return %2
""", """
  %2 = if %c, %x { ^(%p: f64[])
    %3 = exp %p : f64[]
    yield %3
  } { ^(%r: f64[])
    yield %r
  } : f64[]
  return %2
""")
case("a decided branch is taken", control, "f64[]", """
  %2 = full {value = false, dtype = bool, dims = ()} : bool[]
  %3 = if %2, %x { ^(%p: f64[])
    %4 = exp %p : f64[]
    yield %4
  } { ^(%q: f64[])
    %5 = sin %q : f64[]
    yield %5
  } : f64[]
  return %3
""", """
  %2 = full {value = false, dtype = bool, dims = ()} : bool[]
  %3 = sin %x : f64[]
  return %3
""")
case("what both branches hand through goes around", control, "f64[], f64[]", """
  %2, %3 = if %c, %x { ^(%p: f64[])
    %4 = exp %w : f64[]
    yield %p, %4
  } { ^(%q: f64[])
    yield %q, %w
  } : f64[], f64[]
  return %2, %3
""", """
  %2 = if %c { ^()
    %3 = exp %w : f64[]
    yield %3
  } { ^()
    yield %w
  } : f64[]
  return %x, %2
""")
case("inside a branch the condition is known", control, "f64[]", """
  %2 = if %c { ^()
    %3 = if %c { ^()
      yield %x
    } { ^()
      yield %w
    } : f64[]
    %4 = exp %3 : f64[]
    yield %4
  } { ^()
    yield %w
  } : f64[]
  return %2
""", """
  %2 = if %c { ^()
    %3 = full {value = true, dtype = bool, dims = ()} : bool[]
    %4 = exp %x : f64[]
    yield %4
  } { ^()
    %5 = full {value = false, dtype = bool, dims = ()} : bool[]
    yield %w
  } : f64[]
  return %2
""")
case("what no iteration changes goes around a loop", control, "f64[], f64[], f64[]", """
  %2, %3, %4 = while %0, %x, %w {saved = (1,)} { ^(%i: i64[], %p: f64[], %q: f64[])
    %5 = less %i, %n : bool[]
    yield %5
  } { ^(%j: i64[], %r: f64[], %s: f64[])
    %6 = add %j, %1 : i64[]
    %7 = mul %r, %s : f64[]
    yield %6, %7, %s, %s
  } : i64[], f64[], f64[], tape<f64[]>
  %8 = replay %5, %x {tapes = 1, saved = ()} { ^(%t: f64[], %u: f64[])
    %9 = mul %t, %u : f64[]
    yield %9
  } : f64[]
  return %3, %4, %8
""".replace("%2, %3, %4 =", "%2, %3, %4, %5 =").replace("%5 = less", "%50 = less").replace("yield %5\n", "yield %50\n"),
"""
  %2, %3, %4 = while %0, %x {saved = (1,)} { ^(%i: i64[], %p: f64[])
    %5 = less %i, %n : bool[]
    yield %5
  } { ^(%j: i64[], %r: f64[])
    %6 = add %j, %1 : i64[]
    %7 = mul %r, %w : f64[]
    yield %6, %7, %w
  } : i64[], f64[], tape<f64[]>
  %8 = replay %4, %x {tapes = 1, saved = ()} { ^(%t: f64[], %u: f64[])
    %9 = mul %t, %u : f64[]
    yield %9
  } : f64[]
  return %3, %w, %8
""")
case("loops of no trips", control, "f64[], f64[], f64[]", """
  %2 = full {value = false, dtype = bool, dims = ()} : bool[]
  %3, %4 = for %1, %0, %1, %x {saved = (1,)} { ^(%i: i64[], %p: f64[])
    %5 = sin %p : f64[]
    yield %5, %p
  } : f64[], tape<f64[]>
  %6 = replay %4, %w {tapes = 1, saved = ()} { ^(%q: f64[], %r: f64[])
    yield %q
  } : f64[]
  %7 = while %w {saved = ()} { ^(%s: f64[])
    yield %2
  } { ^(%t: f64[])
    yield %x
  } : f64[]
  return %3, %6, %7
""", """
  %2 = full {value = false, dtype = bool, dims = ()} : bool[]
  %3 = empty_tape {record = (f64[],)} : tape<f64[]>
  return %x, %w, %w
""")
case("a call that hands through", control, "f64[], f64[]", """
  %2, %3 = call %x { ^(%p: f64[])
    yield %p, %w
  } : f64[], f64[]
  return %3, %2
""", """
  return %w, %x
""")
case("what is the same in each iteration is computed once, before", licm, "f64[]", """
  %2 = for %0, %n, %1, %x {saved = ()} { ^(%i: i64[], %p: f64[])
    %3 = for %0, %i, %1, %p {saved = ()} { ^(%j: i64[], %q: f64[])
      %4 = sin %w : f64[]
      %5 = cast %i {dtype = f64} : f64[]
      %6 = mul %4, %5 : f64[]
      %7 = mul %q, %6 : f64[]
      yield %7
    } : f64[]
    yield %3
  } : f64[]
  return %2
""", """
  %2 = sin %w : f64[]
  %3 = for %0, %n, %1, %x {saved = ()} { ^(%i: i64[], %p: f64[])
    %4 = cast %i {dtype = f64} : f64[]
    %5 = mul %2, %4 : f64[]
    %6 = for %0, %i, %1, %p {saved = ()} { ^(%j: i64[], %q: f64[])
      %7 = mul %q, %5 : f64[]
      yield %7
    } : f64[]
    yield %6
  } : f64[]
  return %3
""")
case("views stay with their readers, and move with them", licm, "f64[5]", """
  %2 = for %0, %n, %1, %a {saved = ()} { ^(%i: i64[], %p: f64[5])
    %3 = broadcast %w {dims = (5,), axes = ()} : f64[5]
    %4 = add %p, %3 : f64[5]
    %5 = broadcast %x {dims = (5,), axes = ()} : f64[5]
    %6 = sin %5 : f64[5]
    %7 = mul %4, %6 : f64[5]
    yield %7
  } : f64[5]
  return %2
""", """
  %2 = broadcast %x {dims = (5,), axes = ()} : f64[5]
  %3 = sin %2 : f64[5]
  %4 = for %0, %n, %1, %a {saved = ()} { ^(%i: i64[], %p: f64[5])
    %5 = broadcast %w {dims = (5,), axes = ()} : f64[5]
    %6 = add %p, %5 : f64[5]
    %7 = mul %6, %3 : f64[5]
    yield %7
  } : f64[5]
  return %4
""")
case("whole loops move too, if they end and cannot fail", licm, "f64[]", """
  %2 = for %0, %n, %1, %x {saved = ()} { ^(%i: i64[], %p: f64[])
    %3 = for %0, %n, %1, %w {saved = ()} { ^(%j: i64[], %q: f64[])
      %4 = sin %q : f64[]
      yield %4
    } : f64[]
    %5 = mul %p, %3 : f64[]
    yield %5
  } : f64[]
  return %2
""", """
  %2 = for %0, %n, %1, %w {saved = ()} { ^(%j: i64[], %q: f64[])
    %3 = sin %q : f64[]
    yield %3
  } : f64[]
  %4 = for %0, %n, %1, %x {saved = ()} { ^(%i: i64[], %p: f64[])
    %5 = mul %p, %2 : f64[]
    yield %5
  } : f64[]
  return %4
""")
case("what may fail stays where it may not run", licm, "f64[]", """
  %2 = for %0, %n, %1, %x {saved = ()} { ^(%i: i64[], %p: f64[])
    %3 = dynamic_slice %a, %n {sizes = (1,), checked = true} : f64[1]
    %4 = reshape %3 {dims = ()} : f64[]
    %5 = for %0, %n, %n, %p {saved = ()} { ^(%j: i64[], %q: f64[])
      %6 = mul %q, %4 : f64[]
      yield %6
    } : f64[]
    yield %5
  } : f64[]
  return %2
""", "")
case("regions see what is computed around them, not beside them", cse, "f64[]", """
  %2 = sin %x : f64[]
  %3 = if %c { ^()
    %4 = sin %x : f64[]
    %5 = cos %x : f64[]
    %6 = add %4, %5 : f64[]
    yield %6
  } { ^()
    %7 = cos %x : f64[]
    yield %7
  } : f64[]
  %8 = cos %x : f64[]
  %9 = add %3, %8 : f64[]
  %10 = add %9, %2 : f64[]
  return %10
""", """
  %2 = sin %x : f64[]
  %3 = if %c { ^()
    %4 = cos %x : f64[]
    %5 = add %2, %4 : f64[]
    yield %5
  } { ^()
    %6 = cos %x : f64[]
    yield %6
  } : f64[]
  %7 = cos %x : f64[]
  %8 = add %3, %7 : f64[]
  %9 = add %8, %2 : f64[]
  return %9
""")
case("views are made in each region, what is computed of them once", cse, "f64[5]", """
  %2 = broadcast %x {dims = (5,), axes = ()} : f64[5]
  %3 = sin %2 : f64[5]
  %4 = if %c { ^()
    %5 = broadcast %x {dims = (5,), axes = ()} : f64[5]
    %6 = sin %5 : f64[5]
    %7 = broadcast %x {dims = (5,), axes = ()} : f64[5]
    %8 = mul %6, %7 : f64[5]
    %9 = mul %8, %5 : f64[5]
    yield %9
  } { ^()
    yield %a
  } : f64[5]
  %10 = add %3, %4 : f64[5]
  return %10
""", """
  %2 = broadcast %x {dims = (5,), axes = ()} : f64[5]
  %3 = sin %2 : f64[5]
  %4 = if %c { ^()
    %5 = broadcast %x {dims = (5,), axes = ()} : f64[5]
    %6 = mul %3, %5 : f64[5]
    %7 = mul %6, %5 : f64[5]
    yield %7
  } { ^()
    yield %a
  } : f64[5]
  %8 = add %3, %4 : f64[5]
  return %8
""")
case("x[n] = x[n] + w adds", windows, "f64[5]", """
  %2 = reshape %w {dims = (1,)} : f64[1]
  %3 = dynamic_slice %a, %n {sizes = (1,), checked = true} : f64[1]
  %4 = add %2, %3 : f64[1]
  %5 = dynamic_update %a, %4, %n {checked = false} : f64[5]
  return %5
""", """
  %2 = reshape %w {dims = (1,)} : f64[1]
  %3 = dynamic_slice %a, %n {sizes = (1,), checked = true} : f64[1]
  %4 = add %2, %3 : f64[1]
  %5 = dynamic_add %a, %2, %n {checked = true} : f64[5]
  return %5
""")
case("reading and writing what was written", windows, "f64[1], f64[5], f64[1]", """
  %2 = reshape %w {dims = (1,)} : f64[1]
  %3 = reshape %x {dims = (1,)} : f64[1]
  %4 = dynamic_update %a, %2, %n {checked = true} : f64[5]
  %5 = dynamic_slice %4, %n {sizes = (1,), checked = true} : f64[1]
  %6 = dynamic_slice %4, %1 {sizes = (1,), checked = true} : f64[1]
  %7 = dynamic_update %4, %3, %n {checked = false} : f64[5]
  return %5, %7, %6
""", """
  %2 = reshape %w {dims = (1,)} : f64[1]
  %3 = reshape %x {dims = (1,)} : f64[1]
  %4 = dynamic_update %a, %2, %n {checked = true} : f64[5]
  %5 = dynamic_slice %4, %1 {sizes = (1,), checked = true} : f64[1]
  %6 = dynamic_update %a, %3, %n {checked = true} : f64[5]
  return %2, %6, %5
""")


def without_unused_constants(function: Function) -> str:
    """The text less the constants at the start that nobody reads."""
    used = set(reads(function.body))
    body = function.body
    kept = [each for each in body.operations if each.op.name != "full" or each.result in used]
    return print_function(Function(function.name, Region(body.arguments, kept, body.yields)))


@pytest.mark.parametrize(("title", "run", "results", "before", "after"), CASES, ids=[each[0] for each in CASES])
def test_pass(title: str, run: Callable[[Function], bool], results: str, before: str, after: str) -> None:
    """The expected text; an empty one: nothing changes."""
    function = parse_function(text(before, results))
    verify(function)
    result = copy_function(function)
    assert run(result) == bool(after)
    verify(result)
    assert without_unused_constants(result) == without_unused_constants(parse_function(text(after or before, results)))
    for condition in (True, False):
        arguments = [np.array(condition), *ARGUMENTS[1:]]
        for found, value in zip(interpret(result, arguments), interpret(function, arguments), strict=True):
            assert found.tobytes() == value.tobytes()
    assert not run(result)

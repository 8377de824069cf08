"""Loops, branches, windows and tapes in native code: what the interpreter computes, to the bit, and no leak."""
from __future__ import annotations

import sys
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_programs import Programs, Versions
from test_control_text import NESTED, POWERS

from pullback.compiler import Executable, compile_function
from pullback.config import config
from pullback.errors import ArgumentValueError, OutOfBoundsError, OutOfMemoryError
from pullback.ir.core import Array, Function
from pullback.ir.interpret import interpret
from pullback.ir.parse import parse_function
from pullback.ir.verify import verify

COUNTS = """
  %zero = full {value = 0, dtype = i64, dims = ()} : i64[]
  %one = full {value = 1, dtype = i64, dims = ()} : i64[]
"""


def parsed(header: str, body: str) -> Function:
    """A function that begins with the counts 0 and 1."""
    function = parse_function(f"func @f{header} {{{COUNTS}{body}}}")
    verify(function)
    return function


def compare(function: Function, *arguments: object, exact: bool = True) -> tuple[Executable, list[Array]]:
    """Run natively and in the interpreter; arguments must stay as they were."""
    arrays = [np.asarray(argument) for argument in arguments]
    kept = [array.copy() for array in arrays]
    wanted = interpret(function, arrays)
    executable = compile_function(function)
    found = executable(arrays)
    for each, other in zip(found, wanted, strict=True):
        if exact:
            np.testing.assert_array_equal(each, other)
        else:
            np.testing.assert_allclose(each, other, rtol=1e-13)
    for array, before in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, before)
    return executable, found


@pytest.mark.parametrize("trips", [0, 1, 2, 17])
def test_reverse_of_a_power(trips: int) -> None:
    compare(parse_function(POWERS), 1.5, trips)


@pytest.mark.parametrize("trips", [0, 1, 4])
def test_tapes_in_tapes(trips: int) -> None:
    compare(parse_function(NESTED), np.array([0.1, 0.5, 2.0]), trips, exact=False)


@pytest.mark.parametrize(
    ("start", "stop", "step"),
    [(0, 5, 1), (5, 0, -1), (0, 5, 2), (5, 0, -2), (3, 3, 1), (5, 0, 1), (0, 5, -1), (-7, 8, 3), (0, 1, 100),
     (2**62, -(2**62), -(2**61)), (0, 2**63 - 1, 2**62), (-(2**63), 2**63 - 1, 2**63 - 1)],
)  # fmt: skip
def test_ranges(start: int, stop: int, step: int) -> None:
    function = parsed("(%a: i64[], %b: i64[], %c: i64[]) -> (i64[], i64[])", """
  %3, %4 = for %a, %b, %c, %zero, %zero {saved = ()} { ^(%i: i64[], %n: i64[], %last: i64[])
    %5 = add %n, %one : i64[]
    yield %5, %i
  } : i64[], i64[]
  return %3, %4
""")  # fmt: skip
    compare(function, start, stop, step)


def test_a_step_of_zero_is_an_error() -> None:
    function = parse_function(POWERS.replace("(%x: f64[], %n: i64[])", "(%x: f64[], %n: i64[], %s: i64[])")
                              .replace("for %0, %n, %1", "for %0, %n, %s"))  # fmt: skip
    with pytest.raises(ArgumentValueError, match="must not be zero") as caught:
        compile_function(function)([np.array(1.5), np.array(3), np.array(0)])
    assert caught.value.location.line == 3


FILL = """
  %a = full {value = 0.0, dtype = f64, dims = (@N,)} : f64[@N]
  %3 = for %zero, %n, %one, %a {saved = ()} { ^(%i: i64[], %out: f64[@N])
    %4 = cast %i {dtype = f64} : f64[]
    %5 = mul %4, %x : f64[]
    %6 = reshape %5 {dims = (1,)} : f64[1]
    %7 = dynamic_update %out, %6, %i {checked = true} : f64[@N]
    yield %7
  } : f64[@N]
  return %3
"""


def fill(size: int) -> Function:
    return parsed(f"(%x: f64[], %n: i64[]) -> (f64[{size}])", FILL.replace("@N", str(size)))


def test_filling_an_array_writes_each_element_once() -> None:
    compare(fill(300), 0.5, 300)
    executable, _ = compare(fill(300), 0.5, 7)
    # The loop runs in the result's own memory: no temporary, and no copy in the body.
    assert executable.program.arena_bytes == 0
    assert "memcpy" not in executable.code.text


def test_filling_takes_linear_time() -> None:
    import time

    def best(size: int) -> float:
        executable = compile_function(fill(size))
        arguments = [np.asarray(0.5), np.asarray(size)]
        times = []
        for _ in range(5):
            started = time.perf_counter()
            executable(arguments)
            times.append(time.perf_counter() - started)
        return min(times)

    # A copy at each step would be 400 times as slow on 20 times as many elements.
    assert best(200_000) < 100 * best(10_000)


def test_out_of_range_names_the_line_and_the_index() -> None:
    text = FILL.replace("@N", "9").replace("{checked = true} : f64[9]", '{checked = true} : f64[9]  loc("u.py":8:4-9 "f")')
    function = parsed("(%x: f64[], %n: i64[]) -> (f64[9])", text)
    executable = compile_function(function)
    with pytest.raises(OutOfBoundsError, match="index 9 is out of bounds for axis 0 with size 9") as caught:
        executable([np.asarray(0.5), np.asarray(12)])
    assert caught.value.location.line == 8
    np.testing.assert_array_equal(executable([np.asarray(1.0), np.asarray(9)])[0], np.arange(9.0))


def test_arguments_are_copied_on_the_first_write_only() -> None:
    function = parsed("(%x: i64[50]) -> (i64[50], i64[])", """
  %n = full {value = 50, dtype = i64, dims = ()} : i64[]
  %3 = for %zero, %n, %one, %x {saved = ()} { ^(%i: i64[], %y: i64[50])
    %4 = reshape %i {dims = (1,)} : i64[1]
    %5 = dynamic_add %y, %4, %i {checked = true} : i64[50]
    yield %5
  } : i64[50]
  %6 = reduce_sum %x {axes = (0,)} : i64[]
  return %3, %6
""")  # fmt: skip
    executable, _ = compare(function, np.arange(50) % 7)
    assert executable.code.text.count("call void @llvm.memcpy") == 1


@pytest.mark.parametrize("size", [3, 40, 500])
@pytest.mark.parametrize("trips", [0, 1, 2, 5])
def test_state_that_changes_places(size: int, trips: int) -> None:
    """a, b, c = b, a + c, a in every iteration: each is moved before it is overwritten."""
    function = parsed(f"(%x: i64[{size}], %y: i64[{size}], %n: i64[]) -> (i64[{size}], i64[{size}], i64[{size}])", f"""
  %3, %4, %5 = for %zero, %n, %one, %x, %y, %x {{saved = ()}} {{
      ^(%i: i64[], %a: i64[{size}], %b: i64[{size}], %c: i64[{size}])
    %6 = add %a, %c : i64[{size}]
    yield %b, %6, %a
  }} : i64[{size}], i64[{size}], i64[{size}]
  return %3, %4, %5
""")  # fmt: skip
    compare(function, np.arange(size), np.arange(size) ** 2, trips)


@pytest.mark.parametrize("trips", [0, 1, 2, 5])
def test_large_states_change_places_instead_of_being_moved(trips: int) -> None:
    """An array and its mirror image are added, in a loop inside a loop: nothing is copied in the inner one."""
    function = parsed("(%x: i64[100], %n: i64[]) -> (i64[100])", """
  %3 = for %zero, %n, %one, %x {saved = ()} { ^(%i: i64[], %y: i64[100])
    %4, %5 = while %zero, %y {saved = ()} { ^(%k: i64[], %u: i64[100])
      %6 = less %k, %i : bool[]
      yield %6
    } { ^(%m: i64[], %v: i64[100])
      %7 = slice %v {starts = (99,), sizes = (100,), steps = (-1,)} : i64[100]
      %8 = add %7, %v : i64[100]
      %12 = add %m, %one : i64[]
      yield %12, %8
    } : i64[], i64[100]
    %13 = slice %5 {starts = (99,), sizes = (100,), steps = (-1,)} : i64[100]
    %14 = sub %13, %y : i64[100]
    yield %14
  } : i64[100]
  return %3
""")  # fmt: skip
    executable, _ = compare(function, np.arange(100), trips)
    assert executable.code.text.count("phi ptr") == 2


def test_an_old_version_that_is_still_read_is_kept() -> None:
    function = parsed("(%n: i64[]) -> (i64[5], i64[5], i64[])", """
  %a = iota {axis = 0, dtype = i64, dims = (5,)} : i64[5]
  %3, %4, %5 = for %zero, %n, %one, %a, %a, %zero {saved = ()} { ^(%i: i64[], %x: i64[5], %y: i64[5], %s: i64[])
    %6 = reshape %i {dims = (1,)} : i64[1]
    %7 = dynamic_update %x, %6, %i {checked = true} : i64[5]
    %8 = dynamic_add %7, %6, %zero {checked = true} : i64[5]
    %9 = reduce_sum %x {axes = (0,)} : i64[]
    %10 = add %s, %9 : i64[]
    %11 = reduce_sum %7 {axes = (0,)} : i64[]
    %12 = add %10, %11 : i64[]
    yield %8, %7, %12
  } : i64[5], i64[5], i64[]
  return %3, %4, %5
""")  # fmt: skip
    compare(function, 4)


def test_windows_that_overlap_themselves() -> None:
    """x[i : i + 3] = x[0 : 3]: the window is read before it is written."""
    function = parsed("(%n: i64[]) -> (i64[9])", """
  %a = iota {axis = 0, dtype = i64, dims = (9,)} : i64[9]
  %3 = for %zero, %n, %one, %a {saved = ()} { ^(%i: i64[], %x: i64[9])
    %4 = slice %x {starts = (2,), sizes = (3,), steps = (-1,)} : i64[3]
    %5 = dynamic_update %x, %4, %i {checked = true} : i64[9]
    yield %5
  } : i64[9]
  return %3
""")  # fmt: skip
    compare(function, 6)


def test_branches_write_in_place() -> None:
    function = parsed("(%x: i64[40], %n: i64[]) -> (i64[40])", """
  %3 = for %zero, %n, %one, %x {saved = ()} { ^(%i: i64[], %y: i64[40])
    %4 = dynamic_slice %y, %i {sizes = (1,), checked = true} : i64[1]
    %5 = reshape %4 {dims = ()} : i64[]
    %6 = less %5, %one : bool[]
    %7 = if %6 { ^()
      %8 = dynamic_update %y, %4, %zero {checked = true} : i64[40]
      yield %8
    } { ^()
      yield %y
    } : i64[40]
    yield %7
  } : i64[40]
  return %3
""")  # fmt: skip
    executable, _ = compare(function, np.random.default_rng(0).integers(-3, 4, 40), 40)
    assert executable.code.text.count("call void @llvm.memcpy") == 1
    assert executable.program.arena_bytes == 0


def test_an_array_of_equal_elements_is_seen_inside() -> None:
    function = parsed("(%x: i64[], %n: i64[]) -> (i64[])", """
  %3 = broadcast %x {dims = (5,), axes = ()} : i64[5]
  %4 = for %zero, %n, %one, %zero {saved = ()} { ^(%i: i64[], %s: i64[])
    %5 = for %zero, %i, %one, %s {saved = ()} { ^(%j: i64[], %t: i64[])
      %6 = slice %3 {starts = (2,), sizes = (1,), steps = (1,)} : i64[1]
      %7 = reshape %6 {dims = ()} : i64[]
      %8 = reduce_sum %3 {axes = (0,)} : i64[]
      %9 = add %t, %7 : i64[]
      %10 = add %9, %8 : i64[]
      yield %10
    } : i64[]
    yield %5
  } : i64[]
  return %4
""")  # fmt: skip
    with config(opt=0):
        compare(function, 7, 5)


def test_a_view_is_seen_inside_without_the_array_it_views() -> None:
    function = parsed("(%x: i64[2, 3], %n: i64[]) -> (i64[])", """
  %3 = transpose %x {axes = (1, 0)} : i64[3, 2]
  %4 = for %zero, %n, %one, %zero {saved = ()} { ^(%i: i64[], %s: i64[])
    %6 = slice %3 {starts = (2, 0), sizes = (1, 1), steps = (1, 1)} : i64[1, 1]
    %7 = reshape %6 {dims = ()} : i64[]
    %8 = dynamic_slice %3, %i, %one {sizes = (1, 1), checked = true} : i64[1, 1]
    %9 = reshape %8 {dims = ()} : i64[]
    %10 = sub %7, %9 : i64[]
    %11 = add %s, %10 : i64[]
    yield %11
  } : i64[]
  return %4
""")  # fmt: skip
    with config(opt=0):
        compare(function, np.arange(6).reshape(2, 3) ** 2, 3)


def test_while_with_data_dependent_trips() -> None:
    """Collatz, from each of many starts."""
    function = parsed("(%n: i64[]) -> (i64[], i64[])", """
  %two = full {value = 2, dtype = i64, dims = ()} : i64[]
  %three = full {value = 3, dtype = i64, dims = ()} : i64[]
  %3, %4 = while %n, %zero {saved = ()} { ^(%x: i64[], %k: i64[])
    %5 = less %one, %x : bool[]
    yield %5
  } { ^(%y: i64[], %m: i64[])
    %6 = remainder %y, %two : i64[]
    %7 = equal %6, %zero : bool[]
    %8 = if %7, %y { ^(%even: i64[])
      %9 = floor_divide %even, %two : i64[]
      yield %9
    } { ^(%odd: i64[])
      %10 = mul %odd, %three : i64[]
      %11 = add %10, %one : i64[]
      yield %11
    } : i64[]
    %12 = add %m, %one : i64[]
    yield %8, %12
  } : i64[], i64[]
  return %3, %4
""")  # fmt: skip
    executable = compile_function(function)
    for start in range(1, 60):
        wanted, value = 0, start
        while value != 1:
            value = value // 2 if value % 2 == 0 else 3 * value + 1
            wanted += 1
        assert executable([np.asarray(start)])[1] == wanted


TAPE_OF_A_WHILE = """
  %3, %4 = while %zero {saved = (1,)} { ^(%k: i64[])
    %5 = less %k, %n : bool[]
    yield %5
  } { ^(%m: i64[])
    %6, %7 = for %zero, %m, %one {saved = (2, 1)} { ^(%i: i64[])
      %8 = broadcast %i {dims = (3,), axes = ()} : i64[3]
      yield %i, %8, %m
    } : tape<i64[], i64[3]>, tape<i64[]>
    %9 = add %m, %one : i64[]
    yield %9, %6
  } : i64[], tape<tape<i64[], i64[3]>>
  %10 = replay %4, %zero {tapes = 1, saved = ()} { ^(%inner: tape<i64[], i64[3]>, %s: i64[])
    %11 = replay %inner, %s {tapes = 1, saved = ()} { ^(%r: i64[], %v: i64[3], %t: i64[])
      %12 = reduce_sum %v {axes = (0,)} : i64[]
      %13 = add %12, %r : i64[]
      %14 = add %t, %t : i64[]
      %15 = add %14, %13 : i64[]
      yield %15
    } : i64[]
    yield %11
  } : i64[]
  return %10
"""


@pytest.mark.parametrize("trips", [0, 1, 2, 9, 60])
def test_a_while_loop_keeps_tapes_of_a_loop_inside(trips: int) -> None:
    compare(parsed("(%n: i64[]) -> (i64[])", TAPE_OF_A_WHILE), trips)


def test_memory_of_tapes_is_given_back() -> None:
    if sys.platform != "linux":
        pytest.skip("reads /proc")

    def resident_kib() -> int:
        with open("/proc/self/statm") as status:
            return int(status.read().split()[1]) * 4

    executable = compile_function(parsed("(%n: i64[]) -> (i64[])", TAPE_OF_A_WHILE))
    failing = compile_function(parsed("(%n: i64[]) -> (f64[7])", """
  %a = full {value = 0.0, dtype = f64, dims = (7,)} : f64[7]
  %w = full {value = 1.0, dtype = f64, dims = (1,)} : f64[1]
  %3, %t = for %zero, %n, %one, %a {saved = (1,)} { ^(%i: i64[], %out: f64[7])
    %4 = dynamic_update %out, %w, %i {checked = true} : f64[7]
    yield %4, %out
  } : f64[7], tape<f64[7]>
  %5 = replay %t, %3 {tapes = 1, saved = ()} { ^(%r: f64[7], %s: f64[7])
    %6 = add %r, %s : f64[7]
    yield %6
  } : f64[7]
  return %5
"""))  # fmt: skip

    def cycle(count: int) -> None:
        for _ in range(count):
            executable([np.asarray(150)])
            with pytest.raises(OutOfBoundsError):
                failing([np.asarray(40_000)])

    cycle(20)
    before = resident_kib()
    cycle(150)
    assert resident_kib() - before < 2000  # each call takes some 0.4 MB and 2 MB


def test_a_tape_that_no_memory_holds_is_an_error() -> None:
    executable = compile_function(parse_function(POWERS))
    with pytest.raises(OutOfMemoryError, match="no memory") as caught:
        executable([np.asarray(1.0), np.asarray(2**60)])
    assert isinstance(caught.value, MemoryError) and caught.value.location.line == 3


def test_temporary_tapes_inside_a_loop_do_not_pile_up() -> None:
    """A gradient inside a loop's body: a million records are written, a thousand lie there at once."""
    function = parsed("(%n: i64[]) -> (i64[])", """
  %m = full {value = 1000, dtype = i64, dims = ()} : i64[]
  %3 = for %zero, %n, %one, %zero {saved = ()} { ^(%i: i64[], %s: i64[])
    %4 = for %zero, %m, %one {saved = (1,)} { ^(%j: i64[])
      %5 = broadcast %j {dims = (16,), axes = ()} : i64[16]
      yield %5
    } : tape<i64[16]>
    %6 = replay %4, %s {tapes = 1, saved = ()} { ^(%v: i64[16], %t: i64[])
      %7 = reduce_max %v {axes = (0,)} : i64[]
      %8 = add %t, %7 : i64[]
      yield %8
    } : i64[]
    yield %6
  } : i64[]
  return %3
""")  # fmt: skip
    executable, _ = compare(function, 3)
    if sys.platform == "linux":
        import resource

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert executable([np.asarray(1000)])[0] == 1000 * 499_500
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # all of it would be 128 MB


@pytest.mark.parametrize(("saved", "record", "pushed"), [("%a", "i64[]", 8), ("%a, %x", "i64[], f64[3]", 32)])
def test_bytes_of_tapes_are_known_beforehand(saved: str, record: str, pushed: int) -> None:
    """Ten times: a tape of 7 records; it stays in a record of the outer loop, or goes with each iteration's end."""

    def executable(kept: bool) -> Executable:
        state = "" if kept else ", %zero"
        function = parsed("(%a: i64[], %x: f64[3]) -> (i64[])", f"""
  %ten = full {{value = 10, dtype = i64, dims = ()}} : i64[]
  %seven = full {{value = 7, dtype = i64, dims = ()}} : i64[]
  %3 = for %zero, %ten, %one{state} {{saved = {"(1,)" if kept else "()"}}} {{ ^(%i: i64[]{"" if kept else ", %s: i64[]"})
    %5 = for %zero, %seven, %one {{saved = ({saved.count("%")},)}} {{ ^(%j: i64[])
      yield {saved}
    }} : tape<{record}>
    yield {"%5" if kept else "%i"}
  }} : {f"tape<tape<{record}>>" if kept else "i64[]"}
  return %a
""")  # fmt: skip
        with config(opt=0):
            return compare(function, 3, np.ones(3))[0]

    assert executable(True).program.tape_bytes == 10 * (24 + 7 * pushed)
    assert executable(False).program.tape_bytes == 7 * pushed


def test_long_loops_let_other_threads_run() -> None:
    assert compile_function(fill(20)).release_gil
    short = parsed("(%x: i64[]) -> (i64[])", """
  %two = full {value = 2, dtype = i64, dims = ()} : i64[]
  %3 = for %zero, %two, %one, %x {saved = ()} { ^(%i: i64[], %y: i64[])
    %4 = add %y, %i : i64[]
    yield %4
  } : i64[]
  return %3
""")  # fmt: skip
    executable, _ = compare(short, 5)
    assert not executable.release_gil


def check_random(programs: Programs) -> None:
    function = programs.function()
    verify(function)
    generator = np.random.default_rng(programs.random.randrange(2**32))
    with config(opt=programs.random.randint(0, 1)):
        compare(function, *(generator.integers(-5, 6, kind.shape) for kind in programs.kinds))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_random_programs(random: Random) -> None:
    check_random(Programs(random, 8))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_versions_of_arrays(random: Random) -> None:
    """Writing in place never shows."""
    check_random(Versions(random, 6))


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(40))
def test_many_random_programs(seed: int) -> None:
    random = Random(seed)
    for _ in range(25):
        check_random(Programs(random, 16))
        check_random(Versions(random, 10))

"""Entries: what they take, give back, refuse and free; the ctypes fallback is held to the same."""
from __future__ import annotations

import gc
import itertools
import sys
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import dtypes
from pullback.codegen import jit
from pullback.codegen.entry import ENTRY, emit_entry
from pullback.codegen.llvm_text import FunctionText, ModuleText
from pullback.runtime import abi, arena, handle
from pullback.runtime.abi import ArgumentKind, ArgumentSpec, EntrySpec, ResultSpec

ARRAY = ArgumentKind.ARRAY
VECTOR = ArgumentSpec(ARRAY, dtypes.f64, (4,))
SCALAR_RESULT = ResultSpec(dtypes.f64, (), scalar=True)
VECTOR_RESULT = ResultSpec(dtypes.f64, (4,))


class Failed(Exception):
    """What `fail` raises."""


def miss(*args, **keywords):
    return ("miss", args, keywords)


def fail(status):
    raise Failed(status)


def pointer(function: FunctionText, table: str, index: int) -> str:
    return function.let(f"load ptr, ptr {function.let(f'getelementptr ptr, ptr {table}, i64 {index}')}")


def copy(function: FunctionText, spec: EntrySpec, sources: tuple[int, ...]) -> None:
    """Result i becomes argument sources[i], byte for byte."""
    for index, source in enumerate(sources):
        result = spec.results[index]
        count = result.dtype.itemsize * int(np.prod(result.shape, dtype=np.int64))
        operands = (
            ("ptr", pointer(function, "%results", index)), ("ptr", pointer(function, "%arguments", source)),
            ("i64", str(count)), ("i1", "false"),
        )  # fmt: skip
        function.call("llvm.memcpy.p0.p0.i64", "void", operands)


def compile_body(spec: EntrySpec, sources: tuple[int, ...] = (), lines: tuple[str, ...] = (), status: str = "0"):
    """Native code for a body that copies arguments to results and runs `lines`; it returns `status`."""
    module = ModuleText()
    function = module.function("body", "i64", ("ptr %arguments", "ptr %results", "ptr %arena"), linkage="")
    copy(function, spec, sources)
    for line in lines:
        function.emit(line)
    function.emit(f"ret i64 {status}")
    emit_entry(module, spec, "body", cost=0)
    return jit.link(str(module), abi.symbols(), [ENTRY, "body"], verify=True)


@pytest.fixture(params=["native", "ctypes"])
def make(request):
    """Makes the callable of a spec and a body, both ways."""
    if request.param == "native" and not abi.self_test():
        pytest.skip("this interpreter's objects are laid out in another way")

    def build(spec, sources=(), lines=(), status="0", miss=miss, fail=fail):
        code = compile_body(spec, sources, lines, status)
        if request.param == "native":
            return handle.NativeFunction(code.address(ENTRY), code, miss, fail, "native", "what it does").call
        return handle.CtypesEntry(code.address("body"), code, spec, miss, fail).call

    return build


def spec_of(arguments, results, tree, **more) -> EntrySpec:
    return EntrySpec(tuple(arguments), tuple(results), tree, **more)


def test_self_test_passes_here():
    assert abi.self_test()


def test_arrays_in_and_out(make):
    matrix = ArgumentSpec(ARRAY, dtypes.f32, (2, 3))
    call = make(spec_of([VECTOR, matrix], [ResultSpec(dtypes.f32, (2, 3)), VECTOR_RESULT], (0, 1)), (1, 0))
    x, w = np.arange(4.0), np.arange(6, dtype=np.float32).reshape(2, 3)
    first, second = call(x, w)
    np.testing.assert_array_equal(first, w)
    np.testing.assert_array_equal(second, x)
    assert first.dtype == np.float32 and first.flags.c_contiguous and first.flags.writeable and first.flags.owndata
    assert second is not x


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_every_dtype(make, dtype):
    argument = ArgumentSpec(ARRAY, dtype)
    results = [ResultSpec(dtype, (), scalar=True), ResultSpec(dtype)]
    call = make(spec_of([argument], results, (0, 1)), (0, 0))
    for value in (dtype.numpy.type(1), dtype.numpy.type(0), np.array(1, dtype.numpy), np.iinfo("i1").max):
        if isinstance(value, int):
            value = dtype.numpy.type(value)
        scalar, array = call(value)
        assert type(scalar) is dtype.numpy.type and scalar == value
        assert type(array) is np.ndarray and array.shape == () and array.dtype is dtype.numpy and array == value
    if dtype.is_bool:
        assert call(np.True_)[0] is np.True_ and call(np.False_)[0] is np.False_


def test_python_numbers(make):
    arguments = [
        ArgumentSpec(ArgumentKind.PYTHON_FLOAT, dtypes.f64),
        ArgumentSpec(ArgumentKind.PYTHON_INT, dtypes.i64),
        ArgumentSpec(ArgumentKind.PYTHON_BOOL, dtypes.boolean),
    ]
    results = [ResultSpec(argument.dtype, (), scalar=True) for argument in arguments]
    call = make(spec_of(arguments, results, (0, 1, 2)), (0, 1, 2))
    assert call(2.5, -7, True) == (2.5, -7, True)
    assert call(-0.0, 2**63 - 1, False) == (0.0, 2**63 - 1, False)
    assert call(1e300, -(2**63), True) == (1e300, -(2**63), True)
    for args in [(2.5, 2**63, True), (2, 1, True), (2.5, True, True), (2.5, 1, 1), (np.float64(1), 1, True)]:
        assert call(*args) == ("miss", args, {})


def test_results_nest(make):
    call = make(spec_of([VECTOR], [SCALAR_RESULT, VECTOR_RESULT, VECTOR_RESULT], ((0, (1,)), (), 2)), (0, 0, 0))
    x = np.arange(4.0)
    (scalar, (inner,)), empty, last = call(x)
    assert scalar == 0.0 and type(scalar) is np.float64 and empty == ()
    np.testing.assert_array_equal(inner, x)
    np.testing.assert_array_equal(last, x)


def test_one_result_in_many_places_or_none(make):
    call = make(spec_of([VECTOR], [VECTOR_RESULT, VECTOR_RESULT], (0, (0, 0))), (0, 0))
    first, (second, third) = call(np.ones(4))
    assert first is second is third
    assert sys.getrefcount(first) == 4  # three names, and the argument of getrefcount
    assert make(spec_of([VECTOR], [VECTOR_RESULT], ()), (0,))(np.ones(4)) == ()
    only = make(spec_of([VECTOR], [VECTOR_RESULT], 0), (0,))(np.ones(4))
    assert sys.getrefcount(only) == 2


class Subclass(np.ndarray):
    """Not exactly an ndarray."""


def misaligned() -> np.ndarray:
    return np.zeros(33, np.uint8)[1:].view(np.float64)


@pytest.mark.parametrize(
    "args",
    [
        (), (np.ones(4), np.ones(4)), (np.ones(5),), (np.ones((4, 1)),), (np.ones(4, np.float32),),
        (np.ones(4, np.int64),), (np.ones(4, ">f8"),), (np.ones(8)[::2],), (misaligned(),),
        (np.ones(4).view(Subclass),), ([1.0] * 4,), (None,), (1.0,), (np.float64(1),), (np.array(1.0),),
    ],
    ids=lambda args: "_".join(["of", *(type(arg).__name__ + str(getattr(arg, "shape", "")) for arg in args)]),
)  # fmt: skip
def test_misses(make, args):
    call = make(spec_of([VECTOR], [SCALAR_RESULT], 0), (0,))
    kind, given, keywords = call(*args)
    assert kind == "miss" and keywords == {}
    assert len(given) == len(args) and all(one is other for one, other in zip(given, args, strict=True))


def test_keywords_miss(make):
    call = make(spec_of([VECTOR], [SCALAR_RESULT], 0), (0,))
    x = np.ones(4)
    assert call(x=x) == ("miss", (), {"x": x})
    assert call(1, y=2) == ("miss", (1,), {"y": 2})


def test_orders(make):
    matrix = ArgumentSpec(ARRAY, dtypes.f64, (2, 3))
    call = make(spec_of([matrix], [ResultSpec(dtypes.f64, (2, 3))], 0), (0,))
    x = np.arange(6.0).reshape(2, 3)
    assert call(np.asfortranarray(x))[0] == "miss"
    assert call(np.ones((3, 2)))[0] == "miss"
    x.flags.writeable = False
    np.testing.assert_array_equal(call(x), x)
    column = ArgumentSpec(ARRAY, dtypes.f64, (3, 1))  # both orders at once
    call = make(spec_of([column], [ResultSpec(dtypes.f64, (3, 1))], 0), (0,))
    np.testing.assert_array_equal(call(np.asfortranarray(np.ones((3, 1)))), np.ones((3, 1)))


def test_empty_arrays(make):
    empty = ArgumentSpec(ARRAY, dtypes.f64, (0, 3))
    call = make(spec_of([empty], [ResultSpec(dtypes.f64, (0, 3))], 0), (0,))
    assert call(np.ones((0, 3))).shape == (0, 3)
    assert call(np.ones((0, 4)))[0] == "miss"
    assert make(spec_of([], [], ()))() == ()


@pytest.mark.parametrize("size", [8, 1000, 32 * 1024, 32 * 1024 + 8, 5_000_000])
def test_arena(make, size):
    """The body counts its arena's misalignment and touches both ends."""
    lines = (
        "%address = ptrtoint ptr %arena to i64",
        "%off = and i64 %address, 63",
        "store i8 1, ptr %arena",
        f"%end = getelementptr i8, ptr %arena, i64 {size - 1}",
        "store i8 1, ptr %end",
        "%out = load ptr, ptr %results",
        "store i64 %off, ptr %out",
    )
    call = make(spec_of([], [ResultSpec(dtypes.i64, (), scalar=True)], 0, arena_bytes=size), (), lines)
    assert [call() for _ in range(20)] == [0] * 20


@pytest.mark.parametrize("arena_bytes", [0, 100_000])
def test_failure(make, arena_bytes):
    spec = spec_of([VECTOR], [VECTOR_RESULT, SCALAR_RESULT], (0, (1,)), arena_bytes=arena_bytes)
    call = make(spec, (0, 0), status="-7")
    for _ in range(3):
        with pytest.raises(Failed, match="-7"):
            call(np.ones(4))


def test_errors_of_a_miss_come_through(make):
    def raising(*args):
        raise KeyError(*args)

    with pytest.raises(KeyError):
        make(spec_of([], [], ()), miss=raising)(1)


def test_too_much_memory(make):
    spec = spec_of([VECTOR], [VECTOR_RESULT, ResultSpec(dtypes.f64, (1 << 58,))], (0, 1))
    with pytest.raises(MemoryError):
        make(spec)(np.ones(4))
    with pytest.raises(MemoryError):
        make(spec_of([VECTOR], [VECTOR_RESULT], 0, arena_bytes=1 << 60))(np.ones(4))


def references(objects) -> list[int]:
    return [sys.getrefcount(one) for one in objects]


def test_no_reference_drifts(make):
    arguments = [VECTOR, ArgumentSpec(ARRAY, dtypes.f64), ArgumentSpec(ArgumentKind.PYTHON_INT, dtypes.i64)]
    results = [SCALAR_RESULT, VECTOR_RESULT, ResultSpec(dtypes.boolean, (), True), ResultSpec(dtypes.f32, (2, 3))]
    good = make(spec_of(arguments, results, (0, (1, 2), (), 1)), (0, 0, 0))
    bad = make(spec_of(arguments, results, (0, 1, 2, 3)), (0, 0, 0), status="1")
    huge = make(spec_of([VECTOR], [VECTOR_RESULT, ResultSpec(dtypes.f64, (1 << 58,))], (0, 1)))
    x, y, n = np.ones(4), np.float64(3.5), 10**12
    watched = (
        x, y, n, None, True, np.True_, np.ndarray, np.float64, np.dtype("f8"), np.dtype("f4"), np.dtype("bool"), good,
        bad, miss, fail, float, int,
    )  # fmt: skip

    def work(count):
        for _ in range(count):
            good(x, y, n)
            good(x, y, 2**70)
            good(x, key=y)
            with pytest.raises(Failed):
                bad(x, y, n)
            with pytest.raises(MemoryError):
                huge(x)

    work(20)
    gc.collect()
    before, blocks = references(watched), sys.getallocatedblocks()
    work(1000)
    gc.collect()
    after = references(watched)
    assert [new - old for new, old in zip(after, before, strict=True) if abs(new - old) > 20] == []
    assert sys.getallocatedblocks() - blocks < 300


def test_fast_path_does_not_drift():
    code = compile_body(spec := spec_of([VECTOR], [SCALAR_RESULT, VECTOR_RESULT], (0, 1)), (0, 0))
    call = handle.NativeFunction(code.address(ENTRY), code, miss, fail).call
    x = np.ones(4)
    watched = (x, np.dtype("f8"), np.float64, np.ndarray, call, spec)
    before, blocks = references(watched), sys.getallocatedblocks()
    for _ in range(100_000):
        call(x)
    assert max(abs(new - old) for new, old in zip(references(watched), before, strict=True)) < 20
    assert sys.getallocatedblocks() - blocks < 100


def spin_lines(turns: int) -> tuple[str, ...]:
    """Lines that keep the processor busy: a chain of volatile loads and stores."""
    return (
        "%cell = alloca i64",
        "store i64 0, ptr %cell",
        "br label %spin",
        "\nspin:",
        "%old = load volatile i64, ptr %cell",
        "%new = add i64 %old, 1",
        "store volatile i64 %new, ptr %cell",
        f"%more = icmp ult i64 %new, {turns}",
        "br i1 %more, label %spin, label %done",
        "\ndone:",
    )


def test_other_threads_run_while_the_body_does(make):
    spec = spec_of([VECTOR], [VECTOR_RESULT], 0, release_gil=True)
    call = make(spec, (0,), spin_lines(150_000_000))
    ticks = []
    stop = threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        time.sleep(0.02)
        began = time.perf_counter()
        np.testing.assert_array_equal(call(np.ones(4)), np.ones(4))
        ended = time.perf_counter()
    finally:
        stop.set()
        thread.join()
    assert sum(began < moment < ended for moment in ticks) > 5


def test_many_threads_call_at_once():
    spec = spec_of([VECTOR], [SCALAR_RESULT, VECTOR_RESULT], (0, 1), arena_bytes=40_000, release_gil=True)
    code = compile_body(spec, (0, 0))
    call = handle.NativeFunction(code.address(ENTRY), code, miss, fail).call
    wrong = []

    def work(number):
        x = np.full(4, float(number))
        for _ in range(3000):
            scalar, array = call(x)
            if scalar != number or array[3] != number:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_builtin_says_who_it_is():
    code = compile_body(spec_of([], [], ()))
    call = handle.NativeFunction(code.address(ENTRY), code, miss, fail, "loss", "What it does.").call
    assert call.__name__ == "loss" and call.__doc__ == "What it does."


def test_code_lives_as_long_as_the_builtin():
    code = compile_body(spec_of([VECTOR], [VECTOR_RESULT], 0), (0,))
    alive = weakref.ref(code)
    native = handle.NativeFunction(code.address(ENTRY), code, miss, fail)
    call = native.call
    del code, native
    gc.collect()
    assert alive() is not None
    np.testing.assert_array_equal(call(np.ones(4)), np.ones(4))
    del call
    assert alive() is None  # at once, no collector needed


class Dispatcher:
    """As in real use: holds the builtin whose miss is its own method, and calls it when it dies."""

    def __init__(self, last_words: list[float]) -> None:
        code = compile_body(spec_of([VECTOR], [SCALAR_RESULT], 0), (0,))
        self.code = weakref.ref(code)
        self.call = handle.NativeFunction(code.address(ENTRY), code, self.miss, fail).call
        self.last_words = last_words

    def miss(self, *args):
        return len(args)

    def __del__(self):
        self.last_words.append(self.call(np.full(4, 7.0)))
        self.last_words.append(self.call(1, 2, 3))


def test_cycles_through_miss_are_collected():
    words: list[float] = []
    dispatchers = [Dispatcher(words) for _ in range(10)]
    codes = [dispatcher.code for dispatcher in dispatchers]
    assert all(dispatcher.call() == 0 for dispatcher in dispatchers)
    for one, other in itertools.pairwise(dispatchers):
        one.neighbour, other.neighbour = other, one
    del dispatchers, one, other
    gc.collect()
    assert words == [7.0, 3] * 10
    assert [code() for code in codes] == [None] * 10


def test_call_body():
    spec = spec_of([VECTOR, VECTOR], [VECTOR_RESULT, VECTOR_RESULT], (0, 1), arena_bytes=128)
    code = compile_body(spec, (1, 0))
    x, y, first, second = np.arange(4.0), np.ones(4), np.empty(4), np.empty(4)
    assert handle.call_body(code.address("body"), [x, y], [first, second], 128) == 0
    np.testing.assert_array_equal(first, y)
    np.testing.assert_array_equal(second, x)
    failing = compile_body(spec, (1, 0), status="9")
    assert handle.call_body(failing.address("body"), [x, y], [first, second], 0, release_gil=True) == 9


def test_many_arguments_and_results(make):
    count = 60
    arguments = [ArgumentSpec(ARRAY, dtypes.f32, (1, 1, index + 1)) for index in range(count)]
    results = [ResultSpec(dtypes.f32, argument.shape) for argument in arguments]
    call = make(spec_of(arguments, results, tuple(range(count))), tuple(range(count)))
    args = [np.full(argument.shape, index, np.float32) for index, argument in enumerate(arguments)]
    for got, expected in zip(call(*args), args, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_temporaries_are_kept_for_the_next_call_and_apart_in_threads() -> None:
    """Functions that need arenas of several sizes, in turns and at the same time: none sees another's elements."""

    def first(x: Any) -> Any:
        return np.mean(x**2, where=x > 0)

    def second(x: Any) -> Any:
        return np.sum(np.sort(x)[::2] ** 2) + np.mean(np.cumsum(x) * x)

    functions = [pb.compile_grad(each).value_and_grad for each in (first, second)]
    arrays = [np.random.default_rng(size).normal(size=size) for size in (100_000, 9_000, 30_000)]
    wanted = [[function(each) for function in functions] for each in arrays]
    failures: list[BaseException] = []

    def work(begin: int) -> None:
        try:
            for turn in range(begin, begin + 40):
                for function, (value, slope) in zip(functions, wanted[turn % 3], strict=True):
                    found, gradient = function(arrays[turn % 3])
                    assert found == value and np.array_equal(gradient, slope)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(begin,)) for begin in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failures
    arena.release()
    assert functions[0](arrays[0])[0] == wanted[0][0][0]

"""Text to machine code: linking, errors, laziness, and memory given back."""
from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

from pullback.codegen import jit, target
from pullback.codegen.llvm_text import ModuleText
from pullback.errors import CompileError

ADD_ONE = "define i64 @add_one(i64 %x) {\n  %y = add i64 %x, 1\n  ret i64 %y\n}\n"


def integer_function(address: int):
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)


def test_link_and_call():
    code = jit.link(ADD_ONE, {}, ["add_one"], verify=True)
    assert integer_function(code.address("add_one"))(41) == 42
    assert code.text == ADD_ONE
    assert "add_one:" in code.assembly
    with pytest.raises(CompileError, match="not exported"):
        code.address("other")


def test_object_code_links_again():
    code = jit.link_objects([jit.compile_object(ADD_ONE)], {}, ["add_one"])
    again = jit.link_objects(code.objects, {}, ["add_one"])
    assert integer_function(again.address("add_one"))(1) == 2
    assert again.address("add_one") != code.address("add_one")


def test_imports_by_name():
    text = (
        "@cell = external global i64\ndeclare i64 @callback(i64)\n"
        "define i64 @run(i64 %x) {\n  %a = load i64, ptr @cell\n  %b = call i64 @callback(i64 %x)\n"
        "  %c = add i64 %a, %b\n  ret i64 %c\n}\n"
    )
    cell = ctypes.c_int64(1000)
    callback = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(lambda x: 2 * x)
    symbols = {"cell": ctypes.addressof(cell), "callback": ctypes.cast(callback, ctypes.c_void_p).value or 0}
    code = jit.link(text, symbols, ["run"])
    assert integer_function(code.address("run"))(21) == 1042


def test_library_calls_of_the_code_generator():
    text = (
        "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)\n"
        "define double @remainder_of(double %x, double %y) {\n  %r = frem double %x, %y\n  ret double %r\n}\n"
        "define float @small(float %x, float %y) {\n  %r = frem float %x, %y\n  ret float %r\n}\n"
        "define void @clear(ptr %p, i64 %n) {\n"
        "  call void @llvm.memset.p0.i64(ptr %p, i8 0, i64 %n, i1 false)\n  ret void\n}\n"
    )
    code = jit.link(text, {}, ["remainder_of", "small", "clear"])
    double = ctypes.c_double
    assert ctypes.CFUNCTYPE(double, double, double)(code.address("remainder_of"))(7.5, 2.0) == 1.5
    buffer = ctypes.create_string_buffer(b"abcdefgh")
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(code.address("clear"))(ctypes.addressof(buffer), 3)
    assert buffer.raw[:8] == b"\0\0\0defgh"


@pytest.mark.parametrize(
    ("text", "exports", "message"),
    [
        ("define i64 @f(", [], "LLVM refused the text: (.|\\n)*expected type"),
        ("define i64 @f() {\n  ret i64 %x\n}", [], "undefined value"),
        (
            "declare void @nowhere()\ndefine void @f() {\n  call void @nowhere()\n  ret void\n}", ["f"],
            r"without an address: \['nowhere'\]",
        ),
        (ADD_ONE, ["missing"], "missing"),
    ],
)  # fmt: skip
def test_errors(text, exports, message):
    with pytest.raises(CompileError, match=message):
        jit.link(text, {}, exports)


def test_verify_finds_what_the_parser_lets_through():
    text = "define i64 @f(i1 %c) {\n  br i1 %c, label %a, label %b\na:\n  %x = add i64 1, 2\n  br label %b\nb:\n"
    with pytest.raises(CompileError, match="dominate"):
        jit.link(text + "  ret i64 %x\n}\n", {}, ["f"], verify=True)


def test_the_target_is_made_once():
    assert target.host() is target.host()
    assert target.host().triple


def test_threads_compile_at_once():
    answers = []

    def work(number: int) -> None:
        for step in range(5):
            text = ADD_ONE.replace(", 1", f", {number * 100 + step}")
            code = jit.link(text, {}, ["add_one"])
            answers.append(integer_function(code.address("add_one"))(0) == number * 100 + step)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 20


def test_code_is_dropped_without_the_cycle_collector():
    code = jit.link(ADD_ONE, {}, ["add_one"])
    tracker = weakref.ref(code._tracker)
    gc.disable()
    try:
        del code
        assert tracker() is None
    finally:
        gc.enable()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_compiling_and_dropping_leaks_nothing():
    def resident_kib() -> int:
        with open("/proc/self/statm") as status:
            return int(status.read().split()[1]) * 4

    def cycle(count: int) -> None:
        for number in range(count):
            jit.link(ADD_ONE.replace(", 1", f", {number}"), {}, ["add_one"])

    cycle(50)
    before = resident_kib()
    cycle(300)
    assert resident_kib() - before < 600  # 2 KiB each; a shared LLJIT would leak 9


def test_importing_the_package_does_not_import_llvm():
    script = "import sys, pullback.codegen.jit, pullback.runtime.handle; sys.exit('llvmlite' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_code_that_llvm_simplifies_wrongly_is_compiled_as_it_is() -> None:
    """LLVM 22's SROA uses %low before it is defined here; its code generator would abort the process."""
    text = """
        define void @body(ptr %in, ptr %out) {
          %x = load <6 x double>, ptr %in, align 8
          %a = alloca [6 x double], align 32
          %p = alloca [6 x double], align 32
          %q = alloca [6 x double], align 32
          store <6 x double> %x, ptr %p, align 8
          store <6 x double> %x, ptr %q, align 8
          %p2 = getelementptr double, ptr %p, i64 2
          %high = load <4 x double>, ptr %p2, align 8
          %a2 = getelementptr double, ptr %a, i64 2
          store <4 x double> %high, ptr %a2, align 8
          %low = load <2 x double>, ptr %q, align 8
          store <2 x double> %low, ptr %a, align 8
          %all = load <6 x double>, ptr %a, align 8
          store <6 x double> %all, ptr %out, align 8
          ret void
        }"""
    code = jit.link_objects([jit.compile_object(text, simplified=["body"])], {}, ["body"])
    given, found = np.arange(6.0), np.zeros(6)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(code.address("body"))(given.ctypes.data, found.ctypes.data)
    np.testing.assert_array_equal(found, given)


def module_that_calls(twice: bool) -> ModuleText:
    """`run` calls the library function `scaled`, which calls another and reads a table."""
    module = ModuleText()
    inner = module.function("inner", "i64", ("i64 %x",), library=True)
    inner.emit("ret i64 %x")
    module.define_global("table", "internal constant [2 x i64] [i64 5, i64 7]")
    scaled = module.function("scaled", "i64", ("i64 %x",), attributes=" cold noinline", library=True)
    kept = scaled.let("call i64 @inner(i64 %x)")
    factor = scaled.let("load i64, ptr getelementptr (i64, ptr @table, i64 1)")
    scaled.emit(f"ret i64 {scaled.let(f'mul i64 {kept}, {factor}')}")
    run = module.function("run", "i64", ("i64 %x",), linkage="")
    found = run.call("scaled", "i64", (("i64", "%x"),), declare=False)
    run.emit(f"ret i64 {run.call('scaled', 'i64', (('i64', found),), declare=False) if twice else found}")
    return module


def test_library_functions_are_compiled_once():
    jit.library_code.cache_clear()
    once = jit.link_module(module_that_calls(False), {}, ["run"])
    twice = jit.link_module(module_that_calls(True), {}, ["run"])
    assert jit.library_code.cache_info().misses == 1
    assert integer_function(once.address("run"))(3) == 21
    jit.library_code.cache_clear()
    gc.collect()
    assert integer_function(twice.address("run"))(3) == 147
    assert "define i64 @scaled" not in twice.text and "define internal i64 @scaled" in twice.text
    jit.link(once.text, {}, ["run"], verify=True)

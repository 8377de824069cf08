"""`f.lower(...)`: every stage of a function as text with the user's lines, as a graph, and as a page."""
from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import pullback as pb
from pullback.errors import ArgumentError, DerivativeError
from pullback.ir.parse import parse_function
from pullback.ir.print import print_function
from pullback.stages import STAGES, Lowered, Stages

W, X, Y = np.zeros(3), np.zeros((5, 3)), np.zeros(5)
LINES = ("r = x @ w - y", "scale = np.sum(w * w)", "return np.mean(r * r) + 0.5 * scale")


@pb.compile_grad
def loss(w, x, y):
    r = x @ w - y
    scale = np.sum(w * w)
    return np.mean(r * r) + 0.5 * scale


def source_of(text: str) -> set[str]:
    """The source lines that stand in a stage as comments."""
    return set(re.findall(r"^\s*(?://|;|#) test_stages\.py:\d+: (.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_names_the_lines_it_comes_from(stage: str) -> None:
    assert source_of(loss.lower(W, X, Y).text(stage)) == set(LINES)


def test_stages_are_what_they_say() -> None:
    lowered = loss.lower(W, X, Y)
    assert lowered.ir.startswith("func @loss(%w: f64[3], %x: f64[5, 3], %y: f64[5]) -> (f64[]) {\n")
    assert lowered.adjoint.startswith("func @loss_value_and_grad(") and "-> (f64[], f64[3])" in lowered.adjoint
    assert lowered.optimized.count("\n") < lowered.adjoint.count("\n")
    for text in (lowered.ir, lowered.adjoint, lowered.optimized):
        assert print_function(parse_function(text), source_comments=True) == text
    assert lowered.kernels.startswith("arena: ")
    assert re.search(r"^kernel0 .*\(.*%w: f64\[3\].*\)$", lowered.kernels, re.MULTILINE)
    assert "define i64 @body(" in lowered.llvm and "@entry(" in lowered.llvm
    assert re.search(r"^# kernel0 |^// kernel0 ", lowered.asm, re.MULTILINE)


def test_kernels_name_values_as_the_optimized_text_does() -> None:
    lowered = loss.lower(W, X, Y)
    operations = re.findall(r"^  (%\S+ = .*)$", lowered.kernels, re.MULTILINE)
    optimized = re.sub(r"  loc\(.*", "", lowered.optimized, flags=re.MULTILINE)
    assert operations and all(f"  {operation}\n" in optimized for operation in operations)


def test_code_that_is_compiled_has_no_comments() -> None:
    loss.value_and_grad(W, X, Y)
    (made,) = loss._dispatchers["value_and_grad"].specializations.values()
    assert source_of(made.executable.code.text) == set()
    annotated = Stages(made.trace.function).program.module
    assert source_of(str(annotated)) == set(LINES)


def test_nothing_is_run_or_kept() -> None:
    calls = []

    @pb.compile_grad
    def f(x):
        calls.append(x)
        return np.sum(x)

    lowered = f.lower(W)
    assert not calls
    assert "reduce_sum" in lowered.ir and lowered.ir and len(calls) == 1
    assert f.stats()["value"]["specializations"] == 0


def test_functions_without_a_gradient_show_their_value() -> None:
    @pb.compile_grad
    def position(x):
        return np.argmax(x)

    @pb.compile_grad
    def pair(x):
        return x * 2, x + 1

    @pb.compile_grad
    def whole(n):
        return n * 2.5

    for function, argument in ((position, W), (pair, W), (whole, np.arange(3))):
        lowered = function.lower(argument)
        with pytest.raises(DerivativeError):
            _ = lowered.adjoint
        for text, mark in ((lowered.optimized, "//"), (lowered.kernels, "//"), (lowered.llvm, ";")):
            assert text.startswith(f"{mark} value alone, there is no gradient: ")
        assert re.match(r"(#|//) value alone", lowered.asm)
        assert "grad needs a function" in lowered.page() or "derivatives are taken by floats" in lowered.page()


def test_wrong_argnums_are_an_error_and_no_value_alone() -> None:
    f = pb.compile_grad(lambda *xs: np.sum(xs[0]), argnums=3)
    with pytest.raises(ArgumentError, match="argnums names argument 3 of a call with 1"):
        _ = f.lower(W).optimized


def boxes(dot: str) -> list[str]:
    return re.findall(r"label=\"([^\"]*)\", fillcolor", dot)


def test_graph_of_the_optimized_function() -> None:
    lowered = loss.lower(W, X, Y)
    labels = boxes(lowered.dot)
    assert labels[:3] == ["%w\\nf64[3]", "%x\\nf64[5, 3]", "%y\\nf64[5]"]
    operations = re.findall(r"^  (%\d+ = \w+)", lowered.optimized, re.MULTILINE)
    assert [label.split(" %")[0].split("\\n")[0] for label in labels[3:-2]] == operations
    assert labels[-2:] == ["result 0\\nf64[]", "result 1\\nf64[3]"]
    shown = [element.text for element in ElementTree.fromstring(lowered.svg).iter("{http://www.w3.org/2000/svg}text")]
    assert "loss_value_and_grad: optimized" in shown and "%w" in shown


def test_graph_of_the_kernels() -> None:
    lowered = loss.lower(W, X, Y)
    dot = lowered.picture("kernels", "dot")
    count = lowered.kernels.count("\nkernel")
    assert [label for label in boxes(dot) if label.startswith("kernel")][-1].startswith(f"kernel{count - 1}\\n")
    assert '"%x" -> "kernel' in dot
    assert dot == lowered.picture("llvm", "dot")


def test_graph_of_loops_and_branches_and_captured_arrays() -> None:
    text = """
    func @f(%x: f64[], %n: i64[]; %c: f64[3]) -> (f64[]) {
      %0 = full {value = 0, dtype = i64, dims = ()} : i64[]
      %1 = full {value = 1, dtype = i64, dims = ()} : i64[]
      %2 = for %0, %n, %1, %x {saved = ()} { ^(%i: i64[], %s: f64[])
        %3 = full {value = true, dtype = bool, dims = ()} : bool[]
        %4 = if %3, %s { ^(%a: f64[])
          %5 = mul %a, %a : f64[]
          yield %5
        } { ^(%b: f64[])
          yield %b
        } : f64[]
        yield %4
      } : f64[]
      %6 = reduce_sum %c {axes = (0,)} : f64[]
      %7 = add %2, %6 : f64[]
      return %7
    }
    """
    lowered = Lowered(lambda: Stages(parse_function(text)), lambda: Stages(parse_function(text)))
    dot = lowered.picture("trace", "dot")
    labels = boxes(dot)
    assert {"%i\\ni64[]", "%a\\nf64[]", "%b\\nf64[]", "%c\\nf64[3]"} <= set(labels)
    assert '[label="region 1"]' in dot
    assert sum(label.startswith("yield\\n") for label in labels) == 3
    ElementTree.fromstring(lowered.picture("trace", "svg"))


def test_page_holds_source_and_stages() -> None:
    html = loss.lower(W, X, Y).html
    for stage in (*STAGES, "graph"):
        assert f'<section id="{stage}"' in html
    assert html.count(" hidden>") == len(STAGES)
    lines = re.findall(r'<span data-at="(test_stages\.py:\d+)"><i>', html)
    assert len(lines) == len(LINES)
    for line in lines:
        assert html.count(f'data-at="{line}"') > 5
    assert "return np.mean(r * r) + 0.5 * scale" in html
    assert "<script src" not in html and "<link" not in html and "http://" not in html.replace("http://www.w3.org/", "")


def test_names_and_sources_are_escaped() -> None:
    def f(x):
        return np.sum(np.where(x < 0, x, 2.0))  # <b>

    html = pb.compile_grad(f).lower(W).html
    assert "x &lt; 0" in html and "&lt;b&gt;" in html and "<b>" not in html


@pb.compile_grad
def root(a):
    return pb.while_loop(lambda x: abs(x * x - a) > 1e-9, lambda x: 0.5 * (x + a / x), a)


@pb.compile_grad
def repeated(x):
    return np.sum(pb.fori_loop(0, 5, lambda _, s: np.sin(s) * x, x))


def test_kernels_of_loops_say_so() -> None:
    assert "kernel0 scalars ()\n  // in region 0 of %2, %3 = while\n  // test_stages.py:" in root.lower(2.0).kernels
    text = repeated.lower(np.zeros(200)).kernels
    assert re.search(r"nest \[200\] .*\n  // in region 0 of .* = for\n", text)
    assert re.search(r"nest \[200\] .*\n  // in region 0 of .* = replay\n", text)


def test_single_elements_have_their_lines_in_assembly_too() -> None:
    for lowered in (root.lower(2.0), repeated.lower(np.zeros(200))):
        assert source_of(lowered.asm) == source_of(lowered.llvm) == source_of(lowered.ir)


def test_graph_of_kernels_in_loops() -> None:
    for function, argument, loop in ((root, 2.0, "while"), (repeated, np.zeros(200), "for")):
        dot = function.lower(argument).picture("kernels", "dot")
        assert {loop, "replay"} <= set(boxes(dot))
        assert '"control0" -> "kernel0"' in dot and '"kernel0" -> "control0"' in dot
        assert '-> "result0"' in dot and '-> "result1"' in dot

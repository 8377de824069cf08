"""``python -m pullback``: dump for every stage and format, the doctor's report, and what is said of a wrong command."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import pullback
from pullback.argument_text import argument
from pullback.cli import main
from pullback.doctor import report
from pullback.errors import ArgumentValueError
from pullback.stages import STAGES

PROGRAM = '''\
from dataclasses import dataclass

import numpy as np
import pullback as pb
from neighbour import HALF

scale = 3.0

@dataclass
class Model:
    width: int = 3

    def forward(self, x):
        return x * self.width

model = Model()

def loss(w, x, y):
    r = x @ w - y
    return HALF * np.sum(r * r)

@pb.compile_grad(argnums=(0, 1))
def both(p, q, factor: float = 2.0):
    return np.sum(p["w"] * q[0]) * p["b"] + factor * q[1]

@pb.compile_grad(static_argnames=("times",))
def repeated(x, times):
    for _ in range(times):
        x = x * x
    return np.sum(x)

def position(x):
    return np.argmax(x)

def wrong(x):
    return x.no_such_thing()

def branches(x):
    if np.sum(x) > 0:
        return x
    return -x

if __name__ == "__main__":
    raise SystemExit("this is no run")
'''
ARGS = ["--args", "f64[3]", "f64[5,3]", "f64[5]"]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    (tmp_path / "neighbour.py").write_text("HALF = 0.5\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("program", "neighbour"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield file  # type: ignore[misc]
    for name in ("program", "neighbour"):
        sys.modules.pop(name, None)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Status, output and errors of a command."""
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("stage", STAGES)
def test_text_of_every_stage(program: Path, capsys: pytest.CaptureFixture[str], stage: str) -> None:
    status, out, err = run(capsys, "dump", "program.py:loss", *ARGS, "--stage", stage)
    assert (status, err) == (0, "")
    assert "program.py:19: r = x @ w - y" in out and "program.py:20: return HALF * np.sum(r * r)" in out
    expected = {
        "trace": "func @loss(%w: f64[3], %x: f64[5, 3], %y: f64[5]) -> (f64[]) {",
        "adjoint": "func @loss_value_and_grad(", "optimized": "func @loss_value_and_grad(", "kernels": "kernel0 matmul",
        "llvm": "define i64 @body(", "asm": " kernel0 matmul",
    }  # fmt: skip
    assert expected[stage] in out


@pytest.mark.parametrize("stage", STAGES)
def test_pictures_of_every_stage(program: Path, capsys: pytest.CaptureFixture[str], stage: str) -> None:
    _, out, _ = run(capsys, "dump", "program.py:loss", *ARGS, "--stage", stage, "--format", "dot")
    assert out.startswith('digraph "loss') and "%w" in out
    status, out, _ = run(capsys, "dump", "program.py:loss", *ARGS, "--stage", stage, "--format", "svg", "-o", "it.svg")
    assert (status, out) == (0, "")
    assert ElementTree.parse("it.svg").getroot().tag.endswith("svg")


def test_page(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "dump", "program.py:loss", *ARGS, "--format", "html", "--stage", "llvm")
    assert status == 0 and out.startswith("<!DOCTYPE html>")
    assert '<section id="llvm">' in out and '<section id="asm" hidden>' in out


def test_nested_and_named_and_static_arguments(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nested = ["{w: f64[3], 'b': f64[]}", "(f64[3], float)"]
    _, out, _ = run(capsys, "dump", "program.py:both", "--args", *nested, "--stage", "trace")
    assert "func @both(%p0: f64[3], %p1: f64[], %q0: f64[3], %q1: f64[])" in out
    _, out, _ = run(capsys, "dump", "program.py:both", "--args", *nested, "--stage", "adjoint")
    assert "-> (f64[], f64[3], f64[], f64[3], f64[])" in out
    _, out, _ = run(capsys, "dump", "program.py:both", "--args", *nested, "factor=f32[]", "--argnums", "0",
                    "--stage", "adjoint")  # fmt: skip
    assert "%factor: f32[]" in out and "-> (f64[], f64[3], f64[]) {" in out
    _, out, _ = run(capsys, "dump", "program.py:repeated", "--args", "f64[3]", "times=4", "--stage", "trace")
    assert out.count(" = mul ") == 4
    _, out, _ = run(capsys, "dump", "program.py:model.forward", "--args", "f64[3]", "--stage", "trace")
    assert "func @forward(%x: f64[3]) -> (f64[3])" in out


def test_a_function_without_gradient(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "dump", "program.py:position", "--args", "f64[3]")
    assert status == 0 and out.startswith("// value alone, there is no gradient: ") and "argmax" in out
    status, out, err = run(capsys, "dump", "program.py:position", "--args", "f64[3]", "--stage", "adjoint")
    assert (status, out) == (1, "")
    assert err.startswith("pullback: error: grad needs a function of one float result without axes; position gives i64")


IR = """
func @f(%x: f64[3], %n: i64[]; %c: f64[3]) -> (f64[]) {
  %0 = mul %x, %c : f64[3]
  %1 = reduce_sum %0 {axes = (0,)} : f64[]
  return %1
}
"""


def test_ir_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "f.ir"
    file.write_text(IR)
    status, out, _ = run(capsys, "dump", str(file), "--stage", "trace")
    assert (status, out) == (0, IR.lstrip())
    for stage, expected in (("optimized", "func @f("), ("kernels", "kernel0 nest [3]"), ("llvm", "@captured0"),
                            ("asm", " kernel0 nest [3]"), ("adjoint", "func @f_adjoint(%x: f64[3]")):  # fmt: skip
        status, out, err = run(capsys, "dump", str(file), "--stage", stage)
        assert (status, err) == (0, "") and expected in out, stage
    _, out, _ = run(capsys, "dump", str(file), "--format", "svg")
    assert ElementTree.fromstring(out).tag.endswith("svg")
    file.write_text(IR + IR.replace("@f", "@g"))
    _, out, _ = run(capsys, "dump", f"{file}:g", "--stage", "trace")
    assert out.startswith("func @g(")


def test_what_trace_prints_can_be_dumped(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "dump", "program.py:loss", *ARGS, "--stage", "adjoint", "-o", "loss.ir")
    _, from_python, _ = run(capsys, "dump", "program.py:loss", *ARGS)
    _, from_text, _ = run(capsys, "dump", "loss.ir")
    assert from_text == from_python


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dump", "nowhere.py:f"], "there is no file nowhere.py"),
        (["dump", "program.py"], "program.py names no function\n  help: write program.py:FUNCTION"),
        (["dump", "program:loss"], "'program:loss' is neither FILE.py:FUNCTION nor FILE.ir"),
        (["dump", "program.py:los"], "there is no function los in program.py\n  help: do you mean loss"),
        (["dump", "program.py:scale"], "scale in program.py is a float and no function"),
        (["dump", "program.py:loss", "--stage", "kernel"], "there is no stage 'kernel'\n  help: do you mean kernels?"),
        (["dump", "program.py:loss", "--format", "pdf"], "there is no format 'pdf'\n  help: the formats are text, dot"),
        (["dump", "program.py:loss"], "loss(w, x, y): missing a required argument: 'w'\n  help: state a type"),
        (["dump", "program.py:loss", "--args", "f64[3"], "argument 'f64[3', column 6: expected ',' or ']', found"),
        (["dump", "program.py:loss", "--args", "float64[3]"], "argument 'float64[3]', column 1: float64 is written"),
        (["dump", "program.py:loss", *ARGS, "--argnums", "3"], "--argnums 3: there are 3 arguments, counted from 0"),
        (["dump", "program.py:loss", *ARGS, "-o", "no/where"], "cannot write no/where: No such file or directory"),
        (["dump", "bad.ir"], "bad.ir: line 1, column 1: expected func, found fun"),
        (["dump", "two.ir"], "two.ir holds 2 functions\n  help: choose one: two.ir:f"),
        (["dump", "two.ir:h"], "there is no function @h in two.ir\n  help: it holds f, g"),
        (["dump", "none.ir"], "none.ir holds no function"),
        (["dump", "two.ir:f", "--args", "f64[3]"], "--args is for Python functions"),
        (["dump", "two.ir:f", "--stage", "adjoint", "--argnums", "2"], "--argnums 2: @f takes 2 arguments"),
    ],
)
def test_wrong_commands(
    program: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (program.parent / "bad.ir").write_text("fun @f")
    (program.parent / "none.ir").write_text("// nothing\n")
    (program.parent / "two.ir").write_text(IR + IR.replace("@f", "@g"))
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"pullback: error: {message}")
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["dump"], ["dump", "a.py:f", "--argnums", "x"], ["dumb"], ["--nothing"]])
def test_arguments_that_do_not_parse(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    status, _, err = run(capsys, *arguments)
    assert status == 2 and "python -m pullback" in err and "error: " in err


def test_code_that_fails_names_its_line(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "dump", "program.py:wrong", "--args", "f64[3]")
    assert status == 1 and "no_such_thing" in err and "program.py:36 in wrong:   return x.no_such_thing()" in err
    broken = program.parent / "broken.py"
    broken.write_text("import numpy as np\nvalue = undefined + 1\n")
    status, _, err = run(capsys, "dump", "broken.py:f")
    assert status == 1 and "fails with NameError: name 'undefined' is not defined" in err and "broken.py:2" in err
    (program.parent / "unfinished.py").write_text("def f(x):\n    return x +\n")
    status, _, err = run(capsys, "dump", "unfinished.py:f")
    assert status == 1 and "SyntaxError" in err and "unfinished.py:2:   return x +" in err
    (program.parent / "leaving.py").write_text("raise SystemExit(3)\n")
    status, _, err = run(capsys, "dump", "leaving.py:f")
    assert status == 1 and "SystemExit: 3" in err
    assert "Traceback" not in err


def test_traceback_free_command_in_a_process(program: Path) -> None:
    def ended_with(*command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(Path(pullback.__file__).parent.parent)}
        return subprocess.run(command, capture_output=True, text=True, cwd=program.parent, env=environment, check=False)

    ended = ended_with(sys.executable, "-m", "pullback", "dump", "program.py:loss", "--args", "f64[3]")
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith("pullback: error: loss(w, x, y): missing a required argument: 'x'\n  help: ")
    dump = f"{sys.executable} -m pullback dump program.py:loss --args 'f64[3]' 'f64[9,3]' 'f64[9]' --stage asm"
    ended = ended_with("sh", "-c", f"{dump} | head -1")
    assert ended.stderr == "" and ended.stdout.count("\n") == 1


def test_what_a_terminal_cannot_show_is_escaped(program: Path) -> None:
    (program.parent / "letters.py").write_text("def f(x):\n    return x * 2.0  # λ\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(pullback.__file__).parent.parent), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "pullback", "dump", "letters.py:f", "--args", "f64[3]", "--stage", "trace"]
    ended = subprocess.run(command, capture_output=True, cwd=program.parent, env=environment, check=True)
    assert b"return x * 2.0  # \\u03bb" in ended.stdout


def test_interruption(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("pullback.doctor.report", interrupted)
    assert run(capsys, "doctor") == (130, "", "pullback: interrupted\n")


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"pullback {pullback.__version__}\n", "")
    for arguments, word in ((["--help"], "doctor"), ([], "doctor"), (["dump", "--help"], "FILE.ir:NAME")):
        status, out, _ = run(capsys, *arguments)
        assert status == 0 and word in out


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULLBACK_OPT", "1")
    monkeypatch.setenv("PULLBACK_OTP", "1")
    status, out, _ = run(capsys, "doctor")
    assert status == 0
    found = dict(line.split(":", 1) for line in out.splitlines())
    assert found["pullback"].split()[0] == pullback.__version__
    assert found["NumPy"].strip() == np.__version__
    assert "LLVM " in found["llvmlite"] and "features" in found["vectors"]
    assert found["native code"].strip().startswith("works (")
    assert found["native entry"].strip().startswith("self-test passes")
    assert "PULLBACK_OPT=1\n" in out and "PULLBACK_OTP=1 (no such variable is read)" in out
    assert "setting:        opt = 1" in out
    assert all(name in found for name in ("BLAS", "networkx", "scipy", "torch", "jax"))


def test_doctor_tells_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pullback.doctor.abi.self_test", lambda: False)
    monkeypatch.setattr("pullback.doctor.blas.find", lambda: None)
    monkeypatch.setattr("pullback.doctor.compile_grad", lambda f: broken)
    text = report()
    assert "calls go through ctypes" in text and "matrix products have no native code" in text
    assert "native code:    FAILS: wrong numbers" in text


def test_doctor_without_llvmlite(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise ImportError("No module named 'llvmlite'")

    monkeypatch.setattr("pullback.doctor.target.llvm_version", missing)
    text = report()
    assert "llvmlite:       FAILS, so there is no native code: No module named 'llvmlite'" in text
    assert "native entry" in text and "target" not in text


class broken:
    @staticmethod
    def value_and_grad(x):
        return 0.0, x


def same(left: object, right: object) -> bool:
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, tuple | list) and type(left) is type(right):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("f64[]", np.zeros(())),
        ("f32[2, 3]", np.zeros((2, 3), np.float32)),
        (" i64[4,4,] ", np.zeros((4, 4), np.int64)),
        ("bool[0]", np.zeros(0, bool)),
        ("u8[1]", np.zeros(1, np.uint8)),
        ("float", 0.0), ("int", 0), ("bool", False), ("None", None), ("True", True),
        ("3", 3), ("-2.5e3", -2500.0), (".5", 0.5), ("'text'", "text"),
        ("()", ()), ("(f64[3],)", (np.zeros(3),)), ("(f64[3])", np.zeros(3)), ("(1, 2.0)", (1, 2.0)),
        ("[f64[3], f64[]]", [np.zeros(3), np.zeros(())]),
        ("{w: f64[3], 'b': (f32[], {3: int}),}", {"w": np.zeros(3), "b": (np.zeros((), np.float32), {3: 0})}),
        ("f64[1000000000, 1000]", np.broadcast_to(0.0, (1000000000, 1000))),
    ],
)  # fmt: skip
def test_argument_text(text: str, value: object) -> None:
    assert same(argument(text), value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: expected a type, found the end"),
        ("f64", "column 1: f64 needs its sizes: f64[3], or f64[] for a scalar"),
        ("f16[3]", "column 1: 'f16' is no element type; those are bool, i8, i16"),
        ("int64[3]", "column 1: int64 is written i64"),
        ("f64[n]", "column 5: the size 'n' must be a number: code is made for known shapes"),
        ("f64[-1]", "column 5: expected a size or ']', found '-1'"),
        ("f64[2.5]", "column 5: expected a size or ']', found '2.5'"),
        ("f64[3] x", "column 8: 'x' is left over"),
        ("f64[3 4]", "column 7: expected ',' or ']', found '4'"),
        ("(f64[3] f64[])", "column 9: expected ',' or ')', found 'f64'"),
        ("(f64[3]", "column 8: expected ',' or ')', found 'the end'"),
        ("{w f64[3]}", "column 4: expected ':' after key 'w'"),
        ("{(1): f64[3]}", "column 2: expected a key, found '('"),
        ("f64[3]; x", "column 7: ';' is not understood"),
        ("f64[10000000000,10000000000]", "NumPy has no such array"),
        (f"f64[{'1,' * 65}]", "NumPy has no such array"),
    ],
)
def test_argument_text_errors(text: str, message: str) -> None:
    with pytest.raises(ArgumentValueError) as caught:
        argument(text)
    assert message in str(caught.value) and "help: an argument is a type such as f64[100,50]" in str(caught.value)

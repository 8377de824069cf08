"""What README.md shows is what happens: its programs, its commands, its settings and its links."""
from __future__ import annotations

import contextlib
import dataclasses
import io
import linecache
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pullback.cli import main
from pullback.config import VARIABLES, Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_programs_print_what_is_shown() -> None:
    pytest.importorskip("scipy")
    namespace: dict[str, object] = {}
    programs = 0
    for number, (language, text) in enumerate(BLOCKS):
        if language != "python":
            continue
        programs += 1
        name = f"README.md[{number}]"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(text, name, "exec"), namespace)
        kind, shown = BLOCKS[number + 1]
        assert kind == "text" and printed.getvalue() == shown
    assert programs >= 4


def commands() -> list[str]:
    return [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]


def test_setup_commands_are_those_of_ci_and_name_extras_that_exist() -> None:
    (tests,) = [line for line in commands() if "pytest" in line]
    assert tests in (ROOT / ".ci" / "run").read_text().replace(" --quiet", "")
    extras = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    named = {each for line in commands() for each in re.findall(r"'\.\[(\w+)\]'", line)}
    assert named == {"scipy", "test"} and named <= extras


def test_dump_commands_work(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    monkeypatch.chdir(ROOT)
    lines = [line for line in commands() if line.startswith(("python -m pullback dump", "python -m pullback doctor"))]
    assert len(lines) == 3
    for line in lines:
        arguments = shlex.split(line)[3:]
        if "-o" in arguments:
            arguments[arguments.index("-o") + 1] = str(tmp_path / arguments[arguments.index("-o") + 1])
        assert main(arguments) == 0, line
    shown = capsys.readouterr()
    assert "kernel0 nest [8]" in shown.out and shown.err == ""
    assert "log_weights" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_settings_are_all_there() -> None:
    table = README.split("## Configuration")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == {field.name for field in dataclasses.fields(Settings)}
    assert set(re.findall(r"`(PULLBACK_\w+)`", README)) == set(VARIABLES)


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md"])
def test_files_that_are_named_exist(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    links = [each for each in re.findall(r"\]\(([^)]+)\)", text) if not each.startswith("http")]
    named = re.findall(r"`((?:pullback|tests|benchmarks|examples)/[\w/]*[\w.]*)`", text)
    for each in links + named:
        assert (ROOT / each).exists() or "<" in each, each


def test_the_op_of_contributing_passes_the_op_table(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)
    plugin = f"import pullback.ir.ops.elementary as family\nexec({text!r}, vars(family))\n"
    (tmp_path / "contributed.py").write_text(plugin)
    command = [sys.executable, "-m", "pytest", "-p", "contributed", "tests/test_op_table.py", "-k", "softsign", "-rA"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.count("PASSED") > 10


def test_packaged_files_are_packaged() -> None:
    assert '"data/*"' in (ROOT / "pyproject.toml").read_text()
    assert (ROOT / "pullback" / "py.typed").exists()

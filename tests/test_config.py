"""Settings: what may be set, from where, and what is said of a wrong value."""
from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import pullback as pb
from pullback.config import LOGS, VARIABLES, Settings, from_environment, settings
from pullback.errors import ConfigError


def test_environment() -> None:
    assert from_environment({}) == Settings()
    everything = {
        "PULLBACK_OPT": "0", "PULLBACK_VERIFY": "1", "PULLBACK_PROGRESS": "0", "PULLBACK_LOG": "trace, passes,",
    }  # fmt: skip
    assert set(everything) == set(VARIABLES)
    found = from_environment(everything)
    assert found == Settings(opt=0, verify=True, progress=False, log=("trace", "passes"))
    assert from_environment(dict.fromkeys(VARIABLES, "")) == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PULLBACK_OPT", "2", "PULLBACK_OPT must be 0 or 1, not '2'"),
        ("PULLBACK_VERIFY", "yes", "PULLBACK_VERIFY must be 0 or 1, not 'yes'"),
        ("PULLBACK_PROGRESS", "on", "PULLBACK_PROGRESS must be 0 or 1, not 'on'"),
        ("PULLBACK_LOG", "trace,tracee", "PULLBACK_LOG names 'tracee'\n  help: the logs are passes, recompile, trace"),
    ],
)
def test_environment_errors(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_environment({variable: value})
    assert str(caught.value) == message


def test_environment_is_read_at_import() -> None:
    code = "from pullback.config import settings; print(settings().opt, settings().verify)"
    environment = {**os.environ, "PULLBACK_OPT": "0", "PULLBACK_VERIFY": "1"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == "0 True\n"


def test_config_holds_for_its_block() -> None:
    before = settings()
    with pb.config(opt=0) as inner:
        assert settings() is inner and inner.opt == 0
        with pb.config(verify=True):
            assert (settings().opt, settings().verify) == (0, True)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(settings()))
        thread.start()
        thread.join()
        assert seen == [before]
    assert settings() is before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimise": 1}, "unknown setting 'optimise'"),
        ({"opt": 2}, "opt must be 0 or 1, not 2"),
        ({"opt": True}, "opt must be 0 or 1, not True"),
        ({"boundscheck": None}, "boundscheck must be True or False, not None"),
        ({"verify": 1}, "verify must be True or False, not 1"),
        ({"log": "trace"}, "log must be a tuple of names out of passes, recompile, trace, not 'trace'"),
        ({"log": ("all",)}, "log must be a tuple"),
        ({"progress": "no"}, "progress must be True, False or None, not 'no'"),
        ({"release_gil_above": -1}, "release_gil_above must be a number of nanoseconds, 0 or more, not -1"),
    ],
)
def test_config_errors_name_the_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught, pb.config(**changes):
        pass
    assert str(caught.value).startswith(message)
    assert "pb.config(**changes)" in str(caught.value)


def test_optimization_can_be_switched_off() -> None:
    f = pb.compile_grad(lambda x: np.sum(x * 1.0 + 0.0 * x))
    x = np.arange(3.0)
    with pb.config(opt=0):
        plain = f.lower(x).optimized
        assert f(x) == 3.0
    assert plain.count("mul") > f.lower(x).optimized.count("mul")


def test_settings_that_change_code_compile_anew() -> None:
    f = pb.compile_grad(lambda x, i: x[i])
    x, places = np.arange(3.0), np.array([2, 0])
    for changes, count in (({}, 1), ({"opt": 0}, 2), ({"boundscheck": False}, 3), ({"verify": True}, 3), ({}, 3)):
        with pb.config(**changes):
            assert f._dispatchers["_entry"].miss(x, places).tolist() == [2.0, 0.0]
        assert f.stats()["value"]["specializations"] == count


@pytest.mark.parametrize("name", LOGS)
def test_logs(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), pb.config(log=(name,)):
        pb.compile_grad(lambda x: np.sum(x))(np.arange(3.0))
    assert caplog.records and {record.name for record in caplog.records} == {f"pullback.{name}"}

"""``python -m pullback``: a command line in, an exit status out: 0 done, 1 failed, 2 wrong command, 130 interrupted."""
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pullback
from pullback.errors import PullbackError, UsageError

_DUMP = """
FILE.py:FUNCTION is a function in a Python file, decorated with compile_grad or not; the file is imported.
FILE.ir, or FILE.ir:NAME, is a function written as the IR's text, as --stage trace, adjoint and optimized print it.

The stages: trace (the function as recorded), adjoint (value and gradient, not simplified), optimized, kernels (what is
fused into which loop nest), llvm, asm. From optimized on a Python function is shown as value and gradient, or alone if
it has no gradient. DOT and SVG draw the graph of a stage; HTML is one page of all stages beside the source.

example:
  python -m pullback dump model.py:loss --args "f64[10]" "f64[100,10]" "f64[100]" --stage kernels
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command that the arguments state; errors go to stderr as one message with its help."""
    parser = _parser()
    options = parser.parse_args(list(arguments))
    try:
        match options.command:
            case "dump":
                from pullback.dump import dump

                _write(dump(options), options.output)
            case "doctor":
                from pullback.doctor import report

                print(report())
            case "demo":
                from pullback.demo.show import demo

                demo(Path(options.output), options.seed)
            case _:
                parser.print_help()
    except PullbackError as error:
        print(f"pullback: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print("pullback: interrupted", file=sys.stderr)
        return 130  # as shells report a process that SIGINT ended
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    from pullback.stages import STAGES

    parser = argparse.ArgumentParser(prog="python -m pullback", description="A compiler for gradients: its tools.")
    parser.add_argument("--version", action="version", version=f"pullback {pullback.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    show = commands.add_parser(
        "dump", help="show the stages of compiling a function", epilog=_DUMP,
        description="Show one stage of compiling a function.", formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    show.add_argument("source", metavar="FILE.py:FUNCTION|FILE.ir")
    show.add_argument("--args", nargs="+", default=[], metavar="TYPE",
                      help="one type an argument, such as f64[100,50], f32[], float, \"{w: f64[3], b: f64[]}\", "
                      "or name=TYPE")  # fmt: skip
    show.add_argument("--argnums", nargs="+", type=int, metavar="N",
                      help="the arguments to differentiate by, from 0 (default: as decorated, else 0)")  # fmt: skip
    show.add_argument("--stage", metavar="STAGE", default="optimized", help=f"{', '.join(STAGES)} (default: optimized)")
    show.add_argument("--format", metavar="FORMAT", default="text", help="text, dot, svg or html (default: text)")
    show.add_argument("-o", "--output", metavar="FILE", help="write to a file instead of the terminal")
    commands.add_parser("doctor", help="say what machine, libraries and settings were found")
    run = commands.add_parser("demo", help="fit two models to handwritten digits")
    run.add_argument("-o", "--output", metavar="FILE", default="pullback-demo.svg",
                     help="where the picture of losses and graph goes (default: pullback-demo.svg)")  # fmt: skip
    run.add_argument("--seed", type=int, default=0, metavar="N", help="of the split and the first weights (default: 0)")
    return parser


def _write(text: str, output: str | None) -> None:
    """To the file, or to the terminal. Raises: UsageError for a file that cannot be written."""
    if output is None:
        encoding = sys.stdout.encoding or "utf-8"
        shown = text.encode(encoding, "backslashreplace").decode(encoding)
        sys.stdout.write(shown if shown.endswith("\n") else shown + "\n")
        sys.stdout.flush()
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None

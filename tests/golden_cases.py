"""Golden files: cases of a title, IR, and the IR that is expected of it, read and written."""
from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"
TITLE = "// case: "
ARROW = "// =>\n"


@dataclass(frozen=True)
class Case:
    """One case of a file; an empty `expected` waits for ``--bless``."""

    file: Path
    number: int
    title: str
    given: str
    expected: str


def read(file: Path) -> list[Case]:
    """The cases of a golden file, in order."""
    cases = []
    for number, part in enumerate(file.read_text().split(TITLE)[1:]):
        title, _, text = part.partition("\n")
        given, _, expected = text.partition(ARROW)
        cases.append(Case(file, number, title, given, expected.rstrip("\n") + "\n" if expected.strip() else ""))
    return cases


def bless(case: Case, expected: str) -> None:
    """Write a case's expected text into its file."""
    cases = read(case.file)
    cases[case.number] = replace(cases[case.number], expected=expected)
    parts = [f"{TITLE}{each.title}\n{each.given.rstrip()}\n{ARROW}{each.expected}" for each in cases]
    head = case.file.read_text().split(TITLE)[0]
    case.file.write_text(head + "\n".join(parts))


def all_cases() -> list[Case]:
    """Every case of every file."""
    return [case for file in sorted(FOLDER.glob("*.ir")) for case in read(file)]

"""Texts of a function's stages in, one self-contained HTML page out: the source beside them, lines linked."""
from __future__ import annotations

import linecache
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from pullback.drawing.graph import printable

_SOURCE_COMMENT = re.compile(r"^\s*(?://|;|#) ([^\s:]+:\d+): ")
_AROUND = 2  # lines shown before and after those that were traced

_STYLE = """
body { margin: 0; font: 14px/1.5 Helvetica, Arial, sans-serif; color: #1d1f23; background: #fff; }
h1 { font-size: 18px; margin: 0; padding: 12px 16px; border-bottom: 1px solid #e2e4e8; }
main { display: flex; height: calc(100vh - 53px); }
#source { flex: 0 0 38%; overflow: auto; border-right: 1px solid #e2e4e8; }
#stages { flex: 1; overflow: auto; }
h2 { font-size: 13px; margin: 0; padding: 8px 16px; color: #555a63; font-weight: normal; }
nav { position: sticky; top: 0; background: #f5f6f8; border-bottom: 1px solid #e2e4e8; padding: 0 8px; }
nav button { font: inherit; border: 0; background: none; padding: 8px 10px; cursor: pointer; color: #555a63; }
nav button[aria-selected=true] { color: #1d1f23; box-shadow: inset 0 -2px #3b6fb6; }
pre { margin: 0; padding: 4px 0; font: 12px/1.5 ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; }
pre span { display: block; padding: 0 16px; min-height: 1.5em; white-space: pre; }
pre i { display: inline-block; width: 3.5em; color: #9aa0a9; font-style: normal; user-select: none; }
.comment { color: #2f8a57; }
.lit { background: #fdf0e0; }
section[hidden] { display: none; }
"""

_SCRIPT = """
const lines = [...document.querySelectorAll('pre span[data-at]')];
for (const line of lines) {
  line.onmouseenter = () => lines.forEach(each => each.classList.toggle('lit', each.dataset.at === line.dataset.at));
  line.onclick = () => {
    const other = line.closest('#source') ? '#stages section:not([hidden])' : '#source';
    document.querySelector(`${other} span[data-at="${line.dataset.at}"]`)?.scrollIntoView({block: 'center'});
  };
}
const buttons = [...document.querySelectorAll('nav button')];
for (const button of buttons) button.onclick = () => {
  buttons.forEach(each => each.setAttribute('aria-selected', each === button));
  document.querySelectorAll('section').forEach(each => each.hidden = each.id !== button.dataset.stage);
};
"""


def page(
    name: str, stages: Mapping[str, str], shown: str, drawing: str, places: Sequence[tuple[str, int]]
) -> str:
    """The page about function `name`.

    `stages` are texts with the user's lines as comments, `shown` the one on top at first, `drawing` an SVG, `places`
    the files and lines that the function came from.
    """
    sections = {stage: f"<pre>{_stage(text)}</pre>" for stage, text in stages.items()}
    sections["graph"] = drawing
    buttons, bodies = [], []
    for stage, body in sections.items():
        chosen = stage == shown
        buttons.append(f'<button data-stage="{stage}" aria-selected="{str(chosen).lower()}">{stage}</button>')
        bodies.append(f'<section id="{stage}"{"" if chosen else " hidden"}>{body}</section>')
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{_clean(name)}</title>',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{_clean(name)}</h1>",
            "<main>",
            f'<div id="source">{_sources(places)}</div>',
            f'<div id="stages"><nav>{"".join(buttons)}</nav>',
            *bodies,
            "</div></main>",
            f"<script>{_SCRIPT}</script></body></html>",
            "",
        ]
    )


def _stage(text: str) -> str:
    """Lines of a stage; each belongs to the user's line that was last named above it."""
    at = ""
    shown = []
    for line in text.rstrip("\n").split("\n"):
        found = _SOURCE_COMMENT.match(line)
        if found is not None:
            at = found.group(1)
        elif line.startswith(("}", "define ", "func ", "kernel")) or not line.strip():
            at = ""
        shown.append(_line(line, at, "comment" if found is not None else ""))
    return "".join(shown)


def _sources(places: Sequence[tuple[str, int]]) -> str:
    """For each file the lines from the first that was traced to the last, and a few around."""
    files: dict[str, list[int]] = {}
    for file, number in places:
        files.setdefault(file, []).append(number)
    parts = []
    for file, numbers in files.items():
        whole = linecache.getlines(file)
        first, last = max(1, min(numbers) - _AROUND), min(len(whole), max(numbers) + _AROUND)
        used = set(numbers)
        listed = [
            _line(whole[number - 1].rstrip("\n"), f"{Path(file).name}:{number}" if number in used else "", "", number)
            for number in range(first, last + 1)
        ]
        parts.append(f"<h2>{_clean(file)}</h2><pre>{''.join(listed)}</pre>")
    return "".join(parts) or "<h2>no source lines are known</h2>"


def _line(text: str, at: str, style: str, number: int | None = None) -> str:
    """One line of a listing; lines with the same `at` light up together."""
    attributes = f' data-at="{_clean(at)}"' if at else ""
    attributes += f' class="{style}"' if style else ""
    counted = "" if number is None else f"<i>{number}</i>"
    return f"<span{attributes}>{counted}{_clean(text)}</span>"


def _clean(text: str) -> str:
    return escape(printable(text))

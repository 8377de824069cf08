"""Named series of losses and, if wanted, a graph in, a picture of both as the text of an SVG file out."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from xml.sax.saxutils import escape

from pullback.drawing import Drawing, Graph, draw
from pullback.drawing.graph import printable
from pullback.errors import ArgumentValueError

_WIDTH = 640.0  # of the panel with the curves, axes and their labels included
_HEIGHT, _TALLEST = 400.0, 560.0  # beside a tall graph the curves grow up to the second
_LEFT, _RIGHT, _UPPER, _LOWER = 74.0, 24.0, 24.0, 56.0  # margins of the plot within its panel
_TITLE_HEIGHT = 44.0
_POINTS = 700  # drawn per curve at most, about one a pixel
_LOG_FROM = 30.0  # ratio of the greatest to the least value from which a logarithmic axis shows more

# Colours that readers with colour-blindness can tell apart (Okabe and Ito, 2008), then dashes for curves that coincide.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333")
_DASHES = ("", "7 4", "2 3", "9 3 2 3")


@dataclass(frozen=True)
class _Axis:
    """A range of values on a range of pixels; a logarithmic axis counts in powers of ten."""

    least: float
    most: float
    start: float
    end: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """The pixel of a value."""
        at = log10(value) if self.logarithmic else value
        return self.start + (at - self.least) / (self.most - self.least) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values within the axis, about six of them."""
        if self.logarithmic:
            return _log_ticks(self.least, self.most)
        step = _round_step((self.most - self.least) / 6)
        first, last = ceil(self.least / step - 1e-9), floor(self.most / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def loss_picture(
    series: Mapping[str, Sequence[float]],
    graph: Graph | None = None,
    title: str = "",
    *,
    logarithmic: bool | None = None,
    across: str = "step",
    up: str = "loss",
) -> str:
    """An SVG document with one curve a series, its points at 0, 1, 2 …, and `graph` beside them where there is one.

    `logarithmic` chooses the y axis; None takes powers of ten where all values are positive and far apart. `across`
    and `up` name the axes. Values that are not finite leave a gap.

    Raises: ArgumentValueError where no series has a finite value, or a logarithmic axis meets one that is not positive.
    """
    finite = [float(value) for values in series.values() for value in values if isfinite(value)]
    if not finite:
        raise ArgumentValueError("loss_picture: no finite value to draw", help="pass at least one series with a number")
    if logarithmic is None:
        logarithmic = min(finite) > 0 and max(finite) / min(finite) > _LOG_FROM
    elif logarithmic and min(finite) <= 0:
        raise ArgumentValueError(
            f"loss_picture: {min(finite)} has no place on a logarithmic axis", help="pass logarithmic=False"
        )
    drawing = draw(graph) if graph is not None and graph.nodes else None
    height = _HEIGHT if drawing is None else max(_HEIGHT, min(drawing.height, 2 * _HEIGHT))
    panel = _curves(series, _value_axis(finite, logarithmic, min(height, _TALLEST)), across, up)
    return _page(panel, drawing, height, title)


def _page(panel: str, drawing: Drawing | None, height: float, title: str) -> str:
    """The document around the two panels; a graph that is taller than `height`, or very wide, is scaled down."""
    width = _WIDTH
    second = []
    if drawing is not None:
        scale = min(1.0, height / drawing.height, 1.6 * _WIDTH / drawing.width)
        shown_width, shown_height = drawing.width * scale, drawing.height * scale
        width += shown_width + 24.0
        second = [
            f'<line x1="{_WIDTH + 6:.1f}" y1="{_TITLE_HEIGHT:.1f}" x2="{_WIDTH + 6:.1f}" '
            f'y2="{_TITLE_HEIGHT + height - 16:.1f}" stroke="#e2e4e8"/>',
            f'<svg x="{_WIDTH + 16:.1f}" y="{_TITLE_HEIGHT + (height - shown_height) / 2:.1f}" '
            f'width="{shown_width:.1f}" height="{shown_height:.1f}" '
            f'viewBox="0 0 {drawing.width:.1f} {drawing.height:.1f}">',
            drawing.body,
            "</svg>",
        ]
    head = []
    if title:
        text = _clean(title)
        head = [
            f"<title>{text}</title>",
            f'<text x="{_LEFT:.0f}" y="30" font-size="16" font-weight="bold" fill="#1d1f23">{text}</text>',
        ]
    size = f"{width:.0f}", f"{height + _TITLE_HEIGHT:.0f}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
            f'viewBox="0 0 {size[0]} {size[1]}" font-family="Helvetica, Arial, \'DejaVu Sans\', sans-serif">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *head,
            f'<g transform="translate(0 {_TITLE_HEIGHT:.1f})">',
            panel,
            "</g>",
            *second,
            "</svg>",
            "",
        ]
    )


def _curves(series: Mapping[str, Sequence[float]], y_axis: _Axis, across: str, up: str) -> str:
    longest = max(map(len, series.values()))
    x_axis = _Axis(0.0, float(max(1, longest - 1)), _LEFT, _WIDTH - _RIGHT)
    parts = [_grid(x_axis, y_axis, across, up)]
    styles = {
        name: (_COLOURS[index % len(_COLOURS)], _DASHES[index % len(_DASHES)]) for index, name in enumerate(series)
    }
    for name, values in series.items():
        parts.append(_curve(values, x_axis, y_axis, *styles[name]))
    parts.append(_legend(series, styles))
    return "\n".join(parts)


def _value_axis(finite: Sequence[float], logarithmic: bool, height: float) -> _Axis:
    """The y axis in a panel of that height, growing upwards, with a little room above and below the values."""
    least, most = min(finite), max(finite)
    if logarithmic:
        least, most = log10(least), log10(most)
    elif least > 0 and least < 0.3 * most:
        least = 0.0
    room = 0.05 * (most - least) or 0.5 * abs(most) or 1.0
    # A loss that starts from zero keeps zero on the axis itself.
    lower = least if least == 0.0 and not logarithmic else least - room
    return _Axis(lower, most + room, height - _LOWER, _UPPER, logarithmic)


def _grid(x_axis: _Axis, y_axis: _Axis, across: str, up: str) -> str:
    parts = ['<g font-size="12" fill="#555a63">']
    for value in y_axis.ticks():
        y = y_axis.place(value)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#e8eaee"/>')
        parts.append(f'<text x="{_LEFT - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>')
    for value in x_axis.ticks():
        if value != round(value):
            continue
        x = x_axis.place(value)
        parts.append(f'<line x1="{x:.1f}" y1="{y_axis.start}" x2="{x:.1f}" y2="{y_axis.start + 5}" stroke="#9aa0a9"/>')
        parts.append(f'<text x="{x:.1f}" y="{y_axis.start + 19:.1f}" text-anchor="middle">{_number(value)}</text>')
    parts.append(
        f'<path d="M{_LEFT} {y_axis.end} V{y_axis.start} H{_WIDTH - _RIGHT}" fill="none" stroke="#9aa0a9"/>'
    )
    middle_x, middle_y = (x_axis.start + x_axis.end) / 2, (y_axis.start + y_axis.end) / 2
    parts.append(f'<text x="{middle_x:.1f}" y="{y_axis.start + 42:.1f}" text-anchor="middle">{_clean(across)}</text>')
    parts.append(
        f'<text transform="translate(18 {middle_y:.1f}) rotate(-90)" text-anchor="middle">{_clean(up)}</text>'
    )
    parts.append("</g>")
    return "\n".join(parts)


def _curve(values: Sequence[float], x_axis: _Axis, y_axis: _Axis, colour: str, dash: str) -> str:
    commands = []
    apart = True
    for index in _shown(values):
        value = float(values[index])
        if not isfinite(value):
            apart = True
            continue
        point = f"{x_axis.place(index):.1f} {y_axis.place(value):.1f}"
        # The round cap of a line without length shows a lone point as a dot.
        commands.append(f"M{point}h0" if apart else f"L{point}")
        apart = False
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path d="{" ".join(commands)}" fill="none" stroke="{colour}" stroke-width="2" '
        f'stroke-linejoin="round" stroke-linecap="round"{dashes}/>'
    )


def _shown(values: Sequence[float]) -> list[int]:
    """Which points of a series to draw: all of a short one, of a long one the least and greatest of each stretch."""
    if len(values) <= _POINTS:
        return list(range(len(values)))
    stretch = -(-len(values) * 2 // _POINTS)
    kept = {0, len(values) - 1}
    for start in range(0, len(values), stretch):
        indices = range(start, min(start + stretch, len(values)))
        finite = [index for index in indices if isfinite(values[index])]
        # One value that is not finite stays, for the gap.
        kept.update([index for index in indices if not isfinite(values[index])][:1])
        if finite:
            kept.add(min(finite, key=values.__getitem__))
            kept.add(max(finite, key=values.__getitem__))
    return sorted(kept)


def _legend(series: Mapping[str, Sequence[float]], styles: Mapping[str, tuple[str, str]]) -> str:
    """A box in the upper right corner, where a falling loss leaves room: names, and the last value of each series."""
    names = [f"{name}  {_last(values)}" for name, values in series.items()]
    width = 46.0 + 6.9 * max(map(len, names))
    height = 12.0 + 19.0 * len(names)
    left, upper = _WIDTH - _RIGHT - width - 8, _UPPER + 6
    parts = [
        f'<rect x="{left:.1f}" y="{upper:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4" fill="#ffffff" '
        f'fill-opacity="0.88" stroke="#e2e4e8"/>'
    ]
    for index, (name, text) in enumerate(zip(series, names, strict=True)):
        colour, dash = styles[name]
        y = upper + 15.5 + 19.0 * index
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(
            f'<line x1="{left + 10:.1f}" y1="{y:.1f}" x2="{left + 34:.1f}" y2="{y:.1f}" stroke="{colour}" '
            f'stroke-width="2"{dashes}/>'
        )
        parts.append(
            f'<text x="{left + 40:.1f}" y="{y + 4:.1f}" font-size="12" fill="#2a2d33" xml:space="preserve">'
            f"{_clean(text)}</text>"
        )
    return "\n".join(parts)


def _clean(text: str) -> str:
    return escape(printable(text))


def _last(values: Sequence[float]) -> str:
    return next((f"{value:.4g}" for value in reversed(values) if isfinite(value)), "")


def _log_ticks(least: float, most: float) -> list[float]:
    """Powers of ten, thinned out over many decades, with their doubles and fivefolds over few."""
    decades = most - least
    every = max(1, round(decades / 6))
    factors = (1.0,) if decades > 3 else (1.0, 2.0, 5.0) if decades > 0.7 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    powers = [power for power in range(floor(least), ceil(most) + 1) if power % every == 0]
    # Compared as logarithms: the room above the greatest double holds no number.
    inside = [(factor, power) for power in powers for factor in factors if least <= log10(factor) + power <= most]
    ticks = [float(f"{factor}e{power}") for factor, power in inside]
    return [tick for tick in ticks if isfinite(tick) and tick > 0]


def _round_step(rough: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below `rough`."""
    power = 10.0 ** floor(log10(rough))
    return next((factor * power for factor in (1.0, 2.0, 2.5, 5.0) if factor * power >= rough * (1 - 1e-9)), 10 * power)


def _number(value: float) -> str:
    """A tick's label: exact where it is short, in powers of ten where it is far from one."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:.6g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"

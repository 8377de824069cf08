"""The pieces of the demonstration: the digits, the layered drawing of a graph, the picture of losses."""
from __future__ import annotations

import math
import shutil
import subprocess
import time
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullback.demo import digits
from pullback.demo.picture import loss_picture
from pullback.drawing import Edge, Graph, Node, draw_dot, draw_svg
from pullback.drawing.layout import lay_out
from pullback.errors import ArgumentValueError

SVG = "{http://www.w3.org/2000/svg}"
DIAMOND = Graph(
    [Node("x", "x f64[3]", "argument"), Node("a", "sin"), Node("b", "cos"), Node("y", "multiply\nf64[3]", "result")],
    [Edge("x", "a"), Edge("x", "b"), Edge("a", "y"), Edge("b", "y", "1")],
)


def curves(svg: str) -> list[str]:
    """The path data of the curves: all that begin with a dot."""
    paths = [element.get("d", "") for element in ElementTree.fromstring(svg).iter(f"{SVG}path")]
    return [path for path in paths if "h0" in path]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_digits_are_those_of_uci() -> None:
    loaded = digits.load()
    assert loaded.images.shape == (1797, 64) and loaded.images.dtype == np.float64
    assert loaded.labels.shape == (1797,) and loaded.labels.dtype == np.int64
    assert loaded.images.min() == 0.0 and loaded.images.max() == 1.0
    assert np.bincount(loaded.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    pixels = (16 * loaded.images).astype(np.int64)
    assert (pixels.sum(), (pixels @ np.arange(1, 65)).sum(), np.arange(1797) @ pixels.sum(1)) == (
        561718,
        18222371,
        503342547,
    )


def test_split_is_a_partition_and_the_same_each_time() -> None:
    loaded = digits.load()
    training, held_out = digits.split(loaded, held_out=0.2, seed=3)
    assert (len(training), len(held_out)) == (1438, 359)
    again, _ = digits.split(loaded, held_out=0.2, seed=3)
    assert np.array_equal(training.images, again.images)
    other, _ = digits.split(loaded, held_out=0.2, seed=4)
    assert not np.array_equal(training.labels, other.labels)
    together = np.concatenate([training.images, held_out.images])
    assert np.array_equal(np.sort(together @ np.arange(64)), np.sort(loaded.images @ np.arange(64)))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 2.0])
def test_split_refuses_an_empty_part(share: float) -> None:
    with pytest.raises(ArgumentValueError, match="leaves one part empty"):
        digits.split(digits.load(), held_out=share)


def test_svg_shows_every_label_and_group() -> None:
    svg = draw_svg(DIAMOND.nodes, DIAMOND.edges, "f <traced> & drawn")
    boxes = ["x f64[3]", "sin", "cos", "multiply", "f64[3]"]
    assert texts(svg) == ["f <traced> & drawn", "1", *boxes, "argument", "result"]


def test_edges_point_down_and_boxes_keep_apart() -> None:
    layout = lay_out(DIAMOND)
    x, a, b, y = layout.boxes
    assert x.layer < a.layer == b.layer < y.layer
    assert abs(a.x - b.x) >= (a.width + b.width) / 2
    assert math.isclose(x.x, (a.x + b.x) / 2)


GRAPHS = st.integers(1, 25).flatmap(
    lambda count: st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=60).map(
        lambda pairs: Graph(
            [Node(str(index), "x" * (index % 9)) for index in range(count)],
            [Edge(str(source), str(target)) for source, target in pairs],
        )
    )
)


@given(GRAPHS)
def test_any_graph_can_be_drawn(graph: Graph) -> None:
    layout = lay_out(graph)
    boxes = {box.node.key: box for box in layout.boxes if box.node is not None}
    assert len(boxes) == len(graph.nodes)
    for route in layout.routes:
        upper, lower = route.through[0], route.through[-1]
        assert upper is lower or upper.layer < lower.layer
        assert {id(upper), id(lower)} == {id(boxes[route.edge.source]), id(boxes[route.edge.target])}
    for layer in {box.layer for box in layout.boxes}:
        row = sorted((box for box in layout.boxes if box.layer == layer), key=lambda box: box.x)
        for left, right in pairwise(row):
            assert right.x - left.x >= (left.width + right.width) / 2
    for box in layout.boxes:
        assert box.x - box.width / 2 >= 0 and box.x + box.width / 2 <= layout.width
        assert box.y >= 0 and box.y + box.height <= layout.height
    ElementTree.fromstring(draw_svg(graph.nodes, graph.edges))


def test_acyclic_graph_has_no_arrow_up() -> None:
    nodes = [Node(str(index), "") for index in range(30)]
    # Listed backwards, so that order in the list does not help.
    edges = [Edge(str(index), str(index - step)) for index in range(30) for step in (1, 2, 7) if index >= step]
    assert not any(route.upward for route in lay_out(Graph(nodes, edges)).routes)


def test_a_constant_stands_just_above_its_use() -> None:
    nodes = [*(Node(str(index), "") for index in range(10)), Node("one", "full 1.0")]
    edges = [*(Edge(str(index), str(index + 1)) for index in range(9)), Edge("one", "9")]
    boxes = lay_out(Graph(nodes, edges)).boxes
    assert boxes[-1].layer == boxes[9].layer - 1


def test_graph_of_thousands_of_nodes() -> None:
    count = 3000
    nodes = [Node(str(index), f"op {index}") for index in range(count)]
    edges = [Edge(str(index - 1), str(index)) for index in range(1, count)]
    edges += [Edge("0", str(index)) for index in range(2, count)]
    start = time.perf_counter()
    svg = draw_svg(nodes, edges)
    assert time.perf_counter() - start < 60
    assert len(svg) < 4_000_000


@pytest.mark.parametrize("draw", [draw_svg, draw_dot])
def test_graph_errors(draw: object) -> None:
    assert callable(draw)
    with pytest.raises(ArgumentValueError, match="an edge from 'a' to 'b', but no node has the key 'b'"):
        draw([Node("a", "")], [Edge("a", "b")])
    with pytest.raises(ArgumentValueError, match="two nodes have the key 'a'"):
        draw([Node("a", "one"), Node("a", "two")], [])


def test_graph_without_nodes() -> None:
    assert texts(draw_svg([], [])) == []
    assert draw_dot([], []).startswith('digraph "graph" {')


def test_text_that_xml_cannot_hold_is_replaced() -> None:
    assert texts(draw_svg([Node("a", "one\x00\ud800<&>")], [])) == ["one\ufffd\ufffd<&>"]


def test_dot_is_quoted() -> None:
    text = draw_dot([Node('a"b', 'one\n"two" \\n', "group"), Node("c", "", "group")], [Edge('a"b', "c", "e")], "title")
    assert text == (
        'digraph "title" {\n'
        '  graph [label="title", labelloc=t];\n'
        '  node [shape=box, style="rounded,filled", fontname="monospace", fontsize=11];\n'
        '  edge [fontname="monospace", fontsize=9];\n'
        '  "a\\"b" [label="one\\n\\"two\\" \\\\n", fillcolor="#eaf1fb", color="#3b6fb6"];\n'
        '  "c" [label="", fillcolor="#eaf1fb", color="#3b6fb6"];\n'
        '  "a\\"b" -> "c" [label="e"];\n'
        "}\n"
    )
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tplain"], input=text, text=True, check=True, capture_output=True)


def test_loss_picture_has_curves_axes_legend_and_graph() -> None:
    falling = [math.exp(-step / 10) for step in range(100)]
    svg = loss_picture({"training": falling, "held <out>": [1.0, 0.5]}, DIAMOND, "digits & losses")
    shown = texts(svg)
    assert {"digits & losses", "step", "loss", "0", "20", "0.1", "0.01", "held <out>  0.5", "sin"} <= set(shown)
    assert [path.count("L") for path in curves(svg)] == [99, 1]


def test_loss_picture_chooses_its_axis() -> None:
    assert "-1" in texts(loss_picture({"loss": [1.0, 0.0, -1.0]}))
    assert {"1", "1e-5"} <= set(texts(loss_picture({"loss": [1.0, 1e-5]})))
    assert "0.2" in texts(loss_picture({"loss": [1.0, 1e-5]}, logarithmic=False))


def test_loss_picture_leaves_gaps_and_thins_long_series() -> None:
    svg = loss_picture({"loss": [1.0, 2.0, math.nan, 3.0, math.inf, 1.0, 2.0]})
    (curve,) = curves(svg)
    assert (curve.count("M"), curve.count("L")) == (3, 2)
    spiked = [0.0] * 50_000
    spiked[31_234] = 7.0
    svg = loss_picture({"loss": spiked})
    assert len(svg) < 40_000
    (curve,) = curves(svg)
    heights = [float(point.split(" ")[1]) for point in curve[1:].replace("h0", "").split(" L")]
    assert sorted(heights)[0] < 60 and sorted(heights)[1] > 300


@pytest.mark.parametrize("values", [[5.0], [0.0, 0.0], [3.0, 3.0], [1e-300, 1e300], [-1e9, 1e9]])
def test_loss_picture_of_unusual_values(values: list[float]) -> None:
    for logarithmic in (None, False):
        svg = loss_picture({"loss": values}, logarithmic=logarithmic)
        assert "nan" not in svg and "inf" not in svg
        assert 3 < len(texts(svg)) < 40


def test_loss_picture_errors() -> None:
    with pytest.raises(ArgumentValueError, match="no finite value to draw"):
        loss_picture({"loss": [math.nan]})
    with pytest.raises(ArgumentValueError, match="has no place on a logarithmic axis"):
        loss_picture({"loss": [0.0, 1.0]}, logarithmic=True)

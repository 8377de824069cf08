"""Pictures of directed graphs: `draw_svg` and `draw_dot` for whole documents, `draw` for a part of a larger one."""
from pullback.drawing.dot import draw_dot
from pullback.drawing.graph import Edge, Graph, Node
from pullback.drawing.svg import Drawing, draw, draw_svg

__all__ = ["Drawing", "Edge", "Graph", "Node", "draw", "draw_dot", "draw_svg"]

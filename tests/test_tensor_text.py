"""Tensors print letter by letter as in PyTorch 2.13: recorded texts, and PyTorch itself where it is installed."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pullback.tracer.tensor_text import PrintOptions, tensor_text

nan, inf = np.nan, np.inf


def shown(values: Any, dtype: str = "float32", name: str | None = None, leaf: bool = False) -> str:
    """The text of a tensor: with ``grad_fn=<name>``, or of a leaf that requires its gradient."""
    return tensor_text(np.asarray(values, dtype), requires_grad=leaf or name is not None, grad_fn_name=name)


# What PyTorch 2.13.0 printed for the same values.
RECORDED = [

    (shown(1.0), "tensor(1.)"),
    (shown(27.0, name="MeanBackward0"), "tensor(27., grad_fn=<MeanBackward0>)"),
    (shown(1183.7627), "tensor(1183.7627)"),
    (shown(-3.5, leaf=True), "tensor(-3.5000, requires_grad=True)"),
    (shown(nan), "tensor(nan)"),
    (shown(-inf), "tensor(-inf)"),
    (shown(1e-5), "tensor(1.0000e-05)"),
    (shown(1e9), "tensor(1.0000e+09)"),
    (shown(True, "bool"), "tensor(True)"),
    (shown(3, "int64"), "tensor(3)"),
    (shown(3.5, "float64"), "tensor(3.5000, dtype=torch.float64)"),
    (shown([], "float32"), "tensor([])"),
    (shown([], "float64", leaf=True), "tensor([], dtype=torch.float64, requires_grad=True)"),
    (shown([], "int64"), "tensor([], dtype=torch.int64)"),
    (shown([], "bool"), "tensor([], dtype=torch.bool)"),
    (shown(np.zeros((0, 3))), "tensor([], size=(0, 3))"),
    (shown(np.zeros((2, 0)), "float64", leaf=True), "tensor([], size=(2, 0), dtype=torch.float64, requires_grad=True)"),
    (
        shown(np.ones((2, 2)), leaf=True),
        "tensor([[1., 1.],\n"
        "        [1., 1.]], requires_grad=True)",
    ),
    (
        shown(np.full((2, 2), 4.5)),
        "tensor([[4.5000, 4.5000],\n"
        "        [4.5000, 4.5000]])",
    ),
    (
        shown([956.1897, -500.3663, 486.4453], name="MulBackward0"),
        "tensor([ 956.1897, -500.3663,  486.4453], grad_fn=<MulBackward0>)",
    ),
    (shown([5.12e01, 5.12e02, 5.12e-02]), "tensor([5.1200e+01, 5.1200e+02, 5.1200e-02])"),
    (shown([2.0, 0.2, 0.02, 0.002]), "tensor([2.0000, 0.2000, 0.0200, 0.0020])"),
    (
        shown([[6.9264, -2.0013], [-138.0969, 5.4176]]),
        "tensor([[   6.9264,   -2.0013],\n"
        "        [-138.0969,    5.4176]])",
    ),
    (shown([nan, 0.0]), "tensor([nan, 0.])"),
    (shown([0.0, -0.0, inf]), "tensor([0., -0., inf])"),
    (shown([inf, 1.5]), "tensor([   inf, 1.5000])"),
    (shown([nan, 123.25, -1.0]), "tensor([     nan, 123.2500,  -1.0000])"),
    (shown([-inf, 1.0, 2.0]), "tensor([-inf, 1., 2.])"),
    (shown([1.0, 1000.0]), "tensor([   1., 1000.])"),
    (shown([1.0, 1001.0]), "tensor([1.0000e+00, 1.0010e+03])"),
    (shown([1e8, 1e8]), "tensor([100000000., 100000000.])"),
    (shown([1e8, 2e8]), "tensor([1.0000e+08, 2.0000e+08])"),
    (shown([1e-4, 1e-5]), "tensor([1.0000e-04, 1.0000e-05])"),
    (shown([0.1, 0.0001]), "tensor([1.0000e-01, 1.0000e-04])"),
    (shown([-1.0, 1.0]), "tensor([-1.,  1.])"),
    (shown([True, False, True], "bool"), "tensor([ True, False,  True])"),
    (shown([1, -200, 30], "int64"), "tensor([   1, -200,   30])"),
    (shown([1, -200, 30], "int32"), "tensor([   1, -200,   30], dtype=torch.int32)"),
    (shown([0, 255], "uint8"), "tensor([  0, 255], dtype=torch.uint8)"),
    (
        shown([1.5, 2.5], "float64", name="AddBackward0"),
        "tensor([1.5000, 2.5000], dtype=torch.float64, grad_fn=<AddBackward0>)",
    ),
    (
        shown(np.ones(20), leaf=True),
        "tensor([1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1.,\n"
        "        1., 1.], requires_grad=True)",
    ),
    (
        shown(np.full(7, 2.25), name="MulBackward0"),
        "tensor([2.2500, 2.2500, 2.2500, 2.2500, 2.2500, 2.2500, 2.2500],\n"
        "       grad_fn=<MulBackward0>)",
    ),
    (
        shown(np.full(6, 2.25), name="BinaryCrossEntropyWithLogitsBackward0"),
        "tensor([2.2500, 2.2500, 2.2500, 2.2500, 2.2500, 2.2500],\n"
        "       grad_fn=<BinaryCrossEntropyWithLogitsBackward0>)",
    ),
    (
        shown(np.full(6, 2.25), "float64", name="BinaryCrossEntropyWithLogitsBackward0"),
        "tensor([2.2500, 2.2500, 2.2500, 2.2500, 2.2500, 2.2500], dtype=torch.float64,\n"
        "       grad_fn=<BinaryCrossEntropyWithLogitsBackward0>)",
    ),
    (
        shown(np.full((2, 2, 2), 0.5)),
        "tensor([[[0.5000, 0.5000],\n"
        "         [0.5000, 0.5000]],\n"
        "\n"
        "        [[0.5000, 0.5000],\n"
        "         [0.5000, 0.5000]]])",
    ),
    (
        shown(np.ones((1, 2, 1, 1))),
        "tensor([[[[1.]],\n"
        "\n"
        "         [[1.]]]])",
    ),
    (shown(np.arange(1001)), "tensor([   0.,    1.,    2.,  ...,  998.,  999., 1000.])"),
    (
        shown(np.arange(2000).reshape(1000, 2), "int64"),
        "tensor([[   0,    1],\n"
        "        [   2,    3],\n"
        "        [   4,    5],\n"
        "        ...,\n"
        "        [1994, 1995],\n"
        "        [1996, 1997],\n"
        "        [1998, 1999]])",
    ),
]


@pytest.mark.parametrize(("text", "expected"), RECORDED)
def test_recorded_text(text: str, expected: str) -> None:
    assert text == expected


def test_summary_cuts_every_long_axis() -> None:
    text = shown(np.arange(4000).reshape(4, 1000))
    assert text.splitlines() == [
        "tensor([[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 9.9700e+02, 9.9800e+02,",
        "         9.9900e+02],",
        "        [1.0000e+03, 1.0010e+03, 1.0020e+03,  ..., 1.9970e+03, 1.9980e+03,",
        "         1.9990e+03],",
        "        [2.0000e+03, 2.0010e+03, 2.0020e+03,  ..., 2.9970e+03, 2.9980e+03,",
        "         2.9990e+03],",
        "        [3.0000e+03, 3.0010e+03, 3.0020e+03,  ..., 3.9970e+03, 3.9980e+03,",
        "         3.9990e+03]])",
    ]


def test_default_dtype_is_the_one_left_out() -> None:
    float64 = np.dtype(np.float64)
    one = np.ones(1)
    assert tensor_text(one, requires_grad=False, grad_fn_name=None, default_dtype=float64) == "tensor([1.])"
    single = one.astype(np.float32)
    expected = "tensor([1.], dtype=torch.float32)"
    assert tensor_text(single, requires_grad=False, grad_fn_name=None, default_dtype=float64) == expected


def test_default_dtype_of_an_empty_tensor() -> None:
    empty = np.zeros(0, np.int64)
    text = tensor_text(empty, requires_grad=False, grad_fn_name=None, default_dtype=np.dtype(np.int64))
    assert text == "tensor([])"


def test_options() -> None:
    options = PrintOptions(precision=2, threshold=5, edge_items=1, line_width=60, scientific=False)
    text = tensor_text(np.linspace(0.5, 1e6, 7, dtype="f"), requires_grad=False, grad_fn_name=None, options=options)
    assert text == "tensor([      0.50,  ..., 1000000.00])"


DTYPES = st.sampled_from(["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"])
SHAPES = arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=8)
LONG_SHAPES = st.sampled_from([(1001,), (2, 501), (501, 2), (7, 11, 17), (40, 1, 40), (1001, 1, 1), (3, 0, 2)])
OPTIONS = st.builds(
    PrintOptions,
    precision=st.integers(0, 9),
    threshold=st.sampled_from([0, 10, 1000]),
    edge_items=st.integers(1, 5),
    line_width=st.sampled_from([20, 80, 120]),
    scientific=st.sampled_from([None, True, False]),
)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), leaf=st.booleans(), options=st.one_of(st.just(PrintOptions()), OPTIONS))
def test_same_as_pytorch(data: st.DataObject, leaf: bool, options: PrintOptions) -> None:
    torch = pytest.importorskip("torch")
    dtype = np.dtype(data.draw(DTYPES))
    small = data.draw(st.sampled_from([1.0, 100.0, 6e4])) if dtype.kind == "f" else None
    elements = None if small is None else st.one_of(arrays.from_dtype(dtype), st.floats(-small, small, width=16))
    values = data.draw(arrays.arrays(dtype, data.draw(st.one_of(SHAPES, LONG_SHAPES)), elements=elements))
    tensor = torch.tensor(values)
    if leaf and dtype.kind == "f":
        tensor.requires_grad_()
    torch.set_printoptions(
        precision=options.precision,
        threshold=options.threshold,
        edgeitems=options.edge_items,
        linewidth=options.line_width,
        sci_mode=options.scientific,
    )
    try:
        expected = repr(tensor)
    finally:
        torch.set_printoptions(profile="default")
    text = tensor_text(values, requires_grad=tensor.requires_grad, grad_fn_name=None, options=options)
    assert text == expected

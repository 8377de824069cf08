"""What a compiled function is called with and gives back: nests, keywords, defaults, static values, methods, layouts."""
from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import pullback as pb
from pullback.errors import ArgumentError, DerivativeError, PullbackError

X = np.random.default_rng(2).uniform(-1, 1, (3, 4))


class Pair(NamedTuple):
    weight: Any
    bias: Any


@dataclass
class Layer:
    weight: Any
    bias: Any
    rest: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Frozen:
    scale: Any

    def __post_init__(self) -> None:
        assert not isinstance(self.scale, str)


def energy(tree: Any) -> Any:
    """A sum over whatever nests: the gradient of each leaf is twice the leaf."""
    match tree:
        case None:
            return 0.0
        case dict():
            return sum((energy(each) for each in tree.values()), 0.0)
        case Layer():
            return energy([tree.weight, tree.bias, tree.rest])
        case Frozen():
            return energy(tree.scale)
        case list() | tuple():
            return sum((energy(each) for each in tree), 0.0)
        case _:
            return np.sum(tree * tree)


NESTS: list[Any] = [
    X, 2.5, np.float32(1.5), (X, 3.0), [X[0], [X[1], (1.0,)]], {"b": X, "a": {"c": 2.0}}, Pair(X, (1.0, None)),
    Layer(X, 0.5, [X[0], {"k": 1.0}]), Frozen(X), OrderedDict(z=X, y=1.0), (), [], {"only": Pair(1.0, Frozen(2.0))},
    {1: X, (2, 3): 4.0}, [None, X], X.astype(np.float32),
]  # fmt: skip


def assert_like(found: Any, wanted: Any) -> None:
    assert type(found) is type(wanted) or np.ndim(wanted) == 0
    match wanted:
        case None:
            assert found is None
        case dict():
            assert list(found) == list(wanted)
            for key, value in wanted.items():
                assert_like(found[key], value)
        case Layer():
            assert_like([found.weight, found.bias, found.rest], [wanted.weight, wanted.bias, wanted.rest])
        case Frozen():
            assert_like(found.scale, wanted.scale)
        case list() | tuple():
            assert len(found) == len(wanted)
            for each, other in zip(found, wanted, strict=True):
                assert_like(each, other)
        case _:
            assert np.asarray(found).dtype == np.asarray(wanted).dtype
            np.testing.assert_allclose(found, 2 * wanted)


@pytest.mark.parametrize("tree", NESTS, ids=lambda tree: type(tree).__name__)
def test_gradients_nest_as_arguments_do(tree: Any) -> None:
    compiled = pb.compile_grad(lambda tree, x: energy(tree) + np.sum(x))
    before = copy.deepcopy(tree)
    value, gradient = compiled.value_and_grad(tree, X)
    np.testing.assert_allclose(value, energy(before) + np.sum(X), rtol=1e-6)
    np.testing.assert_allclose(compiled(tree, X), value)
    assert_like(gradient, before)
    assert_like(pb.grad(lambda x, tree: energy(tree) + x, argnums=1)(1.0, tree), before)


@pytest.mark.parametrize("tree", NESTS, ids=lambda tree: type(tree).__name__)
def test_results_nest_as_they_are_returned(tree: Any) -> None:
    compiled = pb.compile_grad(lambda tree: doubled(tree))
    for _ in range(2):
        assert_like(compiled(tree), tree)


def doubled(tree: Any) -> Any:
    match tree:
        case None:
            return None
        case OrderedDict():
            return OrderedDict((key, doubled(each)) for key, each in tree.items())
        case dict():
            return {key: doubled(each) for key, each in tree.items()}
        case Pair():
            return Pair(*(doubled(each) for each in tree))
        case Layer():
            return Layer(doubled(tree.weight), doubled(tree.bias), doubled(tree.rest))
        case Frozen():
            return Frozen(doubled(tree.scale))
        case list() | tuple():
            return type(tree)(doubled(each) for each in tree)
        case _:
            return tree + tree


def test_results_that_are_not_computed() -> None:
    compiled = pb.compile_grad(lambda x: {"x": x, "one": 1, "text": None, "array": np.arange(3), "flag": x[0, 0] > 0})
    found = compiled(X)
    np.testing.assert_array_equal(found["x"], X)
    assert found["x"] is not X and found["one"] == 1 and found["text"] is None and found["flag"] == (X[0, 0] > 0)
    np.testing.assert_array_equal(found["array"], np.arange(3))
    with pytest.raises(PullbackError, match=r"the result\['name'\] is a str"):
        pb.compile_grad(lambda x: {"name": "x", "x": x})(X)


def three(a: Any, b: Any, c: Any = 2.0, *, d: Any = 1.0) -> Any:
    return np.sum(a * b * b) * c * d


A, B = X, X + 2


@pytest.mark.parametrize(
    "arguments", [{"argnums": 0}, {"argnums": 1}, {"argnums": (0, 1)}, {"argnums": (1, 0)}, {"argnums": 2}, {"argnums": -1},
                  {"argnums": (-3, 2)}, {"argnames": "b"}, {"argnames": ("c", "a")}, {"argnums": [1]}], ids=str
)  # fmt: skip
def test_argnums(arguments: dict[str, Any]) -> None:
    """By number, from the end, by name; with arguments by keyword and defaults that are left out."""
    wanted = {"a": B * B * 6, "b": 2 * A * B * 6, "c": np.sum(A * B * B) * 3}
    compiled = pb.compile_grad(three, **arguments)
    chosen = arguments.get("argnames", arguments.get("argnums"))
    names = [each if isinstance(each, str) else "abc"[each] for each in np.atleast_1d(chosen).tolist()]
    expected = [wanted[name] for name in names]
    calls = [compiled.grad(A, B, d=3.0), compiled.grad(A, b=B, d=3.0), compiled.grad(b=B, a=A, d=3.0),
             compiled.grad(A, B, 2.0, d=3.0)]
    for found in calls:
        found = found if isinstance(found, tuple) else (found,)
        assert len(found) == len(expected)
        for each, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(each, other)
    assert isinstance(calls[0], tuple) == (not isinstance(chosen, int | str))


@pytest.mark.parametrize(
    ("options", "text"),
    [({"argnums": 5}, "argnums names argument 5, but three takes 3"), ({"argnames": "z"}, "argnames names 'z'"),
     ({"argnums": (0, -4)}, "argnums names argument -4"), ({"argnames": "d"}, "no positional argument")],
)  # fmt: skip
def test_wrong_argnums(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ArgumentError, match=text) as raised:
        pb.compile_grad(three, **options)
    assert "test_numpy_arguments.py" in str(raised.value)


def test_calls_that_do_not_fit_the_signature() -> None:
    compiled = pb.compile_grad(three)
    for call in (partial(compiled, A), partial(compiled, A, B, 1.0, 2.0), partial(compiled, A, B, e=1),
                 partial(compiled.grad, A)):
        with pytest.raises(ArgumentError, match=r"argument"):
            call()


def test_defaults_are_constants_unless_differentiated() -> None:
    def repeated(x: Any, count: int = 3, keepdims: bool = True, scale: float = 2.0, mode: str = "sum") -> Any:
        for _ in range(count):
            x = x * scale
        return np.sum(x, keepdims=keepdims) if mode == "sum" else x

    compiled = pb.compile_grad(repeated)
    np.testing.assert_allclose(compiled(X), [[8 * X.sum()]])
    np.testing.assert_allclose(compiled(X, scale=3.0), [[27 * X.sum()]])
    by_scale = pb.compile_grad(lambda x, scale=2.0: np.sum(x) * scale**3, argnums=1)
    np.testing.assert_allclose(by_scale.grad(X), 12 * X.sum())
    assert pb.compile_grad(np.linalg.norm)(X) == pytest.approx(np.linalg.norm(X))


def test_static_arguments() -> None:
    seen = []

    def powered(x: Any, n: int, mode: str = "sum", *, shift: Any = None) -> Any:
        seen.append((n, mode))
        total = x
        for _ in range(n - 1):
            total = total * x
        return getattr(np, mode)(total + (0 if shift is None else shift))

    for options in ({"static_argnums": (1, 2)}, {"static_argnames": ("n", "mode")}, {"static_argnums": (-2, -1)}):
        compiled = pb.compile_grad(powered, **options)  # type: ignore[call-overload]
        seen.clear()
        for _ in range(2):
            np.testing.assert_allclose(compiled(X, 3, "sum"), np.sum(X**3))
            np.testing.assert_allclose(compiled(X, mode="mean", n=2), np.mean(X**2))
            np.testing.assert_allclose(compiled.grad(X, 3, "mean"), 3 * X**2 / X.size)
            np.testing.assert_allclose(compiled.grad(X, n=2, shift=X), 2 * X)
        assert len(seen) == 4, "each combination is traced once"
    by_last = pb.compile_grad(lambda n, x: np.sum(x**n), argnums=1, static_argnums=0)
    np.testing.assert_allclose(by_last.grad(2, X), 2 * X)
    np.testing.assert_allclose(by_last.hessian(2, X[0]), 2 * np.eye(4), atol=1e-12)
    np.testing.assert_allclose(pb.jacobian(by_last, argnums=1)(2, X), 2 * X)
    typed = pb.compile_grad(lambda x, n: x * n, static_argnums=1)
    assert [typed(np.int8(3), n).dtype for n in (1, True, 1.0, np.int16(1))] == [np.int8, np.int8, np.float64, np.int16]
    with pytest.raises(ArgumentError, match="has no hash"):
        compiled(X, [1], "sum")
    with pytest.raises(ArgumentError, match="is static and has no derivative"):
        pb.compile_grad(lambda n, x: np.sum(x) * n, static_argnums=0).grad(2, X)


def test_aux() -> None:
    @pb.compile_grad(has_aux=True)
    def loss(x: Any) -> Any:
        return np.sum(x * x), {"doubled": 2 * x, "count": 3, "deep": (x[0], None)}

    value, aux = loss(X)
    (other, also), gradient = loss.value_and_grad(X)
    only, again = loss.grad(X)
    assert value == other == pytest.approx(np.sum(X * X))
    np.testing.assert_allclose(gradient, 2 * X)
    np.testing.assert_allclose(only, 2 * X)
    for each in (aux, also, again):
        np.testing.assert_allclose(each["doubled"], 2 * X)
        assert each["count"] == 3 and each["deep"][1] is None
    with pytest.raises(DerivativeError, match=r"must return a pair"):
        pb.compile_grad(lambda x: np.sum(x), has_aux=True).grad(X)


@pytest.mark.parametrize(
    ("function", "arguments", "text"),
    [
        (lambda x: np.sum(x), (np.arange(3),), "but argument 0 is int64"), (lambda x: x * 1.0, (3,), "argument 0 is int64"),
        (lambda p: p["w"] * p["n"], ({"w": 1.0, "n": 2},), r"but argument 0\['n'\] is int64"),
        (lambda x: x, (X,), r"grad needs a function of one float result without axes; .* gives f64\[3, 4\]"),
        (lambda x: (np.sum(x), x), (X,), "grad needs a function of one float result"),
        (lambda x: np.argmax(x), (X,), r"gives i64\[\]"), (lambda x: None, (X,), "gives nothing"),
    ],
)  # fmt: skip
def test_what_has_no_gradient(function: Any, arguments: Any, text: str) -> None:
    with pytest.raises(DerivativeError, match=text) as raised:
        pb.grad(function)(*arguments)
    assert "test_numpy_arguments.py" in str(raised.value)


@pytest.mark.parametrize(
    ("argument", "text"),
    [("text", "x is a str"), ({"a": {1, 2}}, r"x\['a'\] is a set"), (np.array(["a"]), "x has dtype <U1"),
     (np.zeros(2, complex), "x has dtype complex128"), (np.array([None]), "x has dtype object"), (1j, "x is a complex"),
     (np.ma.masked_array([1.0], [True]), "x is a masked array"), (np.float16(1), "x has dtype float16"),
     (Layer(1.0, print), "x.bias is a builtin_function_or_method"), (2**70, "does not fit 64 bits")],
)  # fmt: skip
def test_what_is_no_argument(argument: Any, text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        pb.compile_grad(lambda y, x: energy(y))(1.0, argument)


class Model:
    """A class whose methods are compiled; what they read of it is constant while it stays the same."""

    def __init__(self) -> None:
        self.rate = 0.5
        self.table = np.arange(4.0)

    @pb.compile_grad
    def loss(self, x: Any, power: int = 2) -> Any:
        return np.sum(x**power * self.table) * self.rate

    @staticmethod
    @pb.compile_grad
    def plain(x: Any) -> Any:
        return np.sum(x)

    @classmethod
    def made(cls, x: Any) -> Any:
        return cls.plain(x)


def test_methods() -> None:
    model = Model()
    np.testing.assert_allclose(model.loss(X), np.sum(X**2 * model.table) * 0.5)
    np.testing.assert_allclose(model.loss.grad(X), X * model.table)
    np.testing.assert_allclose(model.loss.value_and_grad(X, power=1)[1], np.broadcast_to(model.table / 2, X.shape))
    assert model.loss is model.loss and Model().loss is not model.loss
    assert Model.plain(X) == model.plain(X) == Model.made(X) == pytest.approx(X.sum())
    model.rate = 2.0
    np.testing.assert_allclose(model.loss(X), np.sum(X**2 * model.table) * 2.0)
    model.table = np.ones(4)
    np.testing.assert_allclose(model.loss(X), np.sum(X**2) * 2.0)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(again.loss(X), np.sum(X**2) * 2.0)
    twin = copy.deepcopy(model)
    twin.rate = 1.0
    assert twin.loss(X) == pytest.approx(np.sum(X**2)) and model.loss(X) == pytest.approx(2 * np.sum(X**2))


compiled_at_module_level = pb.compile_grad(three)
compiled_at_module_level.__qualname__ = "compiled_at_module_level"


def test_functions_are_like_functions() -> None:
    assert pickle.loads(pickle.dumps(compiled_at_module_level)) is compiled_at_module_level
    assert copy.deepcopy(compiled_at_module_level) is compiled_at_module_level
    assert compiled_at_module_level.__wrapped__ is three and compiled_at_module_level.__name__ == "three"
    assert "three" in repr(compiled_at_module_level)
    added = pb.compile_grad(partial(three, d=2.0))
    np.testing.assert_allclose(added.grad(A, B), B * B * 4)

    @pb.compile_grad(argnums=(0, 1))
    def many(*arrays: Any, **named: Any) -> Any:
        return sum(np.sum(each * (place + 1)) for place, each in enumerate(arrays)) + np.sum(named["w"])

    value, gradients = many.value_and_grad(X, X[0], 2.0, w=X)
    assert value == pytest.approx(2 * np.sum(X) + 2 * np.sum(X[0]) + 6)
    np.testing.assert_allclose(gradients[1], np.full(4, 2.0))
    with pytest.raises(ArgumentError, match="takes a function, not a int"):
        pb.compile_grad(3)  # type: ignore[call-overload]


def test_one_compilation_for_each_kind_of_argument() -> None:
    compiled = pb.compile_grad(lambda x, y: x + y)
    for arguments in ((X, 1.0), (X + 1, 2.0), (X, 3.5), (np.asfortranarray(X), 1.0)):
        np.testing.assert_array_equal(compiled(*arguments), arguments[0] + arguments[1])
    assert compiled.stats()["value"]["specializations"] == 1
    compiled(X, 1)
    compiled(X.astype(np.float32), 1.0)
    compiled(X[:2], 1.0)
    assert compiled.stats()["value"]["specializations"] == 4


def layouts(path: Path) -> dict[str, Any]:
    whole = np.random.default_rng(7).uniform(-1, 1, (6, 8))
    raw = np.zeros(12 * 8 + 1, np.uint8)
    misaligned = raw[1:].view(np.float64).reshape(3, 4)
    misaligned[...] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    mapped = np.memmap(path / "x", np.float64, "w+", shape=(3, 4))
    mapped[...] = X
    return {
        "contiguous": X, "strided": whole[::2, ::2], "backward": X[::-1, ::-1], "Fortran": np.asfortranarray(X),
        "transposed": X.T, "misaligned": misaligned, "read-only": read_only, "swapped": X.astype(">f8"),
        "broadcast": np.broadcast_to(X[0], (3, 4)), "mapped": mapped, "empty": np.zeros((0, 4)), "empty rows": X[:, :0],
        "no axes": np.array(1.5), "scalar": np.float64(1.5), "recarray view": X.view(np.recarray), "one": X[:1, :1],
        "swapped strided": whole.astype(">f8")[1::2, ::2], "bool as mask": X > 0, "swapped int": np.arange(4).astype(">i4"),
    }  # fmt: skip


def test_layouts(tmp_path: Path) -> None:
    """Any memory layout gives NumPy's values, in native order, and no argument is changed."""
    compiled = pb.compile_grad(lambda x: (x * 2, np.sum(x * 1.0), x[..., None]))
    gradient = pb.compile_grad(lambda x: np.sum(x * x * x))
    for name, array in layouts(tmp_path).items():
        before = np.array(array)
        for _ in range(2):
            twice, total, column = compiled(array)
            wanted = np.asarray(array) * 2
            np.testing.assert_array_equal(twice, wanted, err_msg=name)
            assert twice.dtype == wanted.dtype.newbyteorder("=") and twice.dtype.isnative, name
            np.testing.assert_allclose(total, np.sum(array * 1.0), err_msg=name)
            np.testing.assert_array_equal(column, np.asarray(array)[..., None])
            assert type(twice) in (np.ndarray, np.float64), name
            if np.asarray(array).dtype.kind == "f":
                np.testing.assert_allclose(gradient.grad(array), 3 * np.asarray(array) ** 2, err_msg=name)
        np.testing.assert_array_equal(array, before, err_msg=name)
        assert not np.shares_memory(twice, np.asarray(array))


def test_captured_arrays_of_any_layout(tmp_path: Path) -> None:
    for name, array in layouts(tmp_path).items():
        if type(array) is np.recarray:
            continue
        found = pb.compile_grad(lambda x, array=array: (x + array, array * x))(2.0)
        np.testing.assert_array_equal(found[0], 2.0 + np.asarray(array), err_msg=name)
        np.testing.assert_array_equal(found[1], 2.0 * np.asarray(array), err_msg=name)


def test_results_never_share_memory_with_arguments_or_each_other() -> None:
    first, second, third = pb.compile_grad(lambda x: (x, x, x.T))(X)
    for one, other in ((first, X), (first, second), (first, third)):
        assert not np.shares_memory(one, other)
    first[...] = 0
    np.testing.assert_array_equal(second, X)

"""pure_callback: Python called by compiled code; its results, its exceptions, what it is not."""
from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import pullback as pb
from pullback.compiler import compile_function
from pullback.ir.interpret import interpret

X = np.array([0.3, -0.7, 1.1])
VECTOR = pb.ShapeDtypeStruct((3,), np.float64)
NUMBER = pb.ShapeDtypeStruct((), np.float64)


def test_arguments_and_results_nest():
    seen = []

    def callback(pair, *, scale):
        seen.append((type(pair["x"]), type(scale), pair["n"].dtype, pair["x"].flags.writeable))
        pair["x"][...] *= scale  # its own copy
        return {"large": pair["x"], "rest": (float(scale), int(pair["n"]))}

    result = {"large": X, "rest": (NUMBER, pb.ShapeDtypeStruct((), np.int64))}

    def f(x, n):
        made = pb.pure_callback(callback, result, {"x": x * 2.0, "n": n}, scale=np.sum(x))
        return made["large"], made["rest"][0] + made["rest"][1]

    compiled = pb.compile_grad(f)
    for call in (compiled, f):
        large, total = call(X, np.int32(5))
        np.testing.assert_allclose(large, 2.0 * X * np.sum(X), rtol=1e-14)
        assert total == pytest.approx(np.sum(X) + 5)
        assert seen.pop() == (np.ndarray, np.float64, np.dtype(np.int32), True)
    assert compiled.stats()


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f4", "f8"])
def test_dtypes(dtype):
    x = np.array([[1, 0, 1], [0, 1, 1]]).astype(dtype)
    like = pb.ShapeDtypeStruct((3, 2), dtype)
    found = pb.compile_grad(lambda x: pb.pure_callback(np.transpose, like, x))(x)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, x.T)


def test_arguments_are_copies():
    def callback(x):
        x += 1.0
        return x

    x = X.copy()
    found, kept = pb.compile_grad(lambda x: (pb.pure_callback(callback, VECTOR, x), x * 1.0))(x)
    np.testing.assert_array_equal(found, X + 1.0)
    np.testing.assert_array_equal(kept, X)
    np.testing.assert_array_equal(x, X)


def test_views_and_empty_arrays_are_handed_over_as_they_look():
    def f(x):
        return pb.pure_callback(lambda a, b, c: a * 10 + b + c.sum(), pb.ShapeDtypeStruct((2, 3), np.float64),
                                x.T[::-1], np.broadcast_to(x[0, 0], (2, 3)), x[:0])  # fmt: skip

    x = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(pb.compile_grad(f)(x), x.T[::-1] * 10 + x[0, 0])


class Refused(Exception):
    pass


@pytest.mark.parametrize("error", [Refused("no"), KeyError("key"), KeyboardInterrupt(), SystemExit(3)])
def test_exceptions_come_out_unchanged(error):
    def callback(x):
        if x > 2.0:
            raise error
        return x

    @pb.compile_grad
    def f(x):
        for _ in range(10):
            x = pb.pure_callback(callback, NUMBER, x) + 1.0
        return x

    with pytest.raises(type(error)) as caught:
        f(0.0)
    assert caught.value is error
    assert f(-8.5) == pytest.approx(1.5)


def test_results_are_checked():
    def calling(callback):
        return pb.compile_grad(lambda x: np.sum(pb.pure_callback(callback, VECTOR, x)))

    wrong = {
        r"gives float64\[2\] where f64\[3\] was stated": lambda x: x[:2],
        r"gives float32\[3\] where f64\[3\] was stated": lambda x: x.astype(np.float32),
        "do not nest as was stated": lambda x: (x, x),
    }
    for message, callback in wrong.items():
        with pytest.raises(pb.PullbackError, match=message):
            pb.pure_callback(lambda x: callback(x), (VECTOR,) if "nest" in message else VECTOR, X)  # noqa: B023
    for message, callback in list(wrong.items())[:2]:
        with pytest.raises(TypeError, match=message) as caught:
            calling(callback)(X)
        assert "pb.pure_callback(callback, VECTOR, x)" in str(caught.value)
    with pytest.raises(pb.PullbackError, match="has no shape and dtype"):
        pb.pure_callback(np.sin, 3, X)
    with pytest.raises(pb.PullbackError, match="arguments are arrays"):
        pb.compile_grad(lambda x: pb.pure_callback(np.sin, VECTOR, x, "text"))(X)
    with pytest.raises(pb.PullbackError, match="gives a float where i64"):
        pb.pure_callback(lambda: 1.5, pb.ShapeDtypeStruct((), np.int64))


def test_no_derivative_but_a_custom_one():
    def through(x):
        return np.sum(pb.pure_callback(np.sin, VECTOR, x) * x)

    for call in (pb.grad(through), pb.hessian(through), lambda x: pb.jvp(through, (x,), (x,))):
        with pytest.raises(pb.PullbackError, match="sin is called by pure_callback, which has no derivative") as caught:
            call(X)
        assert "custom_vjp" in str(caught.value)
    np.testing.assert_allclose(
        pb.grad(lambda x: np.sum(pb.pure_callback(np.sin, VECTOR, pb.stop_gradient(x)) * x))(X), np.sin(X), rtol=1e-14
    )
    np.testing.assert_allclose(
        pb.grad(lambda x: np.sum(pb.pure_callback(np.argsort, pb.ShapeDtypeStruct((3,), np.int64), x) * x))(X), [1, 0, 2]
    )

    @pb.custom_jvp
    def sine(x):
        return pb.pure_callback(np.sin, VECTOR, x)

    @sine.defjvp
    def rule(primals, tangents):
        return sine(*primals), pb.pure_callback(np.cos, VECTOR, primals[0]) * tangents[0]

    np.testing.assert_allclose(pb.grad(lambda x: np.sum(sine(x) * x))(X), np.cos(X) * X + np.sin(X), rtol=1e-14)
    np.testing.assert_allclose(pb.jacfwd(sine)(X), np.diag(np.cos(X)), rtol=1e-14)


def test_it_is_called_when_the_code_comes_there():
    calls = []

    def callback(x):
        calls.append(float(x))
        return x + 1.0

    @pb.compile_grad
    def f(x, count):
        for _ in range(count):
            if x < 2.5:
                x = pb.pure_callback(callback, NUMBER, x)
        pb.pure_callback(callback, NUMBER, x)  # not needed
        return x

    assert f(0.0, 10) == 3.0
    assert calls == [0.0, 1.0, 2.0]
    calls.clear()
    assert f(0.0, 0) == 0.0
    assert calls == []

    @pb.compile_grad
    def same_each_time(x, count):
        total = 0.0
        for _ in range(count):
            total = total + pb.pure_callback(callback, NUMBER, x)
        return total

    assert same_each_time(1.0, 0) == 0.0
    assert calls == []
    assert same_each_time(1.0, 3) == 6.0


def test_vmap():
    shapes = []

    def callback(x, y):
        shapes.append((x.shape, y.shape))
        return x @ y

    mapped = pb.vmap(lambda x, y: pb.pure_callback(callback, NUMBER, x, y), (0, None))
    many = np.arange(12.0).reshape(4, 3)
    np.testing.assert_allclose(mapped(many, X), many @ X, rtol=1e-14)
    assert shapes == [((3,), (3,))] * 4


def test_a_callback_may_call_compiled_functions():
    @pb.compile_grad
    def f(x):
        return pb.pure_callback(lambda x: f(x - 1.0) + x if x > 0.0 else np.float64(0.0), NUMBER, x)

    assert f(5.0) == 15.0


def test_threads_get_their_own_exceptions():
    barrier = threading.Barrier(2)

    def callback(x):
        barrier.wait(10)
        raise Refused(float(x))

    f = pb.compile_grad(lambda x: pb.pure_callback(callback, NUMBER, x))
    found = {}

    def run(number):
        try:
            f(number)
        except Refused as error:
            found[number] = error.args[0]

    with pytest.raises(threading.BrokenBarrierError):
        barrier.abort()
        f(0.0)
    barrier.reset()
    threads = [threading.Thread(target=run, args=(number,)) for number in (1.0, 2.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {1.0: 1.0, 2.0: 2.0}


def test_interpreter_is_native():
    f = pb.compile_grad(lambda x: (pb.pure_callback(lambda x: (x[::-1], x.sum()), (VECTOR, NUMBER), x)))
    f(X)
    function = f._dispatchers["_entry"].specializations.popitem()[1].trace.function
    for found in (interpret(function, [X]), compile_function(function)([X])):
        np.testing.assert_array_equal(found[0], X[::-1])
        np.testing.assert_array_equal(found[1], X.sum())
    assert "host_call %x {function = _lambda_, types = (f64[3], f64[])}" in f.lower(X).ir


def test_tensors():
    for _ in range(3):
        x = pb.tensor(X, dtype=pb.double)
        found = pb.pure_callback(np.sin, VECTOR, x * 2.0)
        np.testing.assert_allclose(found.numpy(), np.sin(2.0 * X), rtol=1e-14)


def test_dropped_functions_are_collected():
    class Holder:
        def call(self, x):
            return x + 1.0

    def made():
        holder = Holder()
        f = pb.compile_grad(lambda x: pb.pure_callback(holder.call, NUMBER, x))
        assert f(1.0) == 2.0
        return weakref.ref(holder)

    gone = made()
    gc.collect()
    assert gone() is None

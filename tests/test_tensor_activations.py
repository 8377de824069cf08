"""Activations written into their argument, and derivatives at the bounds. The values are PyTorch's."""
from __future__ import annotations

import math

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.errors import PullbackError

NAMES = ["relu", "leaky_relu", "elu", "selu", "silu", "hardtanh", "relu6"]
IN_PLACE = {"leaky_relu": "LeakyReluBackward1", "elu": "EluBackward1", "selu": "EluBackward1"}


def results(name: str, inplace: bool) -> tuple[pb.Tensor, pb.Tensor, pb.Tensor]:
    x = pb.tensor([-7.0, -0.5, 0.25, 3.0, 9.0], requires_grad=True)
    y = x * 1
    z = getattr(nn.functional, name)(y, inplace=inplace)
    z.sum().backward()
    assert x.grad is not None
    return y, z, x.grad


@pytest.mark.parametrize("name", NAMES)
def test_inplace_writes_into_the_argument(name: str) -> None:
    y, z, gradient = results(name, inplace=True)
    _, wanted, wanted_gradient = results(name, inplace=False)
    assert z is y
    assert z.tolist() == wanted.tolist() and gradient.tolist() == wanted_gradient.tolist()
    assert type(z.grad_fn).__name__ == IN_PLACE.get(name, type(wanted.grad_fn).__name__)


@pytest.mark.parametrize("name", [*NAMES, "dropout"])
def test_inplace_on_a_leaf_is_refused(name: str) -> None:
    x = pb.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(PullbackError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        getattr(nn.functional, name)(x, inplace=True)


def test_dropout_in_place() -> None:
    pb.manual_seed(0)
    x = pb.ones(50)
    assert nn.functional.dropout(x, 0.5, True, True) is x
    assert set(x.tolist()) == {0.0, 2.0}


def test_hardtanh_is_flat_at_its_bounds() -> None:
    x = pb.tensor([-1.0, -0.5, 1.0], requires_grad=True)
    nn.functional.hardtanh(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 1.0, 0.0]


def test_power_of_one_half_is_the_square_root() -> None:
    x = pb.tensor([-0.0, -math.inf, 4.0], requires_grad=True)
    y = x**0.5
    y.sum().backward()
    assert x.grad is not None
    assert str(y.detach()) == "tensor([-0., nan, 2.])" and str(x.grad) == "tensor([  -inf,    nan, 0.2500])"
    z = pb.tensor([-0.0, 4.0])
    assert str(z.pow_(0.5)) == "tensor([-0., 2.])"


@pytest.mark.parametrize("name", ["relu", "elu", "selu", "leaky_relu", "relu6", "hardtanh", "softplus", "silu"])
def test_values_and_gradients_at_nan_and_signed_zeros(name: str) -> None:
    torch = pytest.importorskip("torch")
    values = [float("nan"), -0.0, 0.0, -1.0, 2.0]
    found, wanted = pb.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    one, two = getattr(nn.functional, name)(found), getattr(torch.nn.functional, name)(wanted)
    one.sum().backward()
    two.sum().backward()
    np.testing.assert_array_equal(np.signbit(one.detach().numpy())[1:], np.signbit(two.detach().numpy())[1:])
    np.testing.assert_allclose(one.detach().numpy(), two.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(found.grad.numpy(), wanted.grad.numpy(), rtol=1e-6)

"""Adam (D. P. Kingma and J. Ba, ICLR 2015) and AdamW (I. Loshchilov and F. Hutter, ICLR 2019), with PyTorch's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError
from pullback.ir.core import Builder, Value
from pullback.ir.ops import arithmetic as a
from pullback.ir.ops import elementary as e
from pullback.location import caller
from pullback.optim.optimizer import Optimizer, checked, write_together
from pullback.tracer.semantics import elementwise as s


class Adam(Optimizer):
    """Steps of the mean of gradients over the root of their mean square. Raises: ArgumentValueError for unusable settings."""

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, amsgrad: bool = False, *, foreach: bool | None = None, maximize: bool = False,
        capturable: bool = False, differentiable: bool = False, fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        for name, value in (("learning rate", lr), ("epsilon value", eps), ("weight_decay value", weight_decay)):
            checked(name, value)
        for place, beta in enumerate(betas):
            if not 0 <= beta < 1:
                raise ArgumentValueError(f"Invalid beta parameter at index {place}: {beta}", location=caller())
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize,
            "foreach": foreach, "capturable": capturable, "differentiable": differentiable, "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        })  # fmt: skip

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            zeros = np.zeros(parameter.sizes, parameter.dtype_.numpy)
            state["step"] = parameter.of_array(np.array(0.0, np.float32))
            state["exp_avg"], state["exp_avg_sq"] = parameter.of_array(zeros), parameter.of_array(zeros.copy())
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = parameter.of_array(zeros.copy())
        step, rate = state["step"].item() + 1, float(group["lr"])
        state["step"] = parameter.of_array(np.array(step, np.float32))
        first, second = group["betas"]
        decay = rate * group["weight_decay"] if group["decoupled_weight_decay"] else group["weight_decay"]
        targets = [parameter, state["exp_avg"], state["exp_avg_sq"]]
        if group["amsgrad"]:
            targets.append(state["max_exp_avg_sq"])
        numbers = (first, 1 - first, second, 1 - second, (1 - second**step) ** 0.5, group["eps"], -rate / (1 - first**step),
                   1 - decay if group["decoupled_weight_decay"] else decay)  # fmt: skip
        write_together(_rule(first > 0.5, bool(decay), group["decoupled_weight_decay"], group["amsgrad"]), targets, gradient,
                       numbers)  # fmt: skip


def _rule(near: bool, decays: bool, decoupled: bool, keeps_largest: bool) -> Any:
    """A step of one parameter; its mean of gradients moves from where it was (`near`), or is a part off the gradient."""

    def rule(b: Builder, x: Value, mean: Value, square: Value, *rest: Value) -> list[Value]:
        largest = rest[:-9]
        gradient, first, new, second, newer, correction, eps, rate, decay = rest[-9:]
        if decays and decoupled:
            x = s.mul(b, x, decay)
        elif decays:
            gradient = s.add(b, gradient, s.mul(b, x, decay))
        way = s.sub(b, gradient, mean)
        mean = s.add(b, mean, s.mul(b, way, new)) if near else s.sub(b, gradient, s.mul(b, way, first))
        square = s.add(b, s.mul(b, square, second), s.mul(b, s.mul(b, gradient, gradient), newer))
        results = [mean, square]
        if keeps_largest:
            results.append(b.value(a.Maximum(), largest[0], square))
        size = s.add(b, s.div(b, b.value(e.Sqrt(), results[-1]), correction), eps)
        return [s.add(b, x, s.div(b, s.mul(b, mean, rate), size)), *results]

    return rule


class AdamW(Adam):
    """Adam whose weight decay acts on the parameters themselves."""

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False, foreach: bool | None = None,
        capturable: bool = False, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
                         capturable=capturable, differentiable=differentiable, fused=fused,
                         decoupled_weight_decay=True)  # fmt: skip

"""Adam (D. P. Kingma and J. Ba, ICLR 2015) and AdamW (I. Loshchilov and F. Hutter, ICLR 2019), with PyTorch's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError
from pullback.location import caller
from pullback.optim.optimizer import Optimizer, checked


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
        state["step"] += 1
        step, rate = state["step"].item(), float(group["lr"])
        if group["weight_decay"]:
            if group["decoupled_weight_decay"]:
                parameter.mul_(1 - rate * group["weight_decay"])
            else:
                gradient = gradient.add(parameter, alpha=group["weight_decay"])
        first, second = group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        if group["amsgrad"]:
            square = state["max_exp_avg_sq"].copy_(state["max_exp_avg_sq"].maximum(square))
        size = (square.sqrt() / (1 - second**step) ** 0.5).add_(group["eps"])
        parameter.addcdiv_(mean, size, value=-rate / (1 - first**step))


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

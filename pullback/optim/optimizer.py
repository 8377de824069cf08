"""What optimizers share: groups of parameters with settings of their own, state per parameter, saving both."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pullback.errors import ArgumentError, ArgumentValueError, UnsupportedError
from pullback.location import caller
from pullback.tracer.grad_mode import enable_grad, no_grad
from pullback.tracer.recipe import Rule
from pullback.tracer.tensor_apply import constant
from pullback.tracer.tensor_base import TensorBase, Unseen, record_many


class Optimizer:
    """Base of all optimizers: `param_groups`, `state`, `zero_grad`, `step`, `state_dict`, `load_state_dict`.

    A subclass says in `update` what a step does to one parameter.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, TensorBase):
            raise ArgumentError("params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                                "torch.FloatTensor", location=caller())  # fmt: skip
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ArgumentValueError("optimizer got an empty parameter list", location=caller())
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take more parameters, with settings of their own.

        Raises: ArgumentError for what is no tensor, ArgumentValueError for one that is no leaf or that another group has,
        UnsupportedError for steps that are to be differentiable: they are not recorded.
        """
        given = param_group["params"]
        parameters = [given] if isinstance(given, TensorBase) else list(given)
        for each in parameters:
            if not isinstance(each, TensorBase):
                raise ArgumentError(f"optimizer can only optimize Tensors, but one of the params is {type(each).__name__}",
                                    location=caller())  # fmt: skip
            if each.node is not None:
                raise ArgumentValueError("can't optimize a non-leaf Tensor", location=caller(), help="pass leaves")
        known = {id(each) for each in self._parameters()}
        if any(id(each) in known for each in parameters):
            raise ArgumentValueError("some parameters appear in more than one parameter group", location=caller())
        group = {**self.defaults, **param_group, "params": parameters}
        if group.get("differentiable"):
            raise UnsupportedError("optim: differentiable=True is not supported", location=caller(),
                                   help="write the step with operations of tensors")  # fmt: skip
        self.param_groups.append({"params": parameters, **group})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or set them to 0."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter._grad is not None:
                    parameter._grad.detach_().zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; `closure` computes the loss and gradients before."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter._grad is not None:
                        gradient = -parameter._grad if group.get("maximize") else parameter._grad
                        self.update(parameter, gradient, self.state[parameter], group)
        return loss

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter. To be overridden."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """State and settings, parameters by number."""
        numbers = {id(parameter): number for number, parameter in enumerate(self._parameters())}
        return {
            "state": {numbers[id(parameter)]: state for parameter, state in self.state.items()},
            "param_groups": [
                {**{key: value for key, value in group.items() if key != "params"},
                 "params": [numbers[id(parameter)] for parameter in group["params"]]}
                for group in self.param_groups
            ],
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over state and settings. Raises: ArgumentValueError where the groups differ."""
        saved = copy.deepcopy(state_dict)
        counts = [[len(group["params"]) for group in groups] for groups in (saved["param_groups"], self.param_groups)]
        if counts[0] != counts[1]:
            raise ArgumentValueError("loaded state dict has a different number of parameter groups" if len(counts[0]) !=
                                     len(counts[1]) else "loaded state dict contains a parameter group that doesn't match the "
                                     "size of optimizer's group", location=caller())  # fmt: skip
        for group, settings in zip(self.param_groups, saved["param_groups"], strict=True):
            group.update({key: value for key, value in settings.items() if key != "params"})
        parameters = list(self._parameters())
        self.state = defaultdict(dict, {parameters[number]: state for number, state in saved["state"].items()})

    def _parameters(self) -> Iterable[Any]:
        return (parameter for group in self.param_groups for parameter in group["params"])

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def write_together(rule: Rule, targets: Sequence[Any], gradient: Any, numbers: Sequence[float]) -> None:
    """Let a rule of the targets, a gradient and numbers give the targets' new elements, in one step."""
    known = [Unseen(constant(number, targets[0].dtype_)) for number in numbers]
    for target, result in zip(targets, record_many("", rule, *targets, gradient, *known), strict=True):
        target.overwrite(result.value)


def checked(name: str, value: float) -> None:
    """Raises: ArgumentValueError for a negative setting."""
    if not value >= 0:
        raise ArgumentValueError(f"Invalid {name}: {value}", location=caller())

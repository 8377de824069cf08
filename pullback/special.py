"""PyTorch's ``special`` by its names, as far as it goes."""

from pullback.tracer.tensor_arithmetic import erf, exp, expm1, log1p, round
from pullback.tracer.tensor_arithmetic import sigmoid as expit
from pullback.tracer.tensor_elementwise import erfc, exp2, logit, sinc, xlogy
from pullback.tracer.tensor_reduction import log_softmax, logsumexp, softmax

__all__ = [
    "erf", "erfc", "exp", "exp2", "expit", "expm1", "log1p", "log_softmax", "logit", "logsumexp", "round", "sinc", "softmax",
    "xlogy",
]  # fmt: skip

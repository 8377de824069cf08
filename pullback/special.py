"""PyTorch's ``special`` by its names, as far as it goes."""

from pullback.tracer.tensor_arithmetic import erf, exp, expm1, log1p, round
from pullback.tracer.tensor_arithmetic import sigmoid as expit
from pullback.tracer.tensor_elementwise import (
    digamma,
    entr,
    erfc,
    exp2,
    log_ndtr,
    logit,
    ndtr,
    polygamma,
    sinc,
    xlog1py,
    xlogy,
)
from pullback.tracer.tensor_elementwise import lgamma as gammaln
from pullback.tracer.tensor_reduction import log_softmax, logsumexp, softmax

psi = digamma

__all__ = [
    "digamma", "entr", "erf", "erfc", "exp", "exp2", "expit", "expm1", "gammaln", "log1p", "log_ndtr", "log_softmax", "logit",
    "logsumexp", "ndtr", "polygamma", "psi", "round", "sinc", "softmax", "xlog1py", "xlogy",
]  # fmt: skip

"""PyTorch's ``optim`` by its names: SGD, Adam, AdamW, with its defaults and its numbers."""

from pullback.optim.adam import Adam, AdamW
from pullback.optim.optimizer import Optimizer
from pullback.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]

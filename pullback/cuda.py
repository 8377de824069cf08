"""PyTorch's ``cuda``, for programs that ask whether there is any: there is none."""


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed_all(seed: int) -> None:
    """Nothing to do: there is no such device."""


__all__ = ["device_count", "is_available", "manual_seed_all"]

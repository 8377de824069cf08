"""The machine compiled for: nothing goes in, the host's LLVM target machine comes out, made once and shared."""
from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Target:
    """An LLVM target machine; hold `lock` while using `machine`, which is not safe to share between threads.

    `plain` compiles as fast as it can, in linear time, and optimizes nothing.
    """

    triple: str
    cpu: str
    features: str
    machine: Any
    plain: Any
    lock: AbstractContextManager[Any] = field(default_factory=threading.Lock)

    @property
    def vector_bytes(self) -> int:
        """Width of the widest vector registers."""
        found = self.features.split(",")
        return 64 if "+avx512f" in found else 32 if "+avx" in found else 16

    @property
    def loads_constants(self) -> bool:
        """Whether fused multiply-adds take whole vectors from memory but cannot broadcast one number from there."""
        found = self.features.split(",")
        return "+fma" in found and "+avx512f" not in found


def llvm_version() -> str:
    """LLVM's version: ``22.1.0``."""
    from llvmlite import binding

    return ".".join(map(str, binding.llvm_version_info))


@cache
def host() -> Target:
    """The target of this process: processor and features as found at run time, position-independent small code."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    triple = binding.get_process_triple()
    cpu = binding.get_host_cpu_name()
    features = _host_features(binding)
    machine, plain = (
        binding.Target.from_triple(triple).create_target_machine(
            cpu=cpu, features=features, opt=level, reloc="pic", codemodel="small"
        )
        for level in (2, 0)
    )
    return Target(triple, cpu, features, machine, plain)


def _host_features(binding: Any) -> str:
    """The processor's features as LLVM writes them, empty where LLVM cannot tell (the CPU name then decides)."""
    try:
        return str(binding.get_host_cpu_features().flatten())
    except RuntimeError:
        return ""

"""Linear systems: sizes and pointer names go in; a call of the machine's LAPACK, or of an elimination of our own, comes out."""
from __future__ import annotations

from pullback.codegen.lapack_routine import Routine, library_with
from pullback.codegen.llvm_text import FunctionText, ModuleText, memory_type
from pullback.dtypes import DType
from pullback.runtime.blas import BlasLibrary

OWN_UP_TO = 16
"""Rows up to which our own elimination is the faster one."""


def system_library(dtype: DType, n: int, k: int) -> BlasLibrary | None:
    """The library that solves a system of n unknowns with k right sides; None where our own elimination does."""
    return None if n <= OWN_UP_TO else library_with(("gesv",), dtype, max(n, k))


def emit_gesv(
    function: FunctionText, dtype: DType, n: int, k: int, a: str, b: str, pivots: str, library: BlasLibrary
) -> str:
    """Solve in place by `library`, all matrices in column order: `b` becomes X, `a` its factors.

    `pivots` has room for n numbers of 8 bytes. Gives an i64: 0, or the number (from 1) of a pivot that is zero.
    """
    return Routine("gesv", "", (n, k, "a", n, "pivots", "b", n)).emit(
        function, dtype, library, {"a": a, "b": b, "pivots": pivots}
    )


def emit_elimination(function: FunctionText, dtype: DType, n: int, k: int, a: str, b: str) -> str:
    """Solve in place by code of our own, all matrices in row order; gives what `emit_gesv` does."""
    name = f"eliminate_{dtype}"
    _define(function.module, name, memory_type(dtype, 1), dtype.itemsize)
    operands = (("ptr", a), ("ptr", b), ("i64", str(n)), ("i64", str(k)))
    return function.call(name, "i64", operands, declare=False)


def _define(module: ModuleText, name: str, kind: str, size: int) -> None:
    """Gaussian elimination of a[n, n] and b[n, k] with the largest pivot of each column, then back substitution.

    A NaN is the largest pivot: it is no zero, and spreads.
    """
    if name in module.functions:
        return
    module.declare(f"llvm.fabs.f{8 * size}", kind, (kind,))
    helpers = ((f"{name}_exchange", ("ptr %x", "ptr %y", "i64 %n"), _EXCHANGE),
               (f"{name}_subtract", ("ptr %x", "ptr %y", f"{kind} %s", "i64 %n"), _SUBTRACT),
               (f"{name}_divide", ("ptr %x", f"{kind} %s", "i64 %n"), _DIVIDE))  # fmt: skip
    for helper, parameters, text in helpers:
        made = module.function(helper, "void", parameters)
        made.lines = _filled(text, name, kind, size)
    parameters = ("ptr %a", "ptr %b", "i64 %n", "i64 %k")
    module.function(name, "i64", parameters, library=True).lines = _filled(_ELIMINATE, name, kind, size)


def _filled(text: str, name: str, kind: str, size: int) -> list[str]:
    for word, value in (("NAME", name), ("FABS", f"llvm.fabs.f{8 * size}"), ("KIND", kind), ("SIZE", str(size))):
        text = text.replace(word, value)
    return text.strip("\n").splitlines()


_LOOP = """
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %more = icmp ult i64 %i, %n
  br i1 %more, label %body, label %exit
body:
  %next = add i64 %i, 1
  %xi = getelementptr KIND, ptr %x, i64 %i
  %u = load KIND, ptr %xi, align SIZE
BODY
  br label %head
exit:
  ret void
"""
_EXCHANGE = _LOOP.replace("BODY", """
  %yi = getelementptr KIND, ptr %y, i64 %i
  %v = load KIND, ptr %yi, align SIZE
  store KIND %v, ptr %xi, align SIZE
  store KIND %u, ptr %yi, align SIZE""")
_SUBTRACT = _LOOP.replace("BODY", """
  %yi = getelementptr KIND, ptr %y, i64 %i
  %v = load KIND, ptr %yi, align SIZE
  %sv = fmul KIND %s, %v
  %w = fsub KIND %u, %sv
  store KIND %w, ptr %xi, align SIZE""")
_DIVIDE = _LOOP.replace("BODY", """
  %w = fdiv KIND %u, %s
  store KIND %w, ptr %xi, align SIZE""")
_ELIMINATE = """
  br label %column
column:
  %p = phi i64 [ 0, %entry ], [ %p2, %next_column ]
  %p2 = add i64 %p, 1
  %columns = icmp ult i64 %p, %n
  br i1 %columns, label %pivot, label %substitute
pivot:
  %pn = mul i64 %p, %n
  %a_row = getelementptr KIND, ptr %a, i64 %pn
  %a_pp = getelementptr KIND, ptr %a_row, i64 %p
  %first = load KIND, ptr %a_pp, align SIZE
  %first_size = call KIND @FABS(KIND %first)
  br label %search
search:
  %q = phi i64 [ %p, %pivot ], [ %q2, %candidate ]
  %best = phi i64 [ %p, %pivot ], [ %best2, %candidate ]
  %best_size = phi KIND [ %first_size, %pivot ], [ %best_size2, %candidate ]
  %q2 = add i64 %q, 1
  %candidates = icmp ult i64 %q2, %n
  br i1 %candidates, label %candidate, label %found
candidate:
  %qn = mul i64 %q2, %n
  %qnp = add i64 %qn, %p
  %a_qp = getelementptr KIND, ptr %a, i64 %qnp
  %here = load KIND, ptr %a_qp, align SIZE
  %here_size = call KIND @FABS(KIND %here)
  %larger = fcmp ogt KIND %here_size, %best_size
  %undefined = fcmp uno KIND %here, %here
  %wins = or i1 %larger, %undefined
  %best2 = select i1 %wins, i64 %q2, i64 %best
  %best_size2 = select i1 %wins, KIND %here_size, KIND %best_size
  br label %search
found:
  %pk = mul i64 %p, %k
  %b_row = getelementptr KIND, ptr %b, i64 %pk
  %zero = fcmp oeq KIND %best_size, 0.0
  br i1 %zero, label %singular, label %place
singular:
  ret i64 %p2
place:
  %in_place = icmp eq i64 %best, %p
  br i1 %in_place, label %rows, label %exchange
exchange:
  %best_n = mul i64 %best, %n
  %a_best = getelementptr KIND, ptr %a, i64 %best_n
  call void @NAME_exchange(ptr %a_row, ptr %a_best, i64 %n)
  %best_k = mul i64 %best, %k
  %b_best = getelementptr KIND, ptr %b, i64 %best_k
  call void @NAME_exchange(ptr %b_row, ptr %b_best, i64 %k)
  br label %rows
rows:
  %chosen = load KIND, ptr %a_pp, align SIZE
  %beyond = getelementptr KIND, ptr %a_pp, i64 1
  %left = sub i64 %n, %p2
  br label %row
row:
  %r = phi i64 [ %p2, %rows ], [ %r2, %eliminate ]
  %below = icmp ult i64 %r, %n
  br i1 %below, label %eliminate, label %next_column
eliminate:
  %r2 = add i64 %r, 1
  %rn = mul i64 %r, %n
  %rnp = add i64 %rn, %p
  %a_rp = getelementptr KIND, ptr %a, i64 %rnp
  %under = load KIND, ptr %a_rp, align SIZE
  %factor = fdiv KIND %under, %chosen
  %a_rest = getelementptr KIND, ptr %a_rp, i64 1
  call void @NAME_subtract(ptr %a_rest, ptr %beyond, KIND %factor, i64 %left)
  %rk = mul i64 %r, %k
  %b_r = getelementptr KIND, ptr %b, i64 %rk
  call void @NAME_subtract(ptr %b_r, ptr %b_row, KIND %factor, i64 %k)
  br label %row
next_column:
  br label %column
substitute:
  %s = phi i64 [ %n, %column ], [ %s2, %divide ]
  %unsolved = icmp ne i64 %s, 0
  br i1 %unsolved, label %line, label %exit
line:
  %s2 = sub i64 %s, 1
  %sn = mul i64 %s2, %n
  %a_s = getelementptr KIND, ptr %a, i64 %sn
  %sk = mul i64 %s2, %k
  %b_s = getelementptr KIND, ptr %b, i64 %sk
  br label %term
term:
  %j = phi i64 [ %s, %line ], [ %j2, %known ]
  %terms = icmp ult i64 %j, %n
  br i1 %terms, label %known, label %divide
known:
  %j2 = add i64 %j, 1
  %a_sj_at = getelementptr KIND, ptr %a_s, i64 %j
  %a_sj = load KIND, ptr %a_sj_at, align SIZE
  %jk = mul i64 %j, %k
  %b_j = getelementptr KIND, ptr %b, i64 %jk
  call void @NAME_subtract(ptr %b_s, ptr %b_j, KIND %a_sj, i64 %k)
  br label %term
divide:
  %a_ss_at = getelementptr KIND, ptr %a_s, i64 %s2
  %a_ss = load KIND, ptr %a_ss_at, align SIZE
  call void @NAME_divide(ptr %b_s, KIND %a_ss, i64 %k)
  br label %substitute
exit:
  ret i64 0
"""

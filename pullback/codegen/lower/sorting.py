"""argsort: every row becomes signed integer keys that compare as the elements do, and is sorted by merging."""
from __future__ import annotations

from collections.abc import Sequence
from math import prod

from pullback import dtypes
from pullback.codegen.emit_nest import count_loop, load
from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import FunctionText, ModuleText, memory_type
from pullback.codegen.lower.selection import STATUS_BITS
from pullback.dtypes import DType
from pullback.ir.core import Operation
from pullback.ir.ops.scalar import Compare, Scalar

LARGEST, SMALLEST = (1 << 63) - 1, -(1 << 63)


def arg_sort(
    f: FunctionText, operation: Operation, operands: Sequence[str], results: Sequence[str], failure: int
) -> None:
    """Sort row by row; leaves with a status if there is no memory for the keys of one row."""
    kind = operation.operands[0].type
    *lead, size = kind.shape
    rows = prod(lead)
    if rows * size == 0:
        return
    _define_sort(f.module)
    scratch = f.call("malloc", "ptr", (("i64", str(3 * 8 * size)),))
    none, some = f.fresh_label("none"), f.fresh_label("some")
    f.emit(f"br i1 {f.let(f'icmp eq ptr {scratch}, null')}, label %{none}, label %{some}")
    f.label(none)
    f.leave(str((size << STATUS_BITS) | failure))
    f.label(some)
    others = [f.moved(scratch, "i64", str(size * part)) for part in (1, 2)]

    def row(number: str) -> None:
        start = f.times(number, size)
        source = f.moved(operands[0], memory_type(kind.dtype, 1), start)
        order = f.moved(results[0], "i64", start)

        def element(place: str) -> None:
            value = load(f, f.moved(source, memory_type(kind.dtype, 1), place), kind.dtype, 1)
            key = sort_key(LlvmScalarBuilder(f, 1), value)
            f.emit(f"store i64 {key.text}, ptr {f.moved(scratch, 'i64', place)}, align 8")
            f.emit(f"store i64 {place}, ptr {f.moved(order, 'i64', place)}, align 8")

        count_loop(f, size, element)
        pointers = (("ptr", scratch), ("ptr", order), ("ptr", others[0]), ("ptr", others[1]), ("i64", str(size)))
        f.call("sort_by_key", "void", pointers, declare=False)

    count_loop(f, rows, row)
    f.call("free", "void", (("ptr", scratch),))


def sort_key(s: LlvmScalarBuilder, x: Scalar) -> Scalar:
    """An i64 that compares, signed, as x does: equal for 0.0 and -0.0, largest for NaN."""
    if x.dtype.is_float:
        bits = s.bits(s.add(x, s.constant(x.dtype, 0.0)))
        # Of negative floats the larger ones have the smaller bits: turn all but the sign.
        sign = s.shift_right(bits, s.constant(bits.dtype, bits.dtype.bits - 1))
        turned = s.bit_xor(bits, s.bit_and(sign, s.constant(bits.dtype, (1 << (bits.dtype.bits - 1)) - 1)))
        undefined = s.compare(Compare.NE, x, x)
        return s.select(undefined, s.constant(dtypes.i64, LARGEST), s.cast(turned, dtypes.i64))
    wide = s.cast(x, dtypes.i64)
    return s.bit_xor(wide, s.constant(dtypes.i64, SMALLEST)) if _is_u64(x.dtype) else wide


def _is_u64(dtype: DType) -> bool:
    return dtype.itemsize == 8 and not dtype.is_signed


RUN = 16
"""Elements that are sorted by insertion before runs are merged."""


def _define_sort(module: ModuleText) -> None:
    """``void @sort_by_key(ptr keys, ptr order, ptr other_keys, ptr other_order, i64 n)``: both in the keys' order.

    Runs are sorted by insertion, then merged from one pair of arrays to the other and back, without a branch on keys.
    """
    if "sort_by_key" in module.functions:
        return
    module.declare("llvm.memcpy.p0.p0.i64", "void", ("ptr", "ptr", "i64", "i1"))
    module.declare("llvm.umin.i64", "i64", ("i64", "i64"))
    parameters = ("ptr %keys", "ptr %order", "ptr %keys2", "ptr %order2", "i64 %n")
    f = module.function("sort_by_key", "void", parameters)
    f.header += " noinline"
    f.lines = _SORT.replace("RUN", str(RUN)).strip("\n").splitlines()


_SORT = """
  br label %block
block:
  %first = phi i64 [ 0, %entry ], [ %end, %sorted ]
  %blocks = icmp ult i64 %first, %n
  br i1 %blocks, label %begin, label %pass
begin:
  %end0 = add i64 %first, RUN
  %end = call i64 @llvm.umin.i64(i64 %end0, i64 %n)
  br label %next_element
next_element:
  %last = phi i64 [ %first, %begin ], [ %element, %place ]
  %element = add i64 %last, 1
  %inside = icmp ult i64 %element, %end
  br i1 %inside, label %take_out, label %sorted
take_out:
  %key_at = getelementptr i64, ptr %keys, i64 %element
  %key = load i64, ptr %key_at, align 8
  %order_at = getelementptr i64, ptr %order, i64 %element
  %which = load i64, ptr %order_at, align 8
  br label %shift
shift:
  %hole = phi i64 [ %element, %take_out ], [ %below, %move ]
  %below = sub i64 %hole, 1
  %any = icmp ugt i64 %hole, %first
  br i1 %any, label %compare, label %place
compare:
  %below_at = getelementptr i64, ptr %keys, i64 %below
  %below_key = load i64, ptr %below_at, align 8
  %larger = icmp sgt i64 %below_key, %key
  br i1 %larger, label %move, label %place
move:
  %hole_at = getelementptr i64, ptr %keys, i64 %hole
  store i64 %below_key, ptr %hole_at, align 8
  %below_which_at = getelementptr i64, ptr %order, i64 %below
  %below_which = load i64, ptr %below_which_at, align 8
  %hole_which_at = getelementptr i64, ptr %order, i64 %hole
  store i64 %below_which, ptr %hole_which_at, align 8
  br label %shift
place:
  %free_at = getelementptr i64, ptr %keys, i64 %hole
  store i64 %key, ptr %free_at, align 8
  %free_which_at = getelementptr i64, ptr %order, i64 %hole
  store i64 %which, ptr %free_which_at, align 8
  br label %next_element
sorted:
  br label %block
pass:
  %width = phi i64 [ RUN, %block ], [ %double, %next_pass ]
  %ka = phi ptr [ %keys, %block ], [ %kb, %next_pass ]
  %oa = phi ptr [ %order, %block ], [ %ob, %next_pass ]
  %kb = phi ptr [ %keys2, %block ], [ %ka, %next_pass ]
  %ob = phi ptr [ %order2, %block ], [ %oa, %next_pass ]
  %finished = icmp uge i64 %width, %n
  br i1 %finished, label %finish, label %pair
pair:
  %low = phi i64 [ 0, %pass ], [ %high, %rest ]
  %pairs = icmp ult i64 %low, %n
  br i1 %pairs, label %halves, label %next_pass
halves:
  %middle0 = add i64 %low, %width
  %middle = call i64 @llvm.umin.i64(i64 %middle0, i64 %n)
  %high0 = add i64 %middle, %width
  %high = call i64 @llvm.umin.i64(i64 %high0, i64 %n)
  br label %merge
merge:
  %i = phi i64 [ %low, %halves ], [ %i2, %step ]
  %j = phi i64 [ %middle, %halves ], [ %j2, %step ]
  %o = phi i64 [ %low, %halves ], [ %o2, %step ]
  %left = icmp ult i64 %i, %middle
  %right = icmp ult i64 %j, %high
  %both = and i1 %left, %right
  br i1 %both, label %step, label %rest
step:
  %a_at = getelementptr i64, ptr %ka, i64 %i
  %b_at = getelementptr i64, ptr %ka, i64 %j
  %a = load i64, ptr %a_at, align 8
  %b = load i64, ptr %b_at, align 8
  %take_right = icmp slt i64 %b, %a
  %chosen = select i1 %take_right, i64 %b, i64 %a
  %from = select i1 %take_right, i64 %j, i64 %i
  %from_at = getelementptr i64, ptr %oa, i64 %from
  %chosen_which = load i64, ptr %from_at, align 8
  %to_at = getelementptr i64, ptr %kb, i64 %o
  store i64 %chosen, ptr %to_at, align 8
  %to_which_at = getelementptr i64, ptr %ob, i64 %o
  store i64 %chosen_which, ptr %to_which_at, align 8
  %one_right = zext i1 %take_right to i64
  %one_left = sub i64 1, %one_right
  %i2 = add i64 %i, %one_left
  %j2 = add i64 %j, %one_right
  %o2 = add i64 %o, 1
  br label %merge
rest:
  %rest_left = sub i64 %middle, %i
  %left_bytes = shl i64 %rest_left, 3
  %rest_right = sub i64 %high, %j
  %right_bytes = shl i64 %rest_right, 3
  %lk = getelementptr i64, ptr %ka, i64 %i
  %lo = getelementptr i64, ptr %oa, i64 %i
  %rk = getelementptr i64, ptr %ka, i64 %j
  %ro = getelementptr i64, ptr %oa, i64 %j
  %tk = getelementptr i64, ptr %kb, i64 %o
  %to = getelementptr i64, ptr %ob, i64 %o
  %tk2 = getelementptr i64, ptr %tk, i64 %rest_left
  %to2 = getelementptr i64, ptr %to, i64 %rest_left
  call void @llvm.memcpy.p0.p0.i64(ptr %tk, ptr %lk, i64 %left_bytes, i1 false)
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %lo, i64 %left_bytes, i1 false)
  call void @llvm.memcpy.p0.p0.i64(ptr %tk2, ptr %rk, i64 %right_bytes, i1 false)
  call void @llvm.memcpy.p0.p0.i64(ptr %to2, ptr %ro, i64 %right_bytes, i1 false)
  br label %pair
next_pass:
  %double = shl i64 %width, 1
  br label %pass
finish:
  %in_place = icmp eq ptr %oa, %order
  br i1 %in_place, label %exit, label %bring_back
bring_back:
  %bytes = shl i64 %n, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %order, ptr %oa, i64 %bytes, i1 false)
  br label %exit
exit:
  ret void
"""

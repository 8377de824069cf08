"""One element's arithmetic as LLVM instructions, for a scalar (lanes = 1) or for a vector of lanes alike."""
from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache

from pullback import dtypes
from pullback.codegen import target, vecmath
from pullback.codegen.llvm_text import FunctionText, ModuleText, element_type, literal, memory_type
from pullback.codegen.rare_lanes import COLD, define_lanes, struct_type
from pullback.dtypes import DType
from pullback.ir.ops.scalar import Compare, Elementary, Rare, Scalar, Table

_FLOAT_PREDICATE = {
    Compare.LT: "olt", Compare.LE: "ole", Compare.EQ: "oeq", Compare.NE: "une", Compare.GT: "ogt", Compare.GE: "oge",
}  # fmt: skip


class LlvmScalarBuilder:
    """Implements `ScalarBuilder`. No flag ever lets LLVM contract or reassociate: equal input, equal bits.

    Functions in `shared` are called, not written out: one copy of their code serves all uses in the module. Constants
    of fused multiply-adds may come `from_memory`, where the host gains by it.
    """

    def __init__(
        self, function: FunctionText, lanes: int, shared: Collection[Elementary] = (), *, from_memory: bool = True
    ) -> None:
        self.function = function
        self.lanes = lanes
        self.shared = shared
        self.from_memory = from_memory and target.host().loads_constants

    def type(self, dtype: DType) -> str:
        """The LLVM type of one value of `dtype` at this builder's width."""
        return element_type(dtype, self.lanes)

    def constant(self, dtype: DType, value: bool | int | float) -> Scalar:
        text = literal(dtype, value)
        if self.lanes > 1:
            text = f"splat ({element_type(dtype, 1)} {text})"
        return Scalar(text, dtype)

    def _binary(self, instruction: str, x: Scalar, y: Scalar) -> Scalar:
        return Scalar(self.function.let(f"{instruction} {self.type(x.dtype)} {x.text}, {y.text}"), x.dtype)

    def intrinsic(self, name: str, *operands: Scalar) -> Scalar:
        """``llvm.NAME`` overloaded on the (one) type of its operands."""
        dtype = operands[0].dtype
        kind = self.type(dtype)
        element = f"f{dtype.bits}" if dtype.is_float else element_type(dtype, 1)
        suffix = element if self.lanes == 1 else f"v{self.lanes}{element}"
        text = self.function.call(f"llvm.{name}.{suffix}", kind, tuple((kind, each.text) for each in operands))
        return Scalar(text, dtype)

    def add(self, x: Scalar, y: Scalar) -> Scalar:
        return self._binary("fadd" if x.dtype.is_float else "add", x, y)

    def sub(self, x: Scalar, y: Scalar) -> Scalar:
        return self._binary("fsub" if x.dtype.is_float else "sub", x, y)

    def mul(self, x: Scalar, y: Scalar) -> Scalar:
        return self._binary("fmul" if x.dtype.is_float else "mul", x, y)

    def div(self, x: Scalar, y: Scalar) -> Scalar:
        return self._binary("fdiv" if x.dtype.is_float else "sdiv" if x.dtype.is_signed else "udiv", x, y)

    def rem(self, x: Scalar, y: Scalar) -> Scalar:
        return self._binary("frem" if x.dtype.is_float else "srem" if x.dtype.is_signed else "urem", x, y)

    def neg(self, x: Scalar) -> Scalar:
        if x.dtype.is_float:
            return Scalar(self.function.let(f"fneg {self.type(x.dtype)} {x.text}"), x.dtype)
        return self.sub(self.constant(x.dtype, 0), x)

    def fma(self, x: Scalar, y: Scalar, z: Scalar) -> Scalar:
        if self.from_memory:
            x, y, z = (self._loaded(each) for each in (x, y, z))
        return self.intrinsic("fma", x, y, z)

    def _loaded(self, x: Scalar) -> Scalar:
        """A constant vector as a load, which becomes part of the instruction that uses it.

        As a literal it is broadcast to a register by an instruction of its own (LLVM has no other way before
        AVX-512), and the registers in flight are what limits how far the processor looks ahead.
        """
        size = self.lanes * x.dtype.itemsize
        if "splat" not in x.text or size % 32 or size & (size - 1):
            return x
        kind = self.type(x.dtype)
        name = f"constant.{x.text.split()[-1].rstrip(')')}.{x.dtype}.x{self.lanes}"
        self.function.module.define_global(name, f"internal constant {kind} {x.text}, align 32")
        return Scalar(self.function.let(f"load {kind}, ptr @{name}, align 32"), x.dtype)

    def abs(self, x: Scalar) -> Scalar:
        if x.dtype.is_float:
            return self.intrinsic("fabs", x)
        if not x.dtype.is_signed:
            return x
        return self.select(self.compare(Compare.LT, x, self.constant(x.dtype, 0)), self.neg(x), x)

    def sqrt(self, x: Scalar) -> Scalar:
        return self.intrinsic("sqrt", x)

    def floor(self, x: Scalar) -> Scalar:
        return self.intrinsic("floor", x)

    def ceil(self, x: Scalar) -> Scalar:
        return self.intrinsic("ceil", x)

    def trunc(self, x: Scalar) -> Scalar:
        return self.intrinsic("trunc", x)

    def rint(self, x: Scalar) -> Scalar:
        return self.intrinsic("rint", x)

    def copysign(self, x: Scalar, sign: Scalar) -> Scalar:
        return self.intrinsic("copysign", x, sign)

    def minimum(self, x: Scalar, y: Scalar) -> Scalar:
        return self._extreme(Compare.LT, x, y)

    def maximum(self, x: Scalar, y: Scalar) -> Scalar:
        return self._extreme(Compare.GT, x, y)

    def _extreme(self, predicate: Compare, x: Scalar, y: Scalar) -> Scalar:
        """x where it wins or is NaN, else y, which carries its own NaN: np.minimum and np.maximum."""
        wins = self.compare(predicate, x, y)
        if x.dtype.is_float:
            wins = self.bit_or(wins, self.compare(Compare.NE, x, x))
        return self.select(wins, x, y)

    def compare(self, predicate: Compare, x: Scalar, y: Scalar) -> Scalar:
        kind = self.type(x.dtype)
        if x.dtype.is_float:
            text = f"fcmp {_FLOAT_PREDICATE[predicate]} {kind} {x.text}, {y.text}"
        else:
            name = predicate.value
            if predicate not in (Compare.EQ, Compare.NE):
                name = ("s" if x.dtype.is_signed else "u") + name
            text = f"icmp {name} {kind} {x.text}, {y.text}"
        return Scalar(self.function.let(text), dtypes.boolean)

    def select(self, condition: Scalar, x: Scalar, y: Scalar) -> Scalar:
        kind = self.type(x.dtype)
        text = f"select {self.type(dtypes.boolean)} {condition.text}, {kind} {x.text}, {kind} {y.text}"
        return Scalar(self.function.let(text), x.dtype)

    def bit_and(self, x: Scalar, y: Scalar) -> Scalar:
        return self._binary("and", x, y)

    def bit_or(self, x: Scalar, y: Scalar) -> Scalar:
        return self._binary("or", x, y)

    def bit_xor(self, x: Scalar, y: Scalar) -> Scalar:
        return self._binary("xor", x, y)

    def bit_not(self, x: Scalar) -> Scalar:
        return self._binary("xor", x, self.constant(x.dtype, True if x.dtype.is_bool else -1))

    def shift_left(self, x: Scalar, y: Scalar) -> Scalar:
        return self._binary("shl", x, y)

    def shift_right(self, x: Scalar, y: Scalar) -> Scalar:
        return self._binary("ashr" if x.dtype.is_signed else "lshr", x, y)

    def shift_right_logical(self, x: Scalar, y: Scalar) -> Scalar:
        return self._binary("lshr", x, y)

    def _convert(self, instruction: str, x: Scalar, dtype: DType) -> Scalar:
        text = f"{instruction} {self.type(x.dtype)} {x.text} to {self.type(dtype)}"
        return Scalar(self.function.let(text), dtype)

    def bits(self, x: Scalar) -> Scalar:
        return self._convert("bitcast", x, dtypes.signed_of_width(x.dtype.itemsize))

    def from_bits(self, x: Scalar) -> Scalar:
        return self._convert("bitcast", x, dtypes.f64 if x.dtype.itemsize == 8 else dtypes.f32)

    def cast(self, x: Scalar, dtype: DType) -> Scalar:
        source = x.dtype
        if source == dtype:
            return x
        if dtype.is_bool:
            return self.compare(Compare.NE, x, self.constant(source, 0))
        if source.is_bool:
            return self._convert("uitofp" if dtype.is_float else "zext", x, dtype)
        if source.is_float and dtype.is_float:
            return self._convert("fpext" if dtype.itemsize > source.itemsize else "fptrunc", x, dtype)
        if source.is_float:
            return self._convert("fptosi" if dtype.is_signed else "fptoui", x, dtype)
        if dtype.is_float:
            return self._convert("sitofp" if source.is_signed else "uitofp", x, dtype)
        if dtype.itemsize == source.itemsize:
            return Scalar(x.text, dtype)
        if dtype.itemsize < source.itemsize:
            return self._convert("trunc", x, dtype)
        return self._convert("sext" if source.is_signed else "zext", x, dtype)

    def elementary(self, function: Elementary, *operands: Scalar) -> Scalar:
        if function in self.shared:
            return self._call_shared(function, *operands)
        return vecmath.emit_elementary(self, function, *operands)

    def _call_shared(self, function: Elementary, *operands: Scalar) -> Scalar:
        """Call the module's own function of this width, defined at its first use."""
        dtype, module = operands[0].dtype, self.function.module
        kind, name = self.type(dtype), f"{function.value}_{dtype}.x{self.lanes}"
        if name not in module.functions:
            module.include(name, _library(function, name, dtype, len(operands), self.lanes))
        passed = tuple((kind, each.text) for each in operands)
        return Scalar(self.function.call(name, kind, passed, declare=False), dtype)

    def lookup(self, table: Table, index: Scalar) -> Scalar:
        f, kind = self.function, memory_type(table.dtype, 1)
        count, integer = len(table.values), element_type(index.dtype, 1)
        elements = ", ".join(f"{kind} {literal(table.dtype, value)}" for value in table.values)
        f.module.define_global(table.name, f"internal constant [{count} x {kind}] [{elements}]")

        def element(place: str) -> str:
            pointer = f.let(f"getelementptr {kind}, ptr @{table.name}, {integer} {place}")
            return f.let(f"load {kind}, ptr {pointer}, align {table.dtype.itemsize}")

        if self.lanes == 1:
            return Scalar(element(index.text), table.dtype)
        result = "poison"
        for lane in range(self.lanes):
            place = f.let(f"extractelement {self.type(index.dtype)} {index.text}, i64 {lane}")
            single = element(place)
            result = f.let(f"insertelement {self.type(table.dtype)} {result}, {kind} {single}, i64 {lane}")
        return Scalar(result, table.dtype)

    def rarely(
        self, condition: Scalar, usual: tuple[Scalar, ...], name: str, rare: Rare, *operands: Scalar
    ) -> tuple[Scalar, ...]:
        f, flags = self.function, condition.text
        cold, join, before = f.fresh_label("rare"), f.fresh_label("usual"), f.block
        if self.lanes > 1:
            mask = self.type(dtypes.boolean)
            flags = f.call(f"llvm.vector.reduce.or.v{self.lanes}i1", "i1", ((mask, condition.text),))
        f.emit(f"br i1 {flags}, label %{cold}, label %{join}")
        f.label(cold)
        results, given = [each.dtype for each in usual], [each.dtype for each in operands]
        self._define_rare(name, rare, results, given)
        passed = tuple((self.type(each.dtype), each.text) for each in operands)
        if self.lanes > 1:
            name = define_lanes(f.module, name, self.lanes, results, given)
            kind = memory_type(dtypes.boolean, self.lanes)
            wide = f.let(f"zext {self.type(dtypes.boolean)} {condition.text} to {kind}")
            passed = ((kind, wide), *((self.type(each.dtype), each.text) for each in usual), *passed)
        kind = struct_type(results, self.lanes)
        found = f.call(name, kind, passed, declare=False)
        fields = [f.let(f"extractvalue {kind} {found}, {number}") for number in range(len(usual))]
        f.emit(f"br label %{join}")
        f.label(join)
        return tuple(
            Scalar(f.let(f"phi {self.type(each.dtype)} [ {each.text}, %{before} ], [ {field}, %{cold} ]"), each.dtype)
            for each, field in zip(usual, fields, strict=True)
        )

    def _define_rare(self, name: str, rare: Rare, results: Sequence[DType], operands: Sequence[DType]) -> None:
        """Define `rare` as a function of one element, unless the module has it."""
        if name in self.function.module.functions:
            return
        parameters = tuple(Scalar(f"%x{number}", dtype) for number, dtype in enumerate(operands))
        declared = tuple(f"{element_type(each.dtype, 1)} {each.text}" for each in parameters)
        kind = struct_type(results, 1)
        f = self.function.module.function(name, kind, declared, attributes=COLD, library=True)
        text = "poison"
        for number, each in enumerate(rare(LlvmScalarBuilder(f, 1), *parameters)):
            text = f.let(f"insertvalue {kind} {text}, {element_type(each.dtype, 1)} {each.text}, {number}")
        f.emit(f"ret {kind} {text}")


@cache
def _library(function: Elementary, name: str, dtype: DType, operands: int, lanes: int) -> ModuleText:
    """A module of nothing but an elementary function, for many to include."""
    module = ModuleText()
    kind = element_type(dtype, lanes)
    parameters = tuple(Scalar(f"%x{number}", dtype) for number in range(operands))
    f = module.function(name, kind, tuple(f"{kind} {each.text}" for each in parameters), library=True)
    result = vecmath.emit_elementary(LlvmScalarBuilder(f, lanes), function, *parameters)
    f.emit(f"ret {kind} {result.text}")
    return module

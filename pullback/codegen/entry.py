"""The function that Python calls: an `EntrySpec` goes in, LLVM text in CPython's fast calling convention comes out."""
from __future__ import annotations

from pullback.codegen.llvm_text import FunctionText, ModuleText
from pullback.dtypes import DType
from pullback.runtime import abi
from pullback.runtime.abi import (
    ARENA_CELL,
    HEADER_BYTES,
    KEPT_BYTES,
    ArgumentKind,
    ArgumentSpec,
    EntrySpec,
    ResultSpec,
    ResultTree,
)

ENTRY = "entry"
_COLD = " noinline optnone"  # LLVM's attributes for code whose compile time counts for more than its speed
# An entry takes 4 ms of optimised code generation, and some 0.8 ms more for each argument and result; not optimised it is
# a fifth. That costs a call 10 ns to 20 ns, which one with so many of them, or with a body of so many ns, does not feel.
# (A loop of unknown length is taken for a long one, so that Newton's square root by `while` does: 8 ns of 240.)
_MANY_VALUES = 8
_LONG_BODY = 2_000
STACK_ARENA_BYTES = 32 * 1024
ALIGNMENT = 64


def emit_entry(module: ModuleText, spec: EntrySpec, body: str, cost: int) -> None:
    """Emit ``ptr @entry(ptr self, ptr args, i64 nargs, ptr keywords)``, which checks, allocates, computes, hands back.

    `body` names a function ``i64 (ptr arguments, ptr results, ptr arena)`` of the same module, estimated to run for
    `cost` ns: two arrays of data pointers and the scratch memory, aligned to 64 bytes; results are C-ordered, aligned to
    16 bytes, uninitialised. It returns 0, or a status for the `fail` object. Arguments that do not fit `spec` exactly go
    to the `miss` object, keywords and all. Both stand in `self`, the tuple that `runtime.handle.NativeFunction` makes.
    """
    function = module.function(
        ENTRY, "ptr", ("ptr %self", "ptr %args", "i64 %nargs", "ptr %keywords"), linkage=""
    )
    _Entry(function, spec, body).emit()
    if cost > _LONG_BODY or len(spec.arguments) + len(spec.results) > _MANY_VALUES:
        function.header += _COLD


class _Entry:
    """The entry being emitted. Every object it owns stands in a slot, so that one block can give all of them back."""

    def __init__(self, function: FunctionText, spec: EntrySpec, body: str) -> None:
        self.function = function
        self.module = function.module
        self.spec = spec
        self.body = body
        self.layout = abi.layout()
        self.slots = ""
        self.slot_count = len(spec.results) + _tuple_count(spec.tree)
        self.objects: dict[int, str] = {}
        self.taken: set[int] = set()

    def emit(self) -> None:
        function, spec = self.function, self.spec
        arguments = function.let(f"alloca [{max(1, len(spec.arguments))} x ptr], align 16")
        results = function.let(f"alloca [{max(1, len(spec.results))} x ptr], align 16")
        function.emit("%number = alloca ptr, align 8")
        self.slots = function.let(f"alloca [{max(1, self.slot_count)} x ptr], align 16")
        # Values that have no array to stand in; all allocas belong to the first block.
        values = [self._value_slot(argument.dtype) for argument in spec.arguments if argument.kind in _BY_VALUE]
        scalars = [self._value_slot(result.dtype) for result in spec.results if result.scalar]
        overflow = function.let("alloca i32, align 4") if ArgumentKind.PYTHON_INT in self._kinds() else ""
        arena = "null"
        if 0 < spec.arena_bytes <= STACK_ARENA_BYTES:
            arena = function.let(f"alloca [{spec.arena_bytes} x i8], align {ALIGNMENT}")

        self._require(
            function.let("icmp eq ptr %keywords, null"), function.let(f"icmp eq i64 %nargs, {len(spec.arguments)}")
        )
        remaining = iter(values)
        for index, argument in enumerate(spec.arguments):
            item = function.let(f"load ptr, ptr {self._offset('%args', 8 * index)}, align 8")
            if argument.kind is ArgumentKind.ARRAY:
                data = self._array_argument(item, argument)
            else:
                slot = next(remaining) if argument.kind in _BY_VALUE else ""
                data = self._python_argument(item, argument.kind, slot, overflow)
            function.emit(f"store ptr {data}, ptr {self._offset(arguments, 8 * index)}, align 8")

        for index in range(self.slot_count):
            function.emit(f"store ptr null, ptr {self._slot(index)}, align 8")
        remaining = iter(scalars)
        for index, result in enumerate(spec.results):
            data = next(remaining) if result.scalar else self._new_array(index, result)
            function.emit(f"store ptr {data}, ptr {self._offset(results, 8 * index)}, align 8")

        status = self._call_body(arguments, results, arena)
        done, failed = function.fresh_label("done"), function.fresh_label("failed")
        function.emit(f"br i1 {function.let(f'icmp eq i64 {status}, 0')}, label %{done}, label %{failed}")
        function.label(done)
        remaining = iter(scalars)
        for index, result in enumerate(spec.results):
            if result.scalar:
                self._new_scalar(index, result.dtype, next(remaining))
        self._return_tree()
        self._failed(failed, status)
        self._cleanup()
        self._miss()
        if self.slot_count:
            self._emit_release()

    def _kinds(self) -> set[ArgumentKind]:
        return {argument.kind for argument in self.spec.arguments}

    # Addresses

    def _value_slot(self, dtype: DType) -> str:
        return self.function.let(f"alloca [{dtype.itemsize} x i8], align 16")

    def _offset(self, pointer: str, offset: int) -> str:
        if offset == 0:
            return pointer
        return self.function.let(f"getelementptr inbounds i8, ptr {pointer}, i64 {offset}")

    def _slot(self, index: int) -> str:
        return self._offset(self.slots, 8 * index)

    def _load(self, kind: str, pointer: str, offset: int) -> str:
        return self.function.let(f"load {kind}, ptr {self._offset(pointer, offset)}, align {4 if kind == 'i32' else 8}")

    def _object(self, symbol: str) -> str:
        """The Python object at an imported symbol."""
        self.module.define_global(symbol, "external global i8")
        return f"@{symbol}"

    # Control

    def _require(self, *conditions: str) -> None:
        """Go on if all conditions hold, else miss."""
        all_hold = conditions[0]
        for condition in conditions[1:]:
            all_hold = self.function.let(f"and i1 {all_hold}, {condition}")
        self._branch(all_hold, "miss")

    def _branch(self, condition: str, otherwise: str) -> None:
        """Go on in a new block if `condition` holds, else in block `otherwise`."""
        following = self.function.fresh_label("next")
        self.function.emit(f"br i1 {condition}, label %{following}, label %{otherwise}")
        self.function.label(following)

    def _own(self, index: int, value: str) -> None:
        """Put a new reference into its slot; a null means that Python has an exception set."""
        self.function.emit(f"store ptr {value}, ptr {self._slot(index)}, align 8")
        self.objects.setdefault(index, value)
        self._branch(self.function.let(f"icmp ne ptr {value}, null"), "cleanup")

    # Arguments

    def _type_of(self, item: str) -> str:
        return self._load("ptr", item, self.layout.type)

    def _array_argument(self, item: str, argument: ArgumentSpec) -> str:
        """Check an array (or, without axes, a NumPy scalar) and give its data pointer."""
        function = self.function
        kind = self._type_of(item)
        is_array = function.let(f"icmp eq ptr {kind}, {self._object(abi.type_symbol(ArgumentKind.ARRAY))}")
        if argument.shape:
            self._require(is_array)
            return self._array_data(item, argument)
        array, other, both = (function.fresh_label(hint) for hint in ("array", "scalar", "either"))
        function.emit(f"br i1 {is_array}, label %{array}, label %{other}")
        function.label(other)
        self._require(function.let(f"icmp eq ptr {kind}, {self._object(abi.scalar_symbol(argument.dtype))}"))
        scalar_data = self._offset(item, self.layout.payload)
        scalar_block = function.block
        function.emit(f"br label %{both}")
        function.label(array)
        array_data = self._array_data(item, argument)
        array_block = function.block
        function.emit(f"br label %{both}")
        function.label(both)
        return function.let(f"phi ptr [ {scalar_data}, %{scalar_block} ], [ {array_data}, %{array_block} ]")

    def _array_data(self, item: str, argument: ArgumentSpec) -> str:
        """Check an ndarray's dtype, rank, order and shape, and give its data pointer."""
        function, layout = self.function, self.layout
        dtype = self._load("ptr", item, layout.array_dtype)
        rank = self._load("i32", item, layout.array_rank)
        flags = function.let(f"and i32 {self._load('i32', item, layout.array_flags)}, {abi.READABLE_FLAGS}")
        self._require(
            function.let(f"icmp eq ptr {dtype}, {self._object(abi.dtype_symbol(argument.dtype))}"),
            function.let(f"icmp eq i32 {rank}, {len(argument.shape)}"),
            function.let(f"icmp eq i32 {flags}, {abi.READABLE_FLAGS}"),
        )
        if argument.shape:
            shape = self._load("ptr", item, layout.array_shape)
            self._require(
                *(
                    function.let(f"icmp eq i64 {self._load('i64', shape, 8 * axis)}, {size}")
                    for axis, size in enumerate(argument.shape)
                )
            )
        return self._load("ptr", item, layout.array_data)

    def _python_argument(self, item: str, kind: ArgumentKind, slot: str, overflow: str) -> str:
        """Check a Python number, and give a pointer to its value."""
        function = self.function
        self._require(function.let(f"icmp eq ptr {self._type_of(item)}, {self._object(abi.type_symbol(kind))}"))
        if kind is ArgumentKind.PYTHON_FLOAT:
            return self._offset(item, self.layout.payload)
        if kind is ArgumentKind.PYTHON_INT:
            value = function.call("PyLong_AsLongLongAndOverflow", "i64", (("ptr", item), ("ptr", overflow)))
            function.emit(f"store i64 {value}, ptr {slot}, align 8")
            self._require(function.let(f"icmp eq i32 {function.let(f'load i32, ptr {overflow}, align 4')}, 0"))
        else:
            truth = function.let(f"icmp eq ptr {item}, {self._object('python_true')}")
            function.emit(f"store i8 {function.let(f'zext i1 {truth} to i8')}, ptr {slot}, align 1")
        return slot

    # Results

    def _new_array(self, index: int, result: ResultSpec) -> str:
        """Allocate an ndarray and give its data pointer."""
        function = self.function
        dtype = self._object(abi.dtype_symbol(result.dtype))
        shape = "null"
        if result.shape:
            shape = f"@entry_shape_{'_'.join(map(str, result.shape))}"
            sizes = ", ".join(f"i64 {size}" for size in result.shape)
            self.module.define_global(shape[1:], f"internal constant [{len(result.shape)} x i64] [{sizes}], align 8")
        function.call("Py_IncRef", "void", (("ptr", dtype),))  # the call below takes over one reference, always
        array = function.call(
            "PyArray_NewFromDescr",
            "ptr",
            (
                ("ptr", self._object("numpy_ndarray")), ("ptr", dtype), ("i32", str(len(result.shape))),
                ("ptr", shape), ("ptr", "null"), ("ptr", "null"), ("i32", "0"), ("ptr", "null"),
            ),
        )  # fmt: skip
        self._own(index, array)
        return self._load("ptr", array, self.layout.array_data)

    def _new_scalar(self, index: int, dtype: DType, slot: str) -> None:
        """Make a NumPy scalar of the value at `slot`; the two truth values are NumPy's own two objects."""
        function = self.function
        kind = "i8" if dtype.is_bool else f"i{dtype.bits}"
        value = function.let(f"load {kind}, ptr {slot}, align {dtype.itemsize}")
        if dtype.is_bool:
            truth = function.let(f"icmp ne i8 {value}, 0")
            true, false = self._object("numpy_true"), self._object("numpy_false")
            made = function.let(f"select i1 {truth}, ptr {true}, ptr {false}")
            function.call("Py_IncRef", "void", (("ptr", made),))
            self._own(index, made)
            return
        scalar_type = self._object(abi.scalar_symbol(dtype))
        made = function.call("numpy_scalar_alloc", "ptr", (("ptr", scalar_type), ("i64", "0")))
        self._own(index, made)
        function.emit(f"store {kind} {value}, ptr {self._offset(made, self.layout.payload)}, align {dtype.itemsize}")

    def _return_tree(self) -> None:
        """Nest the results as the tree says, children before parents so that every tuple is filled at once."""
        function = self.function
        next_slot = len(self.spec.results)

        def build(tree: tuple[ResultTree, ...]) -> tuple[str, int]:
            """Make a tuple, owned by the slot given with it."""
            nonlocal next_slot
            children = [build(child) if isinstance(child, tuple) else child for child in tree]
            made = function.call("PyTuple_New", "ptr", (("i64", str(len(tree))),))
            slot, next_slot = next_slot, next_slot + 1
            self._own(slot, made)
            for position, child in enumerate(children):
                item = self._take_result(child) if isinstance(child, int) else self._take(*child)
                where = self._offset(made, self.layout.tuple_items + 8 * position)
                function.emit(f"store ptr {item}, ptr {where}, align 8")
            return made, slot

        tree = self.spec.tree
        root = self._take(*build(tree)) if isinstance(tree, tuple) else self._take_result(tree)
        for index, value in self.objects.items():
            if index < len(self.spec.results) and index not in self.taken:
                function.call("Py_DecRef", "void", (("ptr", value),))
        function.emit(f"ret ptr {root}")

    def _take(self, value: str, slot: int) -> str:
        """Move a reference out of its slot."""
        self.function.emit(f"store ptr null, ptr {self._slot(slot)}, align 8")
        return value

    def _take_result(self, index: int) -> str:
        """A reference to a result; the first taker gets the entry's own."""
        value = self.objects[index]
        if index in self.taken:
            self.function.call("Py_IncRef", "void", (("ptr", value),))
            return value
        self.taken.add(index)
        return self._take(value, index)

    # The body, and the ways out

    def _call_body(self, arguments: str, results: str, arena: str) -> str:
        """Run the body, with scratch memory from the heap where the stack is too small; give its status."""
        function, spec = self.function, self.spec
        block = ""
        if spec.arena_bytes > STACK_ARENA_BYTES:
            block = self._block(spec.arena_bytes + HEADER_BYTES + ALIGNMENT)
            free = function.let(f"getelementptr inbounds i8, ptr {block}, i64 {HEADER_BYTES}")
            misalignment = function.let(f"sub i64 0, {function.let(f'ptrtoint ptr {free} to i64')}")
            skipped = function.let(f"and i64 {misalignment}, {ALIGNMENT - 1}")
            arena = function.let(f"getelementptr inbounds i8, ptr {free}, i64 {skipped}")
        thread = function.call("PyEval_SaveThread", "ptr", ()) if spec.release_gil else ""
        operands = (("ptr", arguments), ("ptr", results), ("ptr", arena))
        status = function.call(self.body, "i64", operands, declare=False)
        if thread:
            function.call("PyEval_RestoreThread", "void", (("ptr", thread),))
        if block:
            if spec.arena_bytes <= KEPT_BYTES:
                block = function.let(f"atomicrmw xchg ptr @{ARENA_CELL}, ptr {block} acq_rel, align 8")
            function.call("free", "void", (("ptr", block),))
        return status

    def _block(self, size: int) -> str:
        """A block of at least so many bytes: the one that is kept, if it is there and large enough, else a new one."""
        function = self.function
        kept, large, small = (function.fresh_label(name) for name in ("kept", "large", "small"))
        if self.spec.arena_bytes > KEPT_BYTES:
            block = function.call("malloc", "ptr", (("i64", str(size)),))
            self._branch(function.let(f"icmp ne ptr {block}, null"), "no_memory")
            return block
        self.module.define_global(ARENA_CELL, "external global ptr")
        found = function.let(f"atomicrmw xchg ptr @{ARENA_CELL}, ptr null acq_rel, align 8")
        function.emit(f"br i1 {function.let(f'icmp ne ptr {found}, null')}, label %{kept}, label %{small}")
        function.label(kept)
        bytes = function.let(f"load i64, ptr {found}, align 8")
        function.emit(f"br i1 {function.let(f'icmp uge i64 {bytes}, {size}')}, label %{large}, label %{small}")
        function.label(small)
        function.call("free", "void", (("ptr", found),))
        fresh = function.call("malloc", "ptr", (("i64", str(size)),))
        self._branch(function.let(f"icmp ne ptr {fresh}, null"), "no_memory")
        function.emit(f"store i64 {size}, ptr {fresh}, align 8")
        made = function.block
        function.emit(f"br label %{large}")
        function.label(large)
        return function.let(f"phi ptr [ {found}, %{kept} ], [ {fresh}, %{made} ]")

    def _release_all(self) -> None:
        """Give back whatever the slots own; nulls are fine."""
        if self.slot_count:
            self.function.call("entry_release", "void", (("ptr", self.slots),), declare=False)

    def _emit_release(self) -> None:
        """The function behind `_release_all`: a loop over the slots."""
        release = self.module.function("entry_release", "void", ("ptr %slots",))
        release.header += _COLD
        release.emit("br label %loop")
        release.label("loop")
        release.emit("%index = phi i64 [ 0, %entry ], [ %following, %loop ]")
        owned = release.let("getelementptr inbounds ptr, ptr %slots, i64 %index")
        release.call("Py_DecRef", "void", (("ptr", release.let(f"load ptr, ptr {owned}, align 8")),))
        release.emit("%following = add i64 %index, 1")
        more = release.let(f"icmp ult i64 %following, {self.slot_count}")
        release.emit(f"br i1 {more}, label %loop, label %done")
        release.label("done")
        release.emit("ret void")

    def _cleanup(self) -> None:
        """Where a failed allocation ends: Python has the exception."""
        function = self.function
        if self.spec.arena_bytes > STACK_ARENA_BYTES:
            function.label("no_memory")
            function.call("PyErr_NoMemory", "ptr", ())
            function.emit("br label %cleanup")
        function.label("cleanup")
        self._release_all()
        function.emit("ret ptr null")

    def _failed(self, label: str, status: str) -> None:
        """Where a body's non-zero status ends: `fail` is called with it, to raise."""
        function = self.function
        function.label(label)
        self._release_all()
        number = function.call("PyLong_FromLongLong", "ptr", (("i64", status),))
        self._branch(function.let(f"icmp ne ptr {number}, null"), "raised")
        function.emit(f"store ptr {number}, ptr %number, align 8")
        answer = self._call_python(abi.FAIL_ITEM, "%number", "1", "null")
        function.call("Py_DecRef", "void", (("ptr", number),))
        function.emit(f"ret ptr {answer}")
        function.label("raised")
        function.emit("ret ptr null")

    def _miss(self) -> None:
        """Where arguments that do not fit end: `miss` is called with the same ones."""
        self.function.label("miss")
        answer = self._call_python(abi.MISS_ITEM, "%args", "%nargs", "%keywords")
        self.function.emit(f"ret ptr {answer}")

    def _call_python(self, item: int, arguments: str, count: str, keywords: str) -> str:
        """Call an item of `self` by the vectorcall protocol, which CPython 3.10 exports under its inner name only."""
        function = self.function
        target = self._load("ptr", "%self", self.layout.tuple_items + 8 * item)
        operands = (("ptr", target), ("ptr", arguments), ("i64", count), ("ptr", keywords))
        if "PyObject_Vectorcall" in abi.symbols():
            return function.call("PyObject_Vectorcall", "ptr", operands)
        thread = function.call("PyThreadState_Get", "ptr", ())
        return function.call("_PyObject_MakeTpCall", "ptr", (("ptr", thread), *operands))


_BY_VALUE = (ArgumentKind.PYTHON_INT, ArgumentKind.PYTHON_BOOL)


def _tuple_count(tree: ResultTree) -> int:
    """How many tuples the tree makes."""
    return 1 + sum(map(_tuple_count, tree)) if isinstance(tree, tuple) else 0

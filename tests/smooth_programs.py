"""Functions with loops and branches, as IR text; and what the derivatives of any function must satisfy."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pullback.dtypes import f64
from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.core import Array, Function
from pullback.ir.interpret import interpret
from pullback.ir.parse import parse_function
from pullback.ir.print import print_function
from pullback.ir.verify import verify

CONSTANTS = """\
  %i0 = full {value = 0, dtype = i64, dims = ()} : i64[]
  %i1 = full {value = 1, dtype = i64, dims = ()} : i64[]
  %i2 = full {value = 2, dtype = i64, dims = ()} : i64[]
  %i3 = full {value = 3, dtype = i64, dims = ()} : i64[]
  %i5 = full {value = 5, dtype = i64, dims = ()} : i64[]
  %im = full {value = -1, dtype = i64, dims = ()} : i64[]
  %im2 = full {value = -2, dtype = i64, dims = ()} : i64[]
  %z = full {value = 0.0, dtype = f64, dims = ()} : f64[]
  %h = full {value = 0.5, dtype = f64, dims = ()} : f64[]
  %e = full {value = 1.0, dtype = f64, dims = ()} : f64[]
  %tiny = full {value = 1e-13, dtype = f64, dims = ()} : f64[]
  %true = full {value = true, dtype = bool, dims = ()} : bool[]
  %false = full {value = false, dtype = bool, dims = ()} : bool[]
"""


def program(head: str, body: str, end: str) -> str:
    """A function's text with the constants above at its start."""
    return f"func @{head} {{\n{CONSTANTS}{body.strip(chr(10))}\n  return {end}\n}}\n"


NEWTON = program("newton(%a: f64[]) -> (f64[])", """
  %x, %n = while %a, %i0 {saved = ()} { ^(%x0: f64[], %k0: i64[])
    %xx = mul %x0, %x0 : f64[]
    %d = sub %xx, %a : f64[]
    %s = abs %d : f64[]
    %c = greater %s, %tiny : bool[]
    yield %c
  } { ^(%x1: f64[], %k1: i64[])
    %q = div %a, %x1 : f64[]
    %t = add %x1, %q : f64[]
    %x2 = mul %t, %h : f64[]
    %k2 = add %k1, %i1 : i64[]
    yield %x2, %k2
  } : f64[], i64[]
""", "%x")

EULER = program("euler(%x: f64[], %a: f64[], %b: f64[], %dt: f64[], %n: i64[]) -> (f64[])", """
  %r = for %i0, %n, %i1, %x {saved = ()} { ^(%i: i64[], %y: f64[])
    %ay = mul %a, %y : f64[]
    %yy = mul %y, %y : f64[]
    %by = mul %b, %yy : f64[]
    %f = sub %ay, %by : f64[]
    %step = mul %dt, %f : f64[]
    %new = add %y, %step : f64[]
    yield %new
  } : f64[]
""", "%r")


def functions_of(text: str) -> Function:
    """Parsed, verified, and printed as it was read."""
    function = parse_function(text)
    verify(function)
    return function


def directions(arrays: Sequence[Array], seed: int) -> list[Array]:
    random = np.random.default_rng(seed)
    return [np.asarray(random.normal(size=array.shape)) for array in arrays]


def check_derivatives(
    function: Function, arguments: Sequence[Array], *, order: int = 1, tolerance: float = 1e-6, step: float = 1e-6
) -> None:
    """Both modes agree with each other and with central differences; values keep their bits; then the same of both.

    Raises: AssertionError.
    """
    arguments = [np.asarray(argument) for argument in arguments]
    active = [place for place, array in enumerate(arguments) if array.dtype == np.float64]
    values = interpret(function, arguments)
    floats = [place for place, kind in enumerate(function.result_types) if kind.dtype == f64]
    forward, backward = pushforward(function, active), adjoint(function, active)
    for derived in (forward, backward):
        verify(derived)
        assert print_function(functions_of(print_function(derived))) == print_function(derived)
    dots = directions([arguments[place] for place in active], 1)
    bars = directions([values[place] for place in floats], 2)
    pushed = interpret(forward, [*arguments, *dots])
    pulled = interpret(backward, [*arguments, *bars])
    for found in (pushed, pulled):
        for value, again in zip(values, found, strict=False):
            assert value.tobytes() == again.tobytes()
    moved, bars_in = pushed[len(values) :], pulled[len(values) :]
    left = sum(float(np.sum(bar * dot)) for bar, dot in zip(bars, moved, strict=True))
    right = sum(float(np.sum(dot * bar)) for dot, bar in zip(dots, bars_in, strict=True))
    scale = sum(float(np.sum(np.abs(bar * dot))) for bar, dot in zip(bars, moved, strict=True)) + 1e-300
    np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-10 * scale)
    shifted = []
    for sign in (1, -1):
        at = list(arguments)
        for place, dot in zip(active, dots, strict=True):
            at[place] = arguments[place] + sign * step * dot
        shifted.append([each for each in interpret(function, at) if each.dtype == np.float64])
    for above, below, dot in zip(*shifted, moved, strict=True):
        slack = tolerance * (1 + np.abs(dot).max(initial=0))
        np.testing.assert_allclose((above - below) / (2 * step), dot, rtol=tolerance, atol=slack)
    if order > 1:
        check_derivatives(backward, [*arguments, *bars], order=order - 1, tolerance=tolerance * 10, step=step)
        check_derivatives(forward, [*arguments, *dots], order=order - 1, tolerance=tolerance * 10, step=step)


RUNGE_KUTTA = program("rk4(%x: f64[3], %p: f64[2], %dt: f64[], %n: i64[]) -> (f64[3])", """
  %half = mul %dt, %h : f64[]
  %dts = broadcast %half {dims = (3,), axes = ()} : f64[3]
  %full = broadcast %dt {dims = (3,), axes = ()} : f64[3]
  %r = for %i0, %n, %i1, %x {saved = ()} { ^(%i: i64[], %y: f64[3])
    %k1 = call %y { ^(%u: f64[3])
      %u0 = slice %u {starts = (0,), sizes = (1,), steps = (1,)} : f64[1]
      %u1 = slice %u {starts = (1,), sizes = (1,), steps = (1,)} : f64[1]
      %u2 = slice %u {starts = (2,), sizes = (1,), steps = (1,)} : f64[1]
      %p0 = slice %p {starts = (0,), sizes = (1,), steps = (1,)} : f64[1]
      %p1 = slice %p {starts = (1,), sizes = (1,), steps = (1,)} : f64[1]
      %v0 = mul %p0, %u1 : f64[1]
      %s2 = sin %u2 : f64[1]
      %v1 = mul %u0, %s2 : f64[1]
      %v2 = mul %p1, %u2 : f64[1]
      %v = concatenate %v0, %v1, %v2 {axis = 0} : f64[3]
      yield %v
    } : f64[3]
    %d1 = mul %dts, %k1 : f64[3]
    %y2 = add %y, %d1 : f64[3]
    %k2 = call %y2 { ^(%w: f64[3])
      %e2 = exp %w : f64[3]
      %m = neg %w : f64[3]
      %o = add %e2, %m : f64[3]
      yield %o
    } : f64[3]
    %d2 = mul %full, %k2 : f64[3]
    %y3 = add %y, %d2 : f64[3]
    yield %y3
  } : f64[3]
""", "%r")

NESTED = program("nested(%a: f64[6], %x: f64[], %n: i64[]) -> (f64[6], f64[])", """
  %zeros = full {value = 0.0, dtype = f64, dims = (6,)} : f64[6]
  %out, %total = for %i0, %n, %i1, %zeros, %z {saved = ()} { ^(%i: i64[], %o: f64[6], %s: f64[])
    %inner, %t = for %i0, %i, %i1, %o, %s {saved = ()} { ^(%j: i64[], %oj: f64[6], %sj: f64[])
      %aj = dynamic_slice %a, %j {sizes = (1,), checked = true} : f64[1]
      %ai = dynamic_slice %a, %i {sizes = (1,), checked = true} : f64[1]
      %prod = mul %aj, %ai : f64[1]
      %flat = reshape %prod {dims = ()} : f64[]
      %xp = mul %flat, %x : f64[]
      %sin = sin %xp : f64[]
      %s2 = add %sj, %sin : f64[]
      %row = reshape %s2 {dims = (1,)} : f64[1]
      %old = dynamic_slice %oj, %j {sizes = (1,), checked = true} : f64[1]
      %more = add %old, %row : f64[1]
      %oj2 = dynamic_update %oj, %more, %j {checked = true} : f64[6]
      yield %oj2, %s2
    } : f64[6], f64[]
    %at = dynamic_slice %inner, %i {sizes = (1,), checked = true} : f64[1]
    %flat2 = reshape %at {dims = ()} : f64[]
    %new = mul %flat2, %x : f64[]
    %t2 = add %t, %new : f64[]
    %t3 = tanh %t2 : f64[]
    %row2 = reshape %t3 {dims = (1,)} : f64[1]
    %o2 = dynamic_update %inner, %row2, %i {checked = true} : f64[6]
    yield %o2, %t3
  } : f64[6], f64[]
""", "%out, %total")

BISECTION = program("bisection(%a: f64[], %lo: f64[], %hi: f64[], %w: f64[]) -> (f64[], f64[])", """
  %l, %r, %n, %go, %acc = while %lo, %hi, %i0, %true, %z {saved = ()}
  { ^(%l0: f64[], %r0: f64[], %n0: i64[], %go0: bool[], %acc0: f64[])
    yield %go0
  } { ^(%l1: f64[], %r1: f64[], %n1: i64[], %go1: bool[], %acc1: f64[])
    %sum = add %l1, %r1 : f64[]
    %m = mul %sum, %h : f64[]
    %mm = mul %m, %m : f64[]
    %wm = mul %w, %mm : f64[]
    %acc2 = add %acc1, %wm : f64[]
    %d = sub %mm, %a : f64[]
    %size = abs %d : f64[]
    %eps = full {value = 0.01, dtype = f64, dims = ()} : f64[]
    %close = less %size, %eps : bool[]
    %n2 = add %n1, %i1 : i64[]
    %l3, %r3, %go3 = if %close { ^()
      yield %l1, %r1, %false
    } { ^()
      %below = less %d, %z : bool[]
      %l2, %r2 = if %below { ^()
        yield %m, %r1
      } { ^()
        yield %l1, %m
      } : f64[], f64[]
      yield %l2, %r2, %true
    } : f64[], f64[], bool[]
    yield %l3, %r3, %n2, %go3, %acc2
  } : f64[], f64[], i64[], bool[], f64[]
  %mid = add %l, %r : f64[]
""", "%mid, %acc")

SWAP = program("swap(%x: f64[], %y: f64[2], %u: f64[2], %n: i64[]) -> (f64[2], f64[2], f64[])", """
  %a, %b, %c = for %n, %i0, %im {saved = ()} { ^(%i: i64[], %p: f64[2], %q: f64[2], %r: f64[])
    %s = sin %p : f64[2]
    %f = cast %i {dtype = f64} : f64[]
    %rr = mul %r, %f : f64[]
    %rx = mul %rr, %x : f64[]
    %t = broadcast %rx {dims = (2,), axes = ()} : f64[2]
    %st = mul %s, %t : f64[2]
    yield %q, %st, %r
  } : f64[2], f64[2], f64[]
""", "%a, %b, %c").replace("for %n, %i0, %im {", "for %n, %i0, %im, %y, %u, %x {")

PRODUCT = program("product(%x: f64[2, 2], %y: f64[2, 2], %n: i64[]) -> (f64[2, 2], f64[])", """
  %a, %b = for %i0, %n, %i2, %x, %y {saved = ()} { ^(%i: i64[], %p: f64[2, 2], %q: f64[2, 2])
    %pq = matmul %p, %q {transpose_x = false, transpose_y = false} : f64[2, 2]
    %t = tanh %pq : f64[2, 2]
    %qx = mul %q, %x : f64[2, 2]
    yield %t, %qx
  } : f64[2, 2], f64[2, 2]
  %s = reduce_sum %a {axes = (0, 1)} : f64[]
""", "%b, %s")

BRANCH_IN_WHILE = program("branch(%x: f64[], %a: f64[5], %n: i64[]) -> (f64[], f64[5])", """
  %y, %k, %o = while %x, %i0, %a {saved = ()} { ^(%y0: f64[], %k0: i64[], %o0: f64[5])
    %c = less %k0, %n : bool[]
    yield %c
  } { ^(%y1: f64[], %k1: i64[], %o1: f64[5])
    %five = remainder %k1, %i5 : i64[]
    %ak = dynamic_slice %a, %five {sizes = (1,), checked = true} : f64[1]
    %ok = dynamic_slice %o1, %five {sizes = (1,), checked = true} : f64[1]
    %v = reshape %ak {dims = ()} : f64[]
    %u = reshape %ok {dims = ()} : f64[]
    %big = greater %y1, %v : bool[]
    %y2, %o2 = if %big, %y1 { ^(%yy: f64[])
      %e1 = exp %v : f64[]
      %q = div %yy, %e1 : f64[]
      %qu = mul %q, %u : f64[]
      %w = reshape %qu {dims = (1,)} : f64[1]
      %on = dynamic_update %o1, %w, %five {checked = false} : f64[5]
      yield %q, %on
    } { ^(%yn: f64[])
      %m = mul %yn, %x : f64[]
      %mv = add %m, %v : f64[]
      %mv2 = add %mv, %e : f64[]
      yield %mv2, %o1
    } : f64[], f64[5]
    %k2 = add %k1, %i1 : i64[]
    yield %y2, %k2, %o2
  } : f64[], i64[], f64[5]
""", "%y, %o")

FILL = program("fill(%x: f64[], %c: f64[8], %n: i64[]) -> (f64[8])", """
  %x1 = reshape %x {dims = (1,)} : f64[1]
  %zeros = full {value = 0.0, dtype = f64, dims = (8,)} : f64[8]
  %first = dynamic_update %zeros, %x1, %i0 {checked = true} : f64[8]
  %r = for %i1, %n, %i1, %first {saved = ()} { ^(%i: i64[], %o: f64[8])
    %j = sub %i, %i1 : i64[]
    %p = dynamic_slice %o, %j {sizes = (1,), checked = true} : f64[1]
    %cp = dynamic_slice %c, %i {sizes = (1,), checked = true} : f64[1]
    %s = sin %p : f64[1]
    %t = mul %s, %cp : f64[1]
    %o2 = dynamic_update %o, %t, %i {checked = true} : f64[8]
    yield %o2
  } : f64[8]
""", "%r")

OSCILLATOR = program("oscillator(%x: f64[], %v: f64[], %k: f64[], %n: i64[]) -> (f64[], f64[])", """
  %p, %q = for %i0, %n, %i1, %x, %v {saved = ()} { ^(%i: i64[], %a: f64[], %b: f64[])
    %step = mul %h, %b : f64[]
    %a2 = add %a, %step : f64[]
    %ka = mul %k, %a2 : f64[]
    %bb = mul %b, %b : f64[]
    %drag = mul %bb, %b : f64[]
    %force = add %ka, %drag : f64[]
    %change = mul %force, %h : f64[]
    %b2 = sub %b, %change : f64[]
    %calm = less %b2, %z : bool[]
    %b3 = select %calm, %z, %b2 : f64[]
    %b4 = div %b3, %k : f64[]
    yield %a2, %b4
  } : f64[], f64[]
""", "%p, %q")

NEIGHBOURS = program("neighbours(%x: f64[20], %o: f64[20, 2], %near: i64[6, 2], %n: i64[]) -> (f64[], f64[20, 2])", """
  %r, %q = for %i0, %n, %i1, %z, %o {saved = ()} { ^(%i: i64[], %s: f64[], %o0: f64[20, 2])
    %row = dynamic_slice %near, %i, %i0 {sizes = (1, 2), checked = true} : i64[1, 2]
    %pair = reshape %row {dims = (2,)} : i64[2]
    %xs = gather %x, %row : f64[1, 2]
    %os = gather %o0, %pair : f64[2, 2]
    %xw = reshape %xs {dims = (2,)} : f64[2]
    %all = broadcast %xw {dims = (2, 2), axes = (0,)} : f64[2, 2]
    %both = mul %all, %os : f64[2, 2]
    %sines = sin %both : f64[2, 2]
    %t = reduce_sum %sines {axes = (0, 1)} : f64[]
    %s2 = add %s, %t : f64[]
    %w = reshape %s2 {dims = (1, 1)} : f64[1, 1]
    %j = add %i, %i2 : i64[]
    %o1 = dynamic_update %o0, %w, %j, %i1 {checked = true} : f64[20, 2]
    yield %s2, %o1
  } : f64[], f64[20, 2]
""", "%r, %q")

RECURRENT = program("recurrent(%w: f64[3, 3], %u: f64[3], %h0: f64[3], %n: i64[]) -> (f64[3])", """
  %r = for %i0, %n, %i1, %h0 {saved = ()} { ^(%i: i64[], %a: f64[3])
    %column = reshape %a {dims = (3, 1)} : f64[3, 1]
    %wa = matmul %w, %column {transpose_x = false, transpose_y = false} : f64[3, 1]
    %flat = reshape %wa {dims = (3,)} : f64[3]
    %sum = add %flat, %u : f64[3]
    %b = tanh %sum : f64[3]
    yield %b
  } : f64[3]
""", "%r")

EXCHANGE = program("exchange(%x: f64[], %y: f64[], %w: f64[], %n: i64[]) -> (f64[], f64[])", """
  %p, %q, %s, %k = while %x, %y, %z, %i0 {saved = ()} { ^(%a: f64[], %b: f64[], %c: f64[], %j: i64[])
    %more = less %j, %n : bool[]
    yield %more
  } { ^(%d: f64[], %f: f64[], %g: f64[], %l: i64[])
    %df = mul %d, %f : f64[]
    %dw = mul %df, %w : f64[]
    %g2 = add %g, %dw : f64[]
    %l2 = add %l, %i1 : i64[]
    yield %f, %d, %g2, %l2
  } : f64[], f64[], f64[], i64[]
  %ps = mul %p, %s : f64[]
""", "%ps, %q")

LINEAR_WHILE = program("linear(%x: f64[], %w: f64[]) -> (f64[], f64[])", """
  %y, %v = while %x, %e {saved = ()} { ^(%y0: f64[], %v0: f64[])
    %c = greater %v0, %tiny : bool[]
    yield %c
  } { ^(%y1: f64[], %v1: f64[])
    %y2 = mul %y1, %h : f64[]
    %y3 = add %y2, %w : f64[]
    %v2 = mul %v1, %h : f64[]
    yield %y3, %v2
  } : f64[], f64[]
""", "%y, %v")

STRIDES = program("strides(%x: f64[], %a: i64[], %b: i64[], %c: i64[]) -> (f64[], f64[])", """
  %y, %s = for %a, %b, %c, %x, %z {saved = ()} { ^(%i: i64[], %y0: f64[], %s0: f64[])
    %f = cast %i {dtype = f64} : f64[]
    %fx = mul %f, %x : f64[]
    %yf = sin %y0 : f64[]
    %y1 = add %yf, %fx : f64[]
    %s1 = add %s0, %fx : f64[]
    yield %y1, %s1
  } : f64[], f64[]
  %q = for %a, %b, %c, %x {saved = ()} { ^(%ib: i64[], %s2: f64[])
    %f2 = cast %ib {dtype = f64} : f64[]
    %s3 = mul %s2, %f2 : f64[]
    yield %s3
  } : f64[]
  %t = add %q, %s : f64[]
""", "%y, %t")

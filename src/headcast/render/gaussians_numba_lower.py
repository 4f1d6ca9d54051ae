"""LLVM lowering of each function of ``gaussians_numba_lanes``; imported only when a kernel is compiled."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache
from typing import Any

from headcast.render import gaussians_numba_lanes as lanes

__all__ = ["lower"]

Emit = Callable[..., Any]


def _vector() -> Any:
    from llvmlite import ir

    return ir.VectorType(ir.FloatType(), lanes.LANES)


def _bits() -> Any:
    from llvmlite import ir

    return ir.VectorType(ir.IntType(32), lanes.LANES)


def _const(x: float | int) -> Any:
    """Make a vector constant: floats for a float, 32-bit integers for an int."""
    from llvmlite import ir

    kind = _bits() if isinstance(x, int) else _vector()
    return ir.Constant(kind, [x] * lanes.LANES)


def _llvm(name: str, result: Any = None) -> Emit:
    """Emit a call of LLVM's vector function ``name``."""
    from llvmlite import ir
    from numba.core import cgutils

    def emit(builder: Any, *args: Any) -> Any:
        kind = ir.FunctionType(result or args[0].type, [a.type for a in args])
        full = f"llvm.{name}.v{lanes.LANES}{'i1' if result else 'f32'}"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, full), args)

    return emit


def _polynomial(builder: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
    """Evaluate a polynomial by Horner's scheme, lowest coefficient first."""
    fma = _llvm("fma")
    y = _const(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        y = fma(builder, y, x, _const(c))
    return y


def _scaled_exp2(builder: Any, shifted: Any, f: Any) -> Any:
    """Compute 2^f times 2 to the integer in the low bits of ``shifted``."""
    p = _llvm("fma")(builder, f, _polynomial(builder, f, lanes.EXP2), _const(1.0))
    power = builder.shl(builder.bitcast(shifted, _bits()), _const(23))
    return builder.bitcast(builder.add(builder.bitcast(p, _bits()), power), _vector())


_SHIFT = 12582912.0  # 1.5 * 2^23: adding it leaves the rounded integer in the low bits


def _exp2(builder: Any, x: Any) -> Any:
    return _exp2_inside(builder, _llvm("maxnum")(builder, x, _const(-126.0)))


def _exp2_inside(builder: Any, x: Any) -> Any:
    shifted = builder.fadd(x, _const(_SHIFT))
    f = builder.fsub(x, builder.fsub(shifted, _const(_SHIFT)))
    return _scaled_exp2(builder, shifted, f)


def _exp(builder: Any, x: Any) -> Any:
    fma = _llvm("fma")
    x = _llvm("minnum")(builder, _llvm("maxnum")(builder, x, _const(-87.0)), _const(88.0))
    shifted = fma(builder, x, _const(lanes.LOG2E_HIGH), _const(_SHIFT))
    n = builder.fsub(shifted, _const(_SHIFT))
    f = fma(builder, x, _const(lanes.LOG2E_HIGH), builder.fneg(n))
    return _scaled_exp2(builder, shifted, fma(builder, x, _const(lanes.LOG2E_LOW), f))


def _log2(builder: Any, x: Any) -> Any:
    """Sum exponent and series of 2 atanh((m - 1) / (m + 1)) for the mantissa m in [sqrt(1/2), sqrt(2))."""
    half = 0x3F3504F3  # bits of sqrt(1/2)
    raised = builder.sub(builder.bitcast(x, _bits()), _const(half))
    n = builder.ashr(raised, _const(23))
    rest = builder.add(builder.and_(raised, _const(0x7FFFFF)), _const(half))
    m = builder.bitcast(rest, _vector())
    s = builder.fdiv(builder.fsub(m, _const(1.0)), builder.fadd(m, _const(1.0)))
    series = _polynomial(builder, builder.fmul(s, s), lanes.ATANH)
    return _llvm("fma")(builder, s, series, builder.sitofp(n, _vector()))


def _where_ge(builder: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">=", a, b), yes, no)


def _any_ge(builder: Any, a: Any, b: Any) -> Any:
    from llvmlite import ir

    return _llvm("vector.reduce.or", ir.IntType(1))(builder, builder.fcmp_ordered(">=", a, b))


def _total(builder: Any, v: Any) -> Any:
    from llvmlite import ir

    n = lanes.LANES
    while n > 1:
        n //= 2
        mask = ir.VectorType(ir.IntType(32), n)
        low, high = (ir.Constant(mask, [k + s for k in range(n)]) for s in (0, n))
        v = builder.fadd(builder.shuffle_vector(v, v, low), builder.shuffle_vector(v, v, high))
    return builder.extract_element(v, ir.Constant(ir.IntType(32), 0))


def _splat(builder: Any, x: Any) -> Any:
    from llvmlite import ir

    zero = ir.Constant(ir.IntType(32), 0)
    one = builder.insert_element(ir.Constant(_vector(), ir.Undefined), x, zero)
    return builder.shuffle_vector(one, one, ir.Constant(_bits(), [0] * lanes.LANES))


def _address(context: Any, builder: Any, kind: Any, array: Any, i: Any) -> Any:
    """Return a pointer to a[i]; the index is not wrapped or checked."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [i], inbounds=True)


def _strided(context: Any, builder: Any, sig: Any, args: Any) -> list[Any]:
    from llvmlite import ir

    start = _address(context, builder, sig.args[0], args[0], args[1])
    step = args[2]
    return [builder.gep(start, [builder.mul(step, ir.Constant(step.type, k))]) for k in range(lanes.LANES)]


def _load(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    p = _address(context, builder, sig.args[0], args[0], args[1])
    return builder.load(builder.bitcast(p, _vector().as_pointer()), align=4)


def _read(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.load(_address(context, builder, sig.args[0], args[0], args[1]))


def _store(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    p = _address(context, builder, sig.args[0], args[0], args[1])
    builder.store(args[2], builder.bitcast(p, _vector().as_pointer()), align=4)
    return context.get_dummy_value()


def _prefetch(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    from llvmlite import ir
    from numba.core import cgutils

    byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
    p = builder.bitcast(_address(context, builder, sig.args[0], args[0], args[1]), byte)
    flags = [ir.Constant(word, k) for k in (0, 3, 1)]  # to read, keep in all caches, data
    builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0"), [p, *flags])
    return context.get_dummy_value()


def _gather(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    from llvmlite import ir

    v = ir.Constant(_vector(), ir.Undefined)
    for k, p in enumerate(_strided(context, builder, sig, args)):
        v = builder.insert_element(v, builder.load(p), ir.Constant(ir.IntType(32), k))
    return v


def _scatter(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    from llvmlite import ir

    for k, p in enumerate(_strided(context, builder, sig, args)):
        builder.store(builder.extract_element(args[3], ir.Constant(ir.IntType(32), k)), p)
    return context.get_dummy_value()


def _shuffle(builder: Any, a: Any, b: Any, picks: list[int]) -> Any:
    from llvmlite import ir

    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(picks)), picks))


def _rows_of_four(builder: Any, array_start: Any, pitch: Any) -> list[Any]:
    """Return pointers to the rows of a block."""
    from llvmlite import ir

    four = ir.VectorType(ir.FloatType(), 4).as_pointer()
    steps = [builder.mul(pitch, ir.Constant(pitch.type, k)) for k in range(lanes.LANES // 4)]
    return [builder.bitcast(builder.gep(array_start, [step]), four) for step in steps]


def _load_block(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    start = _address(context, builder, sig.args[0], args[0], args[1])
    parts = [builder.load(p, align=4) for p in _rows_of_four(builder, start, args[2])]
    while len(parts) > 1:
        wide = list(range(2 * parts[0].type.count))
        parts = [_shuffle(builder, a, b, wide) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _store_block(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    start = _address(context, builder, sig.args[0], args[0], args[1])
    for k, p in enumerate(_rows_of_four(builder, start, args[2])):
        builder.store(_shuffle(builder, args[3], args[3], list(range(4 * k, 4 * k + 4))), p, align=4)
    return context.get_dummy_value()


def _folded(builder: Any, vectors: list[Any]) -> Any:
    """Return one vector whose lane k is the sum over the lanes of vector k; at most LANES vectors."""
    n, half = lanes.LANES, lanes.LANES
    current = [(v, [k] * n) for k, v in enumerate(vectors)]  # with each lane, whose sum it is a part of
    while half > 1:
        half //= 2
        pairs = [(current[k], current[min(k + 1, len(current) - 1)]) for k in range(0, len(current), 2)]
        current = []
        for (a, of_a), (b, of_b) in pairs:
            # segments of 2 * half lanes; a's fold to the left half, b's to the right
            left = [
                s + k + (n if k >= half else 0) - (half if k >= half else 0)
                for s in range(0, n, 2 * half)
                for k in range(2 * half)
            ]
            both = of_a + of_b
            summed = builder.fadd(
                _shuffle(builder, a, b, left), _shuffle(builder, a, b, [k + half for k in left])
            )
            current.append((summed, [both[k] for k in left]))
    v, owner = current[0]
    return _shuffle(builder, v, v, [owner.index(k) if k < len(vectors) else 0 for k in range(n)])


def _store_totals(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    from llvmlite import ir

    start = _address(context, builder, sig.args[0], args[0], args[1])
    for k in range(0, len(args) - 2, lanes.LANES):
        v = _folded(builder, list(args[2 + k : 2 + k + lanes.LANES]))
        p = builder.gep(start, [ir.Constant(ir.IntType(64), k)])
        builder.store(v, builder.bitcast(p, _vector().as_pointer()), align=4)
    return context.get_dummy_value()


def _lanes_type() -> Any:
    from numba.core import types
    from numba.extending import models, register_model

    class LanesType(types.Type):  # pyright: ignore[reportGeneralTypeIssues]
        pass

    class LanesModel(models.PrimitiveModel):
        def __init__(self, manager: Any, kind: Any) -> None:
            super().__init__(manager, kind, _vector())

    register_model(LanesType)(LanesModel)
    return LanesType(f"lanes{lanes.LANES}")


@cache
def lower() -> None:
    """Register all of it with numba, once; to be called before a kernel that uses it is compiled."""
    from numba.core import types

    kind = _lanes_type()
    _register_functions(kind)
    _register(kind, lanes.any_ge, 2, types.boolean, _any_ge)
    _register(kind, lanes.total, 1, types.float32, _total)
    for fn, name in (
        (operator.add, "fadd"),
        (operator.sub, "fsub"),
        (operator.mul, "fmul"),
        (operator.truediv, "fdiv"),
    ):
        _register(kind, fn, 2, kind, lambda b, x, y, name=name: getattr(b, name)(x, y), operator_only=True)
    _register(kind, operator.neg, 1, kind, lambda b, x: b.fneg(x), operator_only=True)
    _register_memory(kind)


def _register_memory(kind: Any) -> None:
    """Register reads and writes of memory with numba."""
    from numba.core import types

    for fn, count, result, emit in (
        (lanes.read, 2, types.float32, _read),
        (lanes.load, 2, kind, _load),
        (lanes.store, 3, types.none, _store),
        (lanes.gather, 3, kind, _gather),
        (lanes.scatter, 4, types.none, _scatter),
        (lanes.load_block, 3, kind, _load_block),
        (lanes.store_block, 4, types.none, _store_block),
        (lanes.prefetch, 2, types.none, _prefetch),
        (lanes.store_totals, 12, types.none, _store_totals),
    ):
        _declare(fn, count, lambda *args, result=result: result)
        _implement(fn, emit, *[types.Any] * count)


def _register_functions(kind: Any) -> None:
    """Register functions of vectors with numba."""
    emits: dict[Any, tuple[int, Emit]] = {
        lanes.fma: (3, _llvm("fma")),
        lanes.minimum: (2, _llvm("minnum")),
        lanes.maximum: (2, _llvm("maxnum")),
        lanes.sqrt: (1, _llvm("sqrt")),
        lanes.floor: (1, _llvm("floor")),
        lanes.ceil: (1, _llvm("ceil")),
        lanes.absolute: (1, _llvm("fabs")),
        lanes.where_ge: (4, _where_ge),
        lanes.splat: (1, lambda b, x: x),
        lanes.exp2: (1, _exp2),
        lanes.exp2_inside: (1, _exp2_inside),
        lanes.exp: (1, _exp),
        lanes.log2: (1, _log2),
    }
    for fn, (count, emit) in emits.items():
        _register(kind, fn, count, kind, emit)


def _register(kind: Any, fn: Any, count: int, result: Any, emit: Emit, operator_only: bool = False) -> None:
    """Register ``fn`` on vectors; numbers among the arguments become float32 in all lanes."""
    from numba.core import types

    def typer(*args: Any) -> Any:
        fits = all(a is kind or isinstance(a, types.Number) for a in args)
        return result if fits and (kind in args or not operator_only) else None

    def implement(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        spread = [
            v if t is kind else _splat(builder, context.cast(builder, v, t, types.float32))
            for t, v in zip(sig.args, args, strict=True)
        ]
        return emit(builder, *spread)

    _declare(fn, count, typer)
    if not operator_only:
        _implement(fn, implement, *[types.Any] * count)
    else:
        patterns = [(type(kind), type(kind)), (type(kind), types.Number), (types.Number, type(kind))]
        for pattern in patterns if count == 2 else [(type(kind),)]:
            _implement(fn, implement, *pattern)


def _declare(fn: Any, count: int, typer: Emit) -> None:
    """Declare to numba's typing the result of ``fn`` with ``count`` arguments."""
    from numba.extending import type_callable

    names = ", ".join(f"a{k}" for k in range(count))
    fixed = eval(f"lambda {names}: typer({names})", {"typer": typer})  # numba reads the signature
    type_callable(fn)(lambda context: fixed)


def _implement(fn: Any, emit: Emit, *pattern: Any) -> None:
    from numba.extending import lower_builtin

    lower_builtin(fn, *pattern)(emit)

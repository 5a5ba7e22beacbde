"""Writes ops.json: outputs and input gradients of every operator, from torch autograd.

Inputs and output gradients are drawn as float32; the values are computed from them in float64.
See README.md beside this file for the format and the command.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(20250601)
cases = []


def uniform(*shape, low=-2.0, high=2.0):
    """A float32-representable tensor, held in float64."""
    values = torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low
    return values.float().double()


def positive(*shape):
    return uniform(*shape, low=0.2, high=3.0)


def away_from_zero(*shape):
    """Either sign, magnitude 0.3 to 2: safe for division and for kinks at 0."""
    sign = torch.randint(0, 2, shape, generator=generator).double() * 2 - 1
    return sign * uniform(*shape, low=0.3, high=2.0)


def dtype_name(tensor):
    return {torch.float64: "float32", torch.int64: "int64", torch.bool: "bool"}[tensor.dtype]


def numbers(tensor):
    flat = tensor.detach().flatten()
    if tensor.dtype == torch.float64:
        return [float(f"{x:.9g}") for x in flat.float().tolist()]
    return [int(x) for x in flat.tolist()]


def described(tensor):
    return {"shape": list(tensor.shape), "data": numbers(tensor)}


def case(op, inputs, function, **attributes):
    """Appends one case; every float input is differentiated."""
    leaves = [x.clone().requires_grad_() if x.dtype == torch.float64 else x for x in inputs]
    result = function(*leaves)
    outputs = list(result) if isinstance(result, (list, tuple)) else [result]
    grads = [uniform(*y.shape, low=-1.0, high=1.0) for y in outputs]
    wanted = [x for x in leaves if x.requires_grad]
    gradients = iter(torch.autograd.grad(outputs, wanted, grads))
    record = {
        "op": op,
        "attributes": attributes,
        "inputs": [{**described(x), "dtype": dtype_name(x)} for x in leaves],
    }
    if isinstance(result, (list, tuple)):
        record["outputs"] = [described(y) for y in outputs]
        record["gradOutputs"] = [described(g) for g in grads]
    else:
        record["output"] = described(outputs[0])
        record["gradOutput"] = described(grads[0])
    record["gradInputs"] = [described(next(gradients)) if x.requires_grad else None for x in leaves]
    cases.append(record)


def binary_operators():
    shapes = [
        ((2, 3), (2, 3)),
        ((2, 3), (3,)),  # right operand broadcast by rank
        ((3,), (2, 3)),  # left operand broadcast by rank
        ((2, 1, 3), (4, 1)),  # both broadcast
        ((2, 3), ()),
        ((), (2, 3)),
        ((1, 3), (2, 1)),
    ]
    functions = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}
    for op, function in functions.items():
        for a, b in shapes:
            case(op, [uniform(*a), away_from_zero(*b)], function)


def unary_operators():
    everywhere = {
        "neg": torch.neg,
        "exp": torch.exp,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "erf": torch.erf,
        "silu": F.silu,
    }
    for op, function in everywhere.items():
        case(op, [uniform(2, 5)], function)
        case(op, [uniform(1, 2, 3)], function)
    for op in ("tanh", "sigmoid", "erf", "silu"):  # saturated
        case(op, [torch.tensor([-30.0, -12.0, -5.0, 0.0, 5.0, 12.0, 30.0]).double()], everywhere[op])
    for op, function in {"log": torch.log, "sqrt": torch.sqrt}.items():
        case(op, [positive(2, 5)], function)
        case(op, [torch.tensor([1e-4, 0.5, 1.0, 2.0, 1e4]).float().double()], function)
    case("reciprocal", [away_from_zero(2, 5)], torch.reciprocal)
    case("reciprocal", [away_from_zero(3)], torch.reciprocal)
    case("relu", [away_from_zero(3, 4)], F.relu)
    case("relu", [away_from_zero(7)], F.relu)
    for exponent in (2, 3, 1, 0.5, -0.5, -1, 1.7):
        base = uniform(2, 4) if exponent in (1, 2, 3) else positive(2, 4)
        case("pow", [base], lambda x, e=exponent: x.pow(e), exponent=exponent)
    tails = torch.tensor([-20.0, -6.0, -3.0, 0.0, 3.0, 6.0, 20.0]).double()
    for approximate in ("tanh", "none"):
        for x in (uniform(2, 5), uniform(1, 2, 3, low=-4.0, high=4.0), tails):
            case("gelu", [x], lambda v, a=approximate: F.gelu(v, approximate=a), approximate=approximate)


def products():
    shapes = [
        ((2, 3), (3, 4)),
        ((1, 3), (3, 1)),
        ((2, 3, 4), (2, 4, 5)),
        ((2, 3, 4), (4, 5)),  # batch dimension only on the left
        ((3, 4), (2, 4, 5)),  # only on the right
        ((2, 2, 3, 4), (2, 2, 4, 3)),
        ((2, 1, 3, 4), (1, 3, 4, 2)),  # both batch dimensions broadcast
        ((2, 2, 3, 4), (2, 4, 3)),
    ]
    for a, b in shapes:
        case("matmul", [uniform(*a), uniform(*b)], torch.matmul)
    for trans_a in (0, 1):
        for trans_b in (0, 1):
            a = uniform(*((3, 2) if trans_a else (2, 3)))
            b = uniform(*((4, 3) if trans_b else (3, 4)))

            def gemm(x, y, bias=None, ta=trans_a, tb=trans_b):
                product = (x.T if ta else x) @ (y.T if tb else y)
                return product if bias is None else product + bias

            case("gemm", [a, b], gemm, transA=trans_a, transB=trans_b)
            case("gemm", [a, b, uniform(4)], gemm, transA=trans_a, transB=trans_b)


def movement():
    for perm in ([1, 0], [0, 2, 1], [2, 0, 1], [0, 2, 1, 3], [2, 0, 3, 1]):
        x = uniform(*[2, 3, 4, 2][: len(perm)])
        case("transpose", [x], lambda v, p=perm: v.permute(p), perm=perm)
    for source, shape in (((2, 6), [3, 4]), ((2, 3, 4), [6, 4]), ((6,), [1, 2, 3]), ((2, 3), [6]), ((1, 1), [])):
        case("reshape", [uniform(*source)], lambda v, s=shape: v.reshape(s), shape=shape)
    for shapes, axis in (
        (((2, 3), (2, 2)), 1),
        (((2, 3), (1, 3), (3, 3)), 0),
        (((2, 1, 3), (2, 2, 3), (2, 3, 3)), 1),
        (((2, 2, 1), (2, 2, 3)), -1),
    ):
        case("concat", [uniform(*s) for s in shapes], lambda *v, a=axis: torch.cat(v, a), axis=axis)
    for shape, starts, ends, axes in (
        ((4, 5), [1], [3], [0]),
        ((4, 5), [0, 2], [2, 5], [0, 1]),
        ((2, 5, 3), [-3], [-1], [1]),
        ((2, 5, 3), [-1], [9223372036854775807], [1]),  # to the end: INT64_MAX, as ONNX writes it
        ((2, 5, 3), [1], [2], [-1]),
    ):

        def cut(v, s=starts, e=ends, a=axes):
            index = [slice(None)] * v.ndim
            for start, end, axis in zip(s, e, a):
                index[axis] = slice(start, end)
            return v[tuple(index)]

        # JSON numbers are doubles: INT64_MAX is stored as 2^53 - 1, which means the same.
        stored = [min(e, 2**53 - 1) for e in ends]
        case("slice", [uniform(*shape)], cut, starts=starts, ends=stored, axes=axes)
    for shape, sizes, axis in (((2, 6), [3, 3], 1), ((2, 6), [1, 2, 3], 1), ((5, 2, 2), [4, 1], 0), ((2, 2, 4), [1, 3], -1)):
        case("split", [uniform(*shape)], lambda v, s=sizes, a=axis: torch.split(v, s, a), axis=axis, sizes=sizes)
    for shape, target in (((1, 3), [2, 3]), ((3,), [2, 3]), ((2, 1, 3), [2, 4, 3]), ((), [2, 2]), ((1, 2, 1), [3, 2, 2])):
        case("expand", [uniform(*shape)], lambda v, t=target: v.expand(t), shape=target)


def indexing():
    for shape, indices in (
        ((5, 3), [0, 2, 4]),
        ((5, 3), [1, 1, 3, 1]),  # repeated: the gradient accumulates
        ((5, 3), [[0, 4, 4], [2, 0, 4]]),
        ((4, 2, 2), [[3, 3], [0, 3]]),
        ((6,), [5, 0, 5]),
    ):
        case("gather", [uniform(*shape), torch.tensor(indices)], lambda t, i: t[i], axis=0)
    for shape, indices in (
        ((3, 4), [[0], [3], [1]]),
        ((3, 4), [[0, 0, 2], [3, 1, 3], [2, 2, 2]]),  # repeated
        ((2, 3, 2), [[[0, 2], [2, 2]], [[1, 0], [1, 1]]]),
    ):
        case("gatherElements", [uniform(*shape), torch.tensor(indices)], lambda t, i: torch.gather(t, 1, i), axis=1)
    for mask, a, b in (
        ((2, 3), (2, 3), (2, 3)),
        ((3, 3), (2, 3, 3), ()),  # a causal mask against one constant
        ((2, 1), (1, 3), (2, 3)),
    ):
        condition = torch.rand(mask, generator=generator) < 0.5
        case("where", [condition, uniform(*a), uniform(*b)], torch.where)


def reductions():
    functions = {"reduceSum": torch.sum, "reduceMean": torch.mean, "reduceMax": torch.amax}
    for op, function in functions.items():
        for shape, axes, keepdims in (
            ((2, 3), [1], 1),
            ((2, 3), [0], 0),
            ((2, 3, 4), [-1], 1),
            ((2, 3, 4), [0, 2], 0),
            ((2, 3, 4), [0, 1], 1),
            ((2, 3), [0, 1], 0),
        ):
            apply = lambda v, f=function, a=axes, k=keepdims: f(v, dim=tuple(a), keepdim=bool(k))
            case(op, [uniform(*shape)], apply, axes=axes, keepdims=keepdims)


def normalisations():
    masked = uniform(3, 4)
    masked[0, 1:] = -1e9
    masked[1, 3] = -1e9
    large = torch.tensor([[80.0, 79.0, -80.0], [1000.0, 999.5, 0.0]]).double()
    for op, function in {"softmax": F.softmax, "logSoftmax": F.log_softmax}.items():
        for x in (uniform(2, 5), uniform(2, 2, 3), uniform(1, 2, 2, 4), masked, large):
            case(op, [x], lambda v, f=function: f(v, dim=-1), axis=-1)

    epsilon = 1e-5
    quiet = (uniform(2, 6) * 1e-3).float().double()  # variance near epsilon
    offset = (uniform(2, 6) + 10).float().double()
    for x in (uniform(3, 4), uniform(2, 2, 5), quiet, offset):
        width = x.shape[-1]
        scale, bias = positive(width), uniform(width)
        case(
            "layerNormalization",
            [x, scale, bias],
            lambda v, s, b: F.layer_norm(v, s.shape, s, b, epsilon),
            epsilon=epsilon,
        )
        case(
            "rmsNormalization",
            [x, scale],
            lambda v, s: v * torch.rsqrt(v.pow(2).mean(-1, keepdim=True) + epsilon) * s,
            epsilon=epsilon,
        )


def main():
    binary_operators()
    unary_operators()
    products()
    movement()
    indexing()
    reductions()
    normalisations()
    lines = ",\n".join(json.dumps(c, separators=(",", ":"), allow_nan=False) for c in cases)
    path = Path(__file__).parent / "ops.json"
    path.write_text(f"[\n{lines}\n]\n")
    print(f"{path.name}: {len(cases)} cases, {len({c['op'] for c in cases})} operators, {path.stat().st_size} bytes")


main()

import { broadcast } from "../shape.ts";
import { apply1, type Backward, closedForm, constant, type Operator, type Tensor } from "../tensor.ts";
import { cast } from "./layout.ts";
import { unbroadcast } from "./reduction.ts";

type Unary = (backward: { gradient: Tensor; x: Tensor; y: Tensor }) => Tensor;

function unary(type: string, rule: Unary): (x: Tensor) => Tensor {
  const operator: Operator = {
    type,
    infer: ([x]) => [x!],
    gradient: ({ gradient, inputs: [x], outputs: [y] }) => [() => rule({ gradient, x: x!, y: y! })],
  };
  return (x) => apply1(operator, [x]);
}

type Binary = (backward: {
  gradient: Tensor;
  a: Tensor;
  b: Tensor;
  y: Tensor;
}) => readonly [() => Tensor, () => Tensor];

function binary(type: string, rule: Binary): (a: Tensor, b: Tensor | number) => Tensor {
  const operator: Operator = {
    type,
    infer: ([a, b]) => [{ dtype: a!.dtype, shape: broadcast(a!.shape, b!.shape) }],
    gradient: ({ gradient, inputs: [a, b], outputs: [y] }: Backward) =>
      rule({ gradient, a: a!, b: b!, y: y! }).map((make, i) => () => unbroadcast(make(), [a!, b!][i]!.shape)),
  };
  return (a, b) => apply1(operator, [a, operand(b, a)]);
}

/** A number as a tensor beside another one, in its precision. */
function operand(value: Tensor | number, beside: Tensor): Tensor {
  return typeof value === "number" ? cast(constant(value), beside.dtype) : value;
}

/** a + b, broadcasting. */
export const add = binary("Add", ({ gradient }) => [() => gradient, () => gradient]);

/** a − b, broadcasting. */
export const sub = binary("Sub", ({ gradient }) => [() => gradient, () => neg(gradient)]);

/** a · b elementwise, broadcasting. */
export const mul = binary("Mul", ({ gradient, a, b }) => [() => mul(gradient, b), () => mul(gradient, a)]);

/** a / b elementwise, broadcasting. */
export const div = binary("Div", ({ gradient, b, y }) => [() => div(gradient, b), () => neg(div(mul(gradient, y), b))]);

/** −x. */
export const neg = unary("Neg", ({ gradient }) => neg(gradient));

/** eˣ. */
export const exp = unary("Exp", ({ gradient, y }) => mul(gradient, y));

/** The natural logarithm of x. */
export const log = unary("Log", ({ gradient, x }) => div(gradient, x));

/** √x. */
export const sqrt = unary("Sqrt", ({ gradient, y }) => div(mul(gradient, 0.5), y));

/** 1 / (1 + e⁻ˣ). */
export const sigmoid = unary("Sigmoid", ({ gradient, y }) => mul(gradient, mul(y, sub(constant(1), y))));

/** The error function. */
export const erf = unary("Erf", ({ gradient, x }) => mul(gradient, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI))));

/** y = x σ(x) (Hendrycks and Gimpel 2016, section 2), whose slope is σ(x) + y (1 − σ(x)). */
export function silu(x: Tensor): Tensor {
  const s = sigmoid(x);
  const y = mul(x, s);
  return closedForm(y, [x], (gradient) => [() => mul(gradient, add(s, mul(y, sub(operand(1, s), s))))]);
}

const geluOperator = (
  approximate: "none" | "tanh",
  slope: (x: Tensor, y: Tensor) => Tensor,
): ((x: Tensor) => Tensor) => {
  const operator: Operator = {
    type: "Gelu",
    infer: ([x]) => [x!],
    gradient: ({ gradient, inputs: [x], outputs: [y] }) => [() => mul(gradient, slope(x!, y!))],
  };
  return (x) => apply1(operator, [x], { approximate });
};

/** x Φ(x) (Hendrycks and Gimpel 2016, equation 1), whose slope is Φ(x) + x φ(x). */
export const gelu = geluOperator("none", (x) => {
  const normal = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
  return add(normal, mul(x, mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI))));
});

const ROOT = 2 * Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;
/** From this square of x on, the slope is 0 or 1 in float16, which ends at 65504. */
const LARGEST_SQUARE = 64;

/**
 * GELU's tanh form, 0.5 x (1 + tanh(√(2/π)(x + 0.044715 x³))) (Hendrycks and Gimpel 2016, section 2).
 * With u = √(2/π)(x + 0.044715 x³) and s = σ(2u) it is y = x s, and its slope is s + x s (1 − s) 2u' = s + y (1 − s) 2u'.
 */
export const geluTanh = geluOperator("tanh", (x, y) => {
  const square = x.dtype === "float16" ? minimum(mul(x, x), LARGEST_SQUARE) : mul(x, x);
  const s = sigmoid(mul(x, add(mul(square, ROOT * CUBIC), ROOT)));
  const slope = add(mul(square, 3 * ROOT * CUBIC), ROOT);
  return add(s, mul(mul(y, sub(operand(1, s), s)), slope));
});

const minOperator: Operator = {
  type: "Min",
  infer: ([a, b]) => [{ dtype: a!.dtype, shape: broadcast(a!.shape, b!.shape) }],
};

/** The smaller of a and b. No gradient is defined. */
export function minimum(a: Tensor, b: Tensor | number): Tensor {
  return apply1(minOperator, [a, operand(b, a)]);
}

const lessOrEqualOperator: Operator = {
  type: "LessOrEqual",
  infer: ([a, b]) => [{ dtype: "bool", shape: broadcast(a!.shape, b!.shape) }],
};

/** a ≤ b, as bool. */
export function lessOrEqual(a: Tensor, b: Tensor): Tensor {
  return apply1(lessOrEqualOperator, [a, b]);
}

const whereOperator: Operator = {
  type: "Where",
  infer: ([condition, a, b]) => [
    { dtype: a!.dtype, shape: broadcast(broadcast(condition!.shape, a!.shape), b!.shape) },
  ],
};

/** a where the condition holds, b elsewhere. For masks of constants: no gradient is defined. */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  return apply1(whereOperator, [condition, a, b]);
}

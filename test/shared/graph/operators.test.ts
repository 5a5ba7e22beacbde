/** Every operator and its gradient against PyTorch (golden/make_ops.py) and, where that has no case, finite differences. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine, type Value } from "../../../shared/graph/engine.ts";
import { gradients } from "../../../shared/graph/gradients.ts";
import {
  add,
  div,
  erf,
  exp,
  gelu,
  geluTanh,
  lessOrEqual,
  log,
  minimum,
  mul,
  neg,
  sigmoid,
  silu,
  sqrt,
  sub,
  where,
} from "../../../shared/graph/operators/elementwise.ts";
import { crossEntropy, gather } from "../../../shared/graph/operators/indexing.ts";
import { concat, range, reshape, split, transpose } from "../../../shared/graph/operators/layout.ts";
import { linear } from "../../../shared/graph/operators/linear.ts";
import { gemm, matmul } from "../../../shared/graph/operators/matrix.ts";
import { layerNorm, meanLast, rmsNorm } from "../../../shared/graph/operators/normalisation.ts";
import { reduceSum } from "../../../shared/graph/operators/reduction.ts";
import { logSoftmax, softmax } from "../../../shared/graph/operators/softmax.ts";
import { constant, input, type Tensor } from "../../../shared/graph/tensor.ts";

interface Array {
  readonly shape: number[];
  readonly data: number[];
  readonly dtype?: "float32" | "int64" | "bool";
}
interface Attributes {
  readonly transA: number;
  readonly transB: number;
  readonly perm: number[];
  readonly shape: number[];
  readonly axis: number;
  readonly axes: number[];
  readonly sizes: number[];
  readonly keepdims: number;
  readonly epsilon: number;
  readonly approximate: string;
}
interface Case {
  readonly op: string;
  readonly attributes: Attributes;
  readonly inputs: Array[];
  readonly output?: Array;
  readonly outputs?: Array[];
  readonly gradOutput?: Array;
  readonly gradOutputs?: Array[];
  readonly gradInputs: (Array | null)[];
}

const cases: Case[] = JSON.parse(readFileSync(new URL("golden/ops.json", import.meta.url), "utf8"));

type Build = (inputs: Tensor[], attributes: Attributes) => Tensor | readonly Tensor[];
const OPERATORS: Record<string, Build> = {
  add: ([a, b]) => add(a!, b!),
  sub: ([a, b]) => sub(a!, b!),
  mul: ([a, b]) => mul(a!, b!),
  div: ([a, b]) => div(a!, b!),
  neg: ([x]) => neg(x!),
  exp: ([x]) => exp(x!),
  log: ([x]) => log(x!),
  sqrt: ([x]) => sqrt(x!),
  sigmoid: ([x]) => sigmoid(x!),
  matmul: ([a, b]) => matmul(a!, b!),
  gemm: ([a, b, bias], { transA, transB }) =>
    gemm(a!, b!, { transA: transA === 1, transB: transB === 1, ...(bias && { bias }) }),
  transpose: ([x], { perm }) => transpose(x!, perm),
  reshape: ([x], { shape }) => reshape(x!, shape),
  concat: (inputs, { axis }) => concat(inputs, axis),
  split: ([x], { axis, sizes }) => split(x!, axis, sizes),
  gather: ([table, indices]) => gather(table!, indices!),
  reduceSum: ([x], { axes, keepdims }) => reduceSum(x!, axes, keepdims === 1),
  softmax: ([x]) => softmax(x!),
  logSoftmax: ([x]) => logSoftmax(x!),
  layerNormalization: ([x, scale, bias], { epsilon }) => layerNorm(x!, scale!, bias!, epsilon),
  rmsNormalization: ([x, scale], { epsilon }) => rmsNorm(x!, scale!, epsilon),
  erf: ([x]) => erf(x!),
  silu: ([x]) => silu(x!),
  gelu: ([x], { approximate }) => (approximate === "tanh" ? geluTanh(x!) : gelu(x!)),
};

const built = ({ op }: Case) => op in OPERATORS;

let engine: Engine;
beforeAll(() => {
  engine = new Engine({ threads: 1 });
});
afterAll(() => engine.close());

const feed = ({ shape, data, dtype }: Array): Value => ({
  shape,
  data: dtype === "int64" ? Int32Array.from(data) : Float32Array.from(data),
});

function expectClose(actual: Value | undefined, wanted: Array, what: string): void {
  expect(actual?.shape, what).toEqual(wanted.shape);
  wanted.data.forEach((value, i) => {
    const error = Math.abs(actual!.data[i]! - value);
    expect(error, `${what}[${i}] is ${actual!.data[i]}, PyTorch's is ${value}`).toBeLessThanOrEqual(
      2e-6 + 2e-5 * Math.abs(value),
    );
  });
}

describe("against PyTorch", () => {
  for (const op of Object.keys(OPERATORS)) {
    test(op, async () => {
      const ofOp = cases.filter((each) => each.op === op && built(each));
      expect(ofOp.length).toBeGreaterThan(0);
      for (const [number, each] of ofOp.entries()) await check(each, `${op} ${number}`);
    });
  }
});

async function check(
  { op, attributes, inputs, output, outputs, gradOutput, gradOutputs, gradInputs }: Case,
  what: string,
) {
  const given = inputs.map(({ shape, dtype }, i) => input(`x${i}`, dtype === "int64" ? "int32" : "float32", shape));
  const built = OPERATORS[op]!(given, attributes);
  const results = "source" in built ? [built] : built;
  const upstream = (gradOutputs ?? [gradOutput!]).map(({ shape }, i) => input(`g${i}`, "float32", shape));
  const total = results.map((y, i) => reduceSum(mul(y, upstream[i]!))).reduce((a, b) => add(a, b));
  const wanted = given.filter((_, i) => gradInputs[i]);
  const named: Record<string, Tensor> = {};
  for (const [i, y] of results.entries()) named[`y${i}`] = y;
  for (const [i, g] of gradients(total, wanted).entries()) named[`d${i}`] = g;
  const session = await engine.load({ outputs: named });
  const feeds: Record<string, Value> = {};
  for (const [i, x] of inputs.entries()) feeds[`x${i}`] = feed(x);
  for (const [i, g] of (gradOutputs ?? [gradOutput!]).entries()) feeds[`g${i}`] = feed(g);
  const values = await session.run(feeds);
  for (const [i, y] of (outputs ?? [output!]).entries()) expectClose(values[`y${i}`], y, `${what}: output`);
  for (const [i, d] of gradInputs.filter((each) => each !== null).entries()) {
    expectClose(values[`d${i}`], d, `${what}: gradient ${i}`);
  }
}

describe("against finite differences", () => {
  const wave = (shape: number[], phase: number): Value => ({
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1.3 * i + phase)),
  });

  const graphs: Record<string, { shapes: number[][]; build: (inputs: Tensor[]) => Tensor }> = {
    crossEntropy: {
      shapes: [[3, 4]],
      build: ([x]) => mul(crossEntropy(x!, input("labels", "int32", [3])), constant([1, -2, 0.5])),
    },
    "linear of rank 3": {
      shapes: [[2, 3, 4], [5, 4], [5]],
      build: ([x, w, bias]) => linear(x!, w!, { bias: bias!, transposed: true }),
    },
    meanLast: { shapes: [[2, 3]], build: ([x]) => mul(meanLast(x!), meanLast(mul(x!, x!))) },
    "an input used twice": { shapes: [[2, 2]], build: ([x]) => matmul(mul(x!, x!), exp(x!)) },
    "only one part of a split": { shapes: [[5, 2]], build: ([x]) => exp(split(x!, 0, [2, 3])[1]!) },
  };
  for (const [name, { shapes, build }] of Object.entries(graphs)) {
    test(name, async () => {
      const given = shapes.map((shape, i) => input(`x${i}`, "float32", shape));
      const y = build(given);
      const loss = reduceSum(mul(y, y));
      const named = Object.fromEntries(gradients(loss, given).map((g, i) => [`d${i}`, g]));
      const session = await engine.load({ outputs: { loss, ...named } });
      const feeds: Record<string, Value> = Object.fromEntries(shapes.map((shape, i) => [`x${i}`, wave(shape, i)]));
      feeds.labels = { shape: [3], data: Int32Array.of(1, 3, 0) };
      const values = await session.run(feeds);
      for (const [i, shape] of shapes.entries()) {
        const at = feeds[`x${i}`]!;
        for (let k = 0; k < at.data.length; k++) {
          const moved = async (step: number) => {
            const data = Float32Array.from(at.data);
            data[k]! += step;
            return (await session.run({ ...feeds, [`x${i}`]: { shape, data } })).loss!.data[0]!;
          };
          const h = 1 / 64;
          const slope = ((await moved(h)) - (await moved(-h))) / (2 * h);
          const gradient = values[`d${i}`]!.data[k]!;
          expect(Math.abs(gradient - slope), `d${i}[${k}]`).toBeLessThan(0.02 * Math.max(1, Math.abs(slope)));
        }
      }
    });
  }
});

test("operators without a gradient compute what they say", async () => {
  const a = constant([1, 5, 3]);
  const session = await engine.load({
    outputs: {
      least: minimum(a, 2),
      chosen: where(lessOrEqual(a, constant([2, 2, 3])), a, constant(-1)),
      counted: reshape(add(reduceSum(reshape(a, [1, 3])), exp(constant(0))), [1]),
    },
  });
  const values = await session.run({});
  expect([...values.least!.data]).toEqual([1, 2, 2]);
  expect([...values.chosen!.data]).toEqual([1, -1, 3]);
  expect([...values.counted!.data]).toEqual([10]);
  expect(range(2, 3).shape).toEqual([3]);
});

test("integers are summed exactly, beyond what float32 holds", async () => {
  const x = input("x", "int32", [4]);
  const sum = reduceSum(x);
  const session = await engine.load({ outputs: { sum } });
  const { sum: value } = await session.run({ x: { shape: [4], data: Int32Array.of(2 ** 30, 2 ** 29, 1, -4) } });
  expect(sum.dtype).toBe("int32");
  expect([...value!.data]).toEqual([2 ** 30 + 2 ** 29 - 3]);
});

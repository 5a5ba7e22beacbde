/** Products with matrices in blocks: gradients against finite differences of the quantised forward pass, and values against the rounded matrix. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "../../../shared/graph/engine.ts";
import { gradients } from "../../../shared/graph/gradients.ts";
import { add, mul } from "../../../shared/graph/operators/elementwise.ts";
import { gather } from "../../../shared/graph/operators/indexing.ts";
import { linear } from "../../../shared/graph/operators/linear.ts";
import { reduceSum } from "../../../shared/graph/operators/reduction.ts";
import { type BlockProduct, type DType, input, type Tensor, variable } from "../../../shared/graph/tensor.ts";
import { dequantiseRows, partShapes, quantiseRows } from "../../../shared/models/narrow-matrix.ts";
import { Draws, seededRandom } from "../../../shared/protocol/random.ts";
import { expectNear } from "../../helpers/golden.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

let engine: Engine;
beforeAll(() => {
  engine = new Engine({ threads: 1 });
});
afterAll(() => engine.close());

const kinds = fc.record({
  bits: fc.constantFrom(4 as const, 8 as const),
  block: fc.constantFrom(32, 64, 128),
  symmetric: fc.boolean(),
  product: fc.constantFrom("widened" as const, "unpacked" as const),
});
/** Widths that are multiples of a block, and others. */
const width = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(64, 96, 129, 200, 256));

function random(length: number, seed: number, scale = 1): Float32Array {
  const draws = new Draws(seededRandom(seed));
  return Float32Array.from({ length }, () => scale * (2 * draws.uniform53() - 1));
}

interface Kind {
  readonly bits: 4 | 8;
  readonly block: number;
  readonly symmetric: boolean;
  readonly product: BlockProduct;
}

/** A matrix `[rows, columns]` in blocks, in a file, as a tensor; and the matrix that it stands for. */
function narrow(rows: number, columns: number, kind: Kind, seed: number, shape = [rows, columns]) {
  const made = quantiseRows(random(rows * columns, seed, 0.3), columns, kind);
  const shapes = partShapes(rows, columns, kind);
  const file = join(temporaryFolder(), "weights");
  const parts = [made.values, new Uint8Array(made.scales.buffer), made.zeroPoints];
  writeFileSync(file, Buffer.concat(parts));
  const lengths = parts.map(({ length }) => length);
  const part = (index: number, dtype: DType, of: readonly number[]): Tensor => ({
    dtype,
    shape: of,
    source: {
      kind: "weight",
      name: `${seed}.${index}`,
      location: { file, offset: lengths.slice(0, index).reduce((a, b) => a + b, 0), length: lengths[index]! },
    },
  });
  const stored = {
    ...kind,
    values: part(0, "uint8", shapes.values),
    scales: part(1, "float32", shapes.scales),
    zeroPoints: part(2, "uint8", shapes.zeroPoints),
  };
  const tensor: Tensor = { dtype: "float32", shape, source: { kind: "narrow", stored } };
  return { tensor, matrix: dequantiseRows(made, columns, kind) };
}

describe("a product with a matrix in blocks", () => {
  test("is that with the matrix that the blocks stand for, and so is its gradient", async () => {
    await fc.assert(
      fc.asyncProperty(
        kinds,
        width,
        width,
        fc.integer({ min: 1, max: 5 }),
        fc.boolean(),
        async (kind, N, K, M, own) => {
          // A layer of a GPT-2 has its inputs first.
          const { tensor, matrix } = narrow(N, K, kind, 1, own ? [K, N] : [N, K]);
          const x = variable("x", [M, K]);
          const data = random(M * K, 2);
          const y = linear(x, tensor, { transposed: !own });
          const factors = variable("factors", [M, N]);
          const direction = random(M * N, 3);
          await engine.set({ x: { shape: [M, K], data }, factors: { shape: [M, N], data: direction } });
          const gradient = gradients(reduceSum(mul(y, factors)), [x])[0]!;
          const session = await engine.load({ outputs: { y, gradient } });
          const values = await session.run({});
          await session.release();
          const product = (
            rows: number,
            columns: number,
            inner: number,
            term: (r: number, c: number, i: number) => number,
          ) =>
            Float32Array.from({ length: rows * columns }, (_, at) => {
              let sum = 0;
              for (let i = 0; i < inner; i++) sum += term(Math.floor(at / columns), at % columns, i);
              return sum;
            });
          const wanted = product(M, N, K, (r, c, i) => data[r * K + i]! * matrix[c * K + i]!);
          const slope = product(M, K, N, (r, c, i) => direction[r * N + i]! * matrix[i * K + c]!);
          expectNear(values.y, { shape: [M, N], data: wanted }, 1e-5, "product");
          expectNear(values.gradient, { shape: [M, K], data: slope }, 1e-5, "gradient");
        },
      ),
      { numRuns: 12 },
    );
  });

  test("has the gradient of finite differences, through a layer of grouped queries with two widths", async () => {
    await fc.assert(
      fc.asyncProperty(kinds, fc.integer({ min: 1, max: 3 }), width, async (kind, group, inner) => {
        const [M, D] = [3, 36];
        const [up, down, keys] = [narrow(inner, D, kind, 4), narrow(D, inner, kind, 5), narrow(D / group, D, kind, 6)];
        const x = variable("x", [M, D]);
        const hidden = linear(x, up.tensor, { transposed: true });
        const y = linear(mul(hidden, hidden), down.tensor, { transposed: true, bias: variable("bias", [D]) });
        const each = linear(add(y, x), keys.tensor, { transposed: true });
        const loss = reduceSum(mul(each, each));
        const data = random(M * D, 7);
        const direction = random(M * D, 8);
        await engine.set({ bias: { shape: [D], data: random(D, 9) } });
        const session = await engine.load({ outputs: { loss, gradient: gradients(loss, [x])[0]! } });
        const at = async (step: number) => {
          await engine.set({ x: { shape: [M, D], data: data.map((value, i) => value + step * direction[i]!) } });
          return session.run({});
        };
        const step = 1e-3;
        const [ahead, behind] = [(await at(step)).loss!.data[0]!, (await at(-step)).loss!.data[0]!];
        const { gradient } = await at(0);
        await session.release();
        const slope = direction.reduce((sum, value, i) => sum + value * gradient!.data[i]!, 0);
        const norm = Math.hypot(...gradient!.data) * Math.hypot(...direction);
        expect(Math.abs((ahead - behind) / (2 * step) - slope) / norm).toBeLessThan(2e-3);
      }),
      { numRuns: 8 },
    );
  });

  test("rounds its inputs where that is allowed, by less than a hundredth", async () => {
    for (const bits of [4, 8] as const) {
      const kind = { bits, block: 32, symmetric: true, product: "rounded" as const };
      const { tensor, matrix } = narrow(96, 128, kind, 10);
      const data = random(128, 11);
      await engine.set({ x: { shape: [1, 128], data } });
      const session = await engine.load({
        outputs: { y: linear(variable("x", [1, 128]), tensor, { transposed: true }) },
      });
      const { y } = await session.run({});
      const wanted = Float32Array.from({ length: 96 }, (_, row) =>
        data.reduce((sum, value, i) => sum + value * matrix[row * 128 + i]!, 0),
      );
      expectNear(y, { shape: [1, 96], data: wanted }, 1e-2);
    }
  });
});

test("rows of a table in blocks are those of the matrix that they stand for", async () => {
  await fc.assert(
    fc.asyncProperty(kinds, width, async (kind, D) => {
      const { tensor, matrix } = narrow(9, D, kind, 12);
      const session = await engine.load({ outputs: { rows: gather(tensor, input("ids", "int32", ["B"])) } });
      const { rows } = await session.run({ ids: { shape: [3], data: Int32Array.of(8, 0, 3) } });
      await session.release();
      const wanted = [8, 0, 3].flatMap((row) => [...matrix.subarray(row * D, (row + 1) * D)]);
      expect(rows).toEqual({ shape: [3, D], data: Float32Array.from(wanted) });
    }),
    { numRuns: 8 },
  );
});

test("no value is further from what it was than half a step", () => {
  fc.assert(
    fc.property(kinds, width, fc.integer({ min: 1, max: 4 }), fc.nat(), (kind, columns, rows, seed) => {
      const matrix = random(rows * columns, seed, 10 ** ((seed % 9) - 4));
      const made = quantiseRows(matrix, columns, kind);
      const back = dequantiseRows(made, columns, kind);
      const blocks = made.scales.length / rows;
      for (const [i, value] of matrix.entries()) {
        const block = Math.floor(i / columns) * blocks + Math.floor((i % columns) / kind.block);
        // With zero points the ends of a block may be half a step off, and what is beyond is cut off.
        const steps = kind.symmetric ? 0.5 : 1;
        expect(Math.abs(value - back[i]!)).toBeLessThanOrEqual(made.scales[block]! * steps * 1.001);
      }
    }),
  );
});

import type { Engine } from "../shared/graph/engine.ts";
import { matmul } from "../shared/graph/operators/matrix.ts";
import { reduceSum } from "../shared/graph/operators/reduction.ts";
import { constant, input } from "../shared/graph/tensor.ts";
import { type Subject, subject } from "./measure.ts";

/** Rows, and the layers' size, of a product that is large enough for the hardware's best rate. */
const [ROWS, INNER, COLUMNS] = [1024, 768, 3072] as const;

/** ONNX Runtime's own large matrix product, and its floating-point operations. */
export async function largeProduct(engine: Engine): Promise<{ subject: Subject; operations: number }> {
  const weight = constant(Float32Array.from({ length: INNER * COLUMNS }, (_, i) => Math.sin(i)) as never, [
    INNER,
    COLUMNS,
  ]);
  const product = matmul(input("x", "float32", [ROWS, INNER]), weight);
  const session = await engine.load({ outputs: { last: reduceSum(product, [0, 1]) } });
  const x = { shape: [ROWS, INNER], data: new Float32Array(ROWS * INNER).fill(0.5) };
  return { subject: subject(session, { x }), operations: 2 * ROWS * INNER * COLUMNS };
}

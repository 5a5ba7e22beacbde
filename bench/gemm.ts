import type { Engine } from "../shared/graph/engine.ts";
import { gemm } from "../shared/graph/operators/matrix.ts";
import { constant, input } from "../shared/graph/tensor.ts";
import { type Subject, subject } from "./measure.ts";

/** Products of a feed-forward layer's size, one on the other's result, so that memory is the least of it. */
const [ROWS, NARROW, WIDE, PAIRS] = [512, 768, 3072, 4] as const;

/** ONNX Runtime's own large matrix products, and their floating-point operations. */
export async function largeProducts(engine: Engine): Promise<{ subject: Subject; operations: number }> {
  const weight = constant(
    Float32Array.from({ length: NARROW * WIDE }, (_, i) => Math.sin(i) / 50),
    [NARROW, WIDE],
  );
  let x = input("x", "float32", [ROWS, NARROW]);
  const data = new Float32Array(ROWS * NARROW).fill(0.5);
  for (let i = 0; i < PAIRS; i++) x = gemm(gemm(x, weight), weight, { transB: true });
  const session = await engine.load({ outputs: { last: x } });
  const feeds = { x: { shape: [ROWS, NARROW], data } };
  return { subject: subject(session, feeds), operations: 4 * PAIRS * ROWS * NARROW * WIDE };
}

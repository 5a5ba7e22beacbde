import { toFloat32 } from "../../shared/prompt/dtype.ts";
import { encodeSafetensors, parseHeader } from "../../shared/prompt/safetensors.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Bucket } from "./bucket.ts";

const TENSOR = "states";

/**
 * Hidden states `[rows, width]` that depend on nothing but a model and public texts: from the bucket if an earlier job kept them there,
 * else computed and kept.
 *
 * @throws ProblemError if what the bucket has is of another size
 */
export async function keptStates(
  store: Bucket,
  key: string,
  [rows, width]: readonly [number, number],
  compute: () => Promise<Float32Array>,
): Promise<Float32Array> {
  const bytes = await store.read(key);
  if (!bytes) {
    const data = await compute();
    await store.writeOnce(key, encodeSafetensors([{ name: TENSOR, shape: [rows, width], data }]));
    return data;
  }
  const entry = parseHeader(bytes, bytes.length, key).tensors.get(TENSOR);
  if (entry?.dtype !== "F32" || entry.shape.join() !== `${rows},${width}`) {
    throw new ProblemError("An object is damaged", `${key} should be [${rows}, ${width}], but is [${entry?.shape}].`);
  }
  return toFloat32(bytes.subarray(entry.begin, entry.end), entry.dtype);
}

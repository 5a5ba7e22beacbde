import { createHash } from "node:crypto";
import { toFloat32 } from "../../shared/prompt/dtype.ts";
import { encodeSafetensors, parseHeader } from "../../shared/prompt/safetensors.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { jobLog } from "../lifecycle/log.ts";
import type { Bucket } from "./bucket.ts";

const TENSOR = "states";

/**
 * Hidden states `[rows, width]` that depend on nothing but a model and public texts: from the bucket if an earlier job kept them there,
 * else computed and kept. What is kept has its digest; where that isn't right, or the size another, they are computed again.
 */
export async function keptStates(
  store: Bucket,
  key: string,
  [rows, width]: readonly [number, number],
  compute: () => Promise<Float32Array>,
): Promise<Float32Array> {
  const bytes = await store.read(key);
  const kept = bytes && decode(bytes, key, `${rows},${width}`);
  if (kept) return kept;
  if (bytes) jobLog({ key })("kept states are damaged");
  const data = await compute();
  const encoded = encodeSafetensors([{ name: TENSOR, shape: [rows, width], data }], {
    sha256: digestOf(bytesOf(data)),
  });
  if (bytes) await store.write(key, encoded);
  else await store.writeOnce(key, encoded);
  return data;
}

function decode(bytes: Uint8Array, key: string, shape: string): Float32Array | undefined {
  try {
    const { tensors, metadata } = parseHeader(bytes, bytes.length, key);
    const entry = tensors.get(TENSOR);
    if (entry?.dtype !== "F32" || entry.shape.join() !== shape) return undefined;
    const data = bytes.subarray(entry.begin, entry.end);
    return metadata.sha256 === digestOf(data) ? toFloat32(data, entry.dtype) : undefined;
  } catch (error) {
    if (error instanceof ProblemError) return undefined;
    throw error;
  }
}

/** As safetensors has it, on a machine that stores the low byte first. */
function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

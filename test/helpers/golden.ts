import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Value } from "../../shared/graph/engine.ts";
import { toFloat32 } from "../../shared/prompt/dtype.ts";
import { parseHeader } from "../../shared/prompt/safetensors.ts";

/** The tensors of a golden safetensors file. */
export function goldenTensors(url: URL): (name: string) => Value {
  const bytes = new Uint8Array(readFileSync(url));
  const { tensors } = parseHeader(bytes, bytes.length, url.pathname);
  return (name) => {
    const entry = tensors.get(name);
    if (!entry) throw new Error(`no golden tensor is called ${name}`);
    return { shape: entry.shape, data: toFloat32(bytes.subarray(entry.begin, entry.end), "F32") };
  };
}

/** Expects a tensor to be another within `relative` times the other's norm. */
export function expectNear(actual: Value | undefined, wanted: Value, relative: number, what = "tensor"): void {
  expect(actual?.shape, what).toEqual(wanted.shape);
  const norm = (values: Iterable<number>) => Math.sqrt([...values].reduce((sum, x) => sum + x * x, 0));
  const difference = norm(Array.from(wanted.data, (x, i) => x - actual!.data[i]!));
  expect(difference / norm(wanted.data), `${what}: relative error`).toBeLessThan(relative);
}

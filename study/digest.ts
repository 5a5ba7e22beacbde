import { createHash } from "node:crypto";
import type { Value } from "../shared/graph/engine.ts";

const sha256 = (content: string | Uint8Array) => createHash("sha256").update(content).digest("hex");

/** Digest of rows or texts, in their order. */
export function rowsDigest(rows: readonly unknown[]): string {
  return sha256(JSON.stringify(rows));
}

/** Digest of a prompt's values; null for none. */
export function promptDigest(prompt: Value | undefined): string | null {
  if (!prompt) return null;
  const { buffer, byteOffset, byteLength } = prompt.data;
  return sha256(new Uint8Array(buffer, byteOffset, byteLength));
}

import { createHash } from "node:crypto";
import type { Rows } from "./packed-texts.ts";

/** For each text, which one is the first with the same tokens: itself, if there is none before it. */
export function firstEquals(texts: Rows<{ readonly ids: Int32Array }>): Int32Array {
  const seen = new Map<string, number>();
  const firsts = new Int32Array(texts.length);
  let at = 0;
  for (const { ids } of texts) {
    const digest = createHash("sha256").update(ids).digest("base64");
    const first = seen.get(digest) ?? at;
    seen.set(digest, first);
    firsts[at++] = first;
  }
  return firsts;
}

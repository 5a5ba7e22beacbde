import { type Batch, byLength, makeBatch } from "../data/batches.ts";
import { lengthsOf, type Rows } from "../data/packed-texts.ts";
import type { Engine, Graph, Value } from "../graph/engine.ts";
import { input } from "../graph/tensor.ts";
import type { Texts } from "../models/texts.ts";
import type { Watch } from "./events.ts";
import { InterruptedError } from "./loop.ts";
import { longest, prepare } from "./prepare.ts";

/** An example as the model reads it. */
export interface EncodedText {
  readonly ids: Int32Array;
  /** Index of the token at which a masked model is read. */
  readonly readAt: number;
}

/** The graph inputs of a batch of right-padded texts. */
export function textInputs(): Texts {
  const each = (name: string) => input(name, "int32", ["B"]);
  return { ids: input("ids", "int32", ["B", "T"]), lengths: each("lengths"), read: each("read") };
}

/** The values of {@link textInputs}. */
export function textFeeds({ ids, rows, length, lengths, read }: Batch): Record<string, Value> {
  const each = (data: Int32Array) => ({ shape: [rows], data });
  return { ids: { shape: [rows, length], data: ids }, lengths: each(lengths), read: each(read) };
}

/** Rows that are run at once where nothing depends on it. */
export const ROWS_AT_ONCE = 32;

/**
 * Runs a graph on {@link textInputs} over all texts, shortest first, and gathers an output `[B, W]` in the texts' order.
 * @returns `[texts, W]`, row-major
 */
export async function mapTexts(
  engine: Engine,
  name: string,
  outputs: Graph["outputs"] & { readonly result: Graph["outputs"][string] },
  texts: Rows<EncodedText>,
  watch: Watch,
): Promise<{ readonly width: number; readonly data: Float32Array }> {
  const { signal, onEvent } = watch;
  const lengths = lengthsOf(texts);
  const largest = { B: Math.min(ROWS_AT_ONCE, texts.length), T: longest(lengths) };
  const session = await prepare(engine, { outputs }, largest, watch);
  const width = outputs.result.shape[1] as number;
  const data = new Float32Array(texts.length * width);
  onEvent?.({ kind: "phase", name, total: texts.length, unit: "texts" });
  let done = 0;
  for (const examples of byLength(lengths, ROWS_AT_ONCE)) {
    if (signal?.aborted) throw new InterruptedError(0);
    const { result } = await session.run(textFeeds(makeBatch(texts, examples)));
    examples.forEach((example, row) => {
      data.set((result!.data as Float32Array).subarray(row * width, (row + 1) * width), example * width);
    });
    done += examples.length;
    onEvent?.({ kind: "progress", done });
  }
  await session.release();
  return { width, data };
}

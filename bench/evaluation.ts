/** Evaluation of texts of mixed lengths: sorted by length in small batches, and in file order in batches of 64. */
import { byLength, fileOrder, makeBatch } from "../shared/data/batches.ts";
import { lengthsOf } from "../shared/data/packed-texts.ts";
import type { Engine, Value } from "../shared/graph/engine.ts";
import { reshape } from "../shared/graph/operators/layout.ts";
import { variable } from "../shared/graph/tensor.ts";
import { readHidden } from "../shared/models/forward.ts";
import type { Model } from "../shared/models/model.ts";
import { classScores } from "../shared/training/losses.ts";
import { ROWS_AT_ONCE, textFeeds, textInputs } from "../shared/training/texts.ts";
import { type Subject, timed } from "./measure.ts";
import { WIDTH } from "./models.ts";
import { naiveLogits } from "./naive.ts";
import { randomBatch, randomRows, type Size } from "./steps.ts";

const NAIVE_ROWS = 64;

/** Both ways over the same texts, with a prompt. */
export async function evaluations(
  engine: Engine,
  model: Model,
  size: Size,
): Promise<Record<"ours" | "naive", Subject>> {
  await engine.set({ prompt: randomRows(size.P, 1) });
  const prompt = reshape(variable("prompt", [size.P, WIDTH]), [1, size.P, WIDTH]);
  const hidden = readHidden(model, textInputs(), prompt);
  const ours = await engine.load({ outputs: { scores: classScores(model, hidden, [[318], [407]]) } });
  const naive = await engine.load({ outputs: { logits: naiveLogits(model, textInputs(), prompt) } });
  const texts = split(randomBatch(size), size.T);
  const over = (session: typeof ours, batches: readonly Int32Array[]): Subject => ({
    run: () =>
      timed(async () => {
        for (const batch of batches) await session.run(textFeeds(makeBatch(texts, batch)));
      }),
  });
  return {
    ours: over(ours, byLength(lengthsOf(texts), ROWS_AT_ONCE)),
    naive: over(naive, fileOrder(texts.length, NAIVE_ROWS)),
  };
}

function split({ ids, lengths }: Record<"ids" | "lengths", Value>, T: number) {
  return Array.from(lengths.data as Int32Array, (length, row) => ({
    ids: (ids.data as Int32Array).slice(row * T, row * T + length),
    readAt: length - 1,
  }));
}

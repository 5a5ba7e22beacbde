/** Decoding with kept keys and values: rows with a prompt each. */
import type { Engine } from "../shared/graph/engine.ts";
import type { Model } from "../shared/models/model.ts";
import { Decoder } from "../shared/training/decoder.ts";
import { type Subject, timed } from "./measure.ts";
import { randomBatch, randomRows, type Size } from "./steps.ts";

const NEW_TOKENS = 32;

/** B texts of T tokens are taken in together, each behind its own prompt, and answered by the likeliest tokens. */
export async function decoding(engine: Engine, model: Model, size: Size): Promise<Subject> {
  const { B, P, T } = size;
  const decoder = await Decoder.open(engine, model, B);
  const prefixes = [];
  for (let row = 0; row < B; row++) prefixes.push(await decoder.prefix(randomRows(P, row)));
  const ids = randomBatch(size).ids.data as Int32Array;
  const texts = prefixes.map((prefix, row) => ({ ids: ids.slice(row * T, (row + 1) * T), prefix }));
  return {
    run: () =>
      timed(async () => {
        let { best } = await decoder.join(texts);
        for (let token = 1; token < NEW_TOKENS; token++) ({ best } = await decoder.step(best));
        for (let row = B - 1; row >= 0; row--) await decoder.leave(row);
      }),
  };
}

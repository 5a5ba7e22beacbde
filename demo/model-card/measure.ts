import { makeBatch } from "../../shared/data/batches.ts";
import { Engine } from "../../shared/graph/engine.ts";
import { crossEntropy } from "../../shared/graph/operators/indexing.ts";
import { reshape } from "../../shared/graph/operators/layout.ts";
import { reduceSum } from "../../shared/graph/operators/reduction.ts";
import { input } from "../../shared/graph/tensor.ts";
import type { Checkpoint } from "../../shared/models/checkpoint.ts";
import { allHidden, readHidden } from "../../shared/models/forward.ts";
import { frozenWeights } from "../../shared/models/weights.ts";
import { Draws, seededRandom } from "../../shared/protocol/random.ts";
import { textFeeds, textInputs } from "../../shared/training/texts.ts";
import { TokenRows } from "../../shared/training/token-rows.ts";
import { Bigram } from "./bigram.ts";

const BATCH = 16;

/** Perplexities on the same next tokens: those of every full batch of rows of `length` held-out tokens. */
export async function perplexities(checkpoint: Checkpoint, tokens: Int32Array, heldOut: Int32Array, length: number) {
  const { family, config } = checkpoint;
  const model = family.build(config, frozenWeights(checkpoint));
  const ids = input("ids", "int32", [BATCH, length]);
  const labels = input("labels", "int32", [BATCH, length]);
  const logits = model.logits(reshape(allHidden(model, ids), [BATCH * length, config.width]));
  const loss = reduceSum(crossEntropy(logits, reshape(labels, [BATCH * length])));
  const bigram = new Bigram(tokens, config.vocabulary);
  const rows = new TokenRows(heldOut, { length, batchSize: BATCH, seed: 0 });
  const engine = new Engine();
  const session = await engine.load({ outputs: { loss } });
  const nats = { model: 0, bigram: 0 };
  const batches = Math.floor(rows.count / BATCH);
  for (let index = 0; index < batches; index++) {
    const batch = rows.batch(index);
    nats.model += (await session.run(batch)).loss!.data[0]!;
    batch.ids.data.forEach((previous, at) => {
      nats.bigram -= Math.log(bigram.probability(previous, batch.labels.data[at]!));
    });
  }
  await engine.close();
  const count = batches * BATCH * length;
  return { tokens: count, model: Math.exp(nats.model / count), bigram: Math.exp(nats.bigram / count) };
}

/** Sampling leaves out all but the likeliest tokens, and sharpens their probabilities. */
const LIKELIEST = 40;
const TEMPERATURE = 0.8;

/** Goes on from each of the texts (token ids) for `count` tokens, or until `endId`. */
export async function samples(
  checkpoint: Checkpoint,
  starts: readonly (readonly number[])[],
  count: number,
  endId: number | undefined,
): Promise<number[][]> {
  const { family, config } = checkpoint;
  const model = family.build(config, frozenWeights(checkpoint));
  const engine = new Engine();
  const session = await engine.load({ outputs: { logits: model.logits(readHidden(model, textInputs())) } });
  const draws = new Draws(seededRandom(0));
  const written: number[][] = [];
  for (const start of starts) {
    const ids = [...start];
    while (ids.length < start.length + count && ids.at(-1) !== endId) {
      const text = { ids: Int32Array.from(ids), readAt: ids.length - 1 };
      const { logits } = await session.run(textFeeds(makeBatch([text], Int32Array.of(0))));
      ids.push(draw(logits!.data, draws));
    }
    written.push(ids.at(-1) === endId ? ids.slice(0, -1) : ids);
  }
  await engine.close();
  return written;
}

function draw(logits: ArrayLike<number>, draws: Draws): number {
  const likeliest = Array.from(logits, (logit, id) => ({ logit, id }))
    .sort((a, b) => b.logit - a.logit)
    .slice(0, LIKELIEST);
  const weights = likeliest.map(({ logit }) => Math.exp((logit - likeliest[0]!.logit) / TEMPERATURE));
  let left = draws.uniform53() * weights.reduce((sum, weight) => sum + weight, 0);
  const chosen = weights.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
  return likeliest[Math.max(chosen, 0)]!.id;
}

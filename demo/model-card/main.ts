/**
 * Writes the model card of the demo's model: `node demo/model-card/main.ts CORPORA MODEL`. CORPORA is what
 * `demo/corpora/prepare.ts` wrote, MODEL the folder that `softpost pretrain` made of it with the flags of `RECIPE`.
 */
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readCorpus } from "../../shared/data/corpus.ts";
import { loadTokenizer } from "../../shared/data/tokenizer.ts";
import { openCheckpoint } from "../../shared/models/checkpoint.ts";
import { type CardFacts, modelCard } from "./card.ts";
import { perplexities, samples } from "./measure.ts";

const SAMPLE_TOKENS = 40;
const STARTS = [
  "The President of the United States",
  "a small bird of the",
  "dog:",
  "a hard cheese made from cow's milk. Topic:",
];

const [corpora, folder] = process.argv.slice(2);
if (corpora === undefined || folder === undefined) {
  console.error("usage: node demo/model-card/main.ts CORPORA MODEL");
  process.exit(2);
}
const checkpoint = await openCheckpoint(folder);
const tokenizer = await loadTokenizer(folder);
const names = readdirSync(join(corpora, "pretrain")).sort();
const read = async (name: string) => {
  using stream = await readCorpus([join(corpora, name)], tokenizer);
  return stream.subarray(0, stream.length);
};
const streams = await Promise.all(names.map((name) => read(join("pretrain", name))));
const heldOut = await read("pretrain-heldout.jsonl");
const all = Int32Array.from(streams.flatMap((stream) => [...stream]));
const starts = await tokenizer.encode(STARTS);
const written = await samples(
  checkpoint,
  starts.map((ids) => [...ids]),
  SAMPLE_TOKENS,
  tokenizer.endId,
);
const texts = await Promise.all(written.map((ids) => tokenizer.decode(ids)));
const facts: CardFacts = {
  sources: names.map((name, index) => ({ name: name.replace(".jsonl", ""), tokens: streams[index]!.length })),
  parameters: [...checkpoint.weights.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
  config: checkpoint.config,
  bytes: statSync(join(folder, "model.safetensors")).size,
  perplexity: await perplexities(checkpoint, all, heldOut, checkpoint.config.positions),
  samples: STARTS.map((start, index) => ({ start, text: texts[index]!.slice(start.length) })),
};
writeFileSync(join(folder, "README.md"), modelCard(facts));
console.log(
  `${join(folder, "README.md")}: perplexity ${facts.perplexity.model.toFixed(1)}, bigram ${facts.perplexity.bigram.toFixed(1)}`,
);

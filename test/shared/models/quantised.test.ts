/** Models in 16, 8 and 4 bits: against transformers and PEFT on the rounded weights (golden/make_quantised.py), and files that aren't what they say. */
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DigestRecords } from "../../../shared/data/digest-records.ts";
import { hashFile, hashModel } from "../../../shared/data/model-files.ts";
import { Engine, type Value } from "../../../shared/graph/engine.ts";
import { gradients } from "../../../shared/graph/gradients.ts";
import { mul } from "../../../shared/graph/operators/elementwise.ts";
import { crossEntropy } from "../../../shared/graph/operators/indexing.ts";
import { reshape } from "../../../shared/graph/operators/layout.ts";
import { reduceSum } from "../../../shared/graph/operators/reduction.ts";
import { input, variable } from "../../../shared/graph/tensor.ts";
import { type Checkpoint, openCheckpoint } from "../../../shared/models/checkpoint.ts";
import { readHidden } from "../../../shared/models/forward.ts";
import { writeQuantised } from "../../../shared/models/quantise.ts";
import { narrowMatrices } from "../../../shared/models/quantised-files.ts";
import { frozenWeights, readRows, readWeight } from "../../../shared/models/weights.ts";
import { narrowed, publishedDigest } from "../../../shared/operations/narrow-weights.ts";
import { usualQuantisation, type WeightsName } from "../../../shared/protocol/weights.ts";
import type { TrainingEvent } from "../../../shared/training/events.ts";
import { InterruptedError } from "../../../shared/training/loop.ts";
import { classScores } from "../../../shared/training/losses.ts";
import { textInputs } from "../../../shared/training/texts.ts";
import { expectNear, goldenTensors } from "../../helpers/golden.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

const families = new URL("golden/families/", import.meta.url);
const NAMES = ["llama-tied-grouped", "gpt2-own-head-gelu", "roberta", "llama-bf16-shards"] as const;
const INT4 = usualQuantisation("int4")!;
const [P, D] = [4, 16];

let engine: Engine;
beforeAll(() => {
  engine = new Engine({ threads: 1 });
});
afterAll(() => engine.close());

const published = (name: string) => openCheckpoint(fileURLToPath(new URL(name, families)));
const whole = ({ shape, data }: Value): Value => ({ shape, data: Int32Array.from(data) });
const digest = "a".repeat(64);

async function inForm(name: string, weights: WeightsName, cache = temporaryFolder()): Promise<Checkpoint> {
  const from = await published(name);
  return narrowed(from, (await hashModel(from.folder)).digest, { weights, cache, hash: hashFile });
}

async function compute(checkpoint: Checkpoint, name: string) {
  const tensor = goldenTensors(new URL(`${name}/golden.safetensors`, families));
  const model = checkpoint.family.build(checkpoint.config, frozenWeights(checkpoint));
  const classes = Array.from(tensor("classes").data, (word) => [word]);
  const prompt = variable("prompt", [P, D]);
  const hidden = readHidden(model, textInputs(), reshape(prompt, [1, P, D]));
  const losses = crossEntropy(classScores(model, hidden, classes), input("labels", "int32", ["B"]));
  const loss = mul(reduceSum(losses), 1 / 3);
  await engine.set({ prompt: tensor("prompt") });
  const session = await engine.load({
    outputs: { logits: model.logits(hidden), loss, gradient: gradients(loss, [prompt])[0]! },
  });
  const feeds = ["ids", "lengths", "read", "labels"].map((of) => [of, whole(tensor(of))]);
  const values = await session.run(Object.fromEntries(feeds));
  await session.release();
  return values;
}

describe.each(NAMES)("%s", (name) => {
  test.each(["int8", "int4"] as const)(
    "in %s computes what transformers computes on the rounded weights",
    async (weights) => {
      const checkpoint = await inForm(name, weights);
      const golden = goldenTensors(new URL(`golden/quantised/${name}-${weights}.safetensors`, import.meta.url));
      const values = await compute(checkpoint, name);
      for (const of of ["logits", "loss", "gradient"]) expectNear(values[of], golden(of), 2e-5, of);
      for (const weight of checkpoint.narrow.keys()) {
        if (!weight.includes(".0.")) continue;
        const data = await readWeight({ ...checkpoint, weights: new Map() }, weight);
        const wanted = golden(`rounded.${weight}`);
        expectNear({ shape: wanted.shape, data }, wanted, 1e-6, weight);
      }
    },
  );

  test("in fp16 is as published, where that has 16 bits, or near", async () => {
    const tensor = goldenTensors(new URL(`${name}/golden.safetensors`, families));
    const values = await compute(await inForm(name, "fp16"), name);
    for (const of of ["logits", "loss", "gradient"]) {
      expectNear(values[of], tensor(of), name === "llama-bf16-shards" ? 1e-5 : 5e-3, of);
    }
  });
});

describe("a folder of quantised weights", () => {
  async function written(name = "llama-bf16-shards", head = true): Promise<{ folder: string; from: Checkpoint }> {
    const folder = temporaryFolder();
    const from = await published(name);
    const quantisation = { ...usualQuantisation("int4"), head, embeddings: true } as const;
    await writeQuantised(from, folder, { source: digest, quantisation, whole: true });
    writeFileSync(join(folder, "config.json"), JSON.stringify(from.json));
    return { folder, from };
  }
  const opened = async (folder: string) => {
    expect(await publishedDigest(folder, await hashModel(folder))).toBe(digest);
    return openCheckpoint(folder);
  };

  test("is a model by itself, with head and embeddings in blocks too if so wanted, and computes the same", async () => {
    const { folder, from } = await written();
    const checkpoint = await opened(folder);
    expect(checkpoint.notes).toEqual([]);
    expect(checkpoint.narrow.has("lm_head.weight") && checkpoint.narrow.has("model.embed_tokens.weight")).toBe(true);
    for (const name of from.weights.keys()) {
      const rounded = await readWeight(checkpoint, name);
      const before = await readWeight(from, name);
      if (!checkpoint.narrow.has(name)) expect(rounded).toEqual(before);
      else expectNear({ shape: [], data: rounded }, { shape: [], data: before }, 0.15, name);
    }
    const table = await readWeight(checkpoint, "model.embed_tokens.weight");
    expect(await readRows(checkpoint, "model.embed_tokens.weight", Int32Array.of(3))).toEqual(
      table.slice(3 * D, 4 * D),
    );
    const { gradient } = await compute(checkpoint, "llama-bf16-shards");
    expect(gradient!.data.every(Number.isFinite)).toBe(true);
  });

  test("a tied matrix is head and embedding in one", async () => {
    const { folder } = await written("llama-tied-grouped");
    const checkpoint = await opened(folder);
    expect(checkpoint.weights.has("model.embed_tokens.weight")).toBe(false);
    expect((await compute(checkpoint, "llama-tied-grouped")).logits!.data.every(Number.isFinite)).toBe(true);
  });

  const weightFile = (folder: string) => join(folder, "model.safetensors");
  const record = (folder: string) => JSON.parse(readFileSync(join(folder, "quantisation.json"), "utf8"));
  const rewrite = (folder: string, change: object) =>
    writeFileSync(join(folder, "quantisation.json"), JSON.stringify({ ...record(folder), ...change }));

  test.each<[string, (folder: string) => void, RegExp]>([
    ["cut off", (folder) => truncateSync(weightFile(folder), 4000), /truncated|isn't the file/],
    [
      "changed in one byte",
      (folder) => {
        const bytes = readFileSync(weightFile(folder));
        bytes[bytes.length - 1]! ^= 1;
        writeFileSync(weightFile(folder), bytes);
      },
      /model\.safetensors isn't the file that quantisation\.json/,
    ],
    [
      "called int8",
      (folder) => rewrite(folder, { quantisation: { ...record(folder).quantisation, weights: "int8" } }),
      /metadata softpost_quantisation/,
    ],
    [
      "of other blocks",
      (folder) => rewrite(folder, { quantisation: { ...record(folder).quantisation, block: 32 } }),
      /metadata softpost_quantisation/,
    ],
    [
      "of blocks that there are not",
      (folder) => rewrite(folder, { quantisation: { ...record(folder).quantisation, block: 7 } }),
      /quantisation\.json/,
    ],
    ["without its record", (folder) => rmSync(join(folder, "quantisation.json")), /do not fit its config\.json/],
    ["of no digest", (folder) => rewrite(folder, { source: "published" }), /quantisation\.json/],
  ])("that is %s is refused by name", async (_, damage, message) => {
    const { folder } = await written();
    damage(folder);
    const open = async () => {
      await publishedDigest(folder, await hashModel(folder));
      return openCheckpoint(folder);
    };
    expect(await rejection(open())).toMatch(message);
  });

  test("of another model is refused with the parts that don't fit", async () => {
    const { folder } = await written("llama-bf16-shards", false);
    const json = (await published("llama-biases-one-key-head")).json;
    writeFileSync(join(folder, "config.json"), JSON.stringify(json));
    expect(await rejection(openCheckpoint(folder))).toContain("model.layers.0.self_attn.q_proj.weight.values: is");
  });

  test("is not rounded again", async () => {
    const { folder } = await written();
    const wanted = { weights: "int8", cache: temporaryFolder(), hash: hashFile } as const;
    await expect(narrowed(await openCheckpoint(folder), digest, wanted)).rejects.toThrow(/holds int4 weights/);
  });
});

describe("weights that were made once", () => {
  const NAME = "llama-bf16-shards";

  /** Opens a model with weights of a cache, and says what it was told; the entry there, and what is in it. */
  async function cached() {
    const cache = temporaryFolder();
    const { hash } = new DigestRecords(join(temporaryFolder(), "digests"));
    const from = await published(NAME);
    const { digest } = await hashModel(from.folder);
    const open = async () => {
      const events: TrainingEvent[] = [];
      const watch = { onEvent: (event: TrainingEvent) => void events.push(event) };
      const { narrow } = await narrowed(from, digest, { weights: "int4", cache, hash, watch });
      return { narrow, events, notes: events.flatMap((event) => (event.kind === "note" ? [event.text] : [])) };
    };
    const { narrow, events } = await open();
    expect(events.length).toBeGreaterThan(1);
    const [name] = readdirSync(cache);
    const entry = join(cache, name!);
    const bytes = readFileSync(join(entry, "model.safetensors"));
    return { cache, open, narrow, entry, bytes };
  }

  test("are not made again", async () => {
    const { open, narrow, cache } = await cached();
    expect(await open()).toEqual({ narrow, events: [], notes: [] });
    expect(readdirSync(cache)).toHaveLength(1);
  });

  const lastTurned = (bytes: Buffer) => bytes.with(bytes.length - 1, bytes.at(-1)! ^ 1);
  const weights = (entry: string) => join(entry, "model.safetensors");
  const record = (entry: string) => join(entry, "quantisation.json");
  const changeRecord = (path: string) =>
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), source: "b".repeat(64) }));

  test.each<[string, (entry: string, bytes: Buffer) => void, RegExp]>([
    ["changed", (entry, bytes) => writeFileSync(weights(entry), lastTurned(bytes)), /not what was written/],
    ["cut off", (entry) => truncateSync(weights(entry), 4000), /not what was written/],
    ["gone", (entry) => rmSync(weights(entry)), /not what was written/],
    ["without their record", (entry) => rmSync(record(entry)), /holds something else/],
    ["with a record that is empty", (entry) => writeFileSync(record(entry), ""), /quantisation\.json/],
    ["with a record of something else", (entry) => changeRecord(record(entry)), /holds something else/],
  ])("that are %s are made once more, which is said", async (_, damage, why) => {
    const { cache, open, narrow, entry, bytes } = await cached();
    damage(entry, Buffer.from(bytes));
    const again = await open();
    expect(again.narrow).toEqual(narrow);
    expect(again.notes).toEqual([expect.stringMatching(/^The kept weights are damaged, and made anew: /)]);
    expect(again.notes[0]).toMatch(why);
    expect(readFileSync(weights(entry)).equals(bytes)).toBe(true);
    expect((await open()).events).toEqual([]);
    expect(readdirSync(cache)).toHaveLength(1);
  });

  test("leave nothing behind when their making is stopped while they are hashed", async () => {
    const cache = temporaryFolder();
    const from = await published(NAME);
    const { digest } = await hashModel(from.folder);
    const stop = new AbortController();
    const onEvent = (event: TrainingEvent) => {
      if (event.kind === "progress" && event.done === narrowMatrices(from.family, from.config, INT4).size) stop.abort();
    };
    const wanted = { weights: "int4", cache, hash: hashFile, watch: { signal: stop.signal, onEvent } } as const;
    await expect(narrowed(from, digest, wanted)).rejects.toThrow(InterruptedError);
    expect(readdirSync(cache)).toEqual([]);
  });

  test("of files that were replaced after they were hashed are not kept", async () => {
    const folder = join(temporaryFolder(), "model");
    cpSync(fileURLToPath(new URL(NAME, families)), folder, { recursive: true });
    const { digest } = await hashModel(folder);
    const shard = join(folder, readdirSync(folder).find((name) => name.endsWith(".safetensors"))!);
    const bytes = readFileSync(shard);
    writeFileSync(shard, lastTurned(bytes));
    const cache = temporaryFolder();
    const opening = narrowed(await openCheckpoint(folder), digest, { weights: "int4", cache, hash: hashFile });
    await expect(opening).rejects.toThrow(/was changed while it was read/);
    expect(readdirSync(cache)).toEqual([]);
  });

  test("two at once make one", async () => {
    const cache = temporaryFolder();
    const both = await Promise.all([inForm("roberta", "int8", cache), inForm("roberta", "int8", cache)]);
    expect(both[0].narrow).toEqual(both[1].narrow);
  });

  test("values that are not finite are named", async () => {
    const from = await published("llama-tied-grouped");
    const name = "model.layers.1.mlp.up_proj.weight";
    const { location } = from.weights.get(name)!;
    const bytes = readFileSync(location.file);
    bytes.writeFloatLE(Number.NaN, location.offset);
    const file = join(temporaryFolder(), "broken");
    writeFileSync(file, bytes);
    const weights = new Map(from.weights).set(name, { ...from.weights.get(name)!, location: { ...location, file } });
    await expect(
      narrowed({ ...from, weights }, digest, { weights: "int8", cache: temporaryFolder(), hash: hashFile }),
    ).rejects.toThrow(/up_proj\.weight.*not finite/);
  });
});

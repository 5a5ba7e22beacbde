/**
 * One record, one vector: what a record adds to the sum of a private step is bit for bit a function of that record, whatever
 * is computed beside it. On students that a provider would make to break it, a single rounding in another order is a large part of
 * the clip norm.
 */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine, type Graph, type Session, type Value } from "../../../shared/graph/engine.ts";
import { variable } from "../../../shared/graph/tensor.ts";
import { reached } from "../../../shared/graph/traversal.ts";
import { openCheckpoint } from "../../../shared/models/checkpoint.ts";
import type { Model } from "../../../shared/models/model.ts";
import { frozenWeights } from "../../../shared/models/weights.ts";
import { GRID_UNITS_PER_CLIP } from "../../../shared/privacy/noise.ts";
import { Draws, seededRandom } from "../../../shared/protocol/random.ts";
import { ClippedSums, clippedSum, type Row } from "../../../shared/training/clipped-sums.ts";
import { dpTune } from "../../../shared/training/dp-tune.ts";
import { distance, invariantSums, placed, randomCompany, spotCheck } from "../../../shared/training/invariance.ts";
import { examine } from "../../../shared/training/invariance-audit.ts";
import { objectiveOf } from "../../../shared/training/objective.ts";
import {
  openStudent,
  POSITIONS,
  randomPrompt,
  randomRecords,
  STUDENT_FAMILIES,
  STUDENT_KINDS,
  type StudentFamily,
  type StudentKind,
  writeStudent,
} from "../../helpers/students.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

const CLASSES = [[5], [6, 7]];
/** Far below the gradients' norms: all of them are clipped. */
const CLIP = 1e-3;
const BATCHES = [1, 7, 32];

const engines: Engine[] = [];
beforeAll(() => engines.push(new Engine({ threads: 1 }), new Engine({ threads: 2 })));
afterAll(() => Promise.all(engines.map((engine) => engine.close())));

async function student(family: StudentFamily, kind: StudentKind, precision?: "float16"): Promise<Model> {
  const folder = temporaryFolder();
  await writeStudent(folder, family, kind);
  return openStudent(folder, precision);
}

interface Data {
  readonly virtualTokens: number;
  readonly examples: ReturnType<typeof randomRecords>;
}

async function load(engine: Engine, model: Model, { virtualTokens, examples }: Data): Promise<ClippedSums> {
  const start = randomPrompt(virtualTokens, 3);
  await engine.set({ prompt: start });
  return ClippedSums.load({ engine, model, classes: CLASSES, examples, start, clip: CLIP }, 1, {});
}

/** A record's vector, at a place of a batch of these. */
async function vectorOf(sums: ClippedSums, record: number, place: number, company: readonly Row[]) {
  const [shape] = sums.chunksOf([record]);
  return (await sums.batchSum(placed(sums, record, place, company), shape!)).sum;
}

const alone = (sums: ClippedSums) => new Array<Row>(sums.rows).fill(sums.emptyRow);

const cases = STUDENT_FAMILIES.flatMap((family) => STUDENT_KINDS.map((kind) => [family, kind] as const));

describe.each(cases)("%s, %s student", (family, kind) => {
  test("every record has one vector, and a sum with and without it differs by that vector", async () => {
    const model = await student(family, kind);
    await fc.assert(
      fc.asyncProperty(
        // Prompts of any length mod 4, and texts of one token up to the longest that can be padded.
        fc.integer({ min: 1, max: 61 }),
        fc.integer({ min: 1, max: POSITIONS }),
        fc.integer({ min: 2, max: 6 }),
        fc.nat(),
        async (virtualTokens, most, count, seed) => {
          const longest = Math.min(most, POSITIONS - virtualTokens);
          await checkOneVector(model, { virtualTokens, examples: randomRecords(count, longest, seed) }, seed);
        },
      ),
      { numRuns: 2 },
    );
  });
});

async function checkOneVector(model: Model, data: Data, seed: number): Promise<void> {
  const draws = new Draws(seededRandom(seed));
  const records = [...data.examples.keys()];
  const vectors = new Map<number, Int32Array>();
  const all: Float64Array[] = [];
  for (const engine of engines) {
    const loaded = await load(engine, model, data);
    for (const rows of BATCHES) {
      const sums = loaded.withRows(rows);
      for (const record of records) {
        const place = draws.integer(rows);
        const company = sums.rowsOf(Array.from({ length: rows }, () => draws.integer(records.length)));
        const { length } = sums.chunksOf([record])[0]!;
        const beside = company.map(({ text }) => ({
          text: { ...text, ids: text.ids.subarray(0, length), readAt: Math.min(text.readAt, length - 1) },
          counted: false,
        }));
        const lonely = await vectorOf(sums, record, 0, alone(sums));
        if (!vectors.has(record)) vectors.set(record, lonely);
        expect(lonely).toEqual(vectors.get(record));
        expect(await vectorOf(sums, record, place, beside)).toEqual(vectors.get(record));
      }
      // The whole sample in another order, and without one record.
      const order = records.toSorted(() => draws.integer(3) - 1);
      const whole = (await sums.sampleSum(sums.chunksOf(order))).sum as Float64Array;
      all.push(whole);
      const left = records[draws.integer(records.length)]!;
      const rest = (await sums.sampleSum(sums.chunksOf(order.filter((record) => record !== left)))).sum;
      expect(Array.from(whole, (value, i) => value - rest[i]!)).toEqual(Array.from(vectors.get(left)!));
      expect(distance(whole, rest)).toBeLessThanOrEqual(1);
    }
    await loaded.release();
  }
  for (const other of all) expect(other).toEqual(all[0]);
  // The students are what they are meant to be: there is something to clip.
  expect([...vectors.values()].some((vector) => Math.hypot(...vector) > 0.99 * GRID_UNITS_PER_CLIP)).toBe(true);
}

test("half precision gives a record one vector too", async () => {
  const data = { virtualTokens: 9, examples: randomRecords(6, 40, 1) };
  const loaded = await load(engines[1]!, await student("gpt2", "cancelling", "float16"), data);
  for (const record of data.examples.keys()) {
    const sums = loaded.withRows(5);
    const { length } = sums.chunksOf([record])[0]!;
    const beside = sums.rowsOf([5, 4, 3, 2, 1]).map(({ text }) => ({
      text: { ...text, ids: text.ids.subarray(0, length), readAt: 0 },
      counted: false,
    }));
    const first = await vectorOf(sums, record, 0, alone(sums));
    for (let place = 0; place < 5; place++) expect(await vectorOf(sums, record, place, beside)).toEqual(first);
  }
});

const families = new URL("../models/golden/families/", import.meta.url);

test.each(readdirSync(families))("no sum of %s's private graph depends on where a row begins", async (name) => {
  const checkpoint = await openCheckpoint(fileURLToPath(new URL(name, families)));
  const model = checkpoint.family.build(checkpoint.config, frozenWeights(checkpoint));
  const objectives = [objectiveOf({ classes: CLASSES, examples: [] })];
  if (model.kind === "causal") objectives.push(objectiveOf({ examples: [] }));
  for (const [virtualTokens, objective] of objectives.flatMap((each) => [[1, each] as const, [6, each] as const])) {
    const { sum } = clippedSum({ model, objective }, variable("prompt", [virtualTokens, checkpoint.config.width]));
    const { nodes } = reached([sum]);
    const sums = nodes.filter(
      ({ operator, inputs }) => operator.type === "ReduceSum" && inputs[0]!.dtype === "float32",
    );
    expect(sums.length).toBeGreaterThan(10);
    for (const { inputs, attributes } of sums) {
      const { shape } = inputs[0]!;
      expect(attributes.axes).toEqual([shape.length - 1]);
      const length = shape.at(-1)!;
      // A prompt and a padded text together are a multiple of 4 (record-chunks.test.ts).
      expect(typeof length === "number" ? length % 4 : length).toBe(
        typeof length === "number" ? 0 : `${virtualTokens}+T`,
      );
    }
  }
});

/** An engine on a machine whose kernels compute otherwise: every run's sum is changed. */
function changed(change: (sum: Int32Array, feeds: Readonly<Record<string, Value>>) => void): Engine {
  const engine = engines[0]!;
  const load = async (graph: Graph): Promise<Session> => {
    const session = await engine.load(graph);
    const run = async (feeds: Readonly<Record<string, Value>>) => {
      const results = await session.run(feeds);
      if (results.sum) change(results.sum.data as Int32Array, feeds);
      return results;
    };
    return { run, release: () => session.release() };
  };
  const [set, get] = [engine.set.bind(engine), engine.get.bind(engine)];
  return { load, set, get } as unknown as Engine;
}

/** One unit of the last place for every place, as a kernel that takes other rows another way. */
const byPlace = () =>
  changed((sum, { counted }) => {
    sum[0]! += (counted!.data as Int32Array).indexOf(1);
  });

/** One unit for every run, from some run on. */
function byTime(from: number): Engine {
  let runs = 0;
  return changed((sum) => {
    runs += 1;
    sum[0]! += Math.max(0, runs - from);
  });
}

describe("on a device that does not give a record one vector", () => {
  const data = { virtualTokens: 3, examples: randomRecords(5, 9, 1) };

  test("records are computed one by one if that helps, and the user is told", async () => {
    const sums = await load(byPlace(), await student("gpt2", "ordinary"), data);
    const notes: string[] = [];
    const onEvent = (event: { kind: string; text?: string }) => notes.push(event.text ?? "");
    const settled = await invariantSums(sums.withRows(8), new Draws(seededRandom(1)), { onEvent });
    expect(settled.rows).toBe(1);
    expect(notes).toEqual([expect.stringContaining("one by one")]);
  });

  test("else private tuning is refused before anything is charged", async () => {
    const sums = await load(byTime(0), await student("gpt2", "ordinary"), data);
    const settled = invariantSums(sums.withRows(4), new Draws(seededRandom(1)), {});
    await expect(settled).rejects.toThrow(/not safe on this device.*nothing was charged/);
  });

  test("a look at a record during the run finds it", async () => {
    const sums = (await load(byPlace(), await student("gpt2", "ordinary"), data)).withRows(8);
    // Of 200 batches or more, one is always looked at.
    const chunks = Array.from({ length: 200 }, (_, i) => sums.chunksOf([i % 5])[0]!);
    expect(await spotCheck(sums, chunks, new Draws(seededRandom(2)))).toBe(false);
    expect(await spotCheck(sums.withRows(1), chunks, new Draws(seededRandom(2)))).toBe(true);
  });

  test("a run that finds it ends, says that it was charged, and leaves no state", async () => {
    const path = join(temporaryFolder(), "state");
    writeFileSync(path, "of a run before");
    const examples = Array.from({ length: 201 }, (_, i) => data.examples[i % 5]!);
    const plan = {
      ...({
        sampler: "poisson",
        neighbouring: "add-or-remove-one",
        accountant: "rdp",
        delta: 1e-5,
        epsilon: 1,
      } as const),
      records: 201,
      batchSize: 201,
      sampleRate: 1,
      steps: 3,
      clip: 1,
      noiseMultiplier: 1,
    };
    let charges = 0;
    const tuned = dpTune(
      {
        engine: byTime(50),
        model: await student("gpt2", "ordinary"),
        classes: CLASSES,
        examples,
        plan,
        start: randomPrompt(3, 3),
        learningRate: 1,
        averagedSteps: 1,
        optimizer: { name: "sgd" },
        rows: 1,
        state: { path, settings: {}, resume: false },
        random: seededRandom(1),
        async charge() {
          charges += 1;
        },
      },
      {},
    );
    await expect(tuned).rejects.toThrow(
      /ends after 0 steps, and nothing of it is released. The data were charged for it/,
    );
    expect(charges).toBe(1);
    expect(existsSync(path)).toBe(false);
  });

  test("the audit measures it", async () => {
    const [model, start] = [await student("gpt2", "ordinary"), randomPrompt(3, 3)];
    const summed = { model, classes: CLASSES, examples: data.examples, start, clip: CLIP };
    const look = (engine: Engine) =>
      examine({ ...summed, engine }, { records: 9, batchSize: 32 }, undefined, new Draws(seededRandom(1)), {});
    // The last of the 9 places of the largest batch is 8 units away from the first one.
    expect(await look(byPlace())).toMatchObject({ records: 5, rows: 4, compositions: 5 * 28, shift: 8 / 2 ** 20 });
    const found = await look(engines[0]!);
    expect(found.shift).toBe(0);
    expect(found.distance).toBeLessThanOrEqual(1);
  });
});

test.each(["gpt2", "llama"] as const)(
  "every record of %s with an answer has one vector, whatever its company's answers are",
  async (family) => {
    const model = await student(family, "cancelling");
    const draws = new Draws(seededRandom(5));
    const examples = Array.from({ length: 12 }, () => {
      const answer = 1 + draws.integer(9);
      const start = 1 + draws.integer(20);
      const ids = Int32Array.from({ length: start + answer }, () => draws.integer(model.config.vocabulary));
      return { ids, start, readAt: start - 1 };
    });
    for (const engine of engines) {
      const start = randomPrompt(6, 3);
      await engine.set({ prompt: start });
      const loaded = await ClippedSums.load({ engine, model, examples, start, clip: CLIP }, 1, {});
      const sums = loaded.withRows(7);
      for (const record of [0, 3, 8]) {
        const [shape] = sums.chunksOf([record]);
        const first = await vectorOf(sums, record, 0, alone(sums));
        expect(first.some((value) => value !== 0)).toBe(true);
        for (const place of [0, 1, 6]) {
          expect(await vectorOf(sums, record, place, randomCompany(sums, shape!, draws))).toEqual(first);
        }
      }
      await loaded.release();
    }
  },
);

/**
 * One record, one vector: what a record adds to the sum of a private step is bit for bit a function of that record, whatever
 * is computed beside it. On students that a provider would make to break it, a single rounding in another order is a large part of
 * the clip norm.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine, type Graph, type Session, type Value } from "../../../shared/graph/engine.ts";
import type { Model } from "../../../shared/models/model.ts";
import { GRID_UNITS_PER_CLIP } from "../../../shared/privacy/noise.ts";
import { Draws, seededRandom } from "../../../shared/protocol/random.ts";
import { ClippedSums, EMPTY_ROW, type Row } from "../../../shared/training/clipped-sums.ts";
import { distance, invariantSums, placed, spotCheck } from "../../../shared/training/invariance.ts";
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
  const { length } = sums.chunksOf([record])[0]!;
  return (await sums.batchSum(placed(sums, record, place, company), length)).sum;
}

const alone = (sums: ClippedSums) => new Array<Row>(sums.rows).fill(EMPTY_ROW);

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

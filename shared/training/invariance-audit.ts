/** A thorough look at whether records have one vector each, and how far one moves the sum: `softpost audit invariance`. */
import type { Draws } from "../protocol/random.ts";
import { ClippedSums, type Row, type SampleSum, type Summed } from "./clipped-sums.ts";
import type { Watch } from "./events.ts";
import { distance, placed, randomCompany } from "./invariance.ts";
import { InterruptedError } from "./loop.ts";
import type { Shape } from "./objective.ts";
import { rowsAtOnce } from "./record-chunks.ts";

/** What was found with one engine. */
export interface Findings {
  readonly records: number;
  /** Rows of a batch of private tuning. */
  readonly rows: number;
  /** Batches in which a record was computed. */
  readonly compositions: number;
  /** How far apart two vectors of one record are at most, in clip norms. */
  readonly shift: number;
  /** How far leaving one record out moves the sum of the sample at most, in clip norms. */
  readonly distance: number;
  /** Each record's vector, which the next engine's have to equal. */
  readonly vectors: ReadonlyMap<number, Int32Array>;
}

/**
 * Computes random records at every place of a batch, alone and in random company, in batches of one, of as many as private tuning
 * has, and of more; and the sum of all of them with and without each.
 * @param options.records how many, if the data has so many
 * @param before what another engine found
 * @throws InterruptedError when stopped
 */
export async function examine(
  summed: Summed,
  options: { readonly records: number; readonly batchSize: number },
  before: Findings | undefined,
  draws: Draws,
  watch: Watch,
): Promise<Findings> {
  const own = rowsAtOnce(options.batchSize);
  const sums = await ClippedSums.load(summed, 2 * own + 1, watch);
  await summed.engine.set({ prompt: summed.start });
  const records = before ? [...before.vectors.keys()] : randomRecords(summed.examples.length, options.records, draws);
  const vectors = new Map<number, Int32Array>(before?.vectors);
  let [shift, compositions] = [0, 0];
  await forEach("comparing records", records, watch, async (record) => {
    for (const rows of [1, own, 2 * own + 1]) {
      const tried = sums.withRows(rows);
      const shape = tried.chunksOf([record])[0]!;
      for (const batch of compositionsOf(tried, record, shape, draws)) {
        const { sum } = await tried.batchSum(batch, shape);
        if (!vectors.has(record)) vectors.set(record, sum);
        shift = Math.max(shift, distance(sum, vectors.get(record)!));
        compositions += 1;
      }
    }
  });
  const moved = await largestMove(sums.withRows(own), records, watch);
  await sums.release();
  return { records: records.length, rows: own, compositions, shift, distance: moved, vectors };
}

/** A record at every place, alone and in company. */
function compositionsOf(sums: ClippedSums, record: number, shape: Shape, draws: Draws): (readonly Row[])[] {
  return Array.from({ length: sums.rows }, (_, place) => place).flatMap((place) =>
    [new Array<Row>(sums.rows).fill(sums.emptyRow), randomCompany(sums, shape, draws)].map((company) =>
      placed(sums, record, place, company),
    ),
  );
}

/** How far leaving one record out moves the sum of all, at most. Batches that stay as they were are computed once. */
async function largestMove(sums: ClippedSums, records: readonly number[], watch: Watch): Promise<number> {
  const known = new Map<string, Promise<SampleSum>>();
  const sumOf = async (sample: readonly number[]) => {
    const total = new Float64Array(sums.size);
    for (const chunk of sums.chunksOf(sample)) {
      const key = chunk.records.join();
      if (!known.has(key)) known.set(key, sums.sampleSum([chunk]));
      const { sum } = await known.get(key)!;
      for (let i = 0; i < total.length; i++) total[i]! += sum[i]!;
    }
    return total;
  };
  const all = await sumOf(records);
  let largest = 0;
  await forEach("leaving one out", records, watch, async (record) => {
    largest = Math.max(largest, distance(all, await sumOf(records.filter((other) => other !== record))));
  });
  return largest;
}

/** Does something for every record, told to whoever watches. */
async function forEach(
  name: string,
  records: readonly number[],
  { signal, onEvent }: Watch,
  visit: (record: number) => Promise<void>,
): Promise<void> {
  onEvent?.({ kind: "phase", name, total: records.length, unit: "texts" });
  for (const [done, record] of records.entries()) {
    if (signal?.aborted) throw new InterruptedError(done);
    await visit(record);
    onEvent?.({ kind: "progress", done: done + 1 });
  }
}

/** Some distinct records. */
function randomRecords(count: number, wanted: number, draws: Draws): number[] {
  const chosen = new Set<number>();
  while (chosen.size < Math.min(wanted, count)) chosen.add(draws.integer(count));
  return [...chosen];
}

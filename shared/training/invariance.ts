/**
 * Whether a record's vector is the same in any company: the guarantee of DP-SGD takes it for granted of the machine that computes
 * (shared/privacy/README.md, "One record, one vector"), and this is where it is looked at.
 */
import { GRID_UNITS_PER_CLIP } from "../privacy/noise.ts";
import { ProblemError } from "../protocol/errors.ts";
import type { Draws } from "../protocol/random.ts";
import type { ClippedSums, Row } from "./clipped-sums.ts";
import type { Watch } from "./events.ts";
import type { Shape } from "./objective.ts";
import type { Chunk } from "./record-chunks.ts";

/** Records that are looked at before a run. */
const FIRST_RECORDS = 4;
/** During a run one of so many batches is followed by a look at a record, which takes three batches: 1.5 % of the run. */
const BATCHES_A_LOOK = 200;

const ONE_BY_ONE =
  "On this device a record's gradient depends on what is computed beside it, so records are computed one by one, which is slower.";

/**
 * Computes some random records alone and in company, at several places.
 * @returns the sums as they are to be computed: in batches, or record by record where a record's vector depends on its batch
 * @throws ProblemError if not even then a record has one vector; nothing may be released then
 */
export async function invariantSums(sums: ClippedSums, draws: Draws, { onEvent }: Watch): Promise<ClippedSums> {
  const records = firstRecords(sums, draws);
  for (const tried of sums.rows === 1 ? [sums] : [sums, sums.withRows(1)]) {
    if (await agrees(tried, tried.chunksOf(records), records, draws)) return tried;
    if (tried.rows > 1) onEvent?.({ kind: "note", text: ONE_BY_ONE });
  }
  throw notInvariant("The run has not begun, and nothing was charged for it now.");
}

/**
 * At random steps, computes a record of the sample again, elsewhere and alone.
 * @param chunks the sample's
 * @returns false if its vector differs; nothing of the run may be released then
 */
export async function spotCheck(sums: ClippedSums, chunks: readonly Chunk[], draws: Draws): Promise<boolean> {
  if (!draws.bernoulli(Math.min(chunks.length, BATCHES_A_LOOK), BATCHES_A_LOOK)) return true;
  const sample = chunks.flatMap(({ records }) => records);
  return agrees(sums, chunks, [sample[draws.integer(sample.length)]!], draws);
}

async function agrees(sums: ClippedSums, chunks: readonly Chunk[], records: readonly number[], draws: Draws) {
  for (const record of records) {
    const chunk = chunks.find((each) => each.records.includes(record))!;
    if ((await largestShift(sums, arrangements(sums, chunk, record, draws), chunk)) > 0) return false;
  }
  return true;
}

/** A batch in which one record counts. */
type Arrangement = readonly Row[];

/** A record among its chunk as the sample has it, at a random place among others, and at a random place alone. */
function arrangements(sums: ClippedSums, chunk: Chunk, record: number, draws: Draws): Arrangement[] {
  const { records } = chunk;
  const asSampled = sums.rowsOf(records).map((row, i) => ({ ...row, counted: records[i] === record }));
  const place = () => draws.integer(sums.rows);
  return [
    asSampled,
    placed(sums, record, place(), randomCompany(sums, chunk, draws)),
    placed(sums, record, place(), new Array<Row>(sums.rows).fill(sums.emptyRow)),
  ];
}

/** A record at a place of a batch of others. */
export function placed(sums: ClippedSums, record: number, place: number, company: readonly Row[]): Arrangement {
  return company.with(place, { text: sums.examples.at(record)!, counted: true });
}

/** A batch of random records of the data set, cut to a shape where they are longer; none of them counts. */
export function randomCompany({ rows, examples, objective }: ClippedSums, shape: Shape, draws: Draws): Row[] {
  return Array.from({ length: rows }, () => ({
    text: objective.cut(examples.at(draws.integer(examples.length))!, shape),
    counted: false,
  }));
}

/** How far apart the sums of batches are, the first and another one, in units of the clip norm. */
async function largestShift(sums: ClippedSums, batches: readonly Arrangement[], shape: Shape): Promise<number> {
  const vectors: Int32Array[] = [];
  for (const rows of batches) vectors.push((await sums.batchSum(rows, shape)).sum);
  return Math.max(...vectors.map((vector) => distance(vector, vectors[0]!)));
}

/** The Euclidean distance of two vectors of whole grid units, in units of the clip norm; 0 only if they are equal. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < a.length; i++) squares += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(squares) / GRID_UNITS_PER_CLIP;
}

/** Some random records, of different padded lengths if there are. */
function firstRecords(sums: ClippedSums, draws: Draws): number[] {
  const { examples } = sums;
  const drawn = new Set(Array.from({ length: 8 * FIRST_RECORDS }, () => draws.integer(examples.length)));
  const buckets = Map.groupBy(drawn, (record) => sums.chunksOf([record])[0]!.length);
  const ofEach = [...buckets.values()].map(([first]) => first!);
  return [...new Set([...ofEach, ...drawn])].slice(0, FIRST_RECORDS);
}

/** What private tuning ends with on a device that doesn't give a record one vector; it tells nothing of the records. */
export function notInvariant(consequence: string): ProblemError {
  return new ProblemError(
    "Private tuning is not safe on this device",
    `The same record gave different gradients, depending on what was computed beside it or before it, so the guarantee would not hold. ${consequence} Tune on another device, or on the CPU.`,
    { status: 500 },
  );
}

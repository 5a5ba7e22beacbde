/** The paper's prompts have 100 rows (POST, table 10). */
export const PROMPT_TOKENS = 100;
/** The reference implementation's clip norm. */
export const CLIP = 1;
/** Most rows of a unit in a step, unless told. */
export const ROWS_PER_UNIT = 4;

/** How a tuning goes on: what is not a part of the guarantee's promise, but of its price. */
export interface Schedule {
  /** Rows a step; with differential privacy the expected number, of units if they have several rows. */
  readonly batchSize: number;
  readonly steps: number;
  /** Of Adam, constant. */
  readonly learningRate: number;
  /** The prompt is the mean over this many last steps. */
  readonly averagedSteps: number;
}

/** What is given of a schedule; `epochs` stands for steps. */
export type GivenSchedule = { readonly [K in keyof Schedule | "epochs"]?: number | undefined };

/** Without privacy: passes over the data, between bounds that give few rows enough steps and don't repeat many in vain. */
const PLAIN = { batchSize: 32, epochs: 20, leastSteps: 200, mostSteps: 600, learningRate: 3e-3 } as const;
/**
 * With privacy every step costs budget and noise is divided by the batch: few steps, large batches. A third of few rows, since sampling more of them
 * protects less.
 */
const PRIVATE = { largestBatch: 256, share: 1 / 3, steps: 150, learningRate: 1e-2 } as const;
/** The share of the steps, at the end, that the prompt is the mean of: it takes out the to and fro of batches and noise. */
const AVERAGED = 1 / 3;
const MOST_AVERAGED = 100;

/**
 * The schedule of a tuning: what is given, and for the rest what suits so many rows, which count as public. Never chosen by the rows themselves.
 * @param records N: rows, or units of privacy
 */
export function scheduleFor(records: number, isPrivate: boolean, given: GivenSchedule): Schedule {
  const largest = isPrivate ? Math.min(PRIVATE.largestBatch, Math.round(records * PRIVATE.share)) : PLAIN.batchSize;
  const batchSize = given.batchSize ?? Math.max(1, Math.min(largest, records));
  const passes = (epochs: number) => Math.max(1, Math.ceil((epochs * records) / batchSize));
  const usual = isPrivate ? PRIVATE.steps : Math.min(Math.max(passes(PLAIN.epochs), PLAIN.leastSteps), PLAIN.mostSteps);
  const steps = given.steps ?? (given.epochs === undefined ? usual : passes(given.epochs));
  return {
    batchSize,
    steps,
    learningRate: given.learningRate ?? (isPrivate ? PRIVATE : PLAIN).learningRate,
    averagedSteps: given.averagedSteps ?? Math.max(1, Math.min(MOST_AVERAGED, Math.floor(steps * AVERAGED))),
  };
}

/**
 * The δ that is proposed for N records: the largest power of ten that is at most 1/(10·N). A δ of 1/N would allow publishing one of the records; a tenth of
 * it is the usual rule (Ponomareva et al. 2023, section 5.3.1, ask for well below 1/N).
 */
export function proposedDelta(records: number): number {
  return Number(`1e${-Math.ceil(Math.log10(10 * records) - 1e-9)}`);
}

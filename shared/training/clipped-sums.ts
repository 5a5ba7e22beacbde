/** The sums of clipped per-example gradients that DP-SGD adds noise to: every record's part is a function of that record alone. */
import type { Rows } from "../data/packed-texts.ts";
import type { Session, Value } from "../graph/engine.ts";
import { div, lessOrEqual, minimum, mul, sqrt, where } from "../graph/operators/elementwise.ts";
import { cast, reshape } from "../graph/operators/layout.ts";
import { reduceSum, sumLast } from "../graph/operators/reduction.ts";
import { PER_EXAMPLE } from "../graph/shape.ts";
import { constant, input, integers, type Tensor, variable } from "../graph/tensor.ts";
import { GRID_UNITS_PER_CLIP } from "../privacy/noise.ts";
import type { Watch } from "./events.ts";
import { LARGEST_FLOAT32, promptGradients } from "./loss-scale.ts";
import { type Example, type Examples, largestSizes, type Objective, objectiveOf, type Shape } from "./objective.ts";
import { scalar } from "./optimizers.ts";
import { prepare } from "./prepare.ts";
import { type Chunk, chunksOf, paddedAnswer, paddedLength } from "./record-chunks.ts";
import type { Tuning } from "./tune.ts";

/** Clipping aims a little below the clip norm, so that float32 rounding does not pass it; what still does is left out. */
export const ROUNDING_MARGIN = 1e-4;

/**
 * The sum of clipped per-example gradients, in whole grid units of clip / {@link GRID_UNITS_PER_CLIP}.
 * Every example's part is a vector of whole numbers of norm at most GRID_UNITS_PER_CLIP, checked in exact arithmetic; one whose
 * `counted`, an input int32 `[B]`, is 0 adds nothing, whatever its gradient and its loss are.
 * @returns `sum` int32 `[P, D]`, `used` the number of examples in it, `losses` the sum of the losses; and `gradients` float32 `[B, P·D]`, not clipped, 0 where
 *   not finite, with `finite` int32 `[B, 1]`
 */
export function clippedSum(
  { model, objective }: Pick<Tuning, "model"> & { readonly objective: Pick<Objective, "losses"> },
  prompt: Tensor,
): Record<"sum" | "used" | "losses" | "gradients" | "finite", Tensor> {
  const [P, D] = prompt.shape as readonly [number, number];
  const apart = reshape(prompt, [PER_EXAMPLE, P, D]);
  const losses = objective.losses(model, apart);
  const all = reshape(promptGradients(reduceSum(losses), [apart], model)[0]!, ["B", P * D]);

  const squares = sumLast(mul(all, all));
  // What is above, or not a number, is no gradient.
  const finite = lessOrEqual(squares, constant(LARGEST_FLOAT32));
  const gradient = where(finite, all, constant(0));
  const norm = sqrt(where(finite, squares, constant(0)));
  const scale = div(constant(GRID_UNITS_PER_CLIP), input("clip", "float32", []));
  const limit = div(constant(GRID_UNITS_PER_CLIP * (1 - ROUNDING_MARGIN)), norm);
  const whole = cast(withinGrid(mul(gradient, minimum(limit, scale))), "int32");

  const counted = input("counted", "int32", ["B"]);
  // Exact up to 2⁵³, and beyond that still too large: nothing wraps.
  const exact = cast(whole, "float64");
  const longest = cast(integers([GRID_UNITS_PER_CLIP ** 2]), "float64");
  const fits = lessOrEqual(reduceSum(mul(exact, exact), [-1], true), longest);
  const used = mul(mul(cast(finite, "int32"), cast(fits, "int32")), reshape(counted, ["B", 1]));
  const one = integers(1, "int32");
  const kept = where(lessOrEqual(one, used), whole, integers(0, "int32"));
  const countedLosses = where(lessOrEqual(one, counted), losses, constant(0));
  return {
    sum: reshape(reduceSum(kept, [0]), [P, D]),
    used: reduceSum(used),
    losses: reduceSum(countedLosses),
    gradients: gradient,
    finite: cast(finite, "int32"),
  };
}

/** Numbers cut to ± {@link GRID_UNITS_PER_CLIP}: a cast to int32 of what it doesn't hold gives any number. */
function withinGrid(x: Tensor): Tensor {
  const below = minimum(x, GRID_UNITS_PER_CLIP);
  return mul(minimum(mul(below, -1), GRID_UNITS_PER_CLIP), -1);
}

/** What is summed. */
export type Summed = Examples &
  Pick<Tuning, "engine" | "model" | "start"> & {
    readonly clip: number;
    /** Whether single gradients are asked for, too. */
    readonly apart?: boolean;
  };

/** What a sample, or a part of it, adds up to. */
export interface SampleSum {
  /** `[P·D]`, in whole grid units. */
  readonly sum: Float64Array | Int32Array;
  /** The sum of the losses. */
  readonly losses: number;
  /** Records whose gradient was not finite (or, by rounding, too long) and so counted as zero. */
  readonly leftOut: number;
}

/** A row of a batch: a record, or what stands beside one. */
export interface Row {
  readonly text: Example;
  readonly counted: boolean;
}

/** A loaded {@link clippedSum} over the records of a data set, at the engine's variable `prompt`. */
export class ClippedSums {
  readonly #session: Session;
  readonly #summed: Summed;
  readonly #objective: Objective;
  /** Rows of every batch. */
  readonly rows: number;

  private constructor(session: Session, summed: Summed, rows: number) {
    this.#session = session;
    this.#summed = summed;
    this.#objective = objectiveOf(summed);
    this.rows = rows;
  }

  static async load(summed: Summed, rows: number, watch: Watch): Promise<ClippedSums> {
    const { engine, model, start } = summed;
    const objective = objectiveOf(summed);
    const { sum, used, losses, ...apart } = clippedSum({ model, objective }, variable("prompt", start.shape));
    const outputs = { sum, used, losses, ...(summed.apart && apart) };
    const largest = largestSizes({ ...objective, shapeOf: (example) => padded(summed, objective, example) }, rows);
    return new ClippedSums(await prepare(engine, { outputs, alwaysPacked: true }, largest, watch), summed, rows);
  }

  /** The same graph with other batches. */
  withRows(rows: number): ClippedSums {
    return new ClippedSums(this.#session, this.#summed, rows);
  }

  get objective(): Objective {
    return this.#objective;
  }

  get examples(): Rows<Example> {
    return this.#objective.examples;
  }

  /** What stands where a batch has no record. */
  get emptyRow(): Row {
    return { text: this.#objective.empty, counted: false };
  }

  /** Numbers of a sum, P·D. */
  get size(): number {
    return this.#summed.start.data.length;
  }

  /** The chunks in which a sample is computed. */
  chunksOf(sample: Iterable<number>): readonly Chunk[] {
    return chunksOf(sample, (record) => padded(this.#summed, this.#objective, this.examples.at(record)!), this.rows);
  }

  /** What a sample adds up to. */
  async sampleSum(chunks: readonly Chunk[]): Promise<SampleSum> {
    const sum = new Float64Array(this.size);
    let [losses, leftOut] = [0, 0];
    for (const chunk of chunks) {
      const part = await this.batchSum(this.rowsOf(chunk.records), chunk);
      part.sum.forEach((value, i) => {
        sum[i]! += value;
      });
      losses += part.losses;
      leftOut += part.leftOut;
    }
    return { sum, losses, leftOut };
  }

  /** The rows of a chunk's batch, empty ones behind them. */
  rowsOf(records: readonly number[]): readonly Row[] {
    return Array.from({ length: this.rows }, (_, i) => {
      const record = records[i];
      return record === undefined ? this.emptyRow : { text: this.examples.at(record)!, counted: true };
    });
  }

  /** The gradients of some records, `[P·D]` each, zeros where not finite; loaded with `apart`. */
  async gradients(records: readonly number[]) {
    const of = new Map<number, Float32Array>();
    let [losses, leftOut] = [0, 0];
    for (const chunk of this.chunksOf(records)) {
      const batch = await this.#run(this.rowsOf(chunk.records), chunk);
      chunk.records.forEach((record, i) => {
        of.set(record, (batch.gradients!.data as Float32Array).slice(i * this.size, (i + 1) * this.size));
        leftOut += 1 - batch.finite!.data[i]!;
      });
      losses += batch.losses!.data[0]!;
    }
    return { of, losses, leftOut };
  }

  /** What the counted rows of one batch add up to, `sum` being int32. */
  async batchSum(rows: readonly Row[], shape: Shape): Promise<SampleSum & { readonly sum: Int32Array }> {
    const { sum, losses, used } = await this.#run(rows, shape);
    const leftOut = rows.filter(({ counted }) => counted).length - used!.data[0]!;
    return { sum: sum!.data as Int32Array, losses: losses!.data[0]!, leftOut };
  }

  #run(rows: readonly Row[], shape: Shape): Promise<Record<string, Value>> {
    const texts = rows.map(({ text }) => text);
    return this.#session.run({
      ...this.#objective.feeds(texts, shape),
      counted: { shape: [rows.length], data: Int32Array.from(rows, ({ counted }) => (counted ? 1 : 0)) },
      clip: scalar(this.#summed.clip),
    });
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

function padded({ start, model }: Summed, { shapeOf }: Objective, example: Example): Shape {
  const { length, answer } = shapeOf(example);
  return { length: paddedLength(length, start.shape[0]!, model.config.positions), answer: paddedAnswer(answer) };
}

import { shuffle } from "../data/batches.ts";
import type { Tokens } from "../data/token-stream.ts";
import { ProblemError } from "../protocol/errors.ts";
import { Draws, seededRandom } from "../protocol/random.ts";
import type { LanguageBatch, LanguageRows, RowOptions } from "./language-batches.ts";

/**
 * Batches of a token stream that is cut into rows of `length` tokens, each with its next tokens as labels. Every epoch takes
 * all rows once, in an order that depends on seed and epoch only: a step's batch is the same whenever it is asked for.
 */
export class TokenRows implements LanguageRows {
  readonly #tokens: Tokens;
  readonly #length: number;
  readonly #batchSize: number;
  readonly #seed: number;
  #epoch = -1;
  #order = new Int32Array();

  /** @throws ProblemError if the stream has no full row */
  constructor(tokens: Tokens, { length, batchSize, seed }: RowOptions) {
    this.#tokens = tokens;
    this.#length = length;
    this.#batchSize = batchSize;
    this.#seed = seed;
    if (this.count < 1) {
      throw new ProblemError("The corpus is too short", `it has ${tokens.length} tokens; a row takes ${length + 1}.`);
    }
  }

  get count(): number {
    return Math.floor((this.#tokens.length - 1) / this.#length);
  }

  batch(step: number): LanguageBatch {
    const shape = [this.#batchSize, this.#length];
    const ids = new Int32Array(this.#batchSize * this.#length);
    const labels = new Int32Array(ids.length);
    for (let i = 0; i < this.#batchSize; i++) {
      const start = this.start(step, i);
      ids.set(this.#tokens.subarray(start, start + this.#length), i * this.#length);
      labels.set(this.#tokens.subarray(start + 1, start + 1 + this.#length), i * this.#length);
    }
    const predicted = { shape, data: new Float32Array(ids.length).fill(1) };
    return { ids: { shape, data: ids }, labels: { shape, data: labels }, predicted };
  }

  /** Where in the stream a row of a step's batch begins. */
  start(step: number, row: number): number {
    return this.#row(step * this.#batchSize + row) * this.#length;
  }

  #row(index: number): number {
    const epoch = Math.floor(index / this.count);
    if (epoch !== this.#epoch) {
      const draws = new Draws(seededRandom(this.#seed, epoch));
      this.#order = shuffle(
        Int32Array.from({ length: this.count }, (_, i) => i),
        draws,
      );
      this.#epoch = epoch;
    }
    return this.#order[index % this.count]!;
  }
}

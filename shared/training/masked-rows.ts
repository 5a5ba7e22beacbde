import type { Tokens } from "../data/token-stream.ts";
import type { MaskTokens } from "../data/tokenizer.ts";
import { ProblemError } from "../protocol/errors.ts";
import { Draws, seededRandom } from "../protocol/random.ts";
import type { LanguageBatch, LanguageRows, RowOptions } from "./language-batches.ts";
import { TokenRows } from "./token-rows.ts";

/** Of a row's tokens (Devlin et al. 2019, section 3.1), the part that is predicted; of those, what becomes of them. */
const PREDICTED = 0.15;
const MASKED = 0.8;
const REPLACED = 0.1;

/** Rows of a token stream between a start and an end token, of whose tokens some are masked, replaced or only asked for. */
export class MaskedRows implements LanguageRows {
  readonly #tokens: Tokens;
  readonly #options: RowOptions;
  readonly #mask: MaskTokens;
  readonly #rows: TokenRows;

  /** @throws ProblemError if the stream has no full row, or a row no room for a token */
  constructor(tokens: Tokens, options: RowOptions, mask: MaskTokens) {
    if (options.length < 3) {
      const detail = `a row of ${options.length} tokens has no room beside its start and end: raise --max-length.`;
      throw new ProblemError("The rows are too short", detail);
    }
    this.#tokens = tokens;
    this.#options = options;
    this.#mask = mask;
    this.#rows = new TokenRows(tokens, { ...options, length: options.length - 2 });
  }

  get count(): number {
    return this.#rows.count;
  }

  batch(step: number): LanguageBatch {
    const { batchSize, length, seed } = this.#options;
    const draws = new Draws(seededRandom(seed, 2, step));
    const shape = [batchSize, length];
    const labels = new Int32Array(batchSize * length);
    for (let row = 0; row < batchSize; row++) {
      const start = this.#rows.start(step, row);
      labels[row * length] = this.#mask.start;
      labels.set(this.#tokens.subarray(start, start + length - 2), row * length + 1);
      labels[(row + 1) * length - 1] = this.#mask.end;
    }
    const ids = labels.slice();
    const predicted = new Float32Array(ids.length);
    for (let row = 0; row < batchSize; row++) {
      for (const at of this.#positions(draws)) {
        predicted[row * length + at] = 1;
        ids[row * length + at] = this.#shown(labels[row * length + at]!, draws);
      }
    }
    return { ids: { shape, data: ids }, labels: { shape, data: labels }, predicted: { shape, data: predicted } };
  }

  /** Different positions between a row's first and last one. */
  #positions(draws: Draws): Iterable<number> {
    const inner = this.#options.length - 2;
    const wanted = Math.max(1, Math.round(PREDICTED * inner));
    const found = new Set<number>();
    while (found.size < wanted) found.add(1 + draws.integer(inner));
    return found;
  }

  #shown(token: number, draws: Draws): number {
    const draw = draws.uniform53();
    if (draw < MASKED) return this.#mask.mask;
    return draw < MASKED + REPLACED ? draws.integer(this.#mask.vocabulary) : token;
  }
}

/** A bigram language model: what a language model must beat to have learned more than which word follows which. */
export class Bigram {
  readonly #vocabulary: number;
  readonly #total: number;
  readonly #counts: Float64Array;
  readonly #pairs = new Map<number, number>();
  /** How many different tokens follow each token. */
  readonly #followers: Float64Array;

  /** Counts a token stream. */
  constructor(tokens: Int32Array, vocabulary: number) {
    this.#vocabulary = vocabulary;
    this.#total = tokens.length;
    this.#counts = new Float64Array(vocabulary);
    this.#followers = new Float64Array(vocabulary);
    for (let at = 0; at < tokens.length; at++) {
      this.#counts[tokens[at]!]!++;
      if (at === 0) continue;
      const pair = tokens[at - 1]! * vocabulary + tokens[at]!;
      const before = this.#pairs.get(pair) ?? 0;
      if (before === 0) this.#followers[tokens[at - 1]!]!++;
      this.#pairs.set(pair, before + 1);
    }
  }

  /**
   * The probability of `next` after `previous`: the bigram's count interpolated with the unigram's by Witten-Bell (Witten
   * and Bell 1991), the unigram's by adding one.
   */
  probability(previous: number, next: number): number {
    const unigram = (this.#counts[next]! + 1) / (this.#total + this.#vocabulary);
    const seen = this.#counts[previous]!;
    const followers = this.#followers[previous]!;
    if (seen === 0) return unigram;
    const pair = this.#pairs.get(previous * this.#vocabulary + next) ?? 0;
    return (pair + followers * unigram) / (seen + followers);
  }
}

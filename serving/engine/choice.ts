import type { Draws } from "../../shared/protocol/random.ts";
import { type AnswerOptions, GrowingAnswer } from "../../shared/training/answer.ts";
import { type Sampling, sample } from "../../shared/training/sampling.ts";
import { type Likely, logProbabilities } from "./log-probabilities.ts";

/** How a text is continued. */
export interface ChoiceSettings extends AnswerOptions {
  /** The likeliest token each time, unless there is one. */
  readonly sampling?: { readonly how: Sampling; readonly draws: Draws } | undefined;
  /** How many of the likeliest tokens are told with their log-probabilities; undefined: not even the chosen one's. */
  readonly logprobs?: number | undefined;
}

/** What is new of an answer. */
export interface Piece {
  readonly text: string;
  /** Of the tokens that the text is of, where log-probabilities were asked for. */
  readonly tokens: readonly Likely[];
  /** Why it ended, with the last piece. */
  readonly finish: "stop" | "length" | undefined;
}

/** One answer to a text, which grows by a token a step. */
export class Choice {
  readonly #settings: ChoiceSettings;
  readonly #answer: GrowingAnswer;
  /** Of each token, its log-probability, and how long the text was with it. */
  readonly #tokens: { readonly likely: Likely; readonly end: number }[] = [];
  #made = 0;
  #told = 0;
  #shown = 0;

  constructor(settings: ChoiceSettings) {
    this.#settings = settings;
    this.#answer = new GrowingAnswer(settings);
  }

  /** Tokens that were made, those that ended it included. */
  get made(): number {
    return this.#made;
  }

  /** Tokens that it may have. */
  get most(): number {
    return this.#settings.maxNewTokens;
  }

  get isDone(): boolean {
    return this.#answer.finish !== undefined;
  }

  /** Whether it needs to know all scores. */
  get needsScores(): boolean {
    return this.#settings.sampling !== undefined || this.#settings.logprobs !== undefined;
  }

  /** What is to be given to the model next. */
  get lastToken(): number {
    return this.#answer.ids.at(-1)!;
  }

  /**
   * Takes the next token.
   * @param best the likeliest
   * @param scores of all tokens `[V]`, if it needs them
   */
  async take(best: number, scores: Float32Array | undefined): Promise<void> {
    const { sampling, logprobs } = this.#settings;
    const id = sampling && scores ? sample(scores, sampling.how, sampling.draws) : best;
    await this.#answer.push(id);
    this.#made += 1;
    if (logprobs === undefined || !scores || this.#answer.ids.length <= this.#tokens.length) return;
    const likely = await logProbabilities(scores, id, logprobs, this.#settings.decode);
    this.#tokens.push({ likely, end: this.#answer.answer.text.length });
  }

  /** What is new since the last call, and can't be taken back by what comes. */
  piece(): Piece {
    const text = this.#answer.take();
    this.#shown += text.length;
    const { finish } = this.#answer;
    const settled = finish ? this.#answer.ids.length : this.#tokens.findLastIndex(({ end }) => end <= this.#shown) + 1;
    const tokens = this.#tokens.slice(this.#told, settled).map(({ likely }) => likely);
    this.#told = Math.max(this.#told, settled);
    return { text, tokens, finish };
  }
}

/** From tokens to an answer's text: stop strings and characters don't end where tokens do. */

/** Tokens to text. */
export type Decode = (ids: readonly number[]) => Promise<string>;

/** An answer. */
export interface Answer {
  readonly text: string;
  /** Tokens of the answer: if it ended at a stop string, those that have a part of the text, and no more. */
  readonly ids: readonly number[];
  /** Whether it ended by itself or at the most tokens that were asked for. */
  readonly finish: "stop" | "length";
}

export interface AnswerOptions {
  readonly decode: Decode;
  /** Texts that end an answer and are no part of it. */
  readonly stop: readonly string[];
  /** Tokens that do. */
  readonly endIds: ReadonlySet<number>;
  readonly maxNewTokens: number;
}

/** An answer that grows token by token. */
export class GrowingAnswer {
  readonly #options: AnswerOptions;
  readonly #ids: number[] = [];
  #text = "";
  #shown = 0;
  #finish: Answer["finish"] | undefined;

  constructor(options: AnswerOptions) {
    this.#options = options;
  }

  /** Undefined while it goes on. */
  get finish(): Answer["finish"] | undefined {
    return this.#finish;
  }

  /** The tokens so far, of which the last is to be given to the model. */
  get ids(): readonly number[] {
    return this.#ids;
  }

  /** Takes the next token. */
  async push(id: number): Promise<void> {
    const { decode, stop, endIds, maxNewTokens } = this.#options;
    if (endIds.has(id)) {
      this.#finish = "stop";
      return;
    }
    this.#ids.push(id);
    this.#text = await decode(this.#ids);
    const end = firstOf(this.#text, stop);
    if (end >= 0) {
      this.#text = this.#text.slice(0, end);
      this.#finish = "stop";
      await this.#dropBehind();
    } else if (this.#ids.length >= maxNewTokens) {
      this.#finish = "length";
    }
  }

  /** Text that is new since the last call and can't be taken back by what comes: for whoever shows an answer while it grows. */
  take(): string {
    const settled = this.#finish ? this.#whole() : withoutBeginnings(this.#whole(), this.#options.stop);
    const piece = settled.slice(this.#shown);
    this.#shown = Math.max(this.#shown, settled.length);
    return piece;
  }

  /** What there is. */
  get answer(): Answer {
    return { text: this.#whole(), ids: [...this.#ids], finish: this.#finish ?? "length" };
  }

  /** The text without bytes at its end that aren't a whole character. */
  #whole(): string {
    return this.#text.replace(/\ufffd+$/, "");
  }

  /** Leaves out tokens that only have what is behind the text. */
  async #dropBehind(): Promise<void> {
    const { decode } = this.#options;
    const covers = async (count: number) => (await decode(this.#ids.slice(0, count))).startsWith(this.#text);
    while (this.#ids.length > 0 && (await covers(this.#ids.length - 1))) this.#ids.pop();
  }
}

/** Where the first of some strings begins in a text; −1 if none is in it. */
function firstOf(text: string, parts: readonly string[]): number {
  const found = parts.map((part) => text.indexOf(part)).filter((at) => at >= 0);
  return found.length > 0 ? Math.min(...found) : -1;
}

/** A text without what at its end may become one of some strings. */
function withoutBeginnings(text: string, parts: readonly string[]): string {
  const kept = parts.map((part) => {
    for (let length = Math.min(part.length - 1, text.length); length > 0; length--) {
      if (text.endsWith(part.slice(0, length))) return text.length - length;
    }
    return text.length;
  });
  return text.slice(0, Math.min(text.length, ...kept));
}

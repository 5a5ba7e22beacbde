import type { Value } from "../../shared/graph/engine.ts";
import type { Decoder, Next, Prefix } from "../../shared/training/decoder.ts";
import type { Choice } from "./choice.ts";
import {
  type AskJob,
  abandon,
  beginning,
  begun,
  type Continuation,
  type ContinueJob,
  isAborted,
  type Job,
  lengthOf,
  type Question,
  rowsOf,
  thrownBy,
} from "./jobs.ts";
import { scoresFault } from "./scores-fault.ts";

/** Tokens that are read between two steps, padding included: what texts that join may hold others up. */
const READ_BETWEEN_STEPS = 128;
/** Tokens of a text that is read aside, which holds others up at each of its pieces. */
const READ_ASIDE = 64;
/** Tokens that are read at once where nobody is held up. */
export const READ_ALONE = 512;

/** What the batcher tells while it works. */
export interface BatcherEvents {
  /** A step for so many rows. */
  readonly onStep: (rows: number, seconds: number) => void;
  /** It can't go on: nothing that comes will be answered. */
  readonly onFailure: (error: Error) => void;
}

/** A row of the decoder. */
interface Row {
  readonly job: ContinueJob;
  readonly choice: Choice;
}

/** What may come next in a row. */
interface NextOfRow {
  readonly best: number;
  readonly scores: Float32Array | undefined;
  readonly areNumbers: boolean;
}

/** What is read aside, piece by piece. */
interface Aside {
  readonly job: Job;
  /** Tokens or embeddings that have been read. */
  read: number;
}

/**
 * Continuous batching: texts of different prompts and lengths share a batch, join it between two steps, and leave it when they are
 * done or nobody waits for them. Between two steps only so many tokens are read, a long text piece by piece.
 */
export class Batcher {
  readonly #decoder: Decoder;
  readonly #events: BatcherEvents;
  readonly #queue: Job[] = [];
  /** All whose callers wait. */
  readonly #open = new Set<Job>();
  readonly #rows: Row[] = [];
  #aside: Aside | undefined;
  #asideIsNext = true;
  #running = false;
  #failure: Error | undefined;

  constructor(decoder: Decoder, events: BatcherEvents) {
    this.#decoder = decoder;
    this.#events = events;
  }

  /** Jobs that wait, and rows that are continued. */
  get load(): { readonly waiting: number; readonly rows: number } {
    return { waiting: this.#queue.length, rows: this.#rows.length };
  }

  /**
   * Continues a text; resolves when all its answers are done, or it is aborted. Its choices must not be more than the decoder's slots.
   * @throws ProblemError as `Decoder.requireFits`, or if the model's scores aren't numbers
   */
  async continue(text: Continuation): Promise<void> {
    // The last token of an answer isn't read.
    this.#decoder.requireFits(text, Math.max(...text.choices.map(({ most }) => most)) - 1);
    return this.#add((waiting) => ({ kind: "continue", text, ...waiting }));
  }

  /** The scores of what comes next in a text, `[V]`. @throws AbortError if it is aborted; ProblemError as `Decoder.requireFits` */
  async ask(text: Question): Promise<Float32Array> {
    this.#decoder.requireFits(text);
    return this.#add((waiting) => ({ kind: "ask", text, ...waiting }));
  }

  /** Computes the keys and values of a prompt `[P, D]`. */
  prefix(value: Value): Promise<Prefix> {
    return this.#add((waiting) => ({ kind: "prompt", value, ...waiting }));
  }

  /** Frees a prompt that no text which is still to be read begins with. */
  release(prefix: Prefix): Promise<void> {
    return this.#decoder.release(prefix);
  }

  #add<T>(make: (waiting: { resolve: (value: T) => void; reject: (error: Error) => void }) => Job): Promise<T> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise<T>((resolve, reject) => {
      const once = <V>(settle: (value: V) => void) => {
        return (value: V) => {
          this.#open.delete(job);
          settle(value);
        };
      };
      const job = make({ resolve: once(resolve), reject: once(reject) });
      this.#open.add(job);
      this.#queue.push(job);
      if (!this.#running) void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#running = true;
    try {
      while (this.#queue.length > 0 || this.#rows.length > 0 || this.#aside) {
        await this.#leaveAborted();
        await this.#readSome();
        if (this.#rows.length > 0) await this.#step();
        // Whatever came meanwhile is heard.
        await new Promise(setImmediate);
      }
      this.#running = false;
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #fail(error: Error): void {
    this.#failure = error;
    for (const { reject } of this.#open) reject(error);
    this.#queue.length = 0;
    this.#events.onFailure(error);
  }

  async #leaveAborted(): Promise<void> {
    for (let index = this.#queue.length - 1; index >= 0; index--) {
      if (isAborted(this.#queue[index]!)) abandon(this.#queue.splice(index, 1)[0]!);
    }
    if (this.#aside && isAborted(this.#aside.job)) {
      abandon(this.#aside.job);
      this.#aside = undefined;
    }
    for (let index = this.#rows.length - 1; index >= 0; index--) {
      if (isAborted(this.#rows[index]!.job)) await this.#leave(index);
    }
  }

  /** Reads as much as others may be held up by. */
  async #readSome(): Promise<void> {
    const most = this.#rows.length > 0 ? READ_BETWEEN_STEPS : READ_ALONE;
    const asideFirst = this.#asideIsNext;
    this.#asideIsNext = !asideFirst;
    if (asideFirst && this.#aside) return this.#readAside(this.#aside);
    if ((await this.#readNext(most)) || !this.#aside) return;
    await this.#readAside(this.#aside);
  }

  /** Begins with the first job that can begin. @returns whether there was one */
  async #readNext(most: number): Promise<boolean> {
    let full = this.#decoder.slots <= this.#rows.length;
    for (const job of this.#queue) {
      if (isQuestion(job)) return this.#ask(most);
      const fits = job.kind !== "continue" || (!full && this.#rows.length + job.text.choices.length <= this.#free());
      // Who waits for places isn't overtaken by who needs fewer.
      if (job.kind === "continue" && !fits) full = true;
      if (!fits) continue;
      if (isShort(job)) return this.#join(most);
      if (!this.#aside) return this.#begin(job);
    }
    return false;
  }

  /** Rows that there may be, those of a text that is read aside not counted. */
  #free(): number {
    const coming = this.#aside?.job.kind === "continue" ? this.#aside.job.text.choices.length : 0;
    return this.#decoder.slots - coming;
  }

  /** Takes in waiting texts that are short, in their order, as long as they are few enough. */
  async #join(most: number): Promise<boolean> {
    const jobs = begun(this.#pick(isShort, most, this.#free() - this.#rows.length));
    if (jobs.length === 0) return true;
    const rows = jobs.map((job) => ({ job, choice: job.text.choices[0]! }));
    const next = await this.#decoder.join(
      jobs.map(({ text }) => beginning(text)),
      needScores(rows),
    );
    this.#rows.push(...rows);
    await this.#take(rows, next);
    return true;
  }

  /** Answers questions, of as many requests as there are. */
  async #ask(most: number): Promise<boolean> {
    const jobs = begun(this.#pick(isQuestion, most, READ_ALONE));
    if (jobs.length === 0) return true;
    const { scores } = await this.#decoder.look(jobs.map(({ text }) => beginning(text)));
    const width = scores!.length / jobs.length;
    for (const [i, { resolve }] of jobs.entries()) resolve(scores!.subarray(i * width, (i + 1) * width));
    return true;
  }

  /** Takes jobs of one kind out of the queue: the first, and others as long as they make no more tokens, padded, than are read at once. */
  #pick<J extends ContinueJob | AskJob>(isWanted: (job: Job) => job is J, most: number, places: number): J[] {
    const picked: J[] = [];
    let longest = 0;
    for (const job of [...this.#queue]) {
      if (picked.length >= places || !isWanted(job)) continue;
      const padded = Math.max(longest, job.text.ids.length);
      if (picked.length > 0 && padded * (picked.length + 1) > most) break;
      longest = padded;
      picked.push(job);
      this.#queue.splice(this.#queue.indexOf(job), 1);
    }
    return picked;
  }

  /** Begins to read aside. */
  async #begin(job: Job): Promise<boolean> {
    this.#queue.splice(this.#queue.indexOf(job), 1);
    if (job.kind !== "prompt" && begun([job]).length === 0) return true;
    this.#aside = { job, read: 0 };
    await this.#decoder.begin(job.kind === "prompt" ? undefined : job.text.prefix, lengthOf(job));
    await this.#readAside(this.#aside);
    return true;
  }

  async #readAside(aside: Aside): Promise<void> {
    const { job, read } = aside;
    const most = this.#rows.length > 0 ? READ_ASIDE : READ_ALONE;
    const piece = job.kind === "prompt" ? rowsOf(job.value, read, most) : job.text.ids.subarray(read, read + most);
    aside.read += piece instanceof Int32Array ? piece.length : piece.shape[0]!;
    const isLast = aside.read === lengthOf(job);
    const wanted = job.kind === "ask" || (job.kind === "continue" && job.text.choices.some((each) => each.needsScores));
    const next = await this.#decoder.read(piece, isLast && wanted);
    if (!isLast) return;
    this.#aside = undefined;
    if (job.kind === "prompt") job.resolve(await this.#decoder.keep());
    else if (job.kind === "ask") job.resolve(next.scores!);
    else {
      const rows = job.text.choices.map((choice) => ({ job, choice }));
      await this.#decoder.settle(rows.length);
      this.#rows.push(...rows);
      await this.#takeEach(rows, () => ({ best: next.best[0]!, scores: next.scores, areNumbers: next.areNumbers[0]! }));
    }
  }

  async #step(): Promise<void> {
    const start = performance.now();
    const rows = [...this.#rows];
    const last = Int32Array.from(rows, ({ choice }) => choice.lastToken);
    const next = await this.#decoder.step(last, needScores(rows));
    await this.#take(rows, next);
    this.#events.onStep(rows.length, (performance.now() - start) / 1000);
  }

  #take(rows: readonly Row[], { best, scores, areNumbers }: Next): Promise<void> {
    const width = (scores?.length ?? 0) / rows.length;
    const own = (i: number) => scores?.subarray(i * width, (i + 1) * width);
    return this.#takeEach(rows, (i) => ({ best: best[i]!, scores: own(i), areNumbers: areNumbers[i]! }));
  }

  /** Gives rows their next tokens; those that are done, or of a request that fails at it, leave. */
  async #takeEach(rows: readonly Row[], next: (index: number) => NextOfRow): Promise<void> {
    const failed = new Map<ContinueJob, Error>();
    for (const [i, { job, choice }] of rows.entries()) {
      const { best, scores, areNumbers } = next(i);
      if (!areNumbers) failed.set(job, scoresFault());
      else await choice.take(best, scores).catch((error: Error) => failed.set(job, error));
    }
    const jobs = new Set(rows.map(({ job }) => job));
    for (const job of jobs) {
      const error = failed.get(job) ?? thrownBy(job.text.onGrowth);
      if (error) failed.set(job, error);
    }
    for (let index = this.#rows.length - 1; index >= 0; index--) {
      const { job, choice } = this.#rows[index]!;
      if (choice.isDone || failed.has(job)) await this.#leave(index);
    }
    for (const job of jobs) {
      const error = failed.get(job);
      if (error) job.reject(error);
      else if (job.text.choices.every(({ isDone }) => isDone)) job.resolve();
    }
  }

  async #leave(index: number): Promise<void> {
    const { job } = this.#rows[index]!;
    await this.#decoder.leave(index);
    const moved = this.#rows.pop()!;
    if (index < this.#rows.length) this.#rows[index] = moved;
    if (isAborted(job)) abandon(job);
  }
}

/** Whether a text is read at once, with others of its kind. */
function isShort(job: Job): job is ContinueJob {
  return job.kind === "continue" && job.text.choices.length === 1 && job.text.ids.length <= READ_BETWEEN_STEPS;
}

function isQuestion(job: Job): job is AskJob {
  return job.kind === "ask" && job.text.ids.length <= READ_BETWEEN_STEPS;
}

function needScores(rows: readonly Row[]): boolean {
  return rows.some(({ choice }) => choice.needsScores);
}

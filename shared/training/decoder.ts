import type { Copy, Engine, Session, Value } from "../graph/engine.ts";
import { decodeStep, headSize, keptNames } from "../models/decode.ts";
import type { Model } from "../models/model.ts";
import { ProblemError } from "../protocol/errors.ts";

/** The keys and values of a soft prompt, computed once: whoever has them may let any number of rows begin with them. */
export interface Prefix {
  /** Begins the names of the variables that hold them. */
  readonly name: string;
  /** Virtual tokens P. */
  readonly length: number;
}

/** A text that is to be continued. */
export interface Beginning {
  /** Its tokens, at least one. */
  readonly ids: Int32Array;
  readonly prefix?: Prefix | undefined;
}

/** What may come next in R rows. */
export interface Next {
  /** The likeliest token of each, `[R]`. */
  readonly best: Int32Array;
  /** The scores of all tokens, `[R, V]`, row-major, where they were asked for. */
  readonly scores: Float32Array | undefined;
}

/** A row of variables that keep keys and values. */
interface Place {
  /** Begins their names. */
  readonly name: string;
  readonly row: number;
  /** Positions M that the variables have. */
  readonly room: number;
}

/** Room for positions is made in steps of so many: then what is kept is copied, and not at every token. */
const ROOM_STEP = 64;

/**
 * A causal model that continues texts, one token a step, and keeps their keys and values. Rows are of different lengths and begin with
 * different prompts; they may join and leave between any two steps. The first rows of the memory are always those in use, so a step
 * computes nothing else: when one leaves, the last takes its place.
 */
export class Decoder {
  static #count = 0;
  readonly #engine: Engine;
  readonly #model: Model;
  readonly #session: Session;
  readonly #name: string;
  readonly #headSize: number;
  /** Positions that are kept of each row in use. */
  readonly #lengths: number[] = [];
  #room = 0;
  #prefixes = 0;
  /** Rows at once. */
  readonly slots: number;

  private constructor(engine: Engine, model: Model, session: Session, name: string, slots: number) {
    this.#engine = engine;
    this.#model = model;
    this.#session = session;
    this.#name = name;
    this.#headSize = headSize(model);
    this.slots = slots;
  }

  /**
   * Loads the model.
   * @param slots rows at once
   * @throws ProblemError for a masked model
   */
  static async open(engine: Engine, model: Model, slots: number): Promise<Decoder> {
    if (model.kind === "masked") {
      const detail =
        "A masked model (RoBERTa, BERT) can't continue a text: a task whose answer is text needs a causal one.";
      throw new ProblemError("The task does not fit the model", detail, { status: 422 });
    }
    const name = `decoder${Decoder.#count++}`;
    const session = await engine.load(decodeStep(model, name));
    return new Decoder(engine, model, session, name, slots);
  }

  /** Positions that are kept of each row in use, in the order in which `step` takes and gives tokens. */
  get lengths(): readonly number[] {
    return this.#lengths;
  }

  /** Computes the keys and values of a prompt `[P, D]`. */
  async prefix({ shape, data }: Value): Promise<Prefix> {
    const [length, width] = shape as readonly [number, number];
    await this.#makeRoom(length);
    const name = `${this.#name}.prefix${this.#prefixes++}`;
    // Behind the rows that may be in use there is one more.
    const scratch = this.#place(this.slots);
    const embedded = { shape: [1, length, width], data };
    const ids = { shape: [1, 0], data: new Int32Array() };
    await this.#run({ embedded, ids }, { first: this.slots, past: [0], read: [length - 1] }, []);
    await this.#engine.resize(this.#shapes(name, 1, length));
    await this.#copy(scratch, { name, row: 0, room: length }, length);
    await this.#copy(undefined, scratch, length);
    return { name, length };
  }

  /** Frees a prompt's keys and values. Rows that began with them keep their own. */
  async release({ name }: Prefix): Promise<void> {
    await this.#engine.drop(Object.keys(this.#shapes(name, 1, 1)));
  }

  /**
   * Takes in texts, as the last rows, and says what may come next in them.
   * @param scores whether all scores are wanted
   * @throws ProblemError for a text that the model has no positions for; Error if there are more texts than free slots
   */
  async join(texts: readonly Beginning[], scores = false): Promise<Next> {
    const first = this.#lengths.length;
    if (first + texts.length > this.slots) throw new Error("the decoder has no free slots for so many texts");
    const past = texts.map(({ prefix }) => prefix?.length ?? 0);
    const longest = Math.max(...texts.map(({ ids }) => ids.length));
    const lengths = texts.map(({ ids }, i) => past[i]! + ids.length);
    this.#requirePositions(Math.max(...lengths));
    await this.#makeRoom(Math.max(...past) + longest);
    for (const [i, { prefix }] of texts.entries()) {
      if (prefix)
        await this.#copy({ name: prefix.name, row: 0, room: prefix.length }, this.#place(first + i), past[i]!);
    }
    const padded = new Int32Array(texts.length * longest);
    for (const [i, { ids }] of texts.entries()) padded.set(ids, i * longest);
    const read = texts.map(({ ids }) => ids.length - 1);
    const next = await this.#runTokens(padded, { first, past, read }, scores);
    this.#lengths.push(...lengths);
    return next;
  }

  /**
   * Adds a token to every row and says what may come next.
   * @param tokens a token a row, `[R]`
   * @throws ProblemError if the model has no position for one of them
   */
  async step(tokens: Int32Array, scores = false): Promise<Next> {
    const past = [...this.#lengths];
    const longest = Math.max(...past) + 1;
    this.#requirePositions(longest);
    await this.#makeRoom(longest);
    const next = await this.#runTokens(tokens, { first: 0, past, read: past.map(() => 0) }, scores);
    for (const row of past.keys()) this.#lengths[row]! += 1;
    return next;
  }

  /** Takes a row out; the last one takes its place, and nothing of it is kept. */
  async leave(row: number): Promise<void> {
    const last = this.#lengths.length - 1;
    const [gone, moved] = [this.#lengths[row]!, this.#lengths[last]!];
    // What is not a number would spoil whatever comes here next, though a mask hides it.
    await this.#copy(undefined, this.#place(row), gone);
    if (row !== last) {
      await this.#copy(this.#place(last), this.#place(row), moved);
      await this.#copy(undefined, this.#place(last), moved);
    }
    this.#lengths[row] = moved;
    this.#lengths.pop();
  }

  /** Frees the model's graph and what is kept. */
  async close(): Promise<void> {
    await this.#session.release();
    await this.#engine.drop(Object.keys(this.#shapes(this.#name, 1, 1)));
  }

  #requirePositions(wanted: number): void {
    const { positions } = this.#model.config;
    if (wanted <= positions) return;
    const detail = `prompt, text and answer make ${wanted} positions; the model has ${positions}.`;
    throw new ProblemError("The text is too long", detail, { status: 422 });
  }

  /** Room for so many positions in every row, and for not many more: a step reads all of it. */
  async #makeRoom(positions: number): Promise<void> {
    const wanted = Math.ceil(Math.max(positions, ...this.#lengths) / ROOM_STEP) * ROOM_STEP;
    if (wanted <= this.#room && wanted > this.#room / 2) return;
    this.#room = wanted;
    await this.#engine.resize(this.#shapes(this.#name, this.slots + 1, wanted));
  }

  async #runTokens(tokens: Int32Array, rows: Rows, scores: boolean): Promise<Next> {
    const count = rows.past.length;
    const feeds = {
      embedded: { shape: [count, 0, this.#model.config.width], data: new Float32Array() },
      ids: { shape: [count, tokens.length / count], data: tokens },
    };
    const next = await this.#run(feeds, rows, scores ? ["best", "scores"] : ["best"]);
    return { best: next.best!.data as Int32Array, scores: next.scores?.data as Float32Array | undefined };
  }

  #run(feeds: Readonly<Record<"embedded" | "ids", Value>>, { first, past, read }: Rows, outputs: readonly string[]) {
    const [count, positions] = [past.length, Int32Array.from(past)];
    const each = { past: { shape: [count], data: positions }, read: { shape: [count], data: Int32Array.from(read) } };
    return this.#session.run({ ...feeds, ...each }, { rows: { first, count }, positions, outputs });
  }

  #place(row: number): Place {
    return { name: this.#name, row, room: this.#room };
  }

  /** Copies a row's first positions to another row, or zeros, head by head. */
  #copy(from: Place | undefined, to: Place, length: number): Promise<void> {
    const { keyHeads, layers } = this.#model.config;
    const at = (place: Place | undefined, head: number) =>
      place ? (place.row * keyHeads + head) * place.room * this.#headSize : 0;
    const size = length * this.#headSize;
    const heads = Array.from({ length: keyHeads }, (_, head) => [at(from, head), at(to, head), size]);
    const pieces = Float64Array.from(heads.flat());
    const copies: Copy[] = [];
    for (let layer = 0; layer < layers; layer++) {
      const [source, target] = [from && keptNames(from.name, layer), keptNames(to.name, layer)];
      for (const part of ["key", "value"] as const) {
        copies.push({ ...(source && { from: source[part] }), to: target[part], pieces });
      }
    }
    return this.#engine.copy(copies);
  }

  #shapes(name: string, rows: number, room: number): Record<string, readonly number[]> {
    const { keyHeads, layers } = this.#model.config;
    const shape = [rows, keyHeads, room, this.#headSize];
    const names = Array.from({ length: layers }, (_, layer) => Object.values(keptNames(name, layer)));
    return Object.fromEntries(names.flat().map((each) => [each, shape]));
  }
}

/** Rows that a run continues: the first, and of each how many positions are kept and which new one is read. */
interface Rows {
  readonly first: number;
  readonly past: readonly number[];
  readonly read: readonly number[];
}

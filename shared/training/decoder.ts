import type { Copy, Engine, Session, Value } from "../graph/engine.ts";
import { decodeStep, keptHeadSize, keptNames } from "../models/decode.ts";
import type { Model } from "../models/model.ts";
import { ProblemError } from "../protocol/errors.ts";

/** The keys and values of a soft prompt, computed once: whoever has them may let any number of rows begin with them. */
export interface Prefix {
  /** Begins the names of the variables that hold them. */
  readonly name: string;
  /** Virtual tokens P. */
  readonly length: number;
}

/** A text that is being continued. */
export interface Row {
  /** Positions that are kept of it, those of its prompt included. */
  readonly length: number;
}

/** What may come next. */
export interface Next {
  /** The likeliest token of each row, `[R]`. */
  readonly best: Int32Array;
  /** The scores of all tokens, `[R, V]`, row-major, where they were asked for. */
  readonly scores: Float32Array | undefined;
}

interface Slot {
  length: number;
}

/** A row of variables that keep keys and values. */
interface Place {
  /** Begins their names. */
  readonly name: string;
  readonly row: number;
  readonly capacity: number;
}

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
  readonly #size: number;
  readonly #rows: Slot[] = [];
  #prefixes = 0;
  /** Rows at once. */
  readonly slots: number;
  /** Positions a row may have. */
  readonly capacity: number;

  private constructor(
    engine: Engine,
    model: Model,
    session: Session,
    name: string,
    { slots, capacity }: { readonly slots: number; readonly capacity: number },
  ) {
    this.#engine = engine;
    this.#model = model;
    this.#session = session;
    this.#name = name;
    this.#size = keptHeadSize(model);
    this.slots = slots;
    this.capacity = capacity;
  }

  /**
   * Loads the model. Memory for keys and values is only taken where they are written.
   * @param capacity positions a row may have; no more than the model has
   * @throws ProblemError for a masked model
   */
  static async open(
    engine: Engine,
    model: Model,
    { slots, capacity }: { readonly slots: number; readonly capacity: number },
  ): Promise<Decoder> {
    if (model.kind === "masked") {
      const detail =
        "A masked model (RoBERTa, BERT) can't continue a text: a task whose answer is text needs a causal one.";
      throw new ProblemError("The task does not fit the model", detail, { status: 422 });
    }
    const name = `decoder${Decoder.#count++}`;
    const session = await engine.load(decodeStep(model, name));
    const sizes = { slots, capacity: Math.min(capacity, model.config.positions) };
    const decoder = new Decoder(engine, model, session, name, sizes);
    await engine.allocate(decoder.#shapes(name, slots + 1, sizes.capacity));
    return decoder;
  }

  /** Rows in use, in the order in which `step` takes and gives tokens. */
  get rows(): readonly Row[] {
    return this.#rows;
  }

  /** Computes the keys and values of a prompt `[P, D]`. */
  async prefix({ shape, data }: Value): Promise<Prefix> {
    const [length, width] = shape as readonly [number, number];
    if (length > this.capacity) {
      throw new ProblemError("The prompt is too long", `${length} virtual tokens; there is room for ${this.capacity}.`);
    }
    const name = `${this.#name}.prefix${this.#prefixes++}`;
    const ids = { shape: [1, 0], data: new Int32Array() };
    const embedded = { shape: [1, length, width], data };
    // Behind the rows that may be in use there is one more.
    const rows = { first: this.slots, count: 1 };
    await this.#session.run({ ...this.#feeds([0], length), ids, embedded }, { rows, outputs: [] });
    await this.#engine.allocate(this.#shapes(name, 1, length));
    await this.#copy(this.#place(this.slots), { name, row: 0, capacity: length }, length);
    return { name, length };
  }

  /** Frees a prompt's keys and values. Rows that began with them keep their own. */
  async release({ name }: Prefix): Promise<void> {
    await this.#engine.drop(Object.keys(this.#shapes(name, 1, 1)));
  }

  /**
   * Takes in a text and says what may come next. It becomes the last row.
   * @param ids its tokens, at least one
   * @param scores whether all scores are wanted
   * @throws ProblemError if it has more positions than a row may have; Error if all slots are in use
   */
  async join(ids: Int32Array, prefix: Prefix | undefined, scores = false): Promise<Next> {
    const first = this.#rows.length;
    if (first === this.slots) throw new Error("all slots of the decoder are in use");
    const before = prefix?.length ?? 0;
    const length = before + ids.length;
    if (length > this.capacity) {
      const detail = `${before} virtual tokens and ${ids.length} tokens of text make ${length} positions; there is room for ${this.capacity}.`;
      throw new ProblemError("The text is too long", detail, { status: 422 });
    }
    if (prefix) await this.#copy({ name: prefix.name, row: 0, capacity: before }, this.#place(first), before);
    const next = await this.#run([before], { shape: [1, ids.length], data: ids }, first, scores);
    this.#rows.push({ length });
    return next;
  }

  /**
   * Adds a token to every row and says what may come next.
   * @param tokens a token a row, `[R]`
   * @throws ProblemError if a row has no room for it
   */
  async step(tokens: Int32Array, scores = false): Promise<Next> {
    const past = this.#rows.map(({ length }) => length);
    if (past.some((length) => length >= this.capacity)) {
      throw new ProblemError("The text is too long", `there is room for ${this.capacity} positions.`, { status: 422 });
    }
    const next = await this.#run(past, { shape: [past.length, 1], data: tokens }, 0, scores);
    for (const row of this.#rows) row.length += 1;
    return next;
  }

  /** Takes a row out; the last one takes its place. */
  async leave(index: number): Promise<void> {
    const last = this.#rows.pop()!;
    if (index === this.#rows.length) return;
    await this.#copy(this.#place(this.#rows.length), this.#place(index), last.length);
    this.#rows[index] = last;
  }

  /** Frees the model's graph and what is kept. */
  async close(): Promise<void> {
    await this.#session.release();
    await this.#engine.drop(Object.keys(this.#shapes(this.#name, 1, 1)));
  }

  async #run(past: readonly number[], ids: Value, first: number, scores: boolean): Promise<Next> {
    const [count, added] = ids.shape as readonly [number, number];
    const embedded = { shape: [count, 0, this.#model.config.width], data: new Float32Array() };
    const outputs = scores ? ["best", "scores"] : ["best"];
    const next = await this.#session.run(
      { ...this.#feeds(past, added), embedded, ids },
      { rows: { first, count }, outputs },
    );
    return { best: next.best!.data as Int32Array, scores: next.scores?.data as Float32Array | undefined };
  }

  #feeds(past: readonly number[], added: number): Record<"past" | "total", Value> {
    return {
      past: { shape: [past.length], data: Int32Array.from(past) },
      total: { shape: [], data: Int32Array.of(Math.max(...past) + added) },
    };
  }

  #place(row: number): Place {
    return { name: this.#name, row, capacity: this.capacity };
  }

  /** Copies a row's first positions to another row, head by head. */
  #copy(from: Place, to: Place, length: number): Promise<void> {
    const { keyHeads, layers } = this.#model.config;
    const at = ({ row, capacity }: Place, head: number) => (row * keyHeads + head) * capacity * this.#size;
    const heads = Array.from({ length: keyHeads }, (_, head) => [at(from, head), at(to, head), length * this.#size]);
    const pieces = Float64Array.from(heads.flat());
    const copies: Copy[] = [];
    for (let layer = 0; layer < layers; layer++) {
      const [source, target] = [keptNames(from.name, layer), keptNames(to.name, layer)];
      copies.push({ from: source.key, to: target.key, pieces }, { from: source.value, to: target.value, pieces });
    }
    return this.#engine.copy(copies);
  }

  #shapes(name: string, rows: number, positions: number): Record<string, readonly number[]> {
    const { keyHeads, layers } = this.#model.config;
    const shape = [rows, keyHeads, positions, this.#size];
    return Object.fromEntries(
      Array.from({ length: layers }, (_, layer) =>
        Object.values(keptNames(name, layer)).map((of) => [of, shape]),
      ).flat(),
    );
  }
}

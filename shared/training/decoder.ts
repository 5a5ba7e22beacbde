import type { Copy, Engine, Graph, Session, Value } from "../graph/engine.ts";
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
  /** Whether the scores of each are numbers: where they aren't, nothing of it may be used. */
  readonly areNumbers: readonly boolean[];
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
 * computes nothing else: when one leaves, the last takes its place. Before them is one aside, in which a long text is read piece by
 * piece while the others go on.
 */
export class Decoder {
  static #count = 0;
  readonly #engine: Engine;
  readonly #model: Model;
  readonly #session: Session;
  readonly #name: string;
  readonly #headSize: number;
  /** Positions that are kept of each row in use, in the order in which `step` takes and gives tokens. */
  readonly #lengths: number[] = [];
  /** Positions that are kept aside. */
  #aside = 0;
  /** Rows and positions that there is memory for. */
  #size = { rows: 0, positions: 0 };
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
   * @param load makes the graph ready, where that is to be told
   * @throws ProblemError for a masked model
   */
  static async open(
    engine: Engine,
    model: Model,
    slots: number,
    load = (graph: Graph): Promise<Session> => engine.load(graph),
  ): Promise<Decoder> {
    if (model.kind === "masked") {
      const detail =
        "A masked model (RoBERTa, BERT) can't continue a text: a task whose answer is text needs a causal one.";
      throw new ProblemError("The task does not fit the model", detail, { status: 422 });
    }
    const name = `decoder${Decoder.#count++}`;
    const session = await load(decodeStep(model.decoding ?? model, name));
    return new Decoder(engine, model, session, name, slots);
  }

  /** Bytes that a prompt of so many virtual tokens takes. */
  prefixBytes(length: number): number {
    const { keyHeads, layers } = this.#model.config;
    return 2 * layers * keyHeads * length * this.#headSize * Float32Array.BYTES_PER_ELEMENT;
  }

  /**
   * Refuses a text that can't be read here, whatever it is read with.
   * @param more tokens that it may be continued by
   * @throws ProblemError
   */
  requireFits(text: Beginning, more = 0): void {
    const { vocabulary } = this.#model.config;
    this.#requirePositions(lengthOf(text) + more);
    if (text.ids.length > 0 && text.ids.every((id) => id >= 0 && id < vocabulary)) return;
    const detail = "It has no token, or one that the model has no embedding for; take a tokenizer of the same model.";
    throw new ProblemError("The text can't be read", detail, { status: 422 });
  }

  /** Computes the keys and values of a prompt `[P, D]`. Nothing else may be read aside meanwhile. */
  async prefix(value: Value): Promise<Prefix> {
    await this.begin();
    await this.read(value);
    return this.keep();
  }

  /** Frees a prompt's keys and values. Rows that began with them keep their own. */
  async release({ name }: Prefix): Promise<void> {
    await this.#engine.drop(Object.keys(this.#shapes(name, 1, 1)));
  }

  /**
   * Begins to read a text, or a prompt, aside. What was read there before is forgotten.
   * @param length tokens that will be read: there is room for them at once
   */
  async begin(prefix?: Prefix, length = 0): Promise<void> {
    await this.forget();
    await this.#makeRoom((prefix?.length ?? 0) + length, 0);
    if (!prefix) return;
    await this.#copy([[placeOf(prefix), this.#place(ASIDE), prefix.length]]);
    this.#aside = prefix.length;
  }

  /**
   * Reads the next piece aside: tokens, or embeddings `[E, D]`.
   * @returns what may come next, as one row
   * @throws ProblemError if the model has no positions for it
   */
  async read(piece: Int32Array | Value, scores = false): Promise<Next> {
    const tokens = piece instanceof Int32Array;
    const length = tokens ? piece.length : piece.shape[0]!;
    this.#requirePositions(this.#aside + length);
    await this.#makeRoom(this.#aside + length, 0);
    const rows = { first: ASIDE, past: [this.#aside], read: [length - 1] };
    const embedded = (value: Value) => ({ shape: [1, ...value.shape], data: value.data });
    const noIds = { shape: [1, 0], data: new Int32Array() };
    const next = tokens
      ? await this.#runTokens(piece, rows, scores)
      : await this.#run({ embedded: embedded(piece), ids: noIds }, rows, false);
    this.#aside += length;
    return next;
  }

  /** Makes what was read aside the last rows, so many of them. @throws Error if there are fewer free slots */
  async settle(rows: number): Promise<void> {
    const first = this.#requireSlots(rows);
    await this.#makeRoom(this.#aside, first + rows);
    const places = Array.from({ length: rows }, (_, i) => this.#place(ROWS + first + i));
    await this.#copy(places.map((place) => [this.#place(ASIDE), place, this.#aside]));
    this.#lengths.push(...places.map(() => this.#aside));
    await this.forget();
  }

  /** Keeps what was read aside as what other texts may begin with. */
  async keep(): Promise<Prefix> {
    const prefix = { name: `${this.#name}.prefix${this.#prefixes++}`, length: this.#aside };
    await this.#engine.resize(this.#shapes(prefix.name, 1, prefix.length));
    await this.#copy([[this.#place(ASIDE), placeOf(prefix), prefix.length]]);
    await this.forget();
    return prefix;
  }

  /** Forgets what was read aside. */
  async forget(): Promise<void> {
    await this.#copy([[undefined, this.#place(ASIDE), this.#aside]]);
    this.#aside = 0;
  }

  /**
   * Takes in texts, as the last rows, and says what may come next in them.
   * @param scores whether all scores are wanted
   * @throws ProblemError as `requireFits`; Error if there are more texts than free slots
   */
  async join(texts: readonly Beginning[], scores = false): Promise<Next> {
    this.#requireSlots(texts.length);
    const next = await this.#readBehind(texts, scores);
    this.#lengths.push(...texts.map(lengthOf));
    return next;
  }

  /** Says what may come next in texts, behind the rows, and keeps nothing of them. @throws ProblemError as `join` */
  async look(texts: readonly Beginning[]): Promise<Next> {
    const first = ROWS + this.#lengths.length;
    const next = await this.#readBehind(texts, true);
    await this.#copy(texts.map((text, i) => [undefined, this.#place(first + i), lengthOf(text)]));
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
    await this.#makeRoom(longest, past.length);
    const next = await this.#runTokens(tokens, { first: ROWS, past, read: past.map(() => 0) }, scores);
    for (const row of past.keys()) this.#lengths[row]! += 1;
    return next;
  }

  /** Takes a row out; the last one takes its place, and nothing of it is kept. */
  async leave(row: number): Promise<void> {
    const last = this.#lengths.length - 1;
    const [gone, moved] = [this.#lengths[row]!, this.#lengths[last]!];
    const moves: Move[] = [[undefined, this.#place(ROWS + row), gone]];
    if (row !== last) {
      moves.push([this.#place(ROWS + last), this.#place(ROWS + row), moved]);
      moves.push([undefined, this.#place(ROWS + last), moved]);
    }
    await this.#copy(moves);
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

  /** The first free slot. */
  #requireSlots(wanted: number): number {
    const first = this.#lengths.length;
    if (first + wanted > this.slots) throw new Error("the decoder has no free slots for so many texts");
    return first;
  }

  /** Room for so many positions in so many rows, and for not many more positions: a step reads all of them. */
  async #makeRoom(positions: number, rows: number): Promise<void> {
    const longest = Math.max(positions, this.#aside, ...this.#lengths);
    const before = this.#size;
    // Whatever grows is to grow seldom, since all is copied.
    const grown = longest > before.positions ? Math.min(1.25 * before.positions, this.#model.config.positions) : 0;
    const wanted = Math.ceil(Math.max(longest, grown) / ROOM_STEP) * ROOM_STEP;
    const fits = rows <= before.rows && wanted <= before.positions && wanted > before.positions / 4;
    if (fits) return;
    const twice = rows <= before.rows ? before.rows : Math.max(rows, 2 * before.rows);
    this.#size = { rows: twice, positions: wanted };
    await this.#engine.resize(this.#shapes(this.#name, ROWS + twice, wanted));
  }

  async #readBehind(texts: readonly Beginning[], scores: boolean): Promise<Next> {
    const first = this.#lengths.length;
    const past = texts.map(({ prefix }) => prefix?.length ?? 0);
    const longest = Math.max(...texts.map(({ ids }) => ids.length));
    for (const text of texts) this.requireFits(text);
    await this.#makeRoom(Math.max(...texts.map(lengthOf)), first + texts.length);
    const moves = texts.map(({ prefix }, i): Move[] =>
      prefix ? [[placeOf(prefix), this.#place(ROWS + first + i), prefix.length]] : [],
    );
    await this.#copy(moves.flat());
    const padded = new Int32Array(texts.length * longest);
    for (const [i, { ids }] of texts.entries()) padded.set(ids, i * longest);
    const read = texts.map(({ ids }) => ids.length - 1);
    return this.#runTokens(padded, { first: ROWS + first, past, read }, scores);
  }

  #runTokens(tokens: Int32Array, rows: Rows, scores: boolean): Promise<Next> {
    const count = rows.past.length;
    const embedded = { shape: [count, 0, this.#model.config.width], data: new Float32Array() };
    const ids = { shape: [count, tokens.length / count], data: tokens };
    return this.#run({ embedded, ids }, rows, scores);
  }

  async #run(
    feeds: Readonly<Record<"embedded" | "ids", Value>>,
    { first, past, read }: Rows,
    scores: boolean,
  ): Promise<Next> {
    const [count, positions] = [past.length, Int32Array.from(past)];
    const each = { past: { shape: [count], data: positions }, read: { shape: [count], data: Int32Array.from(read) } };
    const outputs = scores ? ["best", "total", "scores"] : ["best", "total"];
    // Behind a row there must be nothing: what is not a number would spoil whatever comes there next, though a mask hides it.
    const part = { rows: { first, count }, positions, lengths: Int32Array.from(read, (at) => at + 1), outputs };
    const next = await this.#session.run({ ...feeds, ...each }, part);
    return {
      best: next.best!.data as Int32Array,
      scores: next.scores?.data as Float32Array | undefined,
      areNumbers: Array.from(next.total!.data, Number.isFinite),
    };
  }

  #place(row: number): Place {
    return { name: this.#name, row, room: this.#size.positions };
  }

  /** Copies rows' first positions to other rows, or zeros, head by head, one after the other. */
  async #copy(moves: readonly Move[]): Promise<void> {
    const { keyHeads, layers } = this.#model.config;
    const at = (place: Place | undefined, head: number) =>
      place ? (place.row * keyHeads + head) * place.room * this.#headSize : 0;
    const copies = moves.flatMap(([from, to, length]): Copy[] => {
      if (length === 0) return [];
      const size = length * this.#headSize;
      const heads = Array.from({ length: keyHeads }, (_, head) => [at(from, head), at(to, head), size]);
      const pieces = Float64Array.from(heads.flat());
      return Array.from({ length: layers }, (_, layer) => {
        const [source, target] = [from && keptNames(from.name, layer), keptNames(to.name, layer)];
        return (["key", "value"] as const).map((part) => ({
          ...(source && { from: source[part] }),
          to: target[part],
          pieces,
        }));
      }).flat();
    });
    if (copies.length > 0) await this.#engine.copy(copies);
  }

  #shapes(name: string, rows: number, room: number): Record<string, readonly number[]> {
    const { keyHeads, layers } = this.#model.config;
    const shape = [rows, keyHeads, room, this.#headSize];
    const names = Array.from({ length: layers }, (_, layer) => Object.values(keptNames(name, layer)));
    return Object.fromEntries(names.flat().map((each) => [each, shape]));
  }
}

/** The row of the memory that is aside, and the first of those in use. */
const ASIDE = 0;
const ROWS = 1;

/** From where, or zeros, to where, and how many positions. */
type Move = readonly [from: Place | undefined, to: Place, length: number];

/** Positions of a text with its prompt. */
function lengthOf({ ids, prefix }: Beginning): number {
  return (prefix?.length ?? 0) + ids.length;
}

function placeOf({ name, length }: Prefix): Place {
  return { name, row: 0, room: length };
}

/** Rows that a run continues: the first, and of each how many positions are kept and which new one is read. */
interface Rows {
  readonly first: number;
  readonly past: readonly number[];
  readonly read: readonly number[];
}

/** Rows that are asked for one by one: an array, or what makes them when they are asked for. */
export interface Rows<T> extends Iterable<T> {
  readonly length: number;
  at(index: number): T | undefined;
}

/** A text as the model reads it. */
interface Text {
  readonly ids: Int32Array;
  readonly readAt: number;
}

/** Texts that were packed together. */
interface Group {
  /** Which of all texts is its first one. */
  readonly first: number;
  /** The token ids of its texts, one behind the other; of small vocabularies in two bytes each. */
  readonly ids: Uint16Array | Int32Array;
  /** Where in `ids` each text ends, and where it is read, from its beginning. */
  readonly ends: Int32Array;
  readonly readAt: Int32Array;
}

/** Ids below this fit in two bytes. */
const SMALL_IDS = 2 ** 16;

/**
 * Texts as tokens, in memory that is little more than their ids': an object and an array for each would take several times as much. It grows by groups, so
 * that nothing is copied when it does.
 */
export class PackedTexts implements Rows<Text> {
  readonly #groups: Group[] = [];
  #length = 0;

  /** Adds texts behind those that are there. */
  append(texts: readonly Text[]): void {
    if (texts.length === 0) return;
    const total = texts.reduce((sum, { ids }) => sum + ids.length, 0);
    const isSmall = texts.every(({ ids }) => ids.every((id) => id >= 0 && id < SMALL_IDS));
    const all = isSmall ? new Uint16Array(total) : new Int32Array(total);
    const ends = new Int32Array(texts.length);
    let end = 0;
    texts.forEach(({ ids }, i) => {
      all.set(ids, end);
      end += ids.length;
      ends[i] = end;
    });
    this.#groups.push({ first: this.#length, ids: all, ends, readAt: Int32Array.from(texts, ({ readAt }) => readAt) });
    this.#length += texts.length;
  }

  get length(): number {
    return this.#length;
  }

  at(index: number): Text | undefined {
    const group = this.#groupOf(index);
    return group && textOf(group, index - group.first);
  }

  *[Symbol.iterator](): Generator<Text> {
    for (const group of this.#groups) for (let i = 0; i < group.ends.length; i++) yield textOf(group, i);
  }

  /** The last group that begins at or before a text, by bisection. */
  #groupOf(index: number): Group | undefined {
    if (!(index >= 0 && index < this.#length)) return undefined;
    let [low, high] = [0, this.#groups.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#groups[middle]!.first <= index) low = middle;
      else high = middle;
    }
    return this.#groups[low];
  }
}

function textOf({ ids, ends, readAt }: Group, i: number): Text {
  return { ids: Int32Array.from(ids.subarray(i === 0 ? 0 : ends[i - 1]!, ends[i]!)), readAt: readAt[i]! };
}

/** Rows, each with a label. */
export class LabelledRows<T extends object> implements Rows<T & { readonly label: number }> {
  readonly #rows: Rows<T>;
  readonly #labels: Int32Array;

  /** @param labels one a row */
  constructor(rows: Rows<T>, labels: Int32Array) {
    this.#rows = rows;
    this.#labels = labels;
  }

  get length(): number {
    return this.#rows.length;
  }

  at(index: number): (T & { readonly label: number }) | undefined {
    const row = this.#rows.at(index);
    return row && { ...row, label: this.#labels[index]! };
  }

  *[Symbol.iterator](): Generator<T & { readonly label: number }> {
    let i = 0;
    for (const row of this.#rows) yield { ...row, label: this.#labels[i++]! };
  }
}

/** How many tokens each row has. */
export function lengthsOf(rows: Rows<{ readonly ids: Int32Array }>): Int32Array {
  const lengths = new Int32Array(rows.length);
  let i = 0;
  for (const { ids } of rows) lengths[i++] = ids.length;
  return lengths;
}

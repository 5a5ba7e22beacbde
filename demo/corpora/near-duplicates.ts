/** Two texts are near-duplicates if more than this share of the shorter one's runs of words is in the other. */
const SHARED = 0.5;
/** Words in a run. */
const RUN = 6;

/** The runs of six words of a text, digits and punctuation ignored; the whole of a shorter text. */
function wordRuns(text: string): Set<string> {
  const words = text.toLowerCase().match(/\p{L}+/gu) ?? [];
  const count = Math.max(words.length - RUN + 1, 1);
  return new Set(Array.from({ length: count }, (_, start) => words.slice(start, start + RUN).join(" ")));
}

/** Finds the near-duplicates of a text among given items: forwards, filled-in templates, reworded definitions. */
export class NearDuplicates<T> {
  readonly #sizes: number[] = [];
  readonly #itemsWith = new Map<string, number[]>();
  readonly #items: readonly T[];

  /** @param text what of an item is compared */
  constructor(items: readonly T[], text: (item: T) => string) {
    this.#items = items;
    for (const [index, item] of items.entries()) {
      const runs = wordRuns(text(item));
      this.#sizes.push(runs.size);
      for (const run of runs) {
        const holders = this.#itemsWith.get(run);
        if (holders === undefined) this.#itemsWith.set(run, [index]);
        else holders.push(index);
      }
    }
  }

  /** The items that are near-duplicates of `text`; an item that has this very text is one of them. */
  of(text: string): T[] {
    const runs = wordRuns(text);
    const common = new Map<number, number>();
    for (const run of runs)
      for (const index of this.#itemsWith.get(run) ?? []) common.set(index, (common.get(index) ?? 0) + 1);
    return Array.from(common)
      .filter(([index, count]) => count > SHARED * Math.min(runs.size, this.#sizes[index]!))
      .map(([index]) => this.#items[index]!);
  }
}

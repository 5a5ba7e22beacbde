/** What is kept of a prompt, and how much memory it takes. */
export interface Kept<T> {
  readonly value: T;
  readonly bytes: number;
}

/** What comes of a prompt's key. */
export interface Source<K, T> {
  /** Two keys with one name are the same prompt. */
  nameOf(key: K): string;
  load(key: K): Promise<Kept<T>>;
  release(value: T): Promise<void>;
}

interface Entry<T> {
  readonly loading: Promise<Kept<T>>;
  bytes: number;
  users: number;
}

/**
 * Prompts that are ready to be used: the last used ones, as many as there is memory for. One that is in use is never dropped, so the
 * memory is exceeded where those in use are larger. Two that want one at once share its loading; one that can't be loaded isn't kept.
 */
export class PromptCache<K, T> {
  readonly #source: Source<K, T>;
  readonly #bytes: number;
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry<T>>();
  readonly #onUse: (hit: boolean) => void;

  /** @param bytes that are kept */
  constructor(source: Source<K, T>, bytes: number, onUse: (hit: boolean) => void = () => {}) {
    this.#source = source;
    this.#bytes = bytes;
    this.#onUse = onUse;
  }

  /** Prompts and their bytes. */
  get size(): { readonly prompts: number; readonly bytes: number } {
    return { prompts: this.#entries.size, bytes: this.#total() };
  }

  /** Runs something with a prompt, which stays as long. @throws what loading it throws */
  async use<R>(key: K, run: (value: T) => Promise<R>): Promise<R> {
    const name = this.#source.nameOf(key);
    const entry = this.#entry(name, key);
    entry.users += 1;
    try {
      return await run((await entry.loading).value);
    } finally {
      entry.users -= 1;
      await this.#dropUnused();
    }
  }

  #entry(name: string, key: K): Entry<T> {
    const known = this.#entries.get(name);
    this.#onUse(known !== undefined);
    this.#entries.delete(name);
    if (known) {
      this.#entries.set(name, known);
      return known;
    }
    const entry: Entry<T> = { loading: this.#source.load(key), bytes: 0, users: 0 };
    this.#entries.set(name, entry);
    entry.loading.then(
      ({ bytes }) => {
        entry.bytes = bytes;
      },
      () => {
        if (this.#entries.get(name) === entry) this.#entries.delete(name);
      },
    );
    return entry;
  }

  async #dropUnused(): Promise<void> {
    for (const [name, { loading, bytes, users }] of this.#entries) {
      if (this.#total() <= this.#bytes) return;
      if (users > 0 || bytes === 0) continue;
      this.#entries.delete(name);
      await this.#source.release((await loading).value);
    }
  }

  #total(): number {
    return [...this.#entries.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

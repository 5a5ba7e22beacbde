export interface StoredObject {
  readonly body: ReadableStream;
  /** Without quotes. */
  readonly etag: string;
  /** Bytes of the whole object, also where only a range of it was asked for. */
  readonly size: number;
  json(): Promise<unknown>;
}

/** What the Worker needs of its bucket: R2's binding is one by way of `TimedStore`, and so is `S3Store`. */
export interface PromptStore {
  /** Null if it isn't there. */
  get(key: string, options?: { range?: { offset: number; length: number } }): Promise<StoredObject | null>;
  head(key: string): Promise<unknown>;
  /** Null, and nothing is written, if the condition doesn't hold. */
  put(
    key: string,
    value: string | Uint8Array,
    options?: { onlyIf?: { etagMatches: string } | { etagDoesNotMatch: string } },
  ): Promise<unknown>;
  /** Writes what comes, in place of what is there. @param body the readable side of a FixedLengthStream: the length must be known */
  putStream(key: string, body: ReadableStream): Promise<unknown>;
  delete(key: string): Promise<void>;
  /** Keys that start with `prefix`, in order, as many as one page has. */
  list(options: {
    prefix: string;
    cursor?: string;
  }): Promise<{ objects: { key: string }[] } & ({ truncated: false } | { truncated: true; cursor: string })>;
}

/** R2's binding, as far as it is used: its one `put` takes streams too. */
export interface Binding extends Omit<PromptStore, "put" | "putStream"> {
  put(
    key: string,
    value: string | Uint8Array | ReadableStream,
    options?: Parameters<PromptStore["put"]>[2],
  ): Promise<unknown>;
}

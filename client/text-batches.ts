/** Texts of a request, and their bytes: a request is then answered within seconds, and is far from what is taken at most. */
const MAX_TEXTS = 64;
const MAX_BYTES = 256 * 1024;

/** Texts in their order, so many a request. */
export async function* batchesOf(texts: Iterable<string> | AsyncIterable<string>): AsyncGenerator<string[]> {
  let batch: string[] = [];
  let bytes = 0;
  for await (const text of texts) {
    const size = Buffer.byteLength(JSON.stringify(text));
    if (batch.length > 0 && (batch.length === MAX_TEXTS || bytes + size > MAX_BYTES)) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(text);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

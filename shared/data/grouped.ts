/** Far less than the memory of a run, and enough that a call of a tokenizer costs nothing. */
export const CALL = { most: Number.POSITIVE_INFINITY, size: 1_000_000 };

/** Texts in groups that are worth a call of a tokenizer. */
export function grouped(texts: Iterable<string> | AsyncIterable<string>): AsyncGenerator<string[]> {
  return groupedBy(texts, CALL, (text) => text.length);
}

/** Items in groups in their order: a group has `most` items, or the first so many whose sizes come to `size` together. */
export async function* groupedBy<T>(
  items: Iterable<T> | AsyncIterable<T>,
  { most, size }: { readonly most: number; readonly size: number },
  sizeOf: (item: T) => number,
): AsyncGenerator<T[]> {
  let group: T[] = [];
  let sum = 0;
  for await (const item of items) {
    group.push(item);
    sum += sizeOf(item);
    if (group.length < most && sum < size) continue;
    yield group;
    [group, sum] = [[], 0];
  }
  if (group.length > 0) yield group;
}

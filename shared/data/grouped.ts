/** Far less than the memory of a run, and enough that a call of a tokenizer costs nothing. */
const GROUP_CHARACTERS = 1_000_000;

/** Texts in groups that are worth a call of a tokenizer. */
export async function* grouped(texts: Iterable<string> | AsyncIterable<string>): AsyncGenerator<string[]> {
  let group: string[] = [];
  let characters = 0;
  for await (const text of texts) {
    group.push(text);
    characters += text.length;
    if (characters < GROUP_CHARACTERS) continue;
    yield group;
    [group, characters] = [[], 0];
  }
  if (group.length > 0) yield group;
}

/** What may stand in a log line: never a text, an answer, a key or who sent it. */
export type Fields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Writes an event to standard error: one JSON object a line. */
export function log(event: string, fields: Fields = {}): void {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), event, ...fields })}\n`);
}

/** What is wrong with an error of our own: its kind and where it happened. Its message may have words of a text, so it isn't told. */
export function whereOf(error: unknown): string {
  const { name = "Error", stack = "" } = error instanceof Error ? error : {};
  const frames = stack.split("\n").filter((line) => /^\s+at /.test(line));
  return [name, ...frames.slice(0, 8).map((line) => line.trim())].join("\n");
}

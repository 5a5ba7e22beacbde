import { ProblemError } from "./errors.ts";

/** Events of all APIs here have some kilobytes. */
const MAX_EVENT_CHARACTERS = 1024 * 1024;

/**
 * The data of the events of a stream (WHATWG HTML, section 9.2.6), where every event has one line of data.
 * @throws ProblemError for an event that doesn't end
 */
export async function* eventData(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    if (rest.length > MAX_EVENT_CHARACTERS) throw new ProblemError("The provider failed", "An event doesn't end.");
    for (const line of lines) if (line.startsWith("data: ")) yield line.slice("data: ".length).replace(/\r$/, "");
  }
}

import type { z } from "zod";
import { type Fault, ProblemError } from "./errors.ts";
import { refuseLfsPointer } from "./lfs.ts";

/** A report of more faults than this helps nobody, and a hostile input could ask for millions. */
export const MAX_FAULTS = 50;

/** Names in messages are cut here: they may come from a hostile file. */
const MAX_QUOTED = 80;

/** `text` in quotes for a message: control characters escaped, cut to a readable length. */
export function quote(text: string): string {
  const cut = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
  return JSON.stringify(cut).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** JSON's value; undefined for what is none. */
export function parsedOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Parses JSON and refuses an object that says a key twice, which `JSON.parse` hides by keeping the last one: two
 * readers that keep different ones would see different documents.
 *
 * @param at what the text is, for messages: a file's name, or a file and a line
 * @throws ProblemError with the place of the syntax error or every key that is there twice
 */
export function parseJson(text: string, at: string, title = "The JSON is not valid"): unknown {
  refuseLfsPointer(text, at, title);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ProblemError(title, `${at} can't be read as JSON: ${quote((cause as Error).message)}.`, { cause });
  }
  const twice = duplicateKeys(text);
  if (twice.length > 0) {
    const faults = twice.map((key) => ({ at, message: `The key ${quote(key)} is there twice.` }));
    throw new ProblemError(title, `${at} says a key twice: ${twice.map(quote).join(", ")}.`, { faults });
  }
  return value;
}

/** The keys that one object of a *valid* JSON text has more than once, at most `MAX_FAULTS` of them. */
export function duplicateKeys(text: string): string[] {
  const twice: string[] = [];
  const open: Set<string>[] = [];
  // In valid JSON a string followed by a colon is a key of the innermost open object.
  for (const [token, key] of text.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}]/g)) {
    if (token === "{") open.push(new Set());
    else if (token === "}") open.pop();
    else if (key !== undefined) {
      const keys = open.at(-1)!;
      const name: string = JSON.parse(key);
      if (keys.has(name) && twice.push(name) === MAX_FAULTS) return twice;
      keys.add(name);
    }
  }
  return twice;
}

/**
 * `value` as the schema's output.
 *
 * @param at what the value is, for messages; faults are at `at#/json/pointer`
 * @throws ProblemError with every fault that the schema finds
 */
export function validate<S extends z.ZodType>(schema: S, value: unknown, at: string, title: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const faults: Fault[] = result.error.issues.slice(0, MAX_FAULTS).map((issue) => ({
    at: `${at}#${issue.path.map((part) => `/${pointerPart(String(part))}`).join("")}`,
    message: issue.message,
  }));
  throw new ProblemError(title, `${at} has ${faults.length === 1 ? "a fault" : `${faults.length} faults`}.`, {
    status: 422,
    faults,
  });
}

/** RFC 6901, section 3: `~` and `/` in a key are written `~0` and `~1`. */
function pointerPart(key: string): string {
  return quote(key.replaceAll("~", "~0").replaceAll("/", "~1")).slice(1, -1);
}

import { open } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { licenceSchema } from "../protocol/catalogue.ts";

/** Of a model card, which may be long, so much is read: its first lines say what is looked for. */
const MOST_BYTES = 64 * 1024;
const HEADER = /^---\r?\n([\s\S]*?)\r?\n---/;

/**
 * The licence that a model's card (`README.md`, as the Hugging Face hub has it) names: `license`, or `license_name` where that is `other`.
 *
 * @returns undefined where there is no card, or none is named
 */
export async function licenceOf(folder: string): Promise<string | undefined> {
  const header = HEADER.exec(await beginningOf(join(folder, "README.md")))?.[1];
  if (header === undefined) return undefined;
  const { license, license_name: name } = headerOf(header);
  const named = license === "other" && typeof name === "string" ? name : license;
  return licenceSchema.safeParse(Array.isArray(named) ? named.join(", ") : named).data;
}

async function beginningOf(path: string): Promise<string> {
  const file = await open(path).catch(() => undefined);
  if (!file) return "";
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MOST_BYTES), 0, MOST_BYTES, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } catch {
    return "";
  } finally {
    await file.close();
  }
}

/** The card's header; a card that is damaged names nothing. */
function headerOf(text: string): { readonly license?: unknown; readonly license_name?: unknown } {
  try {
    const header: unknown = parse(text);
    return typeof header === "object" && header !== null ? header : {};
  } catch {
    return {};
  }
}

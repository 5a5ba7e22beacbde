import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fixture } from "./fixtures.ts";
import { temporaryFolder } from "./temporary.ts";

/** A copy of the tiny model, or of another with its tokenizer, in whose tokenizer two tokens have changed places. */
export function withSwappedTokens(first: string, second: string, of = fixture("tiny-gpt2")): string {
  const folder = join(temporaryFolder(), "swapped");
  cpSync(of, folder, { recursive: true });
  const path = join(folder, "tokenizer.json");
  const definition = JSON.parse(readFileSync(path, "utf8"));
  const { vocab } = definition.model;
  [vocab[first], vocab[second]] = [vocab[second], vocab[first]];
  writeFileSync(path, JSON.stringify(definition));
  return folder;
}

/** The blocks of code in the documentation, and the commands in them. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface Fence {
  /** File and line. */
  readonly at: string;
  /** What stands behind the three ticks. */
  readonly info: string;
  readonly text: string;
}

/** README, the documentation, and the examples' own pages. */
export const documents = ["README.md", ...globSync("docs/*.md", { cwd: ROOT })].sort();

export function fencesOf(file: string): Fence[] {
  const lines = readFileSync(join(ROOT, file), "utf8").split("\n");
  const fences: Fence[] = [];
  for (let i = 0; i < lines.length; i++) {
    const info = /^ *```(.*)$/.exec(lines[i]!)?.[1];
    if (info === undefined) continue;
    const end = lines.findIndex((line, j) => j > i && /^ *```$/.test(line));
    fences.push({ at: `${file}:${i + 1}`, info, text: lines.slice(i + 1, end).join("\n") });
    i = end;
  }
  return fences;
}

/** The arguments of each softpost command in a shell's block. */
export function softpostCommands(text: string): string[][] {
  return text
    .replaceAll("\\\n", " ")
    .split("\n")
    .flatMap((line) => line.replace(/(^|\s)#.*$/, "").split(/&&|;|\|/))
    .map((command) => /^\s*(?:npx --no -- )?softpost\s+(.*)$/.exec(command)?.[1])
    .filter((command) => command !== undefined)
    .map((command) => words(command.replace(/\s>\s*\S+/, "")));
}

/** A shell's words, where nothing but double quotes joins them. */
const words = (command: string) =>
  [...command.matchAll(/(?:[^\s"]|"[^"]*")+/g)].map(([word]) => word.replaceAll('"', ""));

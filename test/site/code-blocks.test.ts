/** Every block of code in the documentation is run or checked here, or says what it needs that isn't here. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createProgram } from "../../client/program.ts";
import { parseTask } from "../../shared/protocol/task.ts";
import { softpost } from "../helpers/softpost.ts";
import { documents, type Fence, fencesOf, ROOT, softpostCommands } from "./fences.ts";

const NEEDS = ["account", "gpu", "models", "provider"];
const fences = documents.flatMap(fencesOf);
const ofKind = (kind: RegExp) =>
  fences.filter(({ info }) => kind.test(info)).map((fence) => [fence.at, fence] as const);

test.each(fences.map(({ at, info }) => [at, info]))(
  "the block at %s is of a kind that is checked, or says what it needs",
  (_, info) => {
    const [language, how] = info.split(" ");
    if (how?.startsWith("needs=")) expect(NEEDS).toContain(how.slice("needs=".length));
    // Blocks of TypeScript are compiled with the packed library: test/library/.
    else expect(["sh", "sh run", "json", "text", "ts", "mermaid"]).toContain(info);
    expect(language).not.toBe("");
  },
);

describe("softpost's commands are what the program takes", () => {
  /** Commands that do nothing when they are called. */
  function idle(command: Command): void {
    if (command.commands.length === 0) command.action(() => {});
    for (const each of command.commands) idle(each);
  }

  test.each(ofKind(/^sh\b/).filter(([, { text }]) => softpostCommands(text).length > 0))("%s", async (_, { text }) => {
    for (const args of softpostCommands(text)) {
      let said = "";
      const { program } = createProgram({ write: () => true }, { write: (more) => (said += more) });
      idle(program);
      const done = program.parseAsync(args, { from: "user" }).then(
        () => "",
        () => `softpost ${args.join(" ")}: ${said}`,
      );
      expect(await done).toBe("");
    }
  });

  test.each(ofKind(/^sh( run)?$/))("%s has nothing else but what a shell or npm has", (_, { text }) => {
    const others = text
      .replaceAll("\\\n", " ")
      .split("\n")
      .flatMap((line) => line.replace(/(^|\s)#.*$/, "").split("&&"))
      .map((command) => command.trim())
      .filter((command) => command !== "" && !/^(npx --no -- )?softpost /.test(command));
    const scripts = Object.keys(JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).scripts);
    for (const command of others) {
      const script = /^npm (?:run )?([\w:]+)/.exec(command)?.[1];
      if (script) expect(["ci", ...scripts], command).toContain(script);
      else expect(command).toMatch(/^(export \w+=|unset |(rm -r|find) node_modules\/)/);
    }
  });
});

test.each(ofKind(/^json$/))("%s is JSON, and a task if it looks like one", (at, { text }) => {
  const value = JSON.parse(text);
  if ("template" in value) expect(parseTask(text, at).name).toBe(value.name);
});

/** What docs/json.md says that a command's result has. */
const documented = new Map(
  [...readFileSync(join(ROOT, "docs/json.md"), "utf8").matchAll(/^\| `([\w -]+)` \| (.*) \|$/gm)].map(
    ([, command, fields]) => [command!, [...fields!.matchAll(/`(\w+)`/g)].map(([, field]) => field!)] as const,
  ),
);

describe("blocks that are run give results as docs/json.md has them", () => {
  const before = process.cwd();
  const folders: string[] = [];
  beforeAll(() => {
    const folder = mkdtempSync(join(tmpdir(), "softpost-blocks-"));
    folders.push(folder);
    mkdirSync(join(folder, "demo"));
    symlinkSync(join(ROOT, "demo/model"), join(folder, "demo/model"));
    cpSync(join(ROOT, "examples"), join(folder, "examples"), { recursive: true });
    vi.stubEnv("SOFTPOST_HOME", join(folder, "home"));
    process.chdir(folder);
  });
  afterAll(() => {
    process.chdir(before);
    for (const folder of folders) rmSync(folder, { recursive: true });
    vi.unstubAllEnvs();
  });

  test.each(ofKind(/^sh run$/))("%s", async (_: string, { text }: Fence) => {
    for (const args of softpostCommands(text)) {
      const { code, stdout, stderr } = await softpost("--json", ...args);
      expect(code, `${args.join(" ")}: ${stderr}`).toBe(0);
      const name = documented.has(args.slice(0, 2).join(" ")) ? args.slice(0, 2).join(" ") : args[0]!;
      for (const line of stdout.trim().split("\n")) {
        expect(Object.keys(JSON.parse(line)).sort(), name).toEqual([...(documented.get(name) ?? [])].sort());
      }
    }
  });
});

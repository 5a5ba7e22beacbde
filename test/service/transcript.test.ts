/**
 * What a provider and a client see in their first hour, on a pseudo-terminal, command by command. The golden text is there to be read: who changes it reads it as
 * somebody who has never seen softpost. Times, ids and figures are masked. `UPDATE_TRANSCRIPTS=FOLDER` writes the unmasked text there.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fixture } from "../helpers/fixtures.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { Terminal } from "../helpers/terminal.ts";

const MASKS: readonly (readonly [RegExp, string])[] = [
  [/127\.0\.0\.1:\d+/g, "ADDRESS"],
  [/(API key: +|Admin secret: +)\S+/g, "$1SECRET"],
  [/sp_[a-z0-9]+_[a-z0-9]+_[\w-]+/g, "SECRET"],
  [/\d{4}-\d\d-\d\d( \d\d:\d\d)?/g, "DATE"],
  [/\d\d:\d\d:\d\d/g, "CLOCK"],
  [/\b[a-z2-7]{16}\b/g, "ID"],
  [/[0-9a-f]{32,64}/g, "DIGEST"],
  [/(model|public)-[0-9a-f]{12}/g, "$1-DIGEST"],
  [/ in (\d+h\d\dm|\d+m\d\ds|\d+s)\b(?= ·|$)/gm, ""],
  [/\b(\d+h\d\dm|\d+m\d\ds|\d+s)\b/g, "TIME"],
  [/\d+\.\d+(e[+-]\d+)?/g, "N.N"],
  [/"label":"\w+"/g, '"label":"LABEL"'],
  [/–|N\.N %/g, "N %"],
  // A column is as wide as its figures are.
  [/(?<=\S) {2,}/g, "  "],
  [/content-length: \d+|Part "\w+", \d+ bytes/g, "SIZE"],
];

/** Lines that are there or not: warnings and advice that follow from figures, and the progress of a job. */
const PASSING =
  /^(WARNING|Student and target agree on only|The \d+ public texts are too few|\d+ steps are few|More steps may|The student |transferring|reading|choosing|checking|[a-z2-7]{16} is )/;

/** What one of the two sees, as it goes on. */
class Walk {
  readonly shown: string[] = [];
  private readonly folder: string;
  private readonly environment: Readonly<Record<string, string>>;

  constructor(folder: string, environment: Readonly<Record<string, string>>) {
    this.folder = folder;
    this.environment = environment;
  }

  start(...args: string[]): Terminal {
    return new Terminal(args, { folder: this.folder, environment: this.environment });
  }

  async show(terminal: Terminal, ...args: string[]): Promise<void> {
    const code = await terminal.ended;
    this.shown.push(
      `$ softpost ${args.join(" ")}`,
      ...(await terminal.lines()),
      ...(code === 0 ? [] : [`(exit code ${code})`]),
      "",
    );
  }

  /** Runs a command to its end. */
  async run(...args: string[]): Promise<string> {
    const terminal = this.start(...args);
    await this.show(terminal, ...args);
    return (await terminal.lines()).join("\n");
  }

  /** The text as it is kept: masked, and without what depends on the figures, or on how far a job was when somebody began to watch. */
  get golden(): string {
    const lines = this.shown.filter((line) => !PASSING.test(line));
    return `${MASKS.reduce((text, [what, mask]) => text.replaceAll(what, mask), lines.join("\n"))}\n`;
  }
}

const rowsOf = (name: string): { text: string }[] =>
  readFileSync(fixture(`tiny-task/${name}.jsonl`), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

test("the first hour of a provider and a client", async () => {
  const folder = temporaryFolder();
  const at = (...names: string[]) => join(folder, ...names);
  const environment = { SOFTPOST_HOME: at("home"), SOFTPOST_CONFIG: at("provider-machine", "provider", "client.json") };
  for (const name of ["provider-machine/models", "client-machine"]) mkdirSync(at(name), { recursive: true });
  cpSync(fixture("tiny-gpt2"), at("provider-machine", "models", "target"), { recursive: true });
  const texts = [...rowsOf("train"), ...rowsOf("test")].map(({ text }) => JSON.stringify({ text }));
  writeFileSync(at("provider-machine", "public.jsonl"), `${texts.join("\n")}\n`);
  cpSync(fixture("tiny-task/task.json"), at("client-machine", "task.json"));
  cpSync(fixture("tiny-task/train.jsonl"), at("client-machine", "private.jsonl"));
  cpSync(fixture("tiny-task/test.jsonl"), at("client-machine", "test.jsonl"));
  const [provider, client] = [
    new Walk(at("provider-machine"), environment),
    new Walk(at("client-machine"), environment),
  ];

  // The provider: a student, a start without a student, a start with one.
  const few = ["--steps", "4", "--batch-size", "2"];
  await provider.run(
    "distill",
    "--target",
    "models/target",
    "--public",
    "public.jsonl",
    "--max-length",
    "12",
    ...few,
    "--out",
    "models/student",
  );
  const empty = provider.start("serve", "--dir", "provider");
  await empty.sees(/in another terminal/);
  empty.type("\u0003");
  await provider.show(empty, "serve", "--dir", "provider");
  const serving = [
    "serve",
    "--dir",
    "provider",
    "--target",
    "models/target",
    "--student",
    "models/student",
    "--public",
    "public.jsonl",
  ];
  const served = provider.start(...serving, "--threads", "1");
  await served.sees(/in another terminal/);

  // The client: tunes without privacy and with it, submits, waits, uses.
  await client.run("students");
  await client.run("students", "student", "--out", "student");
  await client.run("task", "check", "task.json", "--model", "student", "--data", "private.jsonl", "--rows", "1");
  const tune = [
    "tune",
    "--model",
    "student",
    "--task",
    "task.json",
    "--train",
    "private.jsonl",
    "--prompt-tokens",
    "4",
    ...few,
  ];
  await client.run(...tune, "--out", "plain");
  await client.run(...tune, "--eval", "test.jsonl", "--epsilon", "8", "--out", "prompt");
  await client.run("privacy", "explain", "prompt");
  await client.run("evaluate", "--model", "student", "--prompt", "prompt", "--data", "test.jsonl");
  const what = ["--dataset", "my-reviews", "--public", "public", "--steps", "4", "--batch-size", "4"];
  const refused = client.start("submit", "--prompt", "plain", ...what);
  await refused.sees(/\[y\/N\]/);
  refused.type("n\r");
  await client.show(refused, "submit", "--prompt", "plain", ...what);
  await client.run("quote", "--prompt", "prompt", ...what);
  const submitted = await client.run("submit", "--prompt", "prompt", ...what);
  const id = /Next: softpost wait (\w+)/.exec(submitted)![1]!;
  await client.run("wait", id);
  await client.run("download", id, "--out", "moved");
  const target = at("provider-machine", "models", "target");
  cpSync(target, at("client-machine", "target"), { recursive: true });
  await client.run("predict", "--model", "target", "--prompt", "moved", "--data", "test.jsonl");
  await client.run("status");
  await client.run("cancel", id);
  await client.run("budget");
  await client.run("privacy", "ledger", "--data", "private.jsonl");
  await client.run("distil", "--help");

  served.type("\u0003");
  await provider.show(served, ...serving);
  const unmasked = process.env.UPDATE_TRANSCRIPTS;
  if (unmasked) {
    writeFileSync(join(unmasked, "provider.txt"), provider.shown.join("\n").replaceAll(folder, ""));
    writeFileSync(join(unmasked, "client.txt"), client.shown.join("\n").replaceAll(folder, ""));
  }
  await expect(provider.golden.replaceAll(folder, "")).toMatchFileSnapshot("golden/transcript-provider.txt");
  await expect(client.golden.replaceAll(folder, "")).toMatchFileSnapshot("golden/transcript-client.txt");
});

import { join } from "node:path";
import { expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { softpost, softpostProcess } from "../helpers/softpost.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

test("--version and --help say what they say, on stdout", async () => {
  expect(await softpost("--version")).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: "" });
  const help = await softpost("--help");
  expect(help).toMatchObject({ code: 0, stderr: "" });
  expect(help.stdout).toMatch(/Commands:.*pretrain.*Examples:.*softpost tune --model/s);
  expect((await softpost("pretrain", "--help")).stdout).toMatch(/--corpus <file\.\.\.>.*--json/s);
});

test("a process ends with the program's exit code", async () => {
  expect(await softpostProcess(["--version"])).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: "" });
  expect(await softpostProcess(["nix"])).toMatchObject({ code: 2, stdout: "" });
  const missing = await softpostProcess([
    "pretrain",
    "--corpus",
    "x",
    "--config",
    "/nowhere/config.json",
    "--out",
    "y",
  ]);
  expect(missing).toMatchObject({ code: 1, stdout: "" });
  expect(missing.stderr).toMatch(/\/nowhere\/config\.json can't be read \(ENOENT\)/);
});

const submit = ["submit", "--prompt", "x", "--dataset", "x", "--public", "x"];
const pretrain = ["pretrain", "--corpus", "x", "--config", "x", "--out", "x"];

test.each([
  ["no command", [], /Usage: softpost/],
  ["an unknown command", ["tunes"], /softpost has no command "tunes"\. Did you mean tune\?/],
  [
    "an unknown command whose help is asked for",
    ["tokens", "--help"],
    /no command "tokens"\. There are: init, distill, task, tune/,
  ],
  ["help for an unknown command", ["help", "keys"], /no command "keys"/],
  ["an unknown command behind an option's value", ["--threads", "2", "usage"], /no command "usage"/],
  [
    "an unknown command of a group",
    ["privacy", "epsilom", "--help"],
    /privacy has no command "epsilom"\. Did you mean epsilon\?/,
  ],
  ["an unknown option", [...pretrain, "--nix"], /unknown option '--nix'/],
  [
    "a missing option",
    ["pretrain"],
    /3 required options are missing:.*--corpus <file\.\.\.>.*--config <file>.*--out <dir>/s,
  ],
  ["no threads", ["--threads", "0", ...pretrain], /'0' is invalid\. It must be a whole number of at least 1/],
  ["a check without its student", [...submit, "--check", "x"], /--check and --model need each other/],
  [
    "a check that nothing is sent for",
    [...submit, "--check", "x", "--model", "x", "--dry-run"],
    /--dry-run sends nothing/,
  ],
  ["a bad value", [...pretrain, "--steps", "0"], /'0' is invalid\. It must be a whole number of at least 1/],
])("%s is wrong usage: exit code 2", async (_, args, message) => {
  const { code, stdout, stderr } = await softpost(...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(message);
});

/** The commands that a command's help lists. */
async function commandsOf(...group: string[]): Promise<string[]> {
  const { stdout } = await softpost(...group, "--help");
  const list = /\nCommands:\n(.*?)(\n\n|$)/s.exec(stdout)?.[1] ?? "";
  return [...list.matchAll(/^ {2}(\w[\w-]*)/gm)].map(([, name]) => name!).filter((name) => name !== "help");
}

test("every command has an example, says what comes next, and marks what it needs", async () => {
  const commands = (await commandsOf()).map((name) => [name]);
  const groups = await Promise.all(
    commands.map(async (group) => (await commandsOf(...group)).map((name) => [...group, name])),
  );
  const all = [...commands, ...groups.flat()];
  expect(all.length).toBeGreaterThan(25);
  for (const command of all) {
    const { code, stdout } = await softpost(...command, "--help");
    expect([command, code]).toEqual([command, 0]);
    expect(stdout, command.join(" ")).toMatch(/\nExamples?:\n {2}softpost /);
    expect(stdout, command.join(" ")).toMatch(/\nNext\b.*: /);
    expect(stdout, command.join(" ")).not.toMatch(/default: (\[|undefined|false|true)/);
  }
  expect((await softpost("tune", "--help")).stdout.replace(/\s+/g, " ")).toMatch(/--model <dir> [^-]*\(required\)/);
});

test("what an option was called before is still understood, and not shown", async () => {
  const { stdout } = await softpost("distill", "--help");
  expect(stdout).not.toMatch(/--teacher|--corpus/);
  const { code, stderr } = await softpost(
    "distill",
    "--teacher",
    "/nowhere",
    "--corpus",
    "a",
    "b",
    "--out",
    join(temporaryFolder(), "out"),
  );
  expect(code).toBe(1);
  expect(stderr).toMatch(/\/nowhere/);
});

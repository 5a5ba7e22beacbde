import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFile } from "../helpers/temporary.ts";

const script = async (shell: string) => {
  const { code, stdout, stderr } = await softpost("completion", shell);
  expect(code, stderr).toBe(0);
  return stdout;
};

test("bash completes commands, options and their values, and leaves files to itself", async () => {
  const file = temporaryFile("completion.bash", await script("bash"));
  const complete = (...words: string[]) => {
    const line = words.map((word) => `'${word}'`).join(" ");
    const run = `source ${file}; COMP_WORDS=(softpost ${line}); COMP_CWORD=${words.length}; _softpost; printf '%s\n' "\${COMPREPLY[@]}"`;
    return execFileSync("bash", ["-c", run], { encoding: "utf8" }).trim().split("\n").filter(Boolean);
  };
  expect(complete("tu")).toEqual(["tune"]);
  expect(complete("privacy", "e")).toEqual(["epsilon", "explain"]);
  expect(complete("tune", "--epsi")).toEqual(["--epsilon"]);
  expect(complete("tune", "--model", "m", "--priv")).toEqual(["--privacy-unit"]);
  expect(complete("transfer", "--loss", "")).toEqual(["classes", "vocabulary"]);
  expect(complete("tune", "--device", "c")).toEqual(["cpu", "cuda"]);
  // A file's name is bash's own business.
  expect(complete("tune", "--train", "x")).toEqual([]);
});

test("every command and option of the program is in every script", async () => {
  const { stdout } = await softpost("tune", "--help");
  const flags = [...stdout.matchAll(/^ +(--[a-z-]+)/gm)].map(([, flag]) => flag!);
  expect(flags.length).toBeGreaterThan(15);
  for (const shell of ["bash", "zsh"]) for (const flag of flags) expect(await script(shell)).toContain(flag);
  const fish = await script("fish");
  for (const flag of flags) expect(fish).toContain(`-l ${flag.slice(2)} `);
  for (const line of fish.trim().split("\n")) expect(line).toMatch(/^complete -c softpost -n '/);
});

test("another shell is refused by name", async () => {
  const { code, stderr } = await softpost("completion", "tcsh");
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/bash, zsh, fish/);
});

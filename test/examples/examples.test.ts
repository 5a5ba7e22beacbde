/** Every example as it stands, in a folder with the package by its public names, here of the sources, and the demo beside it. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { temporaryFolder } from "../helpers/temporary.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** What somebody has who runs the examples. */
function place(): string {
  const folder = temporaryFolder();
  const softpost = join(folder, "node_modules/softpost");
  mkdirSync(softpost, { recursive: true });
  const exported = Object.entries(manifest.exports).flatMap(([name, entry]) =>
    typeof entry === "string"
      ? []
      : [[name, `./library/${entry.default.replace("./dist/", "").replace("library", "index").replace(".js", ".ts")}`]],
  );
  writeFileSync(
    join(softpost, "package.json"),
    JSON.stringify({ type: "module", exports: Object.fromEntries(exported) }),
  );
  symlinkSync(join(ROOT, "library"), join(softpost, "library"));
  symlinkSync(join(ROOT, "node_modules/openai"), join(folder, "node_modules/openai"));
  symlinkSync(join(ROOT, "demo"), join(folder, "demo"));
  cpSync(join(ROOT, "examples"), join(folder, "examples"), { recursive: true });
  writeFileSync(join(folder, "package.json"), '{"type": "module"}');
  return folder;
}

/** Runs an example. @returns what it prints */
async function run(folder: string, name: string): Promise<string> {
  const env = { ...process.env, SOFTPOST_HOME: join(folder, "home") };
  const { stdout } = await promisify(execFile)(process.execPath, [`examples/${name}`], { cwd: folder, env });
  return stdout;
}

test("every example is run here, and README says how", () => {
  const scripts = readdirSync(join(ROOT, "examples"), { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".ts"),
  );
  expect(scripts.sort()).toEqual(["openai.ts", "provider.ts", "tenants.ts", "tickets/classify.ts", "walk-through.ts"]);
  const readme = readFileSync(join(ROOT, "examples/README.md"), "utf8");
  const told = [...readme.matchAll(/`node examples\/(\S+)`/g)].map(([, path]) => path!);
  expect(told.sort()).toEqual(scripts.filter((path) => path !== "provider.ts"));
});

test("tickets are sorted, and the prompt is a PEFT folder", async () => {
  const folder = place();
  const printed = await run(folder, "tickets/classify.ts");
  const sorted = [...printed.matchAll(/^(account|billing|fault) +"(.*)"$/gm)];
  expect(sorted).toHaveLength(3);
  expect(sorted[0]![2]).toContain("„Büro“");
  expect(readdirSync(join(folder, "tickets-prompt")).sort()).toEqual([
    "adapter_config.json",
    "adapter_model.safetensors",
    "softpost.json",
  ]);
});

test("two tenants have budgets of their own and don't see each other", async () => {
  const printed = await run(place(), "tenants.ts");
  const ids = Object.fromEntries(
    [...printed.matchAll(/^(Acme|Bolt): (\S+) has succeeded$/gm)].map(([, ...pair]) => pair),
  );
  expect(Object.keys(ids).sort()).toEqual(["Acme", "Bolt"]);
  for (const name of ["Acme", "Bolt"]) expect(printed).toMatch(new RegExp(`^${name} sees: ${ids[name]}$`, "m"));
  expect(printed).toMatch(/^Acme has used 8 of 100 virtual tokens, [1-9]\d* of 5000000 micros$/m);
  expect(printed).toMatch(/^Bolt has used 8 of 10 virtual tokens, [1-9]\d* of 50000000 micros$/m);
  expect(printed).toMatch(/^Acme once more: may be submitted$/m);
  expect(printed).toMatch(/^Bolt once more: Virtual tokens: 8 of 10 /m);
  expect(printed).toMatch(/^Acme asks for Bolt's transfer: 404 /m);
  expect(printed).toMatch(/^Bolt asks for Acme's prompt: 404 /m);
});

test("OpenAI's client asks a model with a transferred prompt", async () => {
  const printed = await run(place(), "openai.ts");
  const [, id] = /^(\S+) has succeeded$/m.exec(printed)!;
  const [line, model, answer] = /^Models: model, (\S+)\n(.+)\n$/ms.exec(printed)!;
  expect(model, line).toBe(`model:${id}`);
  expect(answer!.trim()).not.toBe("");
});

test("the walk through the method draws what it measured, in one page", async () => {
  const folder = place();
  const printed = await run(folder, "walk-through.ts");
  const measured = [...printed.matchAll(/^(.+): (\d+\.\d) % of 80$/gm)];
  expect(measured.map(([, method]) => method)).toEqual([
    "target, no prompt",
    "student, no prompt",
    "student, its prompt",
    "target, that prompt",
    "target, POST",
  ]);
  const page = readFileSync(join(folder, "walk-through.html"), "utf8");
  expect(page.match(/<svg /g)).toHaveLength(4);
  for (const [, method, percent] of measured) {
    expect(page).toContain(`>${method}</text>`);
    expect(page).toContain(`>${Number(percent)}</text>`);
  }
  // It needs no other file.
  expect(page).not.toMatch(/(?:src|href)="(?!#)/);
});

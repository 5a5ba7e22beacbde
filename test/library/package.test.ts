/** A new user in an empty folder: the packed packages as npm installs them, their types, README's example, the command, and every example. */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, globSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import small from "../../client-package/package.json" with { type: "json" };
import manifest from "../../package.json" with { type: "json" };
import { type Installed, installPacked, npmInstall, runIn } from "../helpers/installed.ts";
import { documents, fencesOf } from "../site/fences.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
let installed: Installed;
let folder: string;

// npm writes half a gigabyte, and models compute in processes of their own: on a busy machine that takes its time.
const TIMEOUT = 1_200_000;
vi.setConfig({ testTimeout: TIMEOUT });

beforeAll(() => {
  installed = installPacked();
  folder = installed.folder;
}, TIMEOUT);

afterAll(() => rmSync(folder, { recursive: true }));

const node = (...args: readonly string[]) => runIn(folder, process.execPath, ...args);
const softpost = (...args: readonly string[]) => node("node_modules/softpost/dist/softpost.js", ...args);

test("publint and arethetypeswrong find nothing", async () => {
  for (const [i, pkgDir] of ["softpost", "softpost-client"].entries()) {
    const { messages } = await publint({ pkgDir: join(folder, "node_modules", pkgDir), pack: false, strict: true });
    expect(messages).toEqual([]);
    const data = createPackageFromTarballData(new Uint8Array(readFileSync(installed.tarballs[i]!)));
    const analysis = await checkPackage(data);
    if (!analysis.types) throw new Error("no types");
    // The library is ESM only, and resolved by `exports` only.
    const wrong = analysis.problems.filter(
      (problem) =>
        !(
          "resolutionKind" in problem &&
          ["node10", "node16-cjs"].includes(problem.resolutionKind) &&
          ["NoResolution", "CJSResolvesToESM"].includes(problem.kind)
        ),
    );
    expect(wrong).toEqual([]);
  }
});

test("both packages have one version, and the small one no dependency", () => {
  expect(small.version).toBe(manifest.version);
  expect(small).not.toHaveProperty("dependencies");
  const bytes = globSync("node_modules/softpost-client/**/*.*", { cwd: folder }).reduce(
    (sum, path) => sum + statSync(join(folder, path)).size,
    0,
  );
  expect(bytes).toBeLessThan(5e6);
});

test("the types of the documentation's examples are right under tsc --strict", () => {
  const examples = documents.flatMap(fencesOf).filter(({ info }) => info === "ts");
  for (const [i, { text }] of examples.entries()) writeFileSync(join(folder, `example-${i}.ts`), text);
  copyFileSync(join(ROOT, "test/library/consumer.ts"), join(folder, "consumer.ts"));
  writeFileSync(
    join(folder, "small.ts"),
    `import { Client, type Transfer } from "softpost-client";
const { wait } = new Client({ url: "https://a.example", key: "k" });
export const states: AsyncGenerator<Transfer, void> = wait("a");
// @ts-expect-error: it has no such method
export const none = new Client({ url: "", key: "" }).nothing();
`,
  );
  const options = [
    "--strict",
    "--noEmit",
    "--module",
    "nodenext",
    "--target",
    "es2024",
    "--exactOptionalPropertyTypes",
  ];
  const args = [join(ROOT, "node_modules/typescript/bin/tsc"), ...options, "--types", "node", "--skipLibCheck"];
  const files = [...examples.map((_, i) => `example-${i}.ts`), "consumer.ts", "small.ts"];
  execFileSync(process.execPath, [...args, ...files], { cwd: folder, stdio: "pipe" });
});

test.each(["24", "22.18"])("README's example runs on Node %s", async (version) => {
  const program = version === "24" ? process.execPath : installed.oldest;
  expect(await runIn(folder, program, "--version")).toMatch(new RegExp(`^v${version}\\.`));
  const [, example] = /```ts\n(import .*?)```/s.exec(readFileSync(join(ROOT, "README.md"), "utf8"))!;
  writeFileSync(join(folder, "readme.ts"), example!);
  rmSync(join(folder, "my-prompt"), { recursive: true, force: true });
  expect(await runIn(folder, program, "readme.ts")).toMatch(/label: '(ham|spam)'/);
  expect(statSync(join(folder, "my-prompt/adapter_model.safetensors")).size).toBeGreaterThan(1000);
});

test("what only other platforms need can be removed; what comes below runs without it", async () => {
  const size = () =>
    readdirSync(join(folder, "node_modules"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
  const before = size();
  const { freed } = JSON.parse(await softpost("--json", "doctor", "--remove-other-platforms"));
  expect(before - size()).toBe(freed);
  expect(freed).toBeGreaterThan(250e6);
  expect(await softpost("doctor")).toMatch(/^size +ok +nothing is installed for other platforms/m);
});

test("from init to predict, with a table that has umlauts, line breaks in quotes and a byte order mark", async () => {
  const columns = ["--text-column", "message", "--label-column", "team"];
  const data = "examples/tickets/tickets.csv";
  expect(readFileSync(join(folder, data), "utf8")).toMatch(/^\ufeff.*ü.*,"[^"]*\n[^"]*",/s);
  const words = ["account= person", "billing= bill", "fault= machine"].flatMap((word) => ["--word", word]);
  await softpost("init", "--model", "demo/model", "--data", data, ...columns, ...words, "--out", "task.json");
  const schedule = ["--epsilon", "8", "--steps", "3", "--prompt-tokens", "4"];
  const train = ["--task", "task.json", "--train", data, ...columns, ...schedule];
  await softpost("tune", "--model", "demo/model", ...train, "--out", "tickets");
  const rows = ["\ufeffnr;message", '1;"Die Überweisung\r\nist ""raus"""', "2;Ärger mit dem Büro"];
  writeFileSync(join(folder, "new.csv"), rows.join("\r\n"));
  const predict = ["predict", "--model", "demo/model", "--prompt", "tickets", "--data", "new.csv"];
  const printed = await softpost(...predict, "--text-column", "message");
  const labels = printed
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(labels.map(({ nr }) => nr)).toEqual(["1", "2"]);
  for (const { label } of labels) expect(["account", "billing", "fault"]).toContain(label);
});

test("bash completes the command", async () => {
  writeFileSync(join(folder, "completion.bash"), await softpost("completion", "bash"));
  const script = `source completion.bash; COMP_WORDS=(softpost tu); COMP_CWORD=1; _softpost; echo "\${COMPREPLY[@]}"`;
  expect(await runIn(folder, "bash", "-c", script)).toBe("tune\n");
});

test("loading an entry does nothing, and the small ones load nothing of Node", () => {
  const entries = ["softpost", "softpost/client", "softpost/privacy", "softpost/prompt", "softpost-client"];
  const code = `${entries.map((name, i) => `import * as e${i} from "${name}";`).join("")}console.log(Object.keys(e0).length > 5)`;
  const args = ["--input-type=module", "--eval", code];
  expect(execFileSync(process.execPath, args, { cwd: folder, encoding: "utf8" })).toBe("true\n");
  const built = globSync("node_modules/softpost-client/dist/*.js", { cwd: folder });
  for (const path of built) expect(readFileSync(join(folder, path), "utf8")).not.toMatch(/from\s*"node:|require\(/);
});

test("a provider says what it needs where that isn't installed, and npm installs it", () => {
  const args = [join(folder, "node_modules/softpost/dist/softpost.js"), "serve", "--dir", "provider"];
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
  const [, needed] = /^A package is missing: .*npm install --ignore-scripts (miniflare@4\S+)\n$/.exec(stderr)!;
  expect(status).toBe(1);
  npmInstall(folder, needed!);
});

test("every example is run here, and README says how", () => {
  const scripts = readdirSync(join(ROOT, "examples"), { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".ts"),
  );
  expect(scripts.sort()).toEqual([
    "charts.ts",
    "openai.ts",
    "provider.ts",
    "tenants.ts",
    "tickets/classify.ts",
    "walk-through.ts",
  ]);
  const readme = readFileSync(join(ROOT, "examples/README.md"), "utf8");
  const told = [...readme.matchAll(/`node examples\/(\S+)`/g)].map(([, path]) => path!);
  expect(told.sort()).toEqual(scripts.filter((path) => !["charts.ts", "provider.ts"].includes(path)));
});

test("tickets are sorted, and the prompt is a PEFT folder", async () => {
  const printed = await node("examples/tickets/classify.ts");
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
  const printed = await node("examples/tenants.ts");
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
  const printed = await node("examples/openai.ts");
  const [, id] = /^(\S+) has succeeded$/m.exec(printed)!;
  const [line, model, answer] = /^Models: model, (\S+)\n(.+)\n$/ms.exec(printed)!;
  expect(model, line).toBe(`model:${id}`);
  expect(answer!.trim()).not.toBe("");
});

test("the walk through the method draws what it measured, in one page", async () => {
  const printed = await node("examples/walk-through.ts");
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

/** The packed packages: what publint and arethetypeswrong find, strict types, and README's example as it stands. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { afterAll, beforeAll, expect, test } from "vitest";
import small from "../../client-package/package.json" with { type: "json" };
import manifest from "../../package.json" with { type: "json" };
import { documents, fencesOf } from "../site/fences.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** An empty folder but for the packed packages, what they depend on, and the files that README's examples name. */
let folder: string;
const tarballs: string[] = [];

function pack(from: string): string {
  const args = ["pack", from, "--pack-destination", folder, "--json", "--ignore-scripts"];
  const [{ filename }] = JSON.parse(execFileSync("npm", args, { cwd: ROOT, encoding: "utf8" }));
  return join(folder, filename);
}

function unpack(tarball: string, name: string): void {
  const target = join(folder, "node_modules", name);
  mkdirSync(target, { recursive: true });
  execFileSync("tar", ["-xzf", tarball, "-C", target, "--strip-components=1"]);
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "softpost-packed-"));
  // What npm pack would run before it.
  for (const script of ["build.ts", "build-packages.ts"]) execFileSync(process.execPath, [script], { cwd: ROOT });
  for (const [from, name] of [
    [".", "softpost"],
    ["./client-package", "softpost-client"],
  ] as const) {
    const tarball = pack(from);
    tarballs.push(tarball);
    unpack(tarball, name);
  }
  // The dependencies as they are installed here: nothing is downloaded.
  for (const name of [...Object.keys(manifest.dependencies), "@types/node"]) {
    const link = join(folder, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), link);
  }
  cpSync(join(ROOT, "examples"), join(folder, "examples"), { recursive: true });
  symlinkSync(join(ROOT, "demo"), join(folder, "demo"));
  writeFileSync(join(folder, "package.json"), '{"type": "module"}');
});

afterAll(() => rmSync(folder, { recursive: true }));

const README_EXAMPLE = () => /```ts\n(import .*?)```/s.exec(readFileSync(join(ROOT, "README.md"), "utf8"))![1]!;

test("publint and arethetypeswrong find nothing", async () => {
  for (const [i, pkgDir] of ["softpost", "softpost-client"].entries()) {
    const { messages } = await publint({ pkgDir: join(folder, "node_modules", pkgDir), pack: false, strict: true });
    expect(messages).toEqual([]);
    const data = createPackageFromTarballData(new Uint8Array(readFileSync(tarballs[i]!)));
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

test("a provider says what it needs where that isn't installed", () => {
  const args = [join(folder, "node_modules/softpost/dist/softpost.js"), "serve", "--dir", "provider"];
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
  expect([status, stderr]).toEqual([
    1,
    expect.stringMatching(/^A package is missing: .*npm install .*miniflare@4\S+\n$/),
  ]);
});

test("README's example runs in the folder", () => {
  writeFileSync(join(folder, "readme.mjs"), README_EXAMPLE());
  const env = { ...process.env, SOFTPOST_HOME: join(folder, "home") };
  const out = execFileSync(process.execPath, ["readme.mjs"], { cwd: folder, env, encoding: "utf8" });
  expect(out).toMatch(/label: '(ham|spam)'/);
  expect(statSync(join(folder, "my-prompt/adapter_model.safetensors")).size).toBeGreaterThan(1000);
});

test("loading an entry does nothing, and the small ones load nothing of Node", () => {
  const entries = ["softpost", "softpost/client", "softpost/privacy", "softpost/prompt", "softpost-client"];
  const code = `${entries.map((name, i) => `import * as e${i} from "${name}";`).join("")}console.log(Object.keys(e0).length > 5)`;
  const args = ["--input-type=module", "--eval", code];
  expect(execFileSync(process.execPath, args, { cwd: folder, encoding: "utf8" })).toBe("true\n");
  const built = globSync("node_modules/softpost-client/dist/*.js", { cwd: folder });
  for (const path of built) expect(readFileSync(join(folder, path), "utf8")).not.toMatch(/from\s*"node:|require\(/);
});

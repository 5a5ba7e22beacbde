import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What each folder may import besides itself (README: Layout). Imports only go down. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  "shared/protocol": [],
  "shared/prompt": ["shared/protocol"],
  "shared/privacy": ["shared/protocol"],
  "shared/graph": ["shared/protocol"],
  "shared/data": ["shared/protocol", "shared/prompt"],
  "shared/models": ["shared/protocol", "shared/prompt", "shared/graph"],
  "shared/training": ["protocol", "prompt", "privacy", "data", "graph", "models"].map((name) => `shared/${name}`),
  "shared/operations": ["protocol", "prompt", "privacy", "data", "graph", "models", "training"].map(
    (name) => `shared/${name}`,
  ),
  "shared/submission": ["shared/protocol", "shared/prompt", "shared/privacy"],
  edge: ["shared/protocol", "shared/prompt", "shared/privacy", "shared/submission"],
  // The bucket's door and the models behind it are the jobs'.
  serving: ["protocol", "prompt", "data", "graph", "models", "training", "operations"]
    .map((name) => `shared/${name}`)
    .concat("batch/storage"),
};

/** These run in workerd: no Node module, and only packages that don't need one. */
const PURE = ["shared/protocol", "shared/prompt", "shared/privacy", "shared/submission"];
const PURE_PACKAGES = ["zod", "fft.js"];

/** `shared/graph` for `shared/graph/operators/matrix.ts`, `batch/storage` for `batch/storage/x.ts`, `edge` for `edge/routes/x.ts`. */
function folderOf(path: string): string {
  const parts = path.split("/");
  return parts.slice(0, parts[0] === "shared" || path.startsWith("batch/storage/") ? 2 : 1).join("/");
}

function importsOf(path: string): string[] {
  const text = readFileSync(join(root, path), "utf8");
  return [...text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*"([^"]+)"/g)].map(([, specifier]) => specifier!);
}

test.each(Object.keys(ALLOWED))("%s imports only what is below it", (folder) => {
  const wrong = globSync(`${folder}/**/*.ts`, { cwd: root }).flatMap((path) =>
    importsOf(path)
      .filter((specifier) => specifier.startsWith("."))
      .map((specifier) => folderOf(relative(root, join(root, dirname(path), specifier))))
      .filter((target) => target !== folder && !ALLOWED[folder]!.includes(target))
      .map((target) => `${path} → ${target}`),
  );
  expect(wrong).toEqual([]);
});

test.each(PURE)("%s runs in workerd", (folder) => {
  const files = globSync(`${folder}/**/*.ts`, { cwd: root });
  expect(files.length).toBeGreaterThan(0);
  const wrong = files.flatMap((path) =>
    importsOf(path)
      .filter((specifier) => !specifier.startsWith(".") && !PURE_PACKAGES.includes(specifier))
      .map((specifier) => `${path} → ${specifier}`),
  );
  expect(wrong).toEqual([]);
});

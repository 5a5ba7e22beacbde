/** What README points to is there, in the packed package too. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import manifest from "../package.json" with { type: "json" };
import { readTask } from "../shared/data/files.ts";
import { readExamples } from "../shared/data/jsonl.ts";
import { requireClasses } from "../shared/operations/checks.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The files that a page links to, from the repository's root. */
function linksOf(page: string): string[] {
  const text = readFileSync(join(ROOT, page), "utf8").replace(/```.*?```/gs, "");
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
  return targets
    .filter((target) => !/^(https?:|mailto:|#)/.test(target))
    .map((target) => relative(ROOT, join(ROOT, dirname(page), target.split("#")[0]!)));
}

test("every link of the packed README leads to something that is packed", () => {
  const packed = (link: string) => manifest.files.some((entry) => link === entry || link.startsWith(`${entry}/`));
  expect(linksOf("README.md").filter((link) => !packed(link))).toEqual([]);
});

test("the paths of README's first example are there, and its rows fit its task", async () => {
  const example = /npx --no -- softpost tune.*?```/s.exec(readFileSync(join(ROOT, "README.md"), "utf8"))![0];
  const paths = [...example.matchAll(/(?:demo|examples)\/[\w./-]+/g)].map(([path]) => path);
  expect(paths).toEqual([
    "demo/model",
    "examples/mailbox/task.json",
    "examples/mailbox/private.jsonl",
    "examples/mailbox/test.jsonl",
  ]);
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  const task = requireClasses(await readTask(join(ROOT, "examples/mailbox/task.json")));
  for (const name of ["private", "test"]) {
    const rows = await readExamples(join(ROOT, `examples/mailbox/${name}.jsonl`), task);
    expect(rows.filter(({ label }) => label === 0).length).toBe(rows.length / 2);
  }
  expect(statSync(join(ROOT, "examples/mailbox/private.jsonl")).size).toBeLessThan(50_000);
});

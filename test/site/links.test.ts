/** No link within the repository's pages leads nowhere, to a file or to a heading of one. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { slug } from "../../site/slug.ts";
import { ROOT } from "./fences.ts";

const pages = globSync("**/*.md", {
  cwd: ROOT,
  exclude: (name) => /node_modules|demo-output|site-output|cdk\.out|\.models|^dist$/.test(String(name)),
});

const withoutBlocks = (page: string) => readFileSync(join(ROOT, page), "utf8").replace(/^ *```.*?^ *```$/gms, "");

/** A heading as it is read: a link in it is its text. */
const plain = (heading: string) => heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1");

const headings = (page: string) =>
  [...withoutBlocks(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slug(plain(heading!)));

test.each(pages)("%s", (page) => {
  const targets = [...withoutBlocks(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
  for (const target of targets.filter((each) => !/^(https?:|mailto:)/.test(each))) {
    const [path = "", anchor] = target.split("#");
    const file = path === "" ? page : relative(ROOT, join(ROOT, dirname(page), path));
    expect(existsSync(join(ROOT, file)), target).toBe(true);
    if (anchor !== undefined) expect(headings(file), target).toContain(anchor);
  }
});

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** Licences that ask for no more than their text and a notice. */
const PERMISSIVE = ["0BSD", "Apache-2.0", "BlueOak-1.0.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT"];

/** Packages with another licence, and why they may be there. */
const EXCEPTIONS: Readonly<Record<string, RegExp>> = {
  // Miniflare's images, which softpost doesn't use: an own file, unchanged and loaded at run time, that whoever runs it may replace.
  "LGPL-3.0-or-later": /^@img\/sharp-/,
  // Given to the public domain; bundled into the Worker (it signs webhooks).
  Unlicense: /^fast-sha256$/,
  // Vitest's bundler, and what looks through pages in tests: they are no part of what is distributed.
  "MPL-2.0": /^(lightningcss|axe-core$)/,
  // Of js-yaml, by which tests read the API's description; no part of what is distributed.
  "Python-2.0": /^argparse$/,
};

interface Locked {
  /** A folder of this repository, listed by its path too. */
  readonly link?: boolean;
  readonly license?: string;
}

const lock = JSON.parse(readFileSync(fileURLToPath(new URL("../package-lock.json", import.meta.url)), "utf8"));
const packages = Object.entries(lock.packages as Record<string, Locked>)
  .filter(([path, { link }]) => path !== "" && !link)
  .map(([path, { license }]) => ({ name: path.split("node_modules/").at(-1)!, license: license ?? "none" }));

/** An SPDX expression of names, AND and OR, as far as packages use it. */
function isAllowed(name: string, expression: string): boolean {
  const terms = expression.replaceAll(/[()]/g, "").split(" OR ");
  const known = (term: string) => PERMISSIVE.includes(term) || EXCEPTIONS[term]?.test(name) === true;
  return terms.some((term) => term.split(" AND ").every(known));
}

test("every package of the lock has a licence that fits ours", () => {
  expect(packages.length).toBeGreaterThan(100);
  const wrong = packages.filter(({ name, license }) => !isAllowed(name, license));
  expect(wrong).toEqual([]);
});

test("a licence that isn't known, or only half of it, is found", () => {
  expect(isAllowed("a", "MIT OR GPL-3.0-only")).toBe(true);
  expect(isAllowed("a", "MIT AND GPL-3.0-only")).toBe(false);
  expect(isAllowed("a", "LGPL-3.0-or-later")).toBe(false);
  expect(isAllowed("a", "none")).toBe(false);
});

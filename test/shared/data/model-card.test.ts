import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { licenceOf } from "../../../shared/data/model-card.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

test.each([
  ["---\nlicense: apache-2.0\n---\n# A model\n", "apache-2.0"],
  ["---\r\nlicense: mit\r\ntags:\r\n- a\r\n---\r\n", "mit"],
  ["---\nlicense: other\nlicense_name: llama3\n---\n", "llama3"],
  ["---\nlicense: other\n---\n", "other"],
  ["---\nlicense: [mit, cc-by-4.0]\n---\n", "mit, cc-by-4.0"],
  ["---\nlicense: 7\n---\n", undefined],
  [`---\nlicense: ${"x".repeat(101)}\n---\n`, undefined],
  ["---\nlicense: {unfinished\n---\n", undefined],
  ["---\n- a list\n---\n", undefined],
  ["# No header\nlicense: mit\n", undefined],
  ["---\nlicense: mit\n", undefined],
])("a card %j names the licence %j", async (card, licence) => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "README.md"), card);
  expect(await licenceOf(folder)).toBe(licence);
});

test("without a card, or with a folder in its place, there is none", async () => {
  const folder = temporaryFolder();
  expect(await licenceOf(folder)).toBeUndefined();
  mkdirSync(join(folder, "README.md"));
  expect(await licenceOf(folder)).toBeUndefined();
});

/** Data sets on the hub, over real HTTP as huggingface.co answers. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseDatasetId } from "../../../shared/data/dataset-id.ts";
import { resolveDataset } from "../../../shared/data/hub-dataset.ts";
import { dataDigest, readExamples, readTexts } from "../../../shared/data/jsonl.ts";
import { hashFile } from "../../../shared/data/model-files.ts";
import { commitOf, sendAtMost, sendRange, startHub } from "../../helpers/hub.ts";
import { rejection } from "../../helpers/problem.ts";
import { sentiment } from "./task.ts";

const parquet = readFileSync(new URL("golden/parquet/snappy.parquet", import.meta.url));
const lines = (...texts: string[]) => texts.map((text) => JSON.stringify({ text, label: 1 })).join("\n");
const FILES = {
  "README.md": "# rows",
  "data/train-00001-of-00002.jsonl": lines("c"),
  "data/train-00000-of-00002.jsonl": lines("a", "b"),
  "test/größe 1.parquet": parquet,
  "other.py": "print()",
};
const split = (id: string) => parseDatasetId(id)!;

test("a split is downloaded once, in the order of its files, and checked", async () => {
  const { hub, requests, answers } = await startHub(() => FILES, "datasets");
  const parts = await resolveDataset(split("org/tiny:train"), hub);
  const home = join(hub.cache, "datasets--org--tiny");
  const snapshot = join(home, "snapshots", commitOf("main"));
  expect(parts).toEqual([0, 1].map((i) => join(snapshot, `data/train-0000${i}-of-00002.jsonl`)));
  expect(readFileSync(join(home, "refs", "main"), "utf8")).toBe(commitOf("main"));
  const data = { path: "org/tiny:train", columns: {}, parts };
  expect(await readTexts(data)).toEqual(["a", "b", "c"]);
  expect(await readTexts({ ...data, limit: 1 })).toEqual(["a"]);
  for (const request of requests) expect(request).toMatch(/Bearer hf_test$/);
  const before = requests.length;
  expect(await resolveDataset(split("org/tiny:train"), { ...hub, offline: true })).toEqual(parts);
  expect(requests.length).toBe(before);
  expect(await rejection(resolveDataset(split("org/tiny:test"), { ...hub, offline: true }))).toMatch(
    /HF_HUB_OFFLINE is set/,
  );
  // A connection that breaks is made again; a name that an address can't have is written as one.
  answers.push(sendRange, sendAtMost(1000));
  const [test] = await resolveDataset(split("org/tiny:test"), hub);
  expect(readFileSync(test!)).toEqual(parquet);
  expect((await readExamples({ path: test!, columns: { text: "name" } }, sentiment)).length).toBe(50);
  // A file that was cut short is fetched again.
  rmSync(parts[1]!);
  writeFileSync(parts[1]!, "");
  await resolveDataset(split("org/tiny:train"), hub);
  expect(await readTexts(data)).toEqual(["a", "b", "c"]);
});

test("of a split of which some rows are wanted only the first files are downloaded", async () => {
  const { hub, requests } = await startHub(() => FILES, "datasets");
  const resolve = (limit: number, how = hub) => resolveDataset(split("org/tiny:train"), how, {}, limit);
  const names = (parts: readonly string[]) => parts.map((part) => /train-(\d+)/.exec(part)![1]);
  expect(names(await resolve(2))).toEqual(["00000"]);
  expect(requests.filter((request) => request.includes("train-00001"))).toEqual([]);
  const offline = { ...hub, offline: true };
  expect(names(await resolve(1, offline))).toEqual(["00000"]);
  expect(await rejection(resolve(3, offline))).toMatch(/HF_HUB_OFFLINE is set/);
  expect(names(await resolve(3))).toEqual(["00000", "00001"]);
  expect((await resolve(1000, offline)).length).toBe(2);
});

test("a revision and a config are kept apart", async () => {
  const { hub } = await startHub(
    (revision) => ({ "en/train.jsonl": lines(revision), "de/train.jsonl": lines("de") }),
    "datasets",
  );
  const texts = async (id: string) => readTexts({ path: id, columns: {}, parts: await resolveDataset(split(id), hub) });
  expect(await texts("org/tiny/en:train")).toEqual(["main"]);
  expect(await texts("org/tiny/en@v1.0:train")).toEqual(["v1.0"]);
  expect(await texts("org/tiny/de@refs/pr/1:train")).toEqual(["de"]);
});

test("what the hub doesn't have, or has damaged or with paths that lead out, is refused", async () => {
  const { hub } = await startHub(() => FILES, "datasets");
  expect(await rejection(resolveDataset(split("org/tiny:validation"), hub))).toMatch(
    /no split "validation": it has "train", "test"/,
  );
  expect(await rejection(resolveDataset(split("org/secret:train"), hub))).toMatch(
    /There is no file org\/secret, .* 401: there is no such data set, or it is private or gated/,
  );
  expect(await rejection(resolveDataset(split("shared/data:train"), hub))).toMatch(/The hub was not asked/);
  for (const path of ["../../escape.jsonl", "/etc/x.jsonl", "a//b.jsonl", "a\\b.jsonl"]) {
    const evil = await startHub(() => ({ [path]: lines("a") }), "datasets");
    expect(await rejection(resolveDataset(split("org/tiny:train"), evil.hub))).toMatch(/no usable list of the files/);
  }
  let asked = 0;
  const liar = await startHub(() => ({ "train.jsonl": lines(asked++ === 0 ? "a" : "b") }), "datasets");
  expect(await rejection(resolveDataset(split("org/tiny:train"), liar.hub))).toMatch(/arrived damaged/);
});

test("a digest is that of the file, or tells parts and limits apart", async () => {
  const path = new URL("golden/parquet/snappy.parquet", import.meta.url).pathname;
  const { sha256 } = await hashFile(path);
  const data = { path, columns: {} };
  expect([await dataDigest(path), await dataDigest(data)]).toEqual([sha256, sha256]);
  const others = [
    { ...data, limit: 5 },
    { ...data, limit: 6 },
    { ...data, parts: [path, path] },
  ];
  expect(new Set([sha256, ...(await Promise.all(others.map(dataDigest)))]).size).toBe(4);
});

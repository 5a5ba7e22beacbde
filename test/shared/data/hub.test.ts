import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type DownloadEvent, hubOf, resolveModel } from "../../../shared/data/hub.ts";
import { commitOf, sendAtMost, sendRange, startHub } from "../../helpers/hub.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFile, temporaryFolder } from "../../helpers/temporary.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const WEIGHTS = "pretend weights ".repeat(10_000);
const FILES = {
  "config.json": "{}",
  "tokenizer.json": '{"a":1}',
  "tokenizer_config.json": '{"b":2}',
  "README.md": "# tiny",
  "model.safetensors": WEIGHTS,
  "consolidated.safetensors": "the same once more",
  "pytorch_model.bin": "a pickle",
};
const tiny = () => startHub(() => FILES);

test("a model is downloaded once, into the cache's usual places", async () => {
  const { hub, requests } = await tiny();
  const folder = await resolveModel("org/tiny", hub);
  const home = join(hub.cache, "models--org--tiny");
  expect(folder).toBe(join(home, "snapshots", commitOf("main")));
  const names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
  expect(readdirSync(folder).sort()).toEqual(names);
  for (const name of names) expect(readFileSync(join(folder, name), "utf8")).toBe(FILES[name as keyof typeof FILES]);
  expect(readFileSync(join(home, "refs", "main"), "utf8")).toBe(commitOf("main"));
  // `printf '{}' | git hash-object --stdin`
  const small = "9e26dfeeb6e641a33dae4961196235bdb965b21b";
  expect(readdirSync(join(home, "blobs"))).toEqual(expect.arrayContaining([sha256(WEIGHTS), small]));
  for (const request of requests) expect(request).toMatch(/Bearer hf_test$/);
  const before = requests.length;
  expect(await resolveModel("org/tiny", { ...hub, offline: true })).toBe(folder);
  expect(await resolveModel("org/tiny", hub)).toBe(folder);
  expect(requests.length).toBe(before);
});

test("a revision is a branch, a tag or a commit; the cache keeps them apart", async () => {
  const { hub, requests } = await startHub((revision) => ({ ...FILES, "model.safetensors": `weights of ${revision}` }));
  for (const revision of ["v1.0", "refs/pr/1", "main"]) {
    const folder = await resolveModel(`org/tiny@${revision}`, hub);
    expect(folder).toContain(commitOf(revision));
    expect(readFileSync(join(folder, "model.safetensors"), "utf8")).toBe(`weights of ${revision}`);
    expect(readFileSync(join(hub.cache, "models--org--tiny", "refs", revision), "utf8")).toBe(commitOf(revision));
    const before = requests.length;
    expect(await resolveModel(`org/tiny@${commitOf(revision)}`, { ...hub, offline: true })).toBe(folder);
    expect(requests.length).toBe(before);
  }
  expect(await rejection(resolveModel("org/tiny@v2", hub))).toMatch(/answered 404: there is no such model or revision/);
  expect(await rejection(resolveModel("org/tiny@../../x", hub))).toMatch(/There is no folder/);
});

test("shards are those of the index", async () => {
  const index = JSON.stringify({ weight_map: { a: "model-1.safetensors", b: "model-2.safetensors" } });
  const { "model.safetensors": _, ...rest } = FILES;
  const shards = { "model-1.safetensors": "one", "model-2.safetensors": "two" };
  const files = { ...rest, ...shards, "model.safetensors.index.json": index };
  const { hub } = await startHub(() => files);
  const folder = await resolveModel("org/tiny", hub);
  expect(readdirSync(folder).filter((name) => name.includes("safetensors"))).toEqual([
    ...Object.keys(shards),
    "model.safetensors.index.json",
  ]);
  // A snapshot that lacks a shard is no model, whatever the refs say.
  rmSync(join(folder, "model-2.safetensors"));
  expect(await rejection(resolveModel("org/tiny", { ...hub, offline: true }))).toMatch(/HF_HUB_OFFLINE is set/);
  expect(await resolveModel("org/tiny", hub)).toBe(folder);
  expect(existsSync(join(folder, "model-2.safetensors"))).toBe(true);
  const outside = { ...files, "model.safetensors.index.json": '{"weight_map":{"a":"../x.safetensors"}}' };
  expect(await rejection(resolveModel("org/tiny", (await startHub(() => outside)).hub))).toMatch(/of the same folder/);
});

describe("a connection that breaks", () => {
  const isWeights = (request: string) => request.startsWith("/store/");

  test("is made again, and the file goes on where it ended", async () => {
    const { hub, requests, answers } = await tiny();
    answers.push(sendRange, sendRange, sendRange, sendAtMost(70_000), sendAtMost(1000));
    const events: DownloadEvent[] = [];
    const folder = await resolveModel("org/tiny", hub, { onEvent: (event) => events.push(event) });
    expect(readFileSync(join(folder, "model.safetensors"), "utf8")).toBe(WEIGHTS);
    const ranges = requests.filter(isWeights).map((request) => request.split(" ")[1]);
    expect(ranges[0]).toBe("");
    expect(ranges.length).toBe(3);
    for (const range of ranges.slice(1)) expect(range).toMatch(/^bytes=[1-9]\d*-$/);
    const total = 2 + 7 + 7 + WEIGHTS.length;
    expect(events[0]).toEqual({ kind: "phase", name: "download of org/tiny", total, unit: "bytes" });
    expect(events.at(-1)).toEqual({ kind: "progress", done: total });
  });

  test("and is not there again keeps what came for the next run", async () => {
    const { hub, requests, answers } = await tiny();
    answers.push(sendRange, sendRange, sendRange, sendAtMost(50_000), ...Array(4).fill(sendAtMost(0)));
    expect(await rejection(resolveModel("org/tiny", hub))).toMatch(/broke off 5 times.*the same command goes on/);
    const blobs = join(hub.cache, "models--org--tiny", "blobs");
    const partial = join(blobs, `${sha256(WEIGHTS)}.incomplete`);
    const have = readFileSync(partial).length;
    expect(have).toBeGreaterThan(0);
    const before = requests.length;
    const folder = await resolveModel("org/tiny", hub);
    expect(requests.slice(before).filter(isWeights)).toEqual([expect.stringContaining(` bytes=${have}- `)]);
    expect(readFileSync(join(folder, "model.safetensors"), "utf8")).toBe(WEIGHTS);
    expect(existsSync(partial)).toBe(false);
  });

  test("is noticed when the user stops", async () => {
    const { hub, answers } = await tiny();
    const abort = new AbortController();
    answers.push(() => abort.abort());
    await expect(resolveModel("org/tiny", hub, { signal: abort.signal })).rejects.toMatchObject({ name: "AbortError" });
  });
});

test("a server that knows no ranges sends it all again", async () => {
  const { hub, answers } = await tiny();
  const all = (file: Buffer, _: unknown, response: { end(content: Buffer): void }) => response.end(file);
  answers.push(sendRange, sendRange, sendRange, sendAtMost(50_000), all);
  const folder = await resolveModel("org/tiny", hub);
  expect(readFileSync(join(folder, "model.safetensors"), "utf8")).toBe(WEIGHTS);
});

test.each([
  ["a large file", [sendRange, sendRange, sendRange]],
  ["a small file", []],
])("%s that arrives damaged is removed", async (_, before) => {
  const { hub, answers } = await tiny();
  answers.push(...before, (file, __, response) => response.end(Buffer.alloc(file.length, "x")));
  expect(await rejection(resolveModel("org/tiny", hub))).toMatch(/arrived damaged: its digest is \w+, not \w+/);
  const blobs = readdirSync(join(hub.cache, "models--org--tiny", "blobs"));
  expect(blobs.filter((name) => name.includes("incomplete"))).toEqual([]);
  expect(await rejection(resolveModel("org/tiny", { ...hub, offline: true }))).toMatch(/HF_HUB_OFFLINE is set/);
  expect(await resolveModel("org/tiny", hub)).toContain(commitOf("main"));
});

test("a pickle is refused with the reason, and nothing of it is downloaded", async () => {
  const { "model.safetensors": _, "consolidated.safetensors": __, ...pickled } = FILES;
  const { hub, requests } = await startHub(() => pickled);
  expect(await rejection(resolveModel("org/tiny", hub))).toMatch(
    /org\/tiny@main has its weights in pytorch_model\.bin only.*run any code.*save_pretrained.*\npytorch_model\.bin: Is a pickle/s,
  );
  expect(requests.filter((request) => request.includes("/resolve/"))).toEqual([]);
  const { "tokenizer.json": ___, ...untokenized } = FILES;
  expect(await rejection(resolveModel("org/tiny", (await startHub(() => untokenized)).hub))).toMatch(
    /org\/tiny@main has no tokenizer\.json/,
  );
});

test("a folder is itself; what is neither folder nor model is named", async () => {
  const { hub } = await tiny();
  const folder = temporaryFolder();
  expect(await resolveModel(folder, hub)).toBe(folder);
  expect(await rejection(resolveModel("../x/y", hub))).toMatch(/no folder \.\.\/x\/y/);
  expect(await rejection(resolveModel("org/none", hub))).toMatch(/answered 404/);
  expect(await rejection(resolveModel("org/secret", hub))).toMatch(/answered 401.*the token that is set doesn't/);
  const anonymous = { ...hub, token: undefined };
  expect(await rejection(resolveModel("org/secret", anonymous))).toMatch(/answered 401.*\(set HF_TOKEN\)/);
  const unreachable = { ...hub, endpoint: "http://127.0.0.1:1" };
  expect(await rejection(resolveModel("org/tiny", unreachable))).toMatch(/can't be reached/);
  expect(await rejection(resolveModel("org/tiny", { ...hub, endpoint: "hub" }))).toMatch(/HF_ENDPOINT hub is no URL/);
  expect(await rejection(resolveModel("org/tiny", { ...hub, cache: temporaryFile("cache", "") }))).toMatch(
    /The cache .* can't be written: ENOTDIR/,
  );
});

test("answers that aren't what they should be are the hub's fault", async () => {
  const { hub } = await startHub(() => ({ "../x": "y" }));
  expect(await rejection(resolveModel("org/tiny", hub))).toMatch(/has no config\.json on the hub/);
});

test("the token is what the environment has, or what is in its file", async () => {
  expect(hubOf({ HUGGING_FACE_HUB_TOKEN: "hf_old" }).token).toBe("hf_old");
  expect(hubOf({ HF_TOKEN: "hf_new", HUGGING_FACE_HUB_TOKEN: "hf_old" }).token).toBe("hf_new");
  expect(hubOf({ HF_HOME: "/h" }).tokenFile).toBe(join("/h", "token"));
  const { hub, requests } = await tiny();
  const tokenFile = temporaryFile("token", "hf_file\n");
  expect(hubOf({ HF_TOKEN_PATH: tokenFile })).toMatchObject({ token: undefined, tokenFile });
  await resolveModel("org/tiny", { ...hub, token: undefined, tokenFile });
  for (const request of requests) expect(request).toMatch(/Bearer hf_file$/);
});

test("the environment says where the cache is", () => {
  expect(hubOf({ HF_HOME: "/h" }).cache).toBe(join("/h", "hub"));
  expect(hubOf({ HF_HUB_CACHE: "/c", HF_HOME: "/h" }).cache).toBe("/c");
  expect(hubOf({ XDG_CACHE_HOME: "/x" }).cache).toBe(join("/x", "huggingface", "hub"));
  expect(hubOf({ HF_HUB_OFFLINE: "1" }).offline).toBe(true);
  expect(hubOf({ TRANSFORMERS_OFFLINE: "yes" }).offline).toBe(true);
  expect(hubOf({ HF_HUB_OFFLINE: "0" }).offline).toBe(false);
});

test("a cache that another program has filled in part is completed", async () => {
  const { hub } = await tiny();
  const home = join(hub.cache, "models--org--tiny");
  const snapshot = join(home, "snapshots", commitOf("main"));
  mkdirSync(snapshot, { recursive: true });
  mkdirSync(join(home, "refs"));
  writeFileSync(join(home, "refs", "main"), commitOf("main"));
  writeFileSync(join(snapshot, "config.json"), FILES["config.json"]);
  expect(await resolveModel("org/tiny", hub)).toBe(snapshot);
  expect(readdirSync(snapshot)).toContain("model.safetensors");
});

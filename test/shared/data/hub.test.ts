import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { resolveModel } from "../../../shared/data/hub.ts";
import { type DownloadEvent, hubOf } from "../../../shared/data/hub-address.ts";
import { commitOf, sendAtMost, sendRange, startHub } from "../../helpers/hub.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFile, temporaryFolder } from "../../helpers/temporary.ts";

/** The milliseconds that would have been waited: time itself is left out of these tests. */
const waits = vi.hoisted(() => [] as number[]);
vi.mock("node:timers/promises", () => ({
  setTimeout: async (milliseconds: number, _: unknown, options?: { signal?: AbortSignal }) => {
    options?.signal?.throwIfAborted();
    waits.push(milliseconds);
  },
}));
beforeEach(() => void waits.splice(0));

/** What `symlink` fails with, if it is to fail: no file system without links can be made here. */
const links = vi.hoisted(() => ({ fault: "" }));
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const symlink: typeof real.symlink = async (...args) => {
    if (links.fault !== "")
      throw Object.assign(new Error(`${links.fault}: symlink`), { code: links.fault, syscall: "symlink" });
    return real.symlink(...args);
  };
  return { ...real, symlink };
});

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
    answers.push(sendRange, sendRange, sendRange, sendAtMost(50_000), ...Array(5).fill(sendAtMost(0)));
    expect(await rejection(resolveModel("org/tiny", hub))).toMatch(
      /several tries brought nothing new.*the same command goes on/,
    );
    expect(waits).toEqual([500, 1000, 2000, 4000]);
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
  expect(await rejection(resolveModel("org/none", hub))).toMatch(/no folder org\/none, and .* answered 404/);
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
  expect(await rejection(resolveModel("org/tiny", hub))).toMatch(/gave no usable list of the files/);
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

describe("a cache that another program has filled in part", () => {
  const { "README.md": _, "consolidated.safetensors": __, "pytorch_model.bin": ___, ...wanted } = FILES;

  /** A snapshot of some files, and marks of files that the model doesn't have. */
  async function partialCache(files: Record<string, string>, absent: readonly string[] = []) {
    const started = await tiny();
    const home = join(started.hub.cache, "models--org--tiny");
    const snapshot = join(home, "snapshots", commitOf("main"));
    const marks = join(home, ".no_exist", commitOf("main"));
    for (const folder of [snapshot, join(home, "refs"), marks]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(home, "refs", "main"), commitOf("main"));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(snapshot, name), text);
    for (const name of absent) writeFileSync(join(marks, name), "");
    return { ...started, home, snapshot, marks };
  }

  const { "tokenizer_config.json": ____, ...three } = wanted;

  test("gets the files that it lacks, if the model has them", async () => {
    const { hub, requests, snapshot, marks } = await partialCache(three);
    expect(await resolveModel("org/tiny", hub)).toBe(snapshot);
    expect(readFileSync(join(snapshot, "tokenizer_config.json"), "utf8")).toBe(FILES["tokenizer_config.json"]);
    expect(requests.filter((request) => request.includes("/resolve/")).length).toBe(1);
    // As huggingface_hub remembers it (`.no_exist/<commit>/<name>`, empty).
    expect(readdirSync(marks).sort()).toEqual(["added_tokens.json", "special_tokens_map.json"]);
    const before = requests.length;
    expect(await resolveModel("org/tiny", hub)).toBe(snapshot);
    expect(requests.length).toBe(before);
  });

  test("is not used offline, with the file's name", async () => {
    const { hub } = await partialCache(three);
    expect(await rejection(resolveModel("org/tiny", { ...hub, offline: true }))).toMatch(
      /doesn't have the whole model \(tokenizer_config\.json, special_tokens_map\.json, added_tokens\.json\)/,
    );
  });

  test("is whole where it is known what the model doesn't have", async () => {
    const { hub, snapshot, requests } = await partialCache(three, [
      "tokenizer_config.json",
      "added_tokens.json",
      "special_tokens_map.json",
    ]);
    expect(await resolveModel("org/tiny", hub)).toBe(snapshot);
    expect(requests).toEqual([]);
  });

  test("is whole where tokenizer_config.json has what the older files had", async () => {
    const { hub, snapshot } = await partialCache({ ...three, "tokenizer_config.json": '{"added_tokens_decoder":{}}' });
    expect(await resolveModel("org/tiny", { ...hub, offline: true })).toBe(snapshot);
  });

  test("is mended where a link leads to nothing or a file is cut short", async () => {
    const { "config.json": _____, ...rest } = wanted;
    const { hub, snapshot } = await partialCache({ ...rest, "model.safetensors": WEIGHTS.slice(0, 100) });
    symlinkSync(join("..", "..", "blobs", "gone"), join(snapshot, "config.json"));
    expect(await resolveModel("org/tiny", hub)).toBe(snapshot);
    expect(readFileSync(join(snapshot, "config.json"), "utf8")).toBe(FILES["config.json"]);
    expect(readFileSync(join(snapshot, "model.safetensors"), "utf8")).toBe(WEIGHTS);
  });
});

test("old tokenizer files come along", async () => {
  const { hub } = await startHub(() => ({ ...FILES, "added_tokens.json": "{}", "special_tokens_map.json": "{}" }));
  expect(readdirSync(await resolveModel("org/tiny", hub))).toEqual(
    expect.arrayContaining(["added_tokens.json", "special_tokens_map.json"]),
  );
});

describe("a file system without symbolic links", () => {
  const withoutLinks = (fault: string) => {
    links.fault = fault;
    onTestFinished(() => {
      links.fault = "";
    });
  };

  test.each(["EPERM", "ENOSYS", "ENOTSUP"])("gets the files themselves (%s)", async (fault) => {
    withoutLinks(fault);
    const { hub, requests } = await tiny();
    const folder = await resolveModel("org/tiny", hub);
    for (const name of readdirSync(folder)) {
      expect(lstatSync(join(folder, name)).isFile()).toBe(true);
      expect(readFileSync(join(folder, name), "utf8")).toBe(FILES[name as keyof typeof FILES]);
    }
    // As huggingface_hub: moved, not there twice.
    expect(readdirSync(join(hub.cache, "models--org--tiny", "blobs"))).toEqual([]);
    const before = requests.length;
    expect(await resolveModel("org/tiny", hub)).toBe(folder);
    expect(requests.length).toBe(before);
  });

  test("gets a copy of a blob that was there before", async () => {
    const { hub } = await tiny();
    const folder = await resolveModel("org/tiny", hub);
    rmSync(folder, { recursive: true });
    withoutLinks("EPERM");
    expect(await resolveModel("org/tiny", hub)).toBe(folder);
    expect(lstatSync(join(folder, "model.safetensors")).isFile()).toBe(true);
    expect(readdirSync(join(hub.cache, "models--org--tiny", "blobs"))).toContain(sha256(WEIGHTS));
  });

  test("another failure is told", async () => {
    withoutLinks("ENOSPC");
    expect(await rejection(resolveModel("org/tiny", (await tiny()).hub))).toMatch(/can't be written: ENOSPC/);
  });
});

test("a hub that is busy or closes connections is asked again, also for its lists", async () => {
  const { hub, answers, interruptions } = await tiny();
  const busy = (_: Buffer, __: unknown, response: ServerResponse) =>
    response.writeHead(503, { "retry-after": "7" }).end();
  answers.push(sendRange, sendRange, sendRange, ...Array(8).fill(busy));
  interruptions.push(
    (response) => response.writeHead(429, { "retry-after": "3" }).end(),
    (response) => response.destroy(),
  );
  const folder = await resolveModel("org/tiny", hub);
  expect(readFileSync(join(folder, "model.safetensors"), "utf8")).toBe(WEIGHTS);
  expect(waits).toEqual([3000, 500, ...Array(8).fill(7000)]);
});

test("a hub that fails is not said to lack the model", async () => {
  const { hub, interruptions } = await tiny();
  interruptions.push(...Array(9).fill((response: ServerResponse) => response.writeHead(503).end()));
  expect(await rejection(resolveModel("org/tiny", hub))).toMatch(/^The model can't be downloaded: .* answered 503/);
});

test("a mistyped path is not told to the hub", async () => {
  const { hub, requests } = await tiny();
  // The tests run in the repository's root, which has a folder of this name.
  expect(await rejection(resolveModel("shared/merger-with-acme", hub))).toMatch(
    /The hub was not asked.*shared\/merger-with-acme@main/,
  );
  expect(requests).toEqual([]);
  expect(await rejection(resolveModel("shared/merger-with-acme@main", hub))).toMatch(/answered 404/);
});

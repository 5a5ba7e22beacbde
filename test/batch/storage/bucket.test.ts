/** The S3 door of the local bucket with the unmodified client: it is labelled experimental, so what the jobs need of it is tested here. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Bucket } from "../../../batch/storage/bucket.ts";
import { keptStates } from "../../../batch/storage/kept-states.ts";
import { loadBundle } from "../../../infra/local/bundle.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFile, temporaryFolder } from "../../helpers/temporary.ts";
import { type Provider, startProvider } from "../../service/provider.ts";

let provider: Provider;
let store: Bucket;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  store = provider.store;
});

afterAll(() => provider.close());

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test("objects are written, read and listed", async () => {
  await store.write("a/1", "one");
  await store.write("a/2", new Uint8Array([0, 255]));
  expect(new TextDecoder().decode(await store.read("a/1"))).toBe("one");
  expect(await store.read("a/2")).toEqual(new Uint8Array([0, 255]));
  expect(await store.read("a/3")).toBeUndefined();
  expect([await store.has("a/1"), await store.has("a/3")]).toEqual([true, false]);
  expect(await store.list("a/")).toEqual(["a/1", "a/2"]);
  expect(await rejection(store.need("a/3"))).toContain("a/3 is not there");
  expect(await rejection(store.need("a/1", digest(new Uint8Array([1]))))).toContain("a/1 has the digest");
});

test("of many who write an object once, one succeeds", async () => {
  const written = await Promise.all(["x", "y", "z"].map((text) => store.writeOnce("once", text)));
  expect(written.filter(Boolean)).toHaveLength(1);
  expect(await store.writeOnce("once", "late")).toBe(false);
  expect(["x", "y", "z"]).toContain(new TextDecoder().decode(await store.read("once")));
});

test("files are streamed up and down, and damage is noticed", async () => {
  const bytes = new Uint8Array(3_000_000).map((_, i) => (i * 31) % 251);
  await store.upload(temporaryFile("large", bytes), "large");
  const path = join(temporaryFolder(), "new", "large");
  expect(await rejection(store.download("large", path, "0".repeat(64)))).toContain("large has the digest");
  expect(existsSync(path)).toBe(false);
  await store.download("large", path, digest(bytes));
  expect(digest(readFileSync(path))).toBe(digest(bytes));
});

test("states are computed once and kept; damaged ones, and of another size, are computed again", async () => {
  let computed = 0;
  const compute = async () => {
    computed += 1;
    return Float32Array.of(1, 2.5, -0, 1e-40, 5, 6);
  };
  const key = "states/m/p/e.safetensors";
  const first = await keptStates(store, key, [2, 3], compute);
  expect(await keptStates(store, key, [2, 3], compute)).toEqual(first);
  expect(computed).toBe(1);
  const bytes = await store.need(key);
  for (const at of [bytes.length - 1, bytes.length >> 1, 0]) {
    await store.write(
      key,
      bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)),
    );
    const before = computed;
    expect(await keptStates(store, key, [2, 3], compute)).toEqual(first);
    expect(await keptStates(store, key, [2, 3], compute)).toEqual(first);
    expect(computed).toBe(before + 1);
  }
  expect(await keptStates(store, key, [3, 2], compute)).toEqual(first);
  expect(computed).toBe(5);
});

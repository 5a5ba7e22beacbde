/** The S3 door of the local bucket with the unmodified client: it is labelled experimental, so what the jobs need of it is tested here. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createServer, request as httpRequest, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bucket, isOutOfReach } from "../../../batch/storage/bucket.ts";
import { keptStates } from "../../../batch/storage/kept-states.ts";
import { loadBundle } from "../../../infra/local/bundle.ts";
import { bucket } from "../../../shared/protocol/bucket.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFile, temporaryFolder } from "../../helpers/temporary.ts";
import { CREDENTIALS, type Provider, startProvider } from "../../service/provider.ts";

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
  await store.upload(temporaryFile("large", bytes), "large", digest(bytes));
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

describe("a large file", () => {
  const PART = 5 * 1024 * 1024;
  const bytes = new Uint8Array(PART + 1234).map((_, i) => (i * 37 + (i >> 11)) % 251);

  /** What the store was sent, and a network that can break before a request. */
  function watched(breakBefore: (method: string, url: URL) => boolean = () => false) {
    const sent: string[] = [];
    const door = createServer((request, response) => {
      const url = new URL(request.url!, "http://door");
      if (breakBefore(request.method!, url)) {
        request.destroy();
        return;
      }
      if (url.searchParams.has("partNumber")) sent.push(url.searchParams.get("partNumber")!);
      const { hostname, port } = new URL(provider.worker.s3);
      const { url: path, method, headers } = request;
      const passed = httpRequest({ hostname, port, path, method, headers }, (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      });
      passed.on("error", () => request.destroy());
      request.pipe(passed);
    });
    return { sent, door };
  }

  async function through(door: Server): Promise<Bucket> {
    await new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve));
    // With the path, which the client signs.
    const { pathname } = new URL(provider.worker.s3);
    const endpoint = `http://127.0.0.1:${(door.address() as AddressInfo).port}${pathname}`;
    return new Bucket({ name: provider.worker.bucketName, endpoint, credentials: CREDENTIALS });
  }

  test("goes up in parts and is whole, and nothing else stays", async () => {
    const file = temporaryFile("parts", bytes);
    await store.upload(file, "parts/whole", digest(bytes), PART);
    const path = join(temporaryFolder(), "whole");
    await store.download("parts/whole", path, digest(bytes));
    expect(readFileSync(path).length).toBe(bytes.length);
    expect(await store.list("uploads/")).toEqual([]);
  });

  test("goes on where it was interrupted", async () => {
    const file = temporaryFile("parts", bytes);
    let broken = true;
    const { sent, door } = watched((_, url) => broken && url.searchParams.get("partNumber") === "2");
    const flaky = await through(door);
    await expect(flaky.upload(file, "parts/resumed", digest(bytes), PART)).rejects.toThrow();
    expect(await store.has("parts/resumed")).toBe(false);
    broken = false;
    await flaky.upload(file, "parts/resumed", digest(bytes), PART);
    expect(sent).toEqual(["1", "2"]);
    await store.download("parts/resumed", join(temporaryFolder(), "x"), digest(bytes));
    door.closeAllConnections();
    door.close();
  });

  test("that is read as it is sent leaves no parts behind if that fails", async () => {
    const read = async (position: number, length: number) => bytes.slice(position, position + length);
    await store.put("parts/read", { size: bytes.length, read }, PART);
    expect(digest(await store.need("parts/read"))).toBe(digest(bytes));
    const methods: string[] = [];
    const { door } = watched((method, url) => {
      methods.push(method + (url.searchParams.has("uploadId") ? " upload" : ""));
      return false;
    });
    const failing = async (position: number, length: number) => {
      if (position > 0) throw new Error("the disk is gone");
      return read(position, length);
    };
    const put = (await through(door)).put("parts/failed", { size: bytes.length, read: failing }, PART);
    await expect(put).rejects.toThrow("the disk is gone");
    expect(methods).toEqual(["POST", "PUT upload", "DELETE upload"]);
    expect(await store.has("parts/failed")).toBe(false);
    door.closeAllConnections();
    door.close();
  });

  test("that isn't what was hashed doesn't appear, and its upload can be gone on with by the right one", async () => {
    const file = temporaryFile("parts", bytes.with(PART + 5, 255));
    expect(await rejection(store.upload(file, "parts/changed", digest(bytes), PART))).toContain("is not what it was");
    expect(await store.has("parts/changed")).toBe(false);
    await store.upload(temporaryFile("parts", bytes), "parts/changed", digest(bytes), PART);
    await store.download("parts/changed", join(temporaryFolder(), "x"), digest(bytes));
  });

  test("begins anew where the store has given the upload up", async () => {
    const gone = {
      key: "parts/gone",
      uploadId: "none",
      partBytes: PART,
      parts: [{ md5: "0".repeat(32), etag: '"x"' }],
    };
    await store.write(bucket.upload(digest(bytes)), JSON.stringify(gone));
    await store.upload(temporaryFile("parts", bytes), "parts/gone", digest(bytes), PART);
    await store.download("parts/gone", join(temporaryFolder(), "x"), digest(bytes));
  });
});

test("what passes is told from what doesn't", async () => {
  const nowhere = new Bucket({ name: "x", endpoint: "http://127.0.0.1:1", credentials: CREDENTIALS });
  const error = await nowhere.read("a").catch((cause) => cause);
  expect(isOutOfReach(error)).toBe(true);
  const busy = createServer((_, response) => response.writeHead(503).end());
  await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(busy.address() as AddressInfo).port}`;
  const refused = new Bucket({ name: "x", endpoint, credentials: CREDENTIALS });
  expect(isOutOfReach(await refused.read("a").catch((cause) => cause))).toBe(true);
  busy.close();
  const stranger = new Bucket({
    name: provider.worker.bucketName,
    endpoint: provider.worker.s3,
    credentials: { accessKeyId: "x", secretAccessKey: "y" },
  });
  for (const passing of [await stranger.read("a").catch((cause) => cause), new Error("a fault"), new RangeError("x")]) {
    expect(isOutOfReach(passing)).toBe(false);
  }
});

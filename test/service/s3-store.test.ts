/** The Worker on S3: its store against the local bucket's S3 door, and a transfer with a Worker that has no R2. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { S3Store } from "../../edge/storage/s3-store.ts";
import { type Bundle, loadBundle } from "../../infra/local/bundle.ts";
import { type LocalWorker, startWorker } from "../../infra/local/worker.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { CREDENTIALS, LIMITS, type Provider, promptOf, startProvider, uploadOf } from "./provider.ts";

let bundle: Bundle;
let provider: Provider;
let url: string;
let store: S3Store;

beforeAll(async () => {
  bundle = await loadBundle();
  provider = await startProvider(bundle);
  url = `${provider.worker.s3}/${provider.worker.bucketName}`;
  store = new S3Store({ url, region: "auto", ...CREDENTIALS });
});

afterAll(() => provider.close());

const text = async (key: string) => new Response((await store.get(key))?.body).text();

test("objects are written, read whole or in part, listed and deleted", async () => {
  await store.put("s3/1", "one");
  await store.put("s3/2", new Uint8Array([1, 2, 3, 4]));
  expect(await text("s3/1")).toBe("one");
  const part = await store.get("s3/2", { range: { offset: 1, length: 2 } });
  expect(part?.size).toBe(4);
  expect(new Uint8Array(await new Response(part?.body).arrayBuffer())).toEqual(new Uint8Array([2, 3]));
  expect((await store.list({ prefix: "s3/" })).objects.map(({ key }) => key)).toEqual(["s3/1", "s3/2"]);
  await store.delete("s3/1");
  expect([await store.get("s3/1"), await store.head("s3/1")]).toEqual([null, null]);
  expect(await store.head("s3/2")).toMatchObject({ etag: expect.stringMatching(/^[0-9a-f]+$/) });
});

test("a list goes on where a page ended", async () => {
  const asked: (string | null)[] = [];
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url!, "http://bucket");
    asked.push(searchParams.get("continuation-token"));
    const more = "<IsTruncated>true</IsTruncated><NextContinuationToken>1/a+b=</NextContinuationToken>";
    const page = asked.length === 1 ? `<Key>x/1</Key>${more}` : "<Key>x/2</Key>";
    response.end(`<ListBucketResult><Contents>${page}</Contents></ListBucketResult>`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const paged = new S3Store({ url: `http://127.0.0.1:${port}/bucket`, region: "us-east-1", ...CREDENTIALS });
  const first = await paged.list({ prefix: "x/" });
  expect(first).toEqual({ objects: [{ key: "x/1" }], truncated: true, cursor: "1/a+b=" });
  const second = await paged.list({ prefix: "x/", cursor: "1/a+b=" });
  expect(second).toEqual({ objects: [{ key: "x/2" }], truncated: false });
  expect(asked).toEqual([null, "1/a+b="]);
  server.closeAllConnections();
  server.close();
});

test("a condition that doesn't hold writes nothing", async () => {
  const once = { onlyIf: { etagDoesNotMatch: "*" } };
  expect(await store.put("s3/once", "first", once)).not.toBeNull();
  expect(await store.put("s3/once", "second", once)).toBeNull();
  const { etag } = (await store.head("s3/once"))!;
  expect(await store.put("s3/once", "third", { onlyIf: { etagMatches: "0".repeat(32) } })).toBeNull();
  expect(await store.put("s3/once", "fourth", { onlyIf: { etagMatches: etag } })).not.toBeNull();
  expect(await text("s3/once")).toBe("fourth");
});

test("a refusal is an error", async () => {
  const stranger = new S3Store({ url, region: "auto", accessKeyId: "x", secretAccessKey: "y" });
  await expect(stranger.get("catalogue.json")).rejects.toThrow("S3 answered 401 to GET");
});

test("a Worker without R2 takes a transfer, gives it to a job and sends its files", async () => {
  const worker = await startOnS3();
  try {
    const ask = async (path: string, key: string, init: RequestInit = {}) => {
      const headers = { authorization: `Bearer ${key}`, ...(init.headers as Record<string, string>) };
      return fetch(worker.url + path, { ...init, headers });
    };
    const post = (path: string, body: unknown) =>
      ask(path, "admin-secret", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      }).then((response) => response.json() as Promise<{ id: string; key: string }>);
    const { id: tenant } = await post("/v1/admin/tenants", { name: "on S3", limits: LIMITS });
    const { key } = await post(`/v1/admin/tenants/${tenant}/keys`, { name: "key", scopes: ["read", "submit"] });
    const submitted = await ask("/v1/transfers", key, { method: "POST", body: uploadOf(promptOf(1)) });
    expect(submitted.status).toBe(202);
    const { id, state } = (await submitted.json()) as { id: string; state: string };
    expect(state).toBe("queued");

    const folder = bucket.job(`${tenant}-${id}`);
    expect(await provider.store.readJson(folder + jobFiles.spec)).toMatchObject({ job: `${tenant}-${id}` });
    const file = { name: "softpost.json", size: 2, sha256: "0".repeat(64) };
    await provider.store.write(`${folder}${jobFiles.output}softpost.json`, "{}");
    await provider.store.write(folder + jobFiles.result, JSON.stringify({ files: [file], deviceSeconds: 1 }));
    const shown = async () => {
      await worker.reconcile();
      return ((await (await ask(`/v1/transfers/${id}`, key)).json()) as { state: string }).state;
    };
    await expect.poll(shown, { timeout: 120_000 }).toBe("succeeded");
    expect(await (await ask(`/v1/transfers/${id}/prompt/softpost.json`, key)).text()).toBe("{}");
  } finally {
    await worker.close();
  }
});

/** A Worker whose own R2 bucket is empty and not used. */
async function startOnS3(): Promise<LocalWorker> {
  await provider.define(["true"]);
  const vars = {
    PEPPER: "pepper",
    ADMIN_SECRET: "admin-secret",
    PUBLIC_URL: "http://127.0.0.1:1",
    S3_URL: url,
    AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    BATCH_ENDPOINT: provider.door.url,
  };
  const folder = join(temporaryFolder(), "worker");
  return startWorker({ bundle, folder, port: 0, vars, credentials: CREDENTIALS });
}

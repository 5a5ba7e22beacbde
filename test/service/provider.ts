/** A provider for tests: the Worker in workerd, Batch's daemon behind a door that can fail, and a student that is only a description. */
import { createHash, randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BatchClient, ListJobsCommand, RegisterJobDefinitionCommand } from "@aws-sdk/client-batch";
import { build } from "esbuild";
import { Bucket } from "../../batch/storage/bucket.ts";
import { startBatch } from "../../infra/local/batch/daemon.ts";
import { type Bundle, loadBundle } from "../../infra/local/bundle.ts";
import { startWorker } from "../../infra/local/worker.ts";
import { workerBuild } from "../../infra/worker-build.ts";
import { encodeSafetensors } from "../../shared/prompt/safetensors.ts";
import { bucket } from "../../shared/protocol/bucket.ts";
import type { Limits } from "../../shared/protocol/budget.ts";
import type { Catalogue } from "../../shared/protocol/catalogue.ts";
import type { Manifest, PrivacyRecord } from "../../shared/protocol/manifest.ts";

const ADMIN_SECRET = "admin-secret";
/** The headers of the provider's own requests, whose bodies are JSON. */
export const ADMIN = { authorization: `Bearer ${ADMIN_SECRET}`, "content-type": "application/json" };
/** With which the bucket and Batch are reached. */
export const CREDENTIALS = { accessKeyId: "test-access-key", secretAccessKey: "test-secret" };
const hex = (text: string | Uint8Array) => createHash("sha256").update(text).digest("hex");

export const STUDENT_FILE = new TextEncoder().encode("0123456789".repeat(1000));

export const catalogue: Catalogue = {
  students: [
    {
      id: "small",
      kind: "distilled",
      digest: hex("student"),
      architecture: "gpt2",
      dimension: 8,
      positions: 100,
      embeddingNorms: { mean: 1, max: 2 },
      files: [{ name: "model.safetensors", size: STUDENT_FILE.length, sha256: hex(STUDENT_FILE) }],
      target: { id: "large", digest: hex("target"), files: [], layers: 6, precision: "fp32", weights: "fp32" },
      tokensPerSecond: 1000,
      retired: false,
    },
  ],
  publicSets: [{ id: "news", digest: hex("news"), size: 10, examples: 100, description: "News.", retired: false }],
};
catalogue.students.push({ ...catalogue.students[0]!, id: "old", digest: hex("old"), retired: true });

export const LIMITS: Limits = {
  micros: 1e9,
  deviceSeconds: 1e6,
  virtualTokens: 1e6,
  concurrent: 1e4,
  daily: 1e4,
  privacy: null,
  tokens: 1e6,
};
/** What a private run says of itself: σ = 1, q = 0.01, 1 000 steps, δ = 1e-5, whose epsilon is 1.83. */
export const PRIVACY: PrivacyRecord = {
  sampler: "poisson",
  neighbouring: "add-or-remove-one",
  accountant: "rdp",
  epsilon: 2.2,
  delta: 1e-5,
  noiseMultiplier: 1,
  sampleRate: 0.01,
  steps: 1000,
  clip: 1,
  records: 10_000,
  batchSize: 100,
};
/** What the Worker and serving processes share. */
export const SERVING_SECRET = "serving-secret-of-tests";

/** What a door in front of Batch does with a request: lets it through, refuses it, cuts it, or does it and never answers. */
export type Door = "open" | "refuse" | "cut" | "swallow";

export async function faultyBundle(): Promise<Bundle> {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const entryPoints = { worker: `${root}/test/edge/faulty-worker.ts` };
  const { outputFiles } = await build({
    ...workerBuild(root),
    entryPoints,
    minify: false,
    write: false,
    outdir: "memory",
  });
  return { ...(await loadBundle()), script: outputFiles![0]!.text };
}

/** @param vars of the Worker, beside those of every test */
export async function startProvider(
  bundle: Bundle,
  folder = mkdtempSync(join(tmpdir(), "softpost-")),
  vars: Readonly<Record<string, string>> = {},
) {
  const batch = await startBatch({
    folder: join(folder, "batch"),
    port: 0,
    queue: "softpost",
    concurrency: 50,
    accessKeyId: CREDENTIALS.accessKeyId,
  });
  const door = await startDoor(batch.url);
  const credentials = CREDENTIALS;
  const startIt = (port: number) =>
    startWorker({
      bundle,
      folder,
      port,
      vars: {
        PEPPER: "pepper",
        ADMIN_SECRET,
        EVENTS_SECRET: "events-secret",
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        BATCH_ENDPOINT: door.url,
        PUBLIC_URL: "http://127.0.0.1:1",
        RATE_PER_SECOND: "100000",
        CORS_ORIGINS: "https://console.example",
        CLIENT_ADDRESS_HEADER: "cf-connecting-ip",
        SERVING_SECRET,
        ...vars,
      },
      credentials,
    });
  let worker = await startIt(0);
  batch.run();
  const store = new Bucket({ name: worker.bucketName, endpoint: worker.s3, credentials });
  const client = new BatchClient({ region: "local", endpoint: batch.url, credentials });
  await store.write(bucket.catalogue, JSON.stringify(catalogue));
  await store.write(`${bucket.model(hex("student"))}model.safetensors`, STUDENT_FILE);

  const fetchJson: FetchJson = async (path, init) => {
    const response = await fetch(worker.url + path, init);
    return { status: response.status, headers: response.headers, body: await response.json() };
  };
  return {
    batch,
    door,
    store,
    client,
    folder,
    fetchJson,
    url: worker.url,
    get worker() {
      return worker;
    },
    /** Ends the Worker in the middle of what it does, and starts it again on what it left. */
    async restartWorker(): Promise<void> {
      await worker.close();
      worker = await startIt(Number(new URL(worker.url).port));
    },
    /** The process group of a running job. */
    processOf(id: string): number {
      return JSON.parse(readFileSync(join(folder, "batch", "jobs", `${id}.json`), "utf8")).process;
    },
    /** Batch's state of the job of this name. */
    async batchStatus(name: string): Promise<string | undefined> {
      const filters = [{ name: "JOB_NAME", values: [name] }];
      const { jobSummaryList } = await client.send(new ListJobsCommand({ jobQueue: "softpost", filters }));
      return jobSummaryList?.[0]?.status;
    },
    /** The command that transfers run; by default one that ends well and leaves nothing. */
    async define(command: readonly string[]): Promise<void> {
      await client.send(
        new RegisterJobDefinitionCommand({
          jobDefinitionName: "softpost-transfer",
          type: "container",
          containerProperties: { image: "none", command: [...command] },
        }),
      );
    },
    async tenant(limits: Partial<Limits> = {}, scopes = ["read", "submit", "infer"]) {
      const body = JSON.stringify({ name: "test", limits: { ...LIMITS, ...limits } });
      const { body: tenant } = await fetchJson("/v1/admin/tenants", { method: "POST", headers: ADMIN, body });
      const { body: key } = await fetchJson(`/v1/admin/tenants/${tenant.id}/keys`, {
        method: "POST",
        headers: ADMIN,
        body: JSON.stringify({ name: "key", scopes }),
      });
      return tenantClient(fetchJson, tenant.id, key.key);
    },
    async close({ keep = false } = {}): Promise<void> {
      await Promise.all([worker.close(), batch.close(), door.close()]);
      if (!keep) rmSync(folder, { recursive: true });
    },
  };
}

export type Provider = Awaited<ReturnType<typeof startProvider>>;

/** What a job's program finds in its environment: the provider's bucket, one thread, and where models are kept. */
export function jobEnvironment({ worker }: Pick<Provider, "worker">, cache: string): Record<string, string> {
  return {
    SOFTPOST_BUCKET: worker.bucketName,
    SOFTPOST_S3_ENDPOINT: worker.s3,
    SOFTPOST_THREADS: "1",
    AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    SOFTPOST_CACHE: cache,
  };
}

// biome-ignore lint/suspicious/noExplicitAny: the tests say what is in it
type FetchJson = (path: string, init?: RequestInit) => Promise<{ status: number; headers: Headers; body: any }>;

function tenantClient(fetchJson: FetchJson, id: string, key: string) {
  const headers = { authorization: `Bearer ${key}` };
  return {
    id,
    key,
    headers,
    get: (path: string) => fetchJson(path, { headers }),
    submit: (upload: FormData, extra: Record<string, string> = {}) =>
      fetchJson("/v1/transfers", { method: "POST", headers: { ...headers, ...extra }, body: upload }),
    cancel: (transfer: string) => fetchJson(`/v1/transfers/${transfer}/cancel`, { method: "POST", headers }),
    remove: (transfer: string) => fetchJson(`/v1/transfers/${transfer}`, { method: "DELETE", headers }),
    quote: (manifest: Manifest, options: object) =>
      fetchJson("/v1/quotes", {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: JSON.stringify({ manifest, options }),
      }),
    /** Whether the budget shows exactly what the entries of the ledger add up to. */
    async ledgerAddsUp(): Promise<boolean> {
      const { body: budget } = await fetchJson("/v1/budget", { headers });
      const { body: ledger } = await fetchJson("/v1/ledger", { headers });
      const sum = (field: string) =>
        ledger.entries.reduce((total: number, entry: Record<string, number>) => total + entry[field]!, 0);
      const holds = (part: { used: number; reserved: number }, field: string) =>
        part.used + part.reserved === sum(field);
      return (
        holds(budget.money, "micros") &&
        holds(budget.deviceSeconds, "deviceSeconds") &&
        holds(budget.virtualTokens, "virtualTokens")
      );
    },
  };
}

export type TenantClient = ReturnType<typeof tenantClient>;

/** A prompt of `rows` × 8, different for each seed, with its manifest. */
export function promptOf(
  seed: number,
  { rows = 4, privacy = null }: { rows?: number; privacy?: PrivacyRecord | null } = {},
) {
  const data = Float32Array.from({ length: rows * 8 }, (_, i) => Math.sin(i + seed * 1000));
  const weights = encodeSafetensors([{ name: "prompt_embeddings", shape: [rows, 8], data }]);
  const manifest: Manifest = {
    format: "softpost/1",
    task: {
      name: "mood",
      template: "{text} It was",
      labels: [
        { name: "bad", words: [" bad"] },
        { name: "good", words: [" good"] },
      ],
      init: "Say whether it is good.",
      maxLength: 16,
    },
    model: { id: "small", digest: catalogue.students[0]!.digest, architecture: "gpt2" },
    prompt: { virtualTokens: rows, dimension: 8, digest: hex(weights) },
    initialisation: { text: "Say whether it is good." },
    training: { optimizer: "adam", learningRate: 0.01, steps: 100, batchSize: 8 },
    privacy,
  };
  return { weights, manifest };
}

export const OPTIONS = { dataset: "set-1", publicSet: "news", steps: 100, batchSize: 8 };

export function uploadOf(
  { weights, manifest }: { weights: Uint8Array; manifest: unknown },
  options: object = OPTIONS,
): FormData {
  const form = new FormData();
  form.set("manifest", new Blob([JSON.stringify(manifest)], { type: "application/json" }), "softpost.json");
  form.set("prompt", new Blob([new Uint8Array(weights)]), "adapter_model.safetensors");
  form.set("options", JSON.stringify(options));
  return form;
}

async function startDoor(target: string) {
  const state = { mode: "open" as Door, submits: 0, beforeAnswer: async () => {} };
  const server = createServer((request, response) => void pass(request, response, target, state));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

async function pass(
  request: IncomingMessage,
  response: ServerResponse,
  target: string,
  state: { mode: Door; submits: number; beforeAnswer: () => Promise<void> },
) {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  if (state.mode === "cut") return request.socket.destroy();
  if (state.mode === "refuse" && request.url === "/v1/submitjob") {
    response
      .writeHead(400, { "x-amzn-errortype": "ClientException" })
      .end(JSON.stringify({ message: "No such queue" }));
    return;
  }
  const { mode } = state;
  if (request.url === "/v1/submitjob") state.submits++;
  const answer = await fetch(target + request.url, {
    method: "POST",
    headers: { authorization: request.headers.authorization ?? "" },
    body: Buffer.concat(chunks),
  });
  const body = await answer.text();
  if (request.url === "/v1/submitjob") await state.beforeAnswer();
  if (mode === "swallow" && request.url === "/v1/submitjob") return request.socket.destroy();
  response.writeHead(answer.status, { "x-amzn-errortype": answer.headers.get("x-amzn-errortype") ?? "" }).end(body);
}

export const newKey = () => ({ "idempotency-key": randomUUID() });

/** A serving process for tests: a child process with a real bucket, and a door in the Worker's place that takes its reports. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { hashModel } from "../../shared/data/model-files.ts";
import { openCheckpoint } from "../../shared/models/checkpoint.ts";
import { encodeSafetensors } from "../../shared/prompt/safetensors.ts";
import type { Endpoint } from "../../shared/protocol/inference.ts";
import { encodeManifest, type Manifest } from "../../shared/protocol/manifest.ts";
import type { Task } from "../../shared/protocol/task.ts";
import { signTicket, type Ticket } from "../../shared/protocol/ticket.ts";
import { type UsageRecord, usageReportSchema, verifyUsage } from "../../shared/protocol/usage-report.ts";
import { CREDENTIALS, type Provider } from "../service/provider.ts";

const MAIN = fileURLToPath(new URL("../../serving/main.ts", import.meta.url));
const SECRET = "the secret of tests";
const TARGET = "tiny";
export const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

export type PromptRef = NonNullable<Ticket["prompt"]>;

/** The Worker's place: checks what it is told, and keeps it. */
export async function startLedger() {
  const records: UsageRecord[] = [];
  const state = { isOpen: true, faults: [] as string[] };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    if (!state.isOpen) return response.writeHead(503).end();
    const header = (name: string) => String(request.headers[name]);
    try {
      const signed = { timestamp: header("x-softpost-timestamp"), signature: header("x-softpost-signature") };
      await verifyUsage(body, signed, SECRET, Date.now() / 1000);
      records.push(...usageReportSchema.parse(JSON.parse(body)).records);
    } catch (error) {
      state.faults.push(String(error));
    }
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/internal/usage`,
    records,
    /** The one record of a request; undefined while there is none. */
    recordOf(request: string): UsageRecord | undefined {
      const own = records.filter((record) => record.request === request);
      if (own.length > 1) throw new Error("it was reported twice");
      return own[0];
    },
    close: () => new Promise((resolve) => server.close(resolve)),
  });
}

export type Ledger = Awaited<ReturnType<typeof startLedger>>;

/** Puts a prompt for a model into the bucket, as a transfer leaves it. */
export async function storePrompt(
  { store }: Pick<Provider, "store">,
  folder: string,
  key: string,
  { shape, data }: { readonly shape: readonly number[]; readonly data: ArrayLike<number> },
  task: Task,
): Promise<PromptRef> {
  const [virtualTokens, dimension] = shape as readonly [number, number];
  const tensor = { name: "prompt_embeddings", shape: [virtualTokens, dimension], data: Float32Array.from(data) };
  const weights = encodeSafetensors([tensor], { format: "pt" });
  const manifest: Manifest = {
    format: "softpost/1",
    task,
    model: {
      id: TARGET,
      digest: (await hashModel(folder)).digest,
      architecture: (await openCheckpoint(folder)).family.name,
    },
    prompt: { virtualTokens, dimension, digest: sha256(weights) },
    initialisation: { text: task.init },
    training: { optimizer: "adam", learningRate: 0.01, steps: 1, batchSize: 1 },
    privacy: null,
  };
  const text = encodeManifest(manifest);
  const files = { weights: `jobs/${key}/adapter_model.safetensors`, manifest: `jobs/${key}/softpost.json` };
  await store.write(files.weights, weights);
  await store.write(files.manifest, text);
  return { ...files, sha256: sha256(weights), manifestSha256: sha256(text) };
}

export interface ServingOptions {
  readonly provider: Pick<Provider, "store" | "worker">;
  readonly ledger: Ledger;
  readonly model: string;
  readonly state: string;
  readonly env?: Readonly<Record<string, string>>;
}

export type Serving = Awaited<ReturnType<typeof startServing>>;

/** Starts a process and waits until it listens. @throws Error with its standard error if it ends before */
export async function startServing({ provider, ledger, model, state, env = {} }: ServingOptions) {
  const { digest } = await hashModel(model);
  const child = spawn(process.execPath, [MAIN], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH,
      TMPDIR: process.env.TMPDIR,
      SERVING_SECRET: SECRET,
      SERVING_TARGET: TARGET,
      SERVING_MODEL: model,
      SERVING_STATE: state,
      REPORT_URL: ledger.url,
      PORT: "0",
      SOFTPOST_BUCKET: provider.worker.bucketName,
      SOFTPOST_S3_ENDPOINT: provider.worker.s3,
      SOFTPOST_THREADS: "1",
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      ...env,
    },
  });
  const output = { text: "" };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output.text += text;
    });
  }
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const url = await listening(child, output, ended);
  const makeTicket = (endpoint: Endpoint, body: string, change: Partial<Ticket> = {}): Ticket => ({
    v: 1,
    request: randomBytes(16).toString("hex"),
    tenant: "aaaabbbbccccdddd",
    target: TARGET,
    targetDigest: digest,
    prompt: null,
    endpoint,
    maxTokens: 100_000,
    body: sha256(body),
    expires: Math.floor(Date.now() / 1000) + 30,
    ...change,
  });
  return {
    url,
    output,
    ended,
    makeTicket,
    /** Sends a body with a ticket, and says what the ticket's request was. */
    async post(endpoint: Endpoint, body: object, change: Partial<Ticket> = {}, init: RequestInit = {}) {
      const text = JSON.stringify(body);
      const ticket = makeTicket(endpoint, text, change);
      const response = await fetch(`${url}/v1/${endpoint}`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${await signTicket(ticket, SECRET)}`,
          "content-type": "application/json",
          "x-softpost-id": "cmpl-1",
          "x-softpost-model": "tiny:prompt",
        },
        body: text,
        ...init,
      });
      return { request: ticket.request, response };
    },
    /** The same, for its JSON. */
    async json(endpoint: Endpoint, body: object, change: Partial<Ticket> = {}) {
      const { request, response } = await this.post(endpoint, body, change);
      // biome-ignore lint/suspicious/noExplicitAny: the tests say what is in it
      const json: any = await response.json();
      return { request, status: response.status, headers: response.headers, body: json };
    },
    /** A figure of /metrics; 0 if it isn't there. */
    async metric(name: string): Promise<number> {
      const text = await (await fetch(`${url}/metrics`)).text();
      const line = text.split("\n").find((each) => each.startsWith(`softpost_${name} `));
      return Number(line?.split(" ")[1] ?? 0);
    },
    signal: (name: NodeJS.Signals) => child.kill(name),
    async stop(): Promise<void> {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

async function listening(child: ChildProcess, output: { text: string }, ended: Promise<unknown>): Promise<string> {
  const url = new Promise<string>((resolve) => {
    child.stderr!.on("data", () => {
      const [, found] = /"event":"listening","url":"([^"]+)"/.exec(output.text) ?? [];
      if (found) resolve(found);
    });
  });
  const gone = ended.then(() => {
    throw new Error(`the process ended: ${output.text}`);
  });
  return Promise.race([url, gone]);
}

/** The events of a stream, and whether it ended with [DONE]. */
export async function eventsOf(response: Response) {
  const data = (await response.text())
    .split("\n\n")
    .filter((event) => event !== "")
    .map((event) => event.replace(/^data: /, ""));
  const isDone = data.at(-1) === "[DONE]";
  // biome-ignore lint/suspicious/noExplicitAny: the tests say what is in it
  return { isDone, events: (isDone ? data.slice(0, -1) : data).map((text): any => JSON.parse(text)) };
}

import { randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import { Bucket } from "../../batch/storage/bucket.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Limits } from "../../shared/protocol/transfer.ts";
import { startBatch } from "./batch/daemon.ts";
import { loadBundle } from "./bundle.ts";
import { defineJobs } from "./definitions.ts";
import { startWorker } from "./worker.ts";

const QUEUE = "softpost";
/** As often as a provider on one machine looks after jobs whose events got lost. */
const RECONCILE_MS = 5000;

/** What makes a provider the same one after a restart. Its file holds secrets. */
const identitySchema = z.object({
  port: z.int(),
  batchPort: z.int(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  pepper: z.string(),
  adminSecret: z.string(),
  /** The first tenant's key, once it is made. */
  key: z.string().optional(),
});

type Identity = z.output<typeof identitySchema>;

export interface ProviderOptions {
  /** Where everything is kept. */
  readonly folder: string;
  /** Undefined for the port of the last time, or any free one. */
  readonly port?: number | undefined;
  /** Jobs that run at once. */
  readonly concurrency: number;
  /** Limits of the first tenant. */
  readonly limits: Limits;
}

export interface Provider {
  readonly url: string;
  readonly key: string;
  readonly adminSecret: string;
  /** A client's config file with this provider's address and key. */
  readonly clientConfig: string;
  readonly store: Bucket;
  /** Stops all parts; running jobs write a checkpoint and go on after the next start. */
  close(): Promise<void>;
}

/**
 * A whole provider on this machine: the Worker with its bucket and ledgers, and Batch with its jobs. All of it listens on loopback
 * only, and all state is in the folder.
 */
export async function startProvider({ folder: path, port, concurrency, limits }: ProviderOptions): Promise<Provider> {
  const folder = resolve(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // The folder may have been there before.
  await chmod(folder, 0o700);
  const identity = await loadIdentity(folder, port);
  const { accessKeyId, secretAccessKey, pepper, adminSecret } = identity;
  const bundle = await loadBundle();
  const batchOptions = {
    folder: join(folder, "batch"),
    port: identity.batchPort,
    queue: QUEUE,
    concurrency,
    accessKeyId,
  };
  const batch = await startBatch(batchOptions).catch(portProblem);
  const credentials = { accessKeyId, secretAccessKey };
  const url = `http://127.0.0.1:${identity.port}`;
  const vars = {
    PEPPER: pepper,
    ADMIN_SECRET: adminSecret,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    BATCH_ENDPOINT: batch.url,
    BATCH_QUEUE: QUEUE,
    PUBLIC_URL: url,
    DEVICE: "CPU",
  };
  const worker = await startWorker({ bundle, folder, port: identity.port, vars, credentials }).catch(async (error) => {
    await batch.close();
    return portProblem(error);
  });
  await defineJobs(batch.url, credentials, bundle.job, {
    SOFTPOST_BUCKET: worker.bucketName,
    SOFTPOST_S3_ENDPOINT: worker.s3,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    SOFTPOST_CACHE: join(folder, "models"),
    SOFTPOST_THREADS: String(Math.max(1, Math.floor(availableParallelism() / concurrency))),
  });
  batch.run();
  const key = identity.key ?? (await firstTenant(url, adminSecret, limits));
  await saveIdentity(folder, { ...identity, key });
  const clientConfig = join(folder, "client.json");
  await writeSafely(clientConfig, JSON.stringify({ profiles: { default: { url, key } } }, null, 2));
  const stopReconciling = repeat(() => worker.reconcile());
  return {
    url,
    key,
    adminSecret,
    clientConfig,
    store: new Bucket({ name: worker.bucketName, endpoint: worker.s3, credentials }),
    async close() {
      await stopReconciling();
      // The jobs first: they write their last checkpoints through the Worker's S3 door.
      await batch.close();
      await worker.close();
    },
  };
}

async function loadIdentity(folder: string, port: number | undefined): Promise<Identity> {
  const text = await readFile(join(folder, "provider.json"), "utf8").catch(() => undefined);
  const secret = () => randomBytes(32).toString("base64url");
  const identity: Identity = text
    ? identitySchema.parse(JSON.parse(text))
    : {
        port: port ?? (await freePort()),
        batchPort: await freePort(),
        accessKeyId: randomBytes(20).toString("hex"),
        secretAccessKey: secret(),
        pepper: secret(),
        adminSecret: secret(),
      };
  const wanted = { ...identity, port: port ?? identity.port };
  await saveIdentity(folder, wanted);
  return wanted;
}

function saveIdentity(folder: string, identity: Identity): Promise<void> {
  return writeSafely(join(folder, "provider.json"), JSON.stringify(identity, null, 2));
}

/** For this user's eyes only, and whole or not at all. */
async function writeSafely(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, `${text}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

async function firstTenant(url: string, adminSecret: string, limits: Limits): Promise<string> {
  const post = async (path: string, body: unknown) => {
    const headers = { authorization: `Bearer ${adminSecret}`, "content-type": "application/json" };
    const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
    return z.object({ id: z.string(), key: z.string().optional() }).parse(await response.json());
  };
  const { id } = await post("/v1/admin/tenants", { name: "local", limits });
  const { key } = await post(`/v1/admin/tenants/${id}/keys`, { name: "first", scopes: ["read", "submit", "admin"] });
  return key!;
}

/** Runs `action` every few seconds, never twice at once; the function that comes back stops it. */
function repeat(action: () => Promise<void>): () => Promise<void> {
  let stopped = false;
  let wake = () => {};
  const loop = (async () => {
    while (!stopped) {
      // What fails is tried again at the next turn; the Worker's log says what it was.
      await action().catch(() => {});
      if (!stopped) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, RECONCILE_MS);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    }
  })();
  return () => {
    stopped = true;
    wake();
    return loop;
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

function portProblem(cause: Error & { code?: string }): never {
  const taken = cause.code === "EADDRINUSE" || /address already in use/i.test(cause.message);
  if (!taken) throw cause;
  const detail = "Its port is taken: is this provider running already? Otherwise name another with --port.";
  throw new ProblemError("The provider can't start", detail, { cause });
}

import { randomBytes } from "node:crypto";
import { chmod, mkdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { Lease } from "../../batch/lifecycle/lease.ts";
import { Bucket } from "../../batch/storage/bucket.ts";
import type { Device } from "../../shared/graph/graph.ts";
import { bucket } from "../../shared/protocol/bucket.ts";
import type { Limits } from "../../shared/protocol/budget.ts";
import { catalogueSchema } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { answers, type Batch, type BatchOptions, startBatch } from "./batch/daemon.ts";
import { loadBundle } from "./bundle.ts";
import { defineJobs } from "./definitions.ts";
import { FirstTenant, type WantedLimits } from "./first-tenant.ts";
import { freePort, type Identity, loadIdentity, type Settings, saveIdentity, writeSafely } from "./identity.ts";
import { repeat } from "./repeat.ts";
import { type Serving, startServing, targetsOf } from "./serving.ts";
import { startWorker } from "./worker.ts";

const QUEUE = "softpost";
/** As often as a provider on one machine looks after jobs whose events got lost. */
const RECONCILE_MS = 5000;
const TITLE = "The provider can't start";
/** What quotes call a device. */
const DEVICE_NAMES: Readonly<Record<Device, string>> = { cpu: "CPU", cuda: "GPU (CUDA)", webgpu: "GPU (WebGPU)" };

export interface ProviderOptions {
  /** Where everything is kept. */
  readonly folder: string;
  /** Undefined for the port of the last time, or any free one. */
  readonly port?: number | undefined;
  /** Jobs that run at once. */
  readonly concurrency: number;
  /** CPU threads of all jobs together; undefined for all cores. */
  readonly threads?: number | undefined;
  /** Where jobs compute. */
  readonly device?: Device;
  /** What is given is remembered for the next start. */
  readonly settings?: Settings;
  /** Of the first tenant; what isn't given stays as it is. */
  readonly limits: WantedLimits;
  /** Called with every line of the Worker's log. */
  readonly onLog?: ((line: string) => void) | undefined;
  /** Puts into the bucket what there is to be offered, before anything else uses it. */
  readonly publish?: (store: Bucket) => Promise<void>;
}

export interface Provider {
  readonly url: string;
  readonly key: string;
  readonly adminSecret: string;
  /** Of the first tenant; null if its data was deleted. */
  readonly limits: Limits | null;
  readonly settings: Settings;
  /** A client's config file with this provider's address and key. */
  readonly clientConfig: string;
  readonly store: Bucket;
  /** The targets, and those of them whose serving process doesn't answer yet. */
  readonly models: { readonly all: ReturnType<typeof targetsOf>; readonly late: readonly string[] };
  /** Stops all parts; running jobs write a checkpoint and go on after the next start. */
  close(): Promise<void>;
}

/**
 * A whole provider on this machine: the Worker with its bucket and ledgers, Batch with its jobs, and a serving process for every target. All of it listens on loopback
 * only, and all state is in the folder.
 *
 * @throws ProblemError if the folder's provider is running already, a port is taken, or the device is missing
 */
export async function startProvider(options: ProviderOptions): Promise<Provider> {
  const { device = "cpu", concurrency, limits: wanted } = options;
  const folder = resolve(options.folder);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // The folder may have been there before.
  await chmod(folder, 0o700);
  // Only where it is needed: it loads ONNX Runtime.
  if (device !== "cpu") await (await import("../../shared/graph/device.ts")).checkDevice(device);
  const before = await loadIdentity(folder, options.port);
  const settings = changedSettings(before, options.settings ?? {});
  const batchOptions = { folder: join(folder, "batch"), queue: QUEUE, concurrency, accessKeyId: before.accessKeyId };
  const batch = await startOnlyBatch(folder, before, batchOptions);
  const identity = { ...before, settings, port: options.port ?? before.port, batchPort: portOf(batch.url) };
  const { accessKeyId, secretAccessKey, adminSecret } = identity;
  const credentials = { accessKeyId, secretAccessKey };
  const url = `http://127.0.0.1:${identity.port}`;
  const bundle = await loadBundle();
  const vars = varsOf(identity, { url, batchUrl: batch.url, device: DEVICE_NAMES[device] });
  const worker = await startWorker({
    bundle,
    folder,
    port: identity.port,
    vars,
    credentials,
    onLog: options.onLog,
  }).catch(async (error) => {
    await batch.close();
    return portProblem(error, identity.port);
  });
  let serving: Serving | undefined;
  const stop = async () => {
    // Jobs and answers first: they write their last checkpoints through the Worker's S3 door, and report what they used.
    await Promise.all([batch.close(), serving?.close()]);
    await worker.close();
  };
  try {
    const threads = options.threads ?? availableParallelism();
    const environment = {
      SOFTPOST_BUCKET: worker.bucketName,
      SOFTPOST_S3_ENDPOINT: worker.s3,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      SOFTPOST_CACHE: join(folder, "models"),
      SOFTPOST_DEVICE: device,
    };
    const store = new Bucket({ name: worker.bucketName, endpoint: worker.s3, credentials });
    await options.publish?.(store);
    const offered = catalogueSchema.safeParse(await store.readJson(bucket.catalogue).catch(() => undefined));
    const targets = offered.success ? targetsOf(offered.data) : [];
    if (targets.length > 0) {
      const secret = randomBytes(32).toString("base64url");
      serving = await startServing(
        targets.map(({ id }) => id),
        {
          program: bundle.serving,
          folder: join(folder, "serving"),
          environment: {
            ...environment,
            SOFTPOST_THREADS: String(Math.max(1, Math.floor(threads / targets.length))),
            SERVING_SECRET: secret,
            REPORT_URL: `${url}/internal/usage`,
          },
        },
      );
      await worker.change({ SERVING_SECRET: secret, SERVING_URLS: JSON.stringify(serving.urls) });
    }
    await defineJobs(batch.url, credentials, bundle.job, {
      ...environment,
      SOFTPOST_EDGE: url,
      SOFTPOST_THREADS: String(Math.max(1, Math.floor(threads / concurrency))),
    });
    await batch.run(async (ended, others) => {
      await Promise.all(others.map((job) => Lease.end(store, job, ended)));
    });
    const tenant = new FirstTenant(url, adminSecret);
    const made = identity.key === undefined ? await tenant.make(wanted) : undefined;
    const key = made?.key ?? (await tenant.upgrade(identity.key!));
    const limits = made?.limits ?? (await tenant.limit(key, wanted));
    await saveIdentity(folder, { ...identity, key });
    const clientConfig = join(folder, "client.json");
    await writeSafely(clientConfig, `${JSON.stringify({ profiles: { default: { url, key } } }, null, 2)}\n`);
    const late = (await serving?.ready()) ?? [];
    const stopReconciling = repeat(RECONCILE_MS, () => worker.reconcile());
    return {
      url,
      key,
      adminSecret,
      limits,
      settings,
      clientConfig,
      store,
      models: { all: targets, late },
      async close() {
        await stopReconciling();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @throws ProblemError if the currency is another one than that of the amounts in the ledgers */
function changedSettings({ key, settings }: Identity, given: Settings): Settings {
  const { currency } = settings;
  if (key !== undefined && given.currency !== undefined && given.currency !== (currency ?? "USD")) {
    const detail = `This provider's ledgers are in ${currency ?? "USD"}; a provider with another currency needs a new --dir.`;
    throw new ProblemError("The currency can't be changed", detail);
  }
  const wanted = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...settings, ...Object.fromEntries(wanted) };
}

function varsOf(
  { pepper, adminSecret, accessKeyId, secretAccessKey, settings }: Identity,
  { url, batchUrl, device }: { url: string; batchUrl: string; device: string },
): Record<string, string> {
  const { priceMicros, promptTokenMicros, completionTokenMicros, currency, ratePerSecond, corsOrigins } = settings;
  return {
    PEPPER: pepper,
    ADMIN_SECRET: adminSecret,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    BATCH_ENDPOINT: batchUrl,
    BATCH_QUEUE: QUEUE,
    PUBLIC_URL: url,
    DEVICE: device,
    // Nothing stands in front: whatever a client says of its address is its own word.
    CLIENT_ADDRESS_HEADER: "",
    ...(priceMicros !== undefined && { PRICE_MICROS: String(priceMicros) }),
    ...(promptTokenMicros !== undefined && { PROMPT_TOKEN_MICROS: String(promptTokenMicros) }),
    ...(completionTokenMicros !== undefined && { COMPLETION_TOKEN_MICROS: String(completionTokenMicros) }),
    ...(currency !== undefined && { CURRENCY: currency }),
    ...(ratePerSecond !== undefined && { RATE_PER_SECOND: String(ratePerSecond) }),
    ...(corsOrigins !== undefined && { CORS_ORIGINS: corsOrigins.join(",") }),
  };
}

/**
 * Batch's daemon, on its last port where that is free. Its port is also what keeps a second provider out of the folder: whoever has it and knows
 * the access key is the first one.
 */
async function startOnlyBatch(
  folder: string,
  { port, batchPort, accessKeyId }: Identity,
  options: Omit<BatchOptions, "port">,
): Promise<Batch> {
  try {
    return await startBatch({ ...options, port: batchPort });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    if (await answers(batchPort, accessKeyId)) {
      const detail = `${folder} belongs to one that runs at http://127.0.0.1:${port}. Use that one, or stop it first.`;
      throw new ProblemError("The provider is running already", detail, { cause: error });
    }
    return startBatch({ ...options, port: await freePort() });
  }
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

function portProblem(cause: Error & { code?: string }, port: number): never {
  const taken = cause.code === "EADDRINUSE" || /address already in use/i.test(cause.message);
  if (!taken) throw cause;
  throw new ProblemError(TITLE, `Another program has port ${port}; name another with --port.`, { cause });
}

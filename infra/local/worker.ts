import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { Miniflare, type MiniflareOptions, NoOpLog } from "miniflare";
import { parseWrangler } from "../wrangler-config.ts";
import type { Bundle } from "./bundle.ts";
import { endOrphan, noteWorkerd } from "./orphan.ts";

export interface WorkerOptions {
  readonly bundle: Bundle;
  /** Where the bucket and the ledgers are kept. */
  readonly folder: string;
  readonly port: number;
  /** Variables and secrets, beside those of `wrangler.toml` or instead of them. */
  readonly vars: Readonly<Record<string, string>>;
  /** With which the bucket's S3 door is opened. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Called with every line of the Worker's log, which is kept in a file too. */
  readonly onLog?: ((line: string) => void) | undefined;
}

export interface LocalWorker {
  readonly url: string;
  /** Endpoint of the bucket for an S3 client, path style. */
  readonly s3: string;
  readonly bucketName: string;
  /** Gives the Worker other variables, and starts it again with them. */
  change(vars: Readonly<Record<string, string>>): Promise<void>;
  /** Runs the Worker's cron handler. */
  reconcile(): Promise<void>;
  close(): Promise<void>;
}

/** The Worker in workerd, on loopback, with its bucket and ledgers on disk. */
export async function startWorker(options: WorkerOptions): Promise<LocalWorker> {
  const { bundle, folder, credentials } = options;
  const config = parseWrangler(bundle.config);
  const [bucket] = config.r2_buckets;
  const log = logTo(join(folder, "worker.log"));
  const pidFile = join(folder, "workerd.pid");
  await endOrphan(pidFile);
  const restoreSignals = keepSignals();
  const miniflareOptions = {
    name: "softpost",
    modules: [{ type: "ESModule", path: "worker.js", contents: bundle.script }],
    compatibilityDate: config.compatibility_date,
    compatibilityFlags: config.compatibility_flags,
    host: "127.0.0.1",
    port: options.port,
    bindings: { ...config.vars, ...options.vars },
    durableObjects: Object.fromEntries(
      config.durable_objects.bindings.map(({ name, class_name }) => [name, { className: class_name, useSQLite: true }]),
    ),
    ratelimits: Object.fromEntries(config.ratelimits.map(({ name, ...limit }) => [name, limit])),
    r2Buckets: { [bucket!.binding]: { id: bucket!.bucket_name, s3Credentials: credentials } },
    ...(bundle.console && {
      assets: {
        directory: bundle.console,
        binding: "ASSETS",
        routerConfig: { invoke_user_worker_ahead_of_assets: true, has_user_worker: true },
      },
    }),
    defaultPersistRoot: folder,
    cf: false,
    log: new NoOpLog(),
    handleStructuredLogs({ message }: { message: string }) {
      log(message);
      options.onLog?.(message);
    },
  } satisfies MiniflareOptions;
  const miniflare = new Miniflare(miniflareOptions);
  restoreSignals();
  const { origin: url } = await miniflare.ready.catch(async (error) => {
    await miniflare.dispose();
    throw error;
  });
  let forget = await noteWorkerd(pidFile);
  return {
    url,
    s3: `${url}/cdn-cgi/local/r2/s3`,
    bucketName: bucket!.bucket_name,
    async reconcile() {
      const worker = await miniflare.getWorker();
      await worker.scheduled({ cron: "* * * * *" });
    },
    async change(vars) {
      const bindings = { ...miniflareOptions.bindings, ...vars };
      const port = Number(new URL(url).port);
      await miniflare.setOptions({ ...miniflareOptions, port, bindings });
      forget();
      forget = await noteWorkerd(pidFile);
    },
    async close() {
      await miniflare.dispose();
      forget();
    },
  };
}

/** Appends lines to a file. One that can't be written, as on a full disk, is dropped, and how many were is said as soon as that can be. */
function logTo(path: string): (line: string) => void {
  let dropped = 0;
  return (line) => {
    // After half a line, perhaps.
    const told = dropped > 0 ? `\n${JSON.stringify({ event: "log lines dropped", lines: dropped })}\n` : "";
    try {
      appendFileSync(path, `${told}${line}\n`);
      dropped = 0;
    } catch {
      dropped += 1;
    }
  };
}

/**
 * Miniflare ends the whole process at a signal, before jobs could write their last checkpoints into the bucket. Whoever starts a
 * Worker here closes it, so the handlers that are added until the function that comes back is called are taken away.
 */
function keepSignals(): () => void {
  const signals = ["SIGINT", "SIGTERM"] as const;
  const before = signals.map((signal) => process.listeners(signal));
  return () =>
    signals.forEach((signal, i) => {
      for (const added of process.listeners(signal)) if (!before[i]!.includes(added)) process.off(signal, added);
    });
}

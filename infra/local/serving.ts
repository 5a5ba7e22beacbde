import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Catalogue } from "../../shared/protocol/catalogue.ts";
import { isMaskedFamily } from "../../shared/protocol/manifest.ts";
import { freePort } from "./identity.ts";

/** Waits before a process that ended is started again: doubled each time, from the first on again once it has run for a while. */
const RESTART_MS = { first: 500, most: 30_000 };
const STEADY_MS = 60_000;
/** As long as answers that are under way may take to end (serving/README.md), and a little more. */
const STOP_MS = 35_000;
/** What a model takes to be loaded, at most; who is asked before says so (503). */
const READY_MS = 60_000;
const LOOK_MS = 100;

export interface ServingOptions {
  /** The file that runs it (serving/main.ts). */
  readonly program: string;
  /** Where each process keeps its log and what it has not reported. */
  readonly folder: string;
  /** What all are told, beside target and port. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The serving processes of all targets. */
export interface Serving {
  /** Address of each target's process. */
  readonly urls: Readonly<Record<string, string>>;
  /** Resolves when all can be asked, or it takes too long. @returns targets that can't be asked */
  ready(): Promise<string[]>;
  /** Stops them; answers that are under way may end. */
  close(): Promise<void>;
}

/** The targets in a catalogue: their names, and whether they continue texts. */
export function targetsOf({ students }: Catalogue): { readonly id: string; readonly isCausal: boolean }[] {
  const targets = Map.groupBy(students, ({ target }) => target.id);
  // A student is of its target's kind, causal or masked.
  return [...targets].map(([id, own]) => ({
    id,
    isCausal: own.some(({ architecture }) => !isMaskedFamily(architecture)),
  }));
}

/** Starts a serving process for every target, each on a port of its own, and starts again those that end. */
export async function startServing(targets: readonly string[], options: ServingOptions): Promise<Serving> {
  mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  const started: Supervised[] = [];
  for (const target of targets) started.push(new Supervised(target, await freePort(), options));
  return {
    urls: Object.fromEntries(started.map(({ target, url }) => [target, url])),
    async ready() {
      const answers = await Promise.all(started.map((each) => each.ready()));
      return started.filter((_, i) => !answers[i]).map(({ target }) => target);
    },
    async close() {
      await Promise.all(started.map((each) => each.close()));
    },
  };
}

/** One process, which is started again whenever it ends. */
class Supervised {
  readonly target: string;
  readonly url: string;
  private readonly options: ServingOptions;
  private readonly environment: Record<string, string>;
  private readonly stopped = new AbortController();
  private readonly running: Promise<void>;
  private child: ChildProcess | undefined;

  constructor(target: string, port: number, options: ServingOptions) {
    this.target = target;
    this.url = `http://127.0.0.1:${port}`;
    this.options = options;
    this.environment = {
      ...options.environment,
      SERVING_TARGET: target,
      SERVING_STATE: join(options.folder, target),
      HOST: "127.0.0.1",
      PORT: String(port),
    };
    this.running = this.run();
  }

  /** Whether it answers, as soon as it does; false after a while. */
  async ready(): Promise<boolean> {
    for (
      const until = Date.now() + READY_MS;
      Date.now() < until && !this.stopped.signal.aborted;
      await sleep(LOOK_MS)
    ) {
      const answer = await fetch(`${this.url}/healthz`).catch(() => undefined);
      await answer?.body?.cancel();
      if (answer?.ok) return true;
    }
    return false;
  }

  async close(): Promise<void> {
    this.stopped.abort();
    const late = setTimeout(() => this.child?.kill("SIGKILL"), STOP_MS);
    this.child?.kill("SIGTERM");
    await this.running;
    clearTimeout(late);
  }

  private async run(): Promise<void> {
    const { signal } = this.stopped;
    for (let pause = RESTART_MS.first; !signal.aborted; pause = Math.min(2 * pause, RESTART_MS.most)) {
      const started = Date.now();
      await this.runOnce();
      if (Date.now() - started > STEADY_MS) pause = RESTART_MS.first;
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  /** Resolves when the process has ended. */
  private runOnce(): Promise<void> {
    const log = openSync(join(this.options.folder, `${this.target}.log`), "a", 0o600);
    const { PATH, HOME, TMPDIR, GLIBC_TUNABLES } = process.env;
    // In a group of its own, so that Ctrl-C in a terminal doesn't reach it before us.
    const child = spawn(process.execPath, [this.options.program], {
      detached: true,
      stdio: ["ignore", log, log],
      env: { PATH, HOME, TMPDIR, GLIBC_TUNABLES, ...this.environment },
    });
    closeSync(log);
    this.child = child;
    const end = () => child.kill("SIGKILL");
    process.once("exit", end);
    return new Promise((resolve) => {
      const done = () => {
        process.off("exit", end);
        resolve();
      };
      child.once("error", done);
      child.once("exit", done);
    });
  }
}

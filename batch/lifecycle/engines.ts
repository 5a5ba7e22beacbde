import { createHash } from "node:crypto";
import { checkDevice } from "../../shared/graph/device.ts";
import { type Device, Engine, type Graph, type Session } from "../../shared/graph/engine.ts";
import { serialise } from "../../shared/graph/serialise.ts";

/**
 * An engine that keeps the graphs of training steps, which hold a target's weights: a later transfer whose step is the same finds it
 * ready. Other graphs are freed as they are asked to.
 */
class KeptEngine extends Engine {
  private readonly steps = new Map<string, Promise<Session>>();

  override async load(graph: Graph): Promise<Session> {
    const { outputs, updates = [] } = graph;
    if (updates.length === 0) return super.load(graph);
    const next = updates.map(({ next }, i) => [`next ${i}`, next] as const);
    const variables = updates.map(({ variable }, i) => [`variable ${i}`, variable] as const);
    const { bytes, weightFolder = "" } = serialise({ ...outputs, ...Object.fromEntries([...next, ...variables]) });
    const key = createHash("sha256").update(`${weightFolder}\n`).update(bytes).digest("hex");
    const step = this.steps.get(key) ?? super.load(graph);
    this.steps.set(key, step);
    return { run: (await step).run, release: async () => {} };
  }
}

/** One engine for the transfers of a job start. */
export class Engines {
  private readonly options: { readonly threads: number; readonly device: Device };
  private checked: Promise<void> | undefined;
  private kept: { readonly key: string; readonly engine: KeptEngine } | undefined;

  constructor(options: { threads: number; device: Device }) {
    this.options = options;
  }

  /** Makes sure, once, that the device can be used. @throws ProblemError if it can't */
  check(): Promise<void> {
    this.checked ??= checkDevice(this.options.device);
    return this.checked;
  }

  /**
   * Runs something with an engine, which is kept for the next that needs the same graphs.
   *
   * @param key what the graphs depend on; with another one the device's memory is freed first
   */
  async use<T>(key: string, run: (engine: Engine) => Promise<T>): Promise<T> {
    if (this.kept?.key !== key) await this.close();
    this.kept ??= { key, engine: new KeptEngine(this.options) };
    const { engine } = this.kept;
    try {
      return await run(engine);
    } catch (error) {
      // Whatever happened, the next one is not to suffer from it.
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.kept?.engine.close();
    this.kept = undefined;
  }
}

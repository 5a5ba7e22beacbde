import { createHash } from "node:crypto";
import { type Device, Engine, type Graph, type Session } from "../shared/graph/engine.ts";
import { serialise } from "../shared/graph/serialise.ts";

/** An engine that loads a graph once: a later transfer whose graphs are the same finds them ready, weights included. */
class KeptEngine extends Engine {
  private readonly sessions = new Map<string, Promise<Session>>();

  override load(graph: Graph): Promise<Session> {
    const updates = (graph.updates ?? []).map(({ variable, next }) => [variable, next] as const);
    const names = updates.map(([{ source }]) => (source.kind === "variable" ? source.name : ""));
    const next = Object.fromEntries(updates.map(([, tensor], i) => [`next.${names[i]}`, tensor]));
    const { bytes, weightFolder } = serialise({ ...graph.outputs, ...next });
    const key = createHash("sha256")
      .update(JSON.stringify([names, weightFolder]))
      .update(bytes)
      .digest("hex");
    const session = this.sessions.get(key) ?? super.load(graph);
    this.sessions.set(key, session);
    return session;
  }
}

/** One engine for the transfers of a job start. */
export class Engines {
  private readonly options: { readonly threads: number; readonly device: Device };
  private kept: { readonly key: string; readonly engine: KeptEngine } | undefined;

  constructor(options: { threads: number; device: Device }) {
    this.options = options;
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

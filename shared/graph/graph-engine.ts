import type { Copy, Graph, Session, Value } from "./graph.ts";
import { packsWeights } from "./memory.ts";
import { serialise } from "./serialise.ts";
import type { SessionPort } from "./session-messages.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Runs graphs on ONNX Runtime, wherever its sessions live. Variables belong to the engine, not to a graph: every graph that is loaded sees them by their
 * names.
 */
export class GraphEngine {
  readonly #port: SessionPort;
  #next = 0;

  constructor(port: SessionPort) {
    this.#port = port;
  }

  /** Makes a graph ready to run. */
  async load(graph: Graph): Promise<Session> {
    const { outputs, updates = [], appends = [] } = graph;
    const changed = Object.fromEntries([...updates, ...appends].map((each) => [`next.${nameOf(each)}`, each.next]));
    const onnx = serialise({ ...outputs, ...changed });
    const handle = this.#next++;
    const names = { updates: updates.map(nameOf), appends: appends.map(nameOf) };
    await this.#port.call({ type: "load", handle, onnx, ...names, packed: packsWeights(graph) });
    return {
      run: (feeds, part = {}) => this.#port.call({ type: "run", handle, feeds, part }),
      release: () => this.#port.call({ type: "release", handle }),
    };
  }

  /** Sets variables. */
  set(variables: Readonly<Record<string, Value>>): Promise<void> {
    return this.#port.call({ type: "set", variables });
  }

  /** Copies of variables. */
  get(names: readonly string[]): Promise<Record<string, Value>> {
    return this.#port.call({ type: "get", names });
  }

  /** Gives variables another shape, new ones their first: what is in both shapes stays where it is, the rest is 0. */
  resize(shapes: Readonly<Record<string, readonly number[]>>): Promise<void> {
    return this.#port.call({ type: "resize", shapes });
  }

  /** Copies pieces of variables, one after the other. */
  copy(copies: readonly Copy[]): Promise<void> {
    return this.#port.call({ type: "copy", copies });
  }

  /** Frees variables that are not needed any more. */
  drop(names: readonly string[]): Promise<void> {
    return this.#port.call({ type: "drop", names });
  }

  /** Frees all memory, and ends the thread if there is one. */
  close(): Promise<void> {
    return this.#port.close();
  }
}

function nameOf({ variable }: { readonly variable: Tensor }): string {
  if (variable.source.kind !== "variable") throw new Error("only variables can be updated");
  return variable.source.name;
}

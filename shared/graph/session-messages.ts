/** What an engine and the place where its sessions live say to each other. */
import type { Copy, Part, Value } from "./graph.ts";
import type { OnnxGraph } from "./serialise.ts";

export type Request =
  | {
      readonly type: "load";
      readonly handle: number;
      readonly onnx: OnnxGraph;
      /** Names of the variables that the graph replaces, and of those that it writes into. */
      readonly updates: readonly string[];
      readonly appends: readonly string[];
      /** Whether weights are packed for matrix products. */
      readonly packed: boolean;
    }
  | { readonly type: "release"; readonly handle: number }
  | {
      readonly type: "run";
      readonly handle: number;
      readonly feeds: Readonly<Record<string, Value>>;
      readonly part: Part;
    }
  | { readonly type: "set"; readonly variables: Readonly<Record<string, Value>> }
  | { readonly type: "resize"; readonly shapes: Readonly<Record<string, readonly number[]>> }
  | { readonly type: "copy"; readonly copies: readonly Copy[] }
  | { readonly type: "drop"; readonly names: readonly string[] }
  | { readonly type: "get"; readonly names: readonly string[] };

/** Where sessions and variables live: a thread, or the caller's own. */
export interface SessionPort {
  /** Requests are answered one at a time, in order. @throws Error with what went wrong there */
  call<T>(request: Request): Promise<T>;
  /** Frees everything. */
  close(): Promise<void>;
}

export interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

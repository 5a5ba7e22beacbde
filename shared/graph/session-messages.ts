/** What an engine and its thread say to each other. */
import type { Value } from "./graph.ts";
import type { OnnxGraph } from "./serialise.ts";

export type Request =
  | {
      readonly type: "load";
      readonly handle: number;
      readonly onnx: OnnxGraph;
      readonly updates: readonly string[];
      /** Whether weights are packed for matrix products. */
      readonly packed: boolean;
    }
  | { readonly type: "release"; readonly handle: number }
  | { readonly type: "run"; readonly handle: number; readonly feeds: Readonly<Record<string, Value>> }
  | { readonly type: "set"; readonly variables: Readonly<Record<string, Value>> }
  | { readonly type: "get"; readonly names: readonly string[] };

export interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

import type { Tensor } from "./tensor.ts";

/** A tensor's value. */
export interface Value {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** What a graph computes. */
export interface Graph {
  /** Results that every run returns. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Variables that every run replaces, and by what. */
  readonly updates?: readonly { readonly variable: Tensor; readonly next: Tensor }[];
}

/** Where graphs run. What a device has no kernel for, ONNX Runtime runs on the CPU. */
export const DEVICES = ["cpu", "cuda", "webgpu"] as const;
export type Device = (typeof DEVICES)[number];

/** A loaded graph. */
export interface Session {
  /**
   * Runs the graph once.
   * @param feeds a value for every input of the graph
   * @throws Error naming an input that is missing, or what ONNX Runtime found wrong
   */
  run(feeds: Readonly<Record<string, Value>>): Promise<Record<string, Value>>;
  /** Frees what the graph holds, packed weights above all. It can't be run any more. */
  release(): Promise<void>;
}

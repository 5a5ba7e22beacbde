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
  /**
   * Variables `[slots, K, M, W]` in which a run writes `[R, K, S, W]` where `Part` says, and nothing else: what they hold is never
   * copied. The graph reads them as they were before.
   */
  readonly appends?: readonly { readonly variable: Tensor; readonly next: Tensor }[];
  /** Whether weights are packed for matrix products whatever memory that takes: a single row has another kernel where they aren't. */
  readonly alwaysPacked?: boolean;
}

/** What a run reads, writes and returns, if not everything. */
export interface Part {
  /** Of every variable whose leading dimension has a name: the first row, and how many. */
  readonly rows?: { readonly first: number; readonly count: number };
  /** Of each of these rows, where on axis 2 what is appended begins: what doesn't fit is left out. */
  readonly positions?: Int32Array;
  /** And how many positions of it are kept; all of them if it is left out. */
  readonly lengths?: Int32Array;
  /** The outputs that are wanted; all of them if it is left out. */
  readonly outputs?: readonly string[];
}

/** Elements that are copied from one variable to another. */
export interface Copy {
  /** Zeros if it is left out. */
  readonly from?: string;
  readonly to: string;
  /** Three numbers a piece: where it begins in `from` and in `to`, and its length, in elements. */
  readonly pieces: Float64Array;
}

/** Where graphs run. What a device has no kernel for, ONNX Runtime runs on the CPU. */
export const DEVICES = ["cpu", "cuda", "webgpu"] as const;
export type Device = (typeof DEVICES)[number];

/** A loaded graph. */
export interface Session {
  /**
   * Runs the graph once.
   * @param feeds a value for every input of the graph
   * @param part what of it is wanted
   * @throws Error naming an input that is missing, or what ONNX Runtime found wrong
   */
  run(feeds: Readonly<Record<string, Value>>, part?: Part): Promise<Record<string, Value>>;
  /** Frees what the graph holds, packed weights above all. It can't be run any more. */
  release(): Promise<void>;
}

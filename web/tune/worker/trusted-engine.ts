import { short } from "../../../client/words.ts";
import type { Value } from "../../../shared/graph/graph.ts";
import { GraphEngine } from "../../../shared/graph/graph-engine.ts";
import type { Runtime } from "../../../shared/graph/session-host.ts";
import type { SampleStep } from "../../../shared/operations/sample-step.ts";
import type { Say } from "../../../shared/operations/texts.ts";
import { LocalPort } from "./local-port.ts";

/**
 * By how much of the largest value a GPU's loss or gradient may differ from WebAssembly's. Sums of float32 in another order differ by about 1e-5 of it; a kernel
 * that is wrong, or that computes in half precision, by more than this.
 */
const TOLERANCE = 1e-3;
/** A GPU that takes longer for a step of a few rows, its programs' translation included, is broken, or software. */
const PATIENCE_MS = 20_000;

/**
 * The engine that a run without privacy is computed on: the GPU's if there is one and it computes a step as WebAssembly does, else WebAssembly's.
 *
 * @param sample a step of the run, made once
 * @param say told which it is, and why
 * @param patienceMs how long the GPU may take for the step; one that doesn't answer is left to itself
 */
export async function trustedEngine(
  wasm: Runtime,
  gpu: Runtime | undefined,
  sample: (engine: GraphEngine) => Promise<SampleStep>,
  say: Say,
  patienceMs = PATIENCE_MS,
): Promise<GraphEngine> {
  const engine = new GraphEngine(new LocalPort(wasm));
  if (!gpu) return engine;
  const candidate = new GraphEngine(new LocalPort(gpu));
  try {
    const step = await sample(engine);
    const expected = await resultsOf(step, engine);
    const actual = await within(patienceMs, resultsOf(step, candidate));
    if (actual === undefined) {
      say(`Computed with WebAssembly: the GPU didn't compute a step in ${patienceMs / 1000} seconds.`);
      return engine;
    }
    const difference = largestDifference(expected, actual);
    const figures = `by at most ${short(difference)} of the largest value; ${TOLERANCE} is allowed`;
    if (difference <= TOLERANCE) {
      say(`Computed on the GPU: loss and gradient of a step differ from WebAssembly's ${figures}.`);
      await engine.close();
      return candidate;
    }
    say(`Computed with WebAssembly: the GPU's loss and gradient of a step differ from its ${figures}.`);
  } catch (error) {
    say(`Computed with WebAssembly: the GPU can't compute a step (${error instanceof Error ? error.message : error}).`);
  }
  await candidate.close();
  return engine;
}

/** What is promised; undefined if it takes longer. */
async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, milliseconds, undefined);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function resultsOf({ graph, variables, feeds }: SampleStep, engine: GraphEngine): Promise<Record<string, Value>> {
  await engine.set(variables);
  const session = await engine.load(graph);
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
    await engine.drop(Object.keys(variables));
  }
}

/** The largest difference of two devices' results, each as a part of its largest value; infinite where one of them isn't a number. */
function largestDifference(expected: Readonly<Record<string, Value>>, actual: Readonly<Record<string, Value>>): number {
  let most = 0;
  for (const [name, { data }] of Object.entries(expected)) {
    const other = actual[name]!.data;
    let largest = 0;
    for (const value of data) largest = Math.max(largest, Math.abs(value));
    for (const [i, value] of data.entries()) {
      const difference = Math.abs(value - other[i]!);
      if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
      if (difference > 0) most = Math.max(most, difference / largest);
    }
  }
  return most;
}

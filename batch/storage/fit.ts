import { estimateMemory } from "../../shared/graph/memory.ts";
import type { Checkpoint } from "../../shared/models/checkpoint.ts";
import { frozenWeights } from "../../shared/models/weights.ts";
import type { PrecisionName } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { transferGraph } from "../../shared/training/all-graphs.ts";
import { PRECISIONS } from "./models.ts";

/** Memory that a job has, in bytes. */
export interface Capacity {
  /** On the GPU. */
  readonly device: number;
  /** Of its machine. */
  readonly host: number;
}

/** The transfer that must fit: the defaults for texts, with a prompt as in the paper. */
const SIZES = { B: 8, T: 128 };
const PROMPT_ROWS = 100;
/** CUDA's own, with the libraries' workspaces. An assumption: `node batch/main.ts device` shows the figure of a machine. */
const CONTEXT_BYTES = 0.8e9;
/** Node, ONNX Runtime, and what it holds of a graph. */
const PROCESS_BYTES = 0.5e9;

/** What a transfer to the target needs, in bytes. */
export interface Need {
  readonly weights: number;
  readonly activations: number;
  readonly context: number;
  /** Weights that are stored in another form than they are computed in are converted in the machine's memory first. */
  readonly converted: number;
}

/** What a transfer of the usual size to a target will need. */
export async function transferNeed(target: Checkpoint, precision: PrecisionName): Promise<Need> {
  const wanted = PRECISIONS[precision];
  const [stored, bytes] = wanted === "float32" ? ["F32", 4] : ["F16", 2];
  let [weights, converted] = [0, 0];
  for (const { dtype, shape } of target.weights.values()) {
    const size = shape.reduce((a, b) => a * b, 1) * (shape.length > 1 ? bytes : 4);
    weights += size;
    if (dtype !== (shape.length > 1 ? stored : "F32")) converted += size;
  }
  const model = target.family.build(target.config, frozenWeights(target, wanted));
  const rows = Math.max(1, Math.min(PROMPT_ROWS, target.config.positions - SIZES.T));
  const { activations } = estimateMemory(await transferGraph(model, rows), SIZES);
  return { weights, activations, context: CONTEXT_BYTES, converted };
}

/**
 * Refuses a target that no transfer could compute on the device that the provider has.
 *
 * @throws ProblemError with the sum
 */
export async function requireFit(
  target: { readonly name: string; readonly checkpoint: Checkpoint },
  precision: PrecisionName,
  { device, host }: Capacity,
): Promise<void> {
  const { weights, activations, context, converted } = await transferNeed(target.checkpoint, precision);
  const advice =
    precision === "fp32"
      ? "In half precision (--precision fp16) its weights take half of that."
      : "Take a smaller one.";
  const refuse = (what: string) =>
    new ProblemError("The target doesn't fit", `${target.name} in ${precision}: ${what}`);
  const sum = weights + activations + context;
  if (sum > device) {
    throw refuse(
      `${gb(weights)} GB of weights, ${gb(activations)} GB of a step's values (${SIZES.B} texts of ${SIZES.T} tokens) and ${gb(context)} GB of CUDA's own are ${gb(sum)} GB; the device has ${gb(device)} GB. ${advice}`,
    );
  }
  if (PROCESS_BYTES + converted > host) {
    throw refuse(
      `${gb(converted)} GB of weights are converted in the machine's memory, which with ${gb(PROCESS_BYTES)} GB of the program's own is more than its ${gb(host)} GB. Store the model in ${precision}, or give the jobs more memory (infra/definitions.ts).`,
    );
  }
}

function gb(bytes: number): string {
  return (bytes / 1e9).toFixed(1);
}

import { estimateMemory, gb } from "../../shared/graph/memory.ts";
import type { Checkpoint } from "../../shared/models/checkpoint.ts";
import { plannedMatrices, storedBytes } from "../../shared/models/quantised-files.ts";
import { frozenWeights } from "../../shared/models/weights.ts";
import type { PrecisionName } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { usualQuantisation, type WeightsName } from "../../shared/protocol/weights.ts";
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

/** The form that a catalogue has a target in. */
export interface PublishedForm {
  readonly precision?: PrecisionName | undefined;
  readonly weights?: WeightsName | undefined;
}

/** What a transfer of the usual size to a target will need. */
export async function transferNeed(
  target: Checkpoint,
  { precision = "fp32", weights = "fp32" }: PublishedForm,
): Promise<Need> {
  const wanted = PRECISIONS[precision];
  const [stored, bytes] = wanted === "float32" ? ["F32", 4] : ["F16", 2];
  const { family, config } = target;
  const planned = weights === "fp32" ? new Map() : plannedMatrices(family, config, usualQuantisation(weights));
  let [held, converted] = [0, 0];
  for (const [name, { dtype, shape }] of target.weights) {
    const narrow = planned.get(name);
    if (narrow) {
      held += storedBytes(narrow);
      continue;
    }
    const size = shape.reduce((a, b) => a * b, 1) * (shape.length > 1 ? bytes : 4);
    held += size;
    if (dtype !== (shape.length > 1 ? stored : "F32")) converted += size;
  }
  const model = family.build(config, frozenWeights({ ...target, narrow: planned }, wanted));
  const rows = Math.max(1, Math.min(PROMPT_ROWS, config.positions - SIZES.T));
  const { activations } = estimateMemory(await transferGraph(model, rows), SIZES);
  return { weights: held, activations, context: CONTEXT_BYTES, converted };
}

/**
 * Refuses a target that no transfer could compute on the device that the provider has.
 *
 * @throws ProblemError with the sum
 */
export async function requireFit(
  target: { readonly name: string; readonly checkpoint: Checkpoint },
  form: PublishedForm,
  { device, host }: Capacity,
): Promise<void> {
  const { weights, activations, context, converted } = await transferNeed(target.checkpoint, form);
  const named = form.weights && form.weights !== "fp32" ? form.weights : (form.precision ?? "fp32");
  const refuse = (what: string) => new ProblemError("The target doesn't fit", `${target.name} in ${named}: ${what}`);
  const sum = weights + activations + context;
  if (sum > device) {
    throw refuse(
      `${gb(weights)} GB of weights, ${gb(activations)} GB of a step's values (${SIZES.B} texts of ${SIZES.T} tokens) and ${gb(context)} GB of CUDA's own are ${gb(sum)} GB; the device has ${gb(device)} GB. ${await advice(target.checkpoint, form, device)}`,
    );
  }
  if (PROCESS_BYTES + converted > host) {
    throw refuse(
      `${gb(converted)} GB of weights are converted in the machine's memory, which with ${gb(PROCESS_BYTES)} GB of the program's own is more than its ${gb(host)} GB. Store the model in ${form.precision ?? "fp32"}, hold its weights in int8 or int4 (--weights), or give the jobs more memory (infra/definitions.ts).`,
    );
  }
}

/** The forms in which it would fit. */
async function advice(target: Checkpoint, { precision = "fp32" }: PublishedForm, device: number): Promise<string> {
  const forms: readonly (readonly [string, PublishedForm])[] = [
    ["half precision (--precision fp16)", { precision: "fp16" }],
    ["int8 (--weights int8)", { precision, weights: "int8" }],
    ["int4 (--weights int4)", { precision, weights: "int4" }],
  ];
  for (const [name, form] of forms) {
    const { weights, activations, context } = await transferNeed(target, form);
    if (weights + activations + context <= device)
      return `In ${name} it takes ${gb(weights + activations + context)} GB.`;
  }
  return "It fits in none of the forms of weights (fp16, int8, int4): take a smaller one.";
}

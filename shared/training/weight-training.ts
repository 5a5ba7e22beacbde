import type { Engine, Value } from "../graph/engine.ts";
import { gradients } from "../graph/gradients.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { Watch } from "./events.ts";
import type { LanguageRows } from "./language-batches.ts";
import { clipFactor, type Optimizer, optimizerFeeds, optimizerStep } from "./optimizers.ts";
import { prepare } from "./prepare.ts";
import { linearSchedule } from "./schedule.ts";
import { type ResumableRun, runVariables } from "./variable-run.ts";

/** Training of weights on text: what pretraining and distillation have in common. */
export interface WeightTraining {
  readonly name: string;
  readonly engine: Engine;
  /** Scalar loss on the inputs of a batch of the rows. */
  readonly loss: Tensor;
  /** The variables to train, and their first values. */
  readonly weights: readonly { readonly variable: Tensor; readonly value: Value; readonly decay: boolean }[];
  readonly optimizer: Optimizer;
  readonly rows: LanguageRows;
  readonly steps: number;
  /** Peak of the learning rate. */
  readonly learningRate: number;
  /** Part of the steps over which the learning rate rises. */
  readonly warmup: number;
  /** Limit of the joint norm of all gradients. */
  readonly clip: number;
  readonly state: ResumableRun;
}

/**
 * Trains weights; they stay in the engine's variables.
 * @returns the mean loss of the last steps (at most 50)
 * @throws InterruptedError when stopped, after the state was saved; ProblemError for a state of another run
 */
export async function trainWeights(training: WeightTraining, watch: Watch): Promise<{ readonly loss: number }> {
  const { engine, rows, weights, optimizer, steps } = training;
  const variables = weights.map(({ variable }) => variable);
  const slopes = gradients(training.loss, variables);
  const scale = clipFactor(slopes, training.clip);
  const update = optimizerStep(
    optimizer,
    weights.map(({ variable, decay }, i) => ({ variable, gradient: slopes[i]!, scale, decay })),
  );
  const session = await prepare(engine, { outputs: { loss: training.loss }, updates: update.updates }, {}, watch);
  const first = Object.fromEntries(weights.map(({ variable, value }) => [nameOf(variable), value]));
  const loss = await runVariables(
    {
      name: training.name,
      engine,
      steps,
      state: training.state,
      variables: { ...first, ...update.initial },
      async step(index) {
        const rate = linearSchedule(index, steps, training.learningRate, training.warmup);
        const result = await session.run({ ...rows.batch(index), ...optimizerFeeds(optimizer, index + 1, rate) });
        return result.loss!.data[0]!;
      },
    },
    watch,
  );
  await session.release();
  return { loss };
}

function nameOf(variable: Tensor): string {
  if (variable.source.kind !== "variable") throw new Error("only variables can be trained");
  return variable.source.name;
}

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine, Value } from "../shared/graph/engine.ts";
import type { Model } from "../shared/models/model.ts";
import { ROWS_PER_UNIT } from "../shared/operations/tune-defaults.ts";
import { createPlan, type PrivacyPlan } from "../shared/privacy/plan.ts";
import { cryptoRandom } from "../shared/protocol/random.ts";
import { dpTune } from "../shared/training/dp-tune.ts";
import { predict } from "../shared/training/evaluate.ts";
import type { Watch } from "../shared/training/events.ts";
import type { LabelledText } from "../shared/training/objective.ts";
import { ADAM } from "../shared/training/optimizers.ts";
import { tune } from "../shared/training/tune.ts";

/** How the audited prompts are tuned. */
export interface AuditedTraining {
  readonly steps: number;
  readonly batchSize: number;
  readonly lr: number;
  readonly clip: number;
  readonly delta: number;
  /** Undefined to tune without privacy. */
  readonly noiseMultiplier?: number;
  /** A private tuning that leaves out its noise, and keeps all else: what an audit must find. */
  readonly withoutNoise?: boolean;
  readonly seed: number;
  /** The field whose values are the units of privacy; without it, rows are. */
  readonly privacyUnit?: string;
  readonly rowsPerUnit?: number;
}

/** A model and a start that prompts are tuned from, again and again, on different examples. */
export interface AuditSubject {
  readonly engine: Engine;
  readonly model: Model;
  readonly classes: readonly ArrayLike<number>[];
  readonly start: Value;
}

/** The guarantee of a training on so many units; undefined without noise. */
export function planOf(training: AuditedTraining, records: number): PrivacyPlan | undefined {
  const { steps, batchSize, clip, delta, noiseMultiplier, privacyUnit: field, rowsPerUnit = ROWS_PER_UNIT } = training;
  if (noiseMultiplier === undefined) return undefined;
  const unit = field === undefined ? undefined : { field, rowsPerUnit };
  return createPlan({ records, batchSize, steps, clip, delta, noiseMultiplier, unit });
}

/**
 * Tunes a prompt on these examples, from the start, as `softpost tune` does.
 * @param units the rows of each unit, if the training has units
 */
export async function tuneOn(
  subject: AuditSubject,
  examples: readonly LabelledText[],
  training: AuditedTraining,
  watch: Watch,
  units?: readonly (readonly number[])[],
): Promise<Value> {
  const folder = mkdtempSync(join(tmpdir(), "softpost-audit-"));
  try {
    const state = { path: join(folder, "state"), settings: {}, resume: false };
    const tuning = { ...subject, examples, optimizer: ADAM, learningRate: training.lr, averagedSteps: 1, state };
    const claimed = planOf(training, units?.length ?? examples.length);
    if (claimed !== undefined) {
      const plan = training.withoutNoise ? { ...claimed, noiseMultiplier: 0 } : claimed;
      return (await dpTune({ ...tuning, plan, units, random: cryptoRandom }, watch)).prompt;
    }
    const { steps, batchSize, seed } = training;
    return (await tune({ ...tuning, steps, batchSize, order: { kind: "shuffled", seed } }, watch)).prompt;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Keeps the confidence of a certain answer finite. */
const SMALLEST_PROBABILITY = 1e-7;

/** log(p/(1 − p)) of every example's own label under a prompt: what membership shows in (Carlini et al. 2022). */
export async function confidencesOf(
  subject: AuditSubject,
  prompt: Value,
  examples: readonly LabelledText[],
  watch: Watch,
): Promise<Float64Array> {
  const probabilities = await predict({ ...subject, prompt }, examples, watch);
  const classes = subject.classes.length;
  return Float64Array.from(examples, ({ label }, i) => {
    const raw = probabilities[i * classes + label]!;
    const p = Math.min(Math.max(raw, SMALLEST_PROBABILITY), 1 - SMALLEST_PROBABILITY);
    return Math.log(p / (1 - p));
  });
}

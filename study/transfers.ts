import { firstEquals } from "../shared/data/equal-texts.ts";
import type { Value } from "../shared/graph/engine.ts";
import type { LossName } from "../shared/protocol/manifest.ts";
import { ADAM } from "../shared/training/optimizers.ts";
import { holdOut, readingsOf, selectTexts } from "../shared/training/public-texts.ts";
import { transfer } from "../shared/training/transfer.ts";
import type { TransferCache } from "../shared/training/transfer-loss.ts";
import { type Comparison, compareScores, pick } from "../shared/training/travel.ts";
import { inScratch, type TaskModel } from "./model.ts";
import type { StudySettings } from "./settings.ts";

/** What is transferred, and by what texts. */
export interface Plan {
  /** The model that has the prompt: the student, or the target itself (then it is the oracle). */
  readonly teacher: TaskModel;
  readonly teacherPrompt: Value;
  readonly target: TaskModel;
  readonly texts: readonly string[];
  readonly loss: LossName;
  readonly alpha: number;
  /** Texts to choose from `texts`; undefined for all. */
  readonly select?: number | undefined;
  readonly seed: number;
}

export interface Transferred extends Comparison {
  readonly learningRate: number;
  readonly fitted: number;
  /** What the prompted teacher makes of the texts. */
  readonly information: number;
  readonly confidence: number;
  readonly shares: readonly number[];
}

/** Transfers a prompt with every learning rate and keeps the one of the least divergence on held-out public texts. */
export async function transferBest(
  plan: Plan,
  { transfer: schedule, learningRates, promptTokens }: StudySettings,
): Promise<{ figures: Transferred; prompt: Value }> {
  const { teacher, target, loss, alpha } = plan;
  const classes = target.classes.length;
  const encoded = await target.encode(plan.texts);
  const own = await teacher.encode(plan.texts);
  const scores = await teacher.scores(own, plan.teacherPrompt);
  const all = Int32Array.from(encoded.keys());
  const { fitted, heldOut } = holdOut(
    plan.select ? selectTexts(scores, classes, plan.select) : all,
    firstEquals(encoded),
    0,
  );
  const read = (model: TaskModel, prompt?: Value) =>
    loss === "classes" ? model.scores(encoded, prompt) : model.states(encoded, prompt);
  const prompted = loss === "classes" ? scores : await teacher.states(own, plan.teacherPrompt);
  const cache: TransferCache =
    alpha > 0 ? { prompted, bare: { student: await read(teacher), target: await read(target) } } : { prompted };
  const start = await target.start(promptTokens);
  const { prompts } = await inScratch((state) =>
    transfer(
      {
        engine: target.engine,
        target: target.model,
        texts: encoded,
        fitted,
        criterion: { loss, alpha, classes: target.classes },
        cache,
        attempts: learningRates.map((learningRate) => ({ start, learningRate })),
        ...schedule,
        optimizer: ADAM,
        seed: plan.seed,
        state,
      },
      {},
    ),
  );
  const held = Array.from(heldOut, (index) => encoded[index]!);
  const wanted = pick(scores, classes, heldOut);
  const travels: Comparison[] = [];
  for (const prompt of prompts) travels.push(compareScores(wanted, await target.scores(held, prompt), classes));
  const best = travels.reduce((a, b, i) => (b.divergence < travels[a]!.divergence ? i : a), 0);
  const { information, confidences, shares } = readingsOf(pick(scores, classes, fitted), classes);
  const confidence = confidences.reduce((a, b) => a + b, 0) / confidences.length;
  const figures = {
    ...travels[best]!,
    learningRate: learningRates[best]!,
    fitted: fitted.length,
    information,
    confidence,
    shares: Array.from(shares, (share) => Math.round(1000 * share) / 1000),
  };
  return { figures, prompt: prompts[best]! };
}

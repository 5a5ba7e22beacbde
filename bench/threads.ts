/** What more than one thread gains: the same step with one and with several, in turn, by the clock. */
import { Engine } from "../shared/graph/engine.ts";
import type { Model } from "../shared/models/model.ts";
import { figure, inTurn, ratio, subject } from "./measure.ts";
import { randomGpt2 } from "./models.ts";
import { privateStep, type Size, type Step, transferStep, tuningStep } from "./steps.ts";

const [TARGET_LAYERS, STUDENT_LAYERS] = [12, 4] as const;
const SIZE: Size = { B: 8, P: 100, T: 32 };

/** Prints how many times faster steps of a target of 12 layers are with so many threads than with one. */
export async function threads(folder: string, count: number, runs: number): Promise<void> {
  const [target, student] = [await randomGpt2(folder, TARGET_LAYERS), await randomGpt2(folder, STUDENT_LAYERS)];
  for (const [name, step] of Object.entries(stepsOf(target.model, student.model))) {
    const engines = [1, count].map((threads) => new Engine({ threads }));
    const subjects = await Promise.all(engines.map((engine) => loaded(engine, step)));
    const [one, several] = await inTurn(subjects, runs);
    await Promise.all(engines.map((engine) => engine.close()));
    console.log(
      `${name}: ${count} threads are ${figure(ratio(one!, several!, "wall"))} times as fast as one, ` +
        `for ${figure(ratio(several!, one!, "cpu"))} times the CPU time`,
    );
  }
}

function stepsOf(target: Model, student: Model): Record<string, Step> {
  return {
    "tuning, 12 layers": tuningStep(target, SIZE),
    "private tuning, 12 layers": privateStep(target, SIZE),
    "transfer, 12 layers": transferStep(target, student, "classes", SIZE),
  };
}

async function loaded(engine: Engine, { ours, feeds, variables, batches }: Step) {
  await engine.set(variables);
  return subject(await engine.load(ours), feeds, batches);
}

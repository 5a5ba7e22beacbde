import { Engine } from "../shared/graph/engine.ts";
import { inTurn, spread, subject } from "./measure.ts";
import { randomGpt2 } from "./models.ts";
import { type Size, tuningStep } from "./steps.ts";

const LAYERS = 4;
const MIDDLE: Size = { B: 8, P: 100, T: 32 };
/** Of each size, the others being in the middle. */
const VALUES: Readonly<Record<keyof Size, readonly number[]>> = {
  B: [1, 2, 4, 8, 16, 32],
  P: [10, 50, 100, 200, 400],
  T: [8, 16, 32, 64, 128],
};

/** Prints how a tuning step's CPU time grows with rows B, virtual tokens P and tokens a text T, here and in the naive layout. */
export async function curves(folder: string, threads: number, runs: number): Promise<void> {
  const { model } = await randomGpt2(folder, LAYERS);
  for (const [axis, values] of Object.entries(VALUES)) {
    for (const value of values) {
      const engine = new Engine({ threads });
      const { ours, naive, feeds, variables } = tuningStep(model, { ...MIDDLE, [axis]: value });
      await engine.set(variables);
      const subjects = [subject(await engine.load(ours), feeds), subject(await engine.load(naive!), feeds)];
      const [own, other] = (await inTurn(subjects, runs)).map((times) => spread(times.map(({ cpu }) => cpu)));
      console.log(`${axis} = ${value}: ${own!.median.toFixed(0)} ms of CPU; naive layout ${other!.median.toFixed(0)}`);
      await engine.close();
    }
  }
}

import type { LossName } from "../shared/protocol/manifest.ts";

/** What a study tries. Everything else of a prompt's making is the product's default. */
export interface StudySettings {
  readonly promptTokens: number;
  /** Schedules of tuning, of which validation rows choose. */
  readonly tune: readonly TuneSettings[];
  /** Schedules of private tuning, likewise. */
  readonly privateTune: readonly (TuneSettings & { readonly clip: number })[];
  readonly epsilons: readonly number[];
  /** People with so many private rows each, who are drawn up at random: private tunings are repeated with the person as the unit. 0 for none. */
  readonly rowsOfPerson: number;
  readonly transfer: { readonly steps: number; readonly batchSize: number; readonly averagedSteps: number };
  /** Peak learning rates, of which held-out public texts choose. */
  readonly learningRates: readonly number[];
  /** The losses that are compared; α is of the class loss. */
  readonly losses: readonly LossName[];
  readonly alpha: number;
  /** Texts to select of each public set in a run of its own; 0 for none. */
  readonly select: number;
  /** Public texts at most. */
  readonly publicTexts: number;
  readonly seeds: number;
}

export interface TuneSettings {
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly averagedSteps: number;
}

export const DEFAULTS: StudySettings = {
  promptTokens: 20,
  tune: [
    { steps: 400, batchSize: 32, learningRate: 1e-2, averagedSteps: 100 },
    { steps: 600, batchSize: 32, learningRate: 3e-2, averagedSteps: 150 },
  ],
  privateTune: [
    { steps: 150, batchSize: 256, learningRate: 1e-2, averagedSteps: 50, clip: 0.5 },
    { steps: 150, batchSize: 256, learningRate: 5e-3, averagedSteps: 50, clip: 0.5 },
  ],
  epsilons: [8],
  rowsOfPerson: 0,
  transfer: { steps: 800, batchSize: 16, averagedSteps: 100 },
  learningRates: [3e-2, 1e-2],
  losses: ["classes", "vocabulary"],
  alpha: 0,
  select: 0,
  publicTexts: 4000,
  seeds: 3,
};

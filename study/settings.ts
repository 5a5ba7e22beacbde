import { z } from "zod";
import { parseJson, validate } from "../shared/protocol/json.ts";
import { LOSSES } from "../shared/protocol/manifest.ts";

const count = z.int().min(1);
const rate = z.number().positive();
const tuneSchema = z.strictObject({ steps: count, batchSize: count, learningRate: rate, averagedSteps: count });

const settingsSchema = z.strictObject({
  promptTokens: count,
  /** Schedules of tuning, of which validation rows choose. */
  tune: z.array(tuneSchema).min(1).readonly(),
  /** Schedules of private tuning, likewise. */
  privateTune: z
    .array(tuneSchema.extend({ clip: rate }))
    .min(1)
    .readonly(),
  epsilons: z.array(rate).readonly(),
  /** People with so many private rows each, who are drawn up at random: private tunings are repeated with the person as the unit. 0 for none. */
  rowsOfPerson: z.int().min(0),
  transfer: z.strictObject({ steps: count, batchSize: count, averagedSteps: count }),
  /** Peak learning rates, of which held-out public texts choose. */
  learningRates: z.array(rate).min(1).readonly(),
  /** The losses that are compared; α is of the class loss. */
  losses: z.array(z.enum(LOSSES)).min(1).readonly(),
  alpha: z.number().min(0).max(1),
  /** Texts to select of each public set in a run of its own; 0 for none. */
  select: z.int().min(0),
  /** Public texts at most. */
  publicTexts: count,
  seeds: count,
});

/** What a study tries. Everything else of a prompt's making is the product's default. */
export type StudySettings = z.infer<typeof settingsSchema>;
export type TuneSettings = z.infer<typeof tuneSchema>;

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

/**
 * The settings of a study.
 *
 * @param given what differs from the defaults, as JSON
 * @throws ProblemError for what no study has, or can't be
 */
export function readSettings(given: string, seeds: number): StudySettings {
  const differing = parseJson(given, "--settings") as Partial<StudySettings>;
  return validate(settingsSchema, { ...DEFAULTS, ...differing, seeds }, "--settings", "The settings are not valid");
}

import { z } from "zod";
import { transferSchema } from "./transfer.ts";

/** Texts of one file of predictions, in bytes. */
export const MAX_PREDICTION_BYTES = 100 * 1024 * 1024;
/** The result's file: a row of JSON for every text. */
export const PREDICTIONS_FILE = "predictions.jsonl";

export const predictionSchema = transferSchema
  .pick({
    id: true,
    state: true,
    version: true,
    created: true,
    updated: true,
    progress: true,
    rate: true,
    device: true,
    estimatedSeconds: true,
    reserved: true,
    cost: true,
    actualSeconds: true,
    problem: true,
    files: true,
  })
  .extend({ model: z.string().describe("TARGET:TRANSFER_ID") })
  .meta({ id: "Prediction", description: "Labels or answers for a file of texts, made by a job." });

export type Prediction = z.output<typeof predictionSchema>;

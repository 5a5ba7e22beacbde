import { z } from "zod";

/** In what a model's matrices are held: as published and widened once, or narrower, widened where they are used. */
export const weightsSchema = z.enum(["fp32", "fp16", "int8", "int4"]);

export type WeightsName = z.output<typeof weightsSchema>;

export const BLOCK_SIZES = [32, 64, 128] as const;

/**
 * What was done to a published checkpoint's matrices. `block` values of a row share a scale and a zero point, which is the middle (128 or 8)
 * where the blocks are symmetric.
 */
export const quantisationSchema = z
  .discriminatedUnion("weights", [
    z.strictObject({ weights: z.literal("fp16") }),
    z.strictObject({
      weights: z.enum(["int8", "int4"]),
      block: z.literal(BLOCK_SIZES),
      symmetric: z.boolean(),
      /** Whether the head's and the embeddings' matrices are among them; the layers' always are. A tied one is both. */
      head: z.boolean(),
      embeddings: z.boolean(),
    }),
  ])
  .meta({ id: "Quantisation", description: "How the matrices of a published model were rounded." });

export type Quantisation = z.output<typeof quantisationSchema>;

export type BlockQuantisation = Exclude<Quantisation, { weights: "fp16" }>;

/**
 * A model and how its matrices were rounded, in a text: what is kept of one is of no use for another.
 * @param model a manifest's record of it
 */
export function computedModel({
  digest,
  quantisation,
}: {
  digest: string;
  quantisation?: Quantisation | undefined;
}): string {
  return quantisation ? `${digest}-${Object.values(quantisation).join("-")}` : digest;
}

/** What a form of weights stands for where nothing else is said. Four bits need zero points more than eight do. */
export function usualQuantisation(weights: Exclude<WeightsName, "fp32">): Quantisation {
  if (weights === "fp16") return { weights };
  return { weights, block: 64, symmetric: weights === "int8", head: false, embeddings: false };
}

/** Whether a form of weights is one that `--weights` makes; `softpost quantise` has more. */
export function isUsual(quantisation: Quantisation): boolean {
  const given: Readonly<Record<string, unknown>> = quantisation;
  return Object.entries(usualQuantisation(quantisation.weights)).every(([name, value]) => given[name] === value);
}

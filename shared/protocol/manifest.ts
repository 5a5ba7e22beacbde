import { z } from "zod";
import { hex } from "./bytes-as-text.ts";
import { parseJson, validate } from "./json.ts";
import { privacyUnitSchema } from "./privacy-unit.ts";
import { isGeneration, type Task, taskSchema } from "./task.ts";
import { quantisationSchema } from "./weights.ts";

/** The manifest's file in a soft prompt's folder, beside the two of PEFT. */
export const MANIFEST_FILE = "softpost.json";
/** The largest task has a thousand labels with a word or two each. */
export const MAX_MANIFEST_BYTES = 256 * 1024;

export const digestSchema = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "Must be a SHA-256 digest: 64 lower-case hexadecimal digits.");

/** An id that a tenant or provider chose: it says nothing by itself. */
export const idSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/,
    "Must be 1 to 128 letters, digits, dots, dashes, underscores or slashes.",
  );

/** The families of models; what `model_type` of a config.json calls them is a matter of the models. */
export const FAMILIES = ["gpt2", "llama", "roberta"] as const;
export type FamilyName = (typeof FAMILIES)[number];

/** Whether models of a family fill in a mask; the others read on. */
export const isMaskedFamily = (family: FamilyName) => family === "roberta";

const modelSchema = z.strictObject({
  /** What the provider or the hub calls it. */
  id: idSchema,
  /** SHA-256 over the digests of its files (`modelDigest`). */
  digest: digestSchema,
  architecture: z.enum(FAMILIES),
  /** How its matrices were rounded, where they were not computed with as published: the digest is that of the published model. */
  quantisation: quantisationSchema.optional(),
});

export type ModelRecord = z.output<typeof modelSchema>;

/** The guarantee of a private run, with everything that is needed to compute it again. */
export const privacyRecordSchema = z.strictObject({
  sampler: z.literal("poisson"),
  neighbouring: z.literal("add-or-remove-one"),
  accountant: z.enum(["pld", "rdp"]),
  epsilon: z.number().positive(),
  delta: z.number().gt(0).lt(1),
  noiseMultiplier: z.number().positive(),
  /** Exactly batchSize / records. */
  sampleRate: z.number().gt(0).lte(1),
  steps: z.int().positive(),
  clip: z.number().positive(),
  /** How many private records there are, or the rounded figure that the user states: it is public. */
  records: z.int().positive(),
  /** The expected batch size, the fixed normaliser. */
  batchSize: z.number().positive(),
  /** Whose data the guarantee is about: `records` counts these, not rows. Without it, a unit is one example. */
  unit: privacyUnitSchema.optional(),
  /** The ε, at the same δ, for somebody who has several of the units; null where there is no useful one. */
  groups: z
    .array(z.strictObject({ group: z.int().min(2).max(10), epsilon: z.number().positive().nullable() }))
    .max(3)
    .optional(),
});

export type PrivacyRecord = z.output<typeof privacyRecordSchema>;

const trainingSchema = z.strictObject({
  optimizer: z.enum(["adam", "adamw", "sgd"]),
  learningRate: z.number().positive(),
  steps: z.int().nonnegative(),
  batchSize: z.int().positive(),
  /** The prompt is the mean over this many last steps; without it, the last iterate. */
  averagedSteps: z.int().positive().optional(),
});

/** What of student and target a transfer compares. */
export const LOSSES = ["classes", "vocabulary"] as const;
export type LossName = (typeof LOSSES)[number];

/** Where a transfer starts. */
export const STARTS = ["words", "prompt"] as const;
export type StartName = (typeof STARTS)[number];

/** How well a prompt travelled: the target with its prompt beside the student with its own, on public texts that it was not fitted to. */
export const travelSchema = z
  .strictObject({
    heldOut: z.int().positive().describe("Public texts that this was measured on."),
    divergence: z
      .number()
      .nonnegative()
      .describe("KL of the student's class distribution to the target's, mean over the texts, in nats."),
    agreement: z.number().min(0).max(1).describe("Part of the texts to which both give the same class."),
  })
  .meta({ id: "Travel" });

export type Travel = z.output<typeof travelSchema>;

/** As many public sets can be ranked for one transfer. */
export const MAX_PUBLIC_SETS = 16;

/** What the prompted student made of a public set, by which sets are ranked. */
export const rankedSetSchema = z
  .strictObject({
    id: idSchema,
    digest: digestSchema,
    texts: z.int().positive().describe("Texts that were read of it, drawn at random."),
    information: z
      .number()
      .nonnegative()
      .describe(
        "Mutual information of text and class, in nats: what sets are ranked by. 0 where the student says the same of all texts.",
      ),
    confidence: z.number().min(0).max(1).describe("Mean probability of the class that it gives a text."),
    unnamed: z.int().nonnegative().describe("Classes that it hardly ever gives a text."),
  })
  .meta({ id: "RankedSet" });

export type RankedSet = z.output<typeof rankedSetSchema>;

/**
 * At what of a public text a transfer compares student and target where answers are text: the student's answers, the likeliest or drawn
 * ones, or the first position of an answer only.
 */
export const ANSWERS = ["greedy", "sampled", "first"] as const;
export type AnswersName = (typeof ANSWERS)[number];

const transferSchema = z.strictObject({
  student: modelSchema,
  /** Digest of the student's prompt file that was transferred. */
  promptDigest: digestSchema,
  publicSet: z.strictObject({
    id: idSchema,
    digest: digestSchema,
    examples: z.int().positive(),
    /** How many of them the prompt was fitted to; without it, all. */
    fitted: z.int().positive().optional(),
  }),
  /** All sets that it was chosen from, the best one first; without it, it was the only one. */
  ranked: z.array(rankedSetSchema).min(2).max(MAX_PUBLIC_SETS).optional(),
  /** Without it, the vocabulary's: manifests of earlier releases. */
  loss: z.enum(LOSSES).optional(),
  /** There if the task is a generation. */
  answers: z.enum(ANSWERS).optional(),
  alpha: z.number().min(0).max(1),
  temperature: z.number().positive(),
  /** Without it, the words. */
  start: z.enum(STARTS).optional(),
  travel: travelSchema.optional(),
  training: trainingSchema,
});

/** What is wrong with a task's template for a family of models, of which only masked ones have something to fill in. */
function maskFault(task: Task, family: FamilyName): string | undefined {
  const has = task.template.includes("{mask}");
  if (isGeneration(task) && isMaskedFamily(family)) return "Is of a generation task, but the model is a masked one.";
  if (has === isMaskedFamily(family)) return undefined;
  return has
    ? "Remove {mask}: the model reads on behind the text, only a masked one fills it in."
    : "Must hold {mask}, where the model fills in a class's word: it is a masked one.";
}

/**
 * `softpost.json`. Every object is strict, so that nothing can ride along: no example, no text but the task's own, and no
 * figure that was measured on private data (a loss or an accuracy would be a release that nobody accounted for).
 */
export const manifestSchema = z
  .strictObject({
    format: z.literal("softpost/1"),
    task: taskSchema,
    /** The model that the prompt is for. */
    model: modelSchema,
    prompt: z.strictObject({
      virtualTokens: z.int().positive(),
      dimension: z.int().positive(),
      /** SHA-256 of `adapter_model.safetensors`. */
      digest: digestSchema,
    }),
    initialisation: z.strictObject({
      /** The instruction whose token embeddings, repeated, the prompt started from. */
      text: z.string().max(2000),
      /** Digest of the prompt file it started from instead, where `tune --prompt` gave one. */
      promptDigest: digestSchema.optional(),
    }),
    /** How the prompt was tuned on private data. */
    training: trainingSchema,
    /** Null where the tuning was not private. */
    privacy: privacyRecordSchema.nullable(),
    /** There if the prompt came out of a transfer; `model` is then the target. */
    transfer: transferSchema.optional(),
  })
  .superRefine(({ task, model }, context) => {
    const message = maskFault(task, model.architecture);
    if (message !== undefined) context.addIssue({ code: "custom", path: ["task", "template"], message });
  })
  .meta({ id: "Manifest", description: "softpost.json: what a prompt is, and how it was made." });

export type Manifest = z.output<typeof manifestSchema>;

/**
 * @param name of the file, for messages
 * @throws ProblemError with every fault and its JSON pointer
 */
export function parseManifest(text: string, name: string): Manifest {
  const title = "The manifest is not valid";
  return validate(manifestSchema, parseJson(text, name, title), name, title);
}

/** The manifest as the file's text. */
export function encodeManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifestSchema.parse(manifest), null, 2)}\n`;
}

/** SHA-256 as lower-case hexadecimal digits. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(bytes));
  return hex(new Uint8Array(digest));
}

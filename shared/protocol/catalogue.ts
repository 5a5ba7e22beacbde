import { z } from "zod";
import { ProblemError } from "./errors.ts";
import { validate } from "./json.ts";
import { digestSchema, FAMILIES } from "./manifest.ts";
import { weightsSchema } from "./weights.ts";

/** Names in URLs and in a provider's catalogue. */
export const nameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "Must be 1 to 64 letters, digits, dots, dashes or underscores.");

/** A name as the catalogue has it. @throws ProblemError if it can't be one */
export function catalogueName(name: string): string {
  return validate(nameSchema, name, name, "The catalogue can't have this name");
}

export const fileSchema = z
  .object({ name: nameSchema, size: z.int().nonnegative(), sha256: digestSchema })
  .meta({ id: "File", description: "A file with its size in bytes and its SHA-256." });

export type FileRecord = z.output<typeof fileSchema>;

/** What a model card says of itself; anybody can write anything there. */
export const licenceSchema = z
  .string()
  .min(1)
  .max(100)
  .describe("The licence that the model's card names; left out where there is none.");

/** Whether a student was cut from its target, or is a model of its own that the target's provider takes prompts of. */
export const studentKindSchema = z
  .enum(["distilled", "open"])
  .default("distilled")
  .describe("distilled: made of the target's layers, with its embeddings and tokenizer; open: any other model.");

/** What a model's matrices are computed in. */
export const precisionSchema = z.enum(["fp32", "fp16"]);

export type PrecisionName = z.output<typeof precisionSchema>;

export const studentSchema = z
  .object({
    id: nameSchema,
    kind: studentKindSchema,
    digest: digestSchema.describe("What a manifest's model.digest must be."),
    architecture: z.enum(FAMILIES),
    dimension: z.int().positive().describe("Width D of the embeddings."),
    positions: z.int().positive().describe("Positions that prompt and text may have together."),
    embeddingNorms: z
      .object({ mean: z.number().positive(), max: z.number().positive() })
      .describe("Euclidean norms of the rows of the token embeddings; uploads are compared with them."),
    files: z.array(fileSchema),
    licence: licenceSchema.optional(),
    target: z.object({
      id: nameSchema,
      digest: digestSchema,
      files: z.array(fileSchema),
      layers: z.int().positive(),
      licence: licenceSchema.optional(),
      precision: precisionSchema.default("fp32").describe("What transfers to it are computed in."),
      weights: weightsSchema.default("fp32").describe("In what form its matrices are held."),
    }),
    tokensPerSecond: z.number().positive().describe("Speed of the target assumed before the first job has finished."),
    retired: z.boolean().describe("A retired student can still be downloaded, but takes no prompts any more."),
  })
  .meta({ id: "Student", description: "A distilled model on which clients tune prompts for its target." });

export type Student = z.output<typeof studentSchema>;

export const publicSetSchema = z
  .object({
    id: nameSchema,
    digest: digestSchema,
    size: z.int().positive().describe("Bytes of the JSONL file."),
    examples: z.int().positive(),
    description: z.string().max(500),
    retired: z.boolean().default(false).describe("A retired set takes no transfers any more."),
  })
  .meta({ id: "PublicSet", description: "Public texts on which a transfer compares student and target." });

export type PublicSet = z.output<typeof publicSetSchema>;

/** The answers of the routes that list them. */
export const studentListSchema = z.object({ students: z.array(studentSchema) });
export const publicSetListSchema = z.object({ publicSets: z.array(publicSetSchema) });

/** `catalogue.json` in the bucket. */
export const catalogueSchema = z.object({ students: z.array(studentSchema), publicSets: z.array(publicSetSchema) });

export type Catalogue = z.output<typeof catalogueSchema>;

/** With a student; one of its name with other content is retired under another name, so that clients who tuned on it are told. */
export function withStudent({ students, publicSets }: Catalogue, student: Student): Catalogue {
  const others = students.filter(({ digest }) => digest !== student.digest);
  const retired = others.map((other) =>
    other.id === student.id ? { ...other, id: `${other.id}-${other.digest.slice(0, 8)}`, retired: true } : other,
  );
  return { students: [...retired, student], publicSets };
}

/** With a public set, instead of one of its name. */
export function withPublicSet({ students, publicSets }: Catalogue, publicSet: PublicSet): Catalogue {
  return { students, publicSets: [...publicSets.filter(({ id }) => id !== publicSet.id), publicSet] };
}

/** @throws ProblemError (404) if there is none of this name */
export function withRetired(
  catalogue: Catalogue,
  kind: "students" | "publicSets",
  id: string,
  retired: boolean,
): Catalogue {
  if (!catalogue[kind].some((entry) => entry.id === id)) {
    const what = kind === "students" ? "student" : "public set";
    throw new ProblemError(`There is no such ${what}`, `${id} is not in the catalogue.`, { status: 404 });
  }
  const set = <T extends { id: string }>(entry: T) => (entry.id === id ? { ...entry, retired } : entry);
  return kind === "students"
    ? { ...catalogue, students: catalogue.students.map(set) }
    : { ...catalogue, publicSets: catalogue.publicSets.map(set) };
}

/** Bytes of some files together. */
export const totalBytes = (files: readonly Pick<FileRecord, "size">[]): number =>
  files.reduce((sum, { size }) => sum + size, 0);

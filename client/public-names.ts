import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { readText } from "../shared/data/files.ts";
import type { Student } from "../shared/protocol/catalogue.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { digestSchema, idSchema, type Manifest } from "../shared/protocol/manifest.ts";

/** In a downloaded student's folder: what its provider calls it. It is no part of what the model is. */
const NAME_FILE = "softpost-catalogue.json";
const nameSchema = z.strictObject({ id: idSchema, digest: digestSchema });

/** An id that says nothing but which content is meant. Names of local files and folders may say more than others are to know. */
export function neutralId(kind: "model" | "public", digest: string): string {
  return `${kind}-${digest.slice(0, 12)}`;
}

/** Keeps what the provider calls a model, in its folder. */
export async function keepCatalogueId(folder: string, { id, digest }: Pick<Student, "id" | "digest">): Promise<void> {
  await writeFile(join(folder, NAME_FILE), `${JSON.stringify({ id, digest })}\n`);
}

/** What a provider calls the model in a folder, undefined if it was not downloaded from one or was changed since. */
export async function catalogueId(folder: string, digest: string): Promise<string | undefined> {
  const text = await readText(join(folder, NAME_FILE)).catch(() => "");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { data } = nameSchema.safeParse(json);
  return data?.digest === digest ? data.id : undefined;
}

/**
 * The manifest as it leaves this machine: models and public texts have the provider's names or none. What softpost 0.1.0 tuned has
 * the name of a local folder in it.
 *
 * @throws ProblemError if none of the provider's students is the model that the prompt was tuned on
 */
export function publicManifest(manifest: Manifest, students: readonly Student[]): Manifest {
  const { model, transfer } = manifest;
  const student = students.find(({ digest }) => digest === model.digest);
  if (!student) {
    const detail =
      `It was tuned on ${model.id}, which is none of this provider's students${students.length > 0 ? ` (${students.map(({ id }) => id).join(", ")})` : ""}. ` +
      "Download one to tune on: softpost students STUDENT --out DIR.";
    throw new ProblemError("The soft prompt is for another model", detail, { status: 422 });
  }
  const named = { ...manifest, model: { ...model, id: student.id } };
  if (!transfer) return named;
  const { student: from, publicSet } = transfer;
  return {
    ...named,
    transfer: {
      ...transfer,
      student: { ...from, id: neutralId("model", from.digest) },
      publicSet: { ...publicSet, id: neutralId("public", publicSet.digest) },
    },
  };
}

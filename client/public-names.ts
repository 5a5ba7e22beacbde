import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { readText } from "../shared/data/files.ts";
import type { Student } from "../shared/protocol/catalogue.ts";
import { digestSchema, idSchema } from "../shared/protocol/manifest.ts";

/** In a downloaded student's folder: what its provider calls it. It is no part of what the model is. */
const NAME_FILE = "softpost-catalogue.json";
const nameSchema = z.strictObject({ id: idSchema, digest: digestSchema });

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

import { bucket } from "../../shared/protocol/bucket.ts";
import { type Catalogue, catalogueSchema, type PublicSet, type Student } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { PromptStore } from "./prompt-store.ts";
import { readObject } from "./read-object.ts";

/** What the provider offers; nothing before it has published. */
export async function readCatalogue(prompts: PromptStore): Promise<Catalogue> {
  return (await readObject(prompts, bucket.catalogue, catalogueSchema)) ?? { students: [], publicSets: [] };
}

/** @throws ProblemError (404) */
export function findStudent({ students }: Catalogue, id: string): Student {
  const student = students.find((candidate) => candidate.id === id);
  if (!student) throw new ProblemError("Not found", `There is no student ${JSON.stringify(id)}.`, { status: 404 });
  return student;
}

export function findPublicSet({ publicSets }: Catalogue, id: string): PublicSet | undefined {
  return publicSets.find((candidate) => candidate.id === id);
}

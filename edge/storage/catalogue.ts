import { bucket } from "../../shared/protocol/bucket.ts";
import { type Catalogue, catalogueSchema, type Student } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { PromptStore } from "./prompt-store.ts";
import { readObject } from "./read-object.ts";

/** What the provider offers; nothing before it has published. */
export async function readCatalogue(prompts: PromptStore): Promise<Catalogue> {
  return (await readObject(prompts, bucket.catalogue, catalogueSchema)) ?? { students: [], publicSets: [] };
}

/** Two administrators at one moment are the usual case; more are tried again a few times. */
const TRIES = 5;

/**
 * Changes the catalogue as it is, also while another does.
 *
 * @throws ProblemError of `change`, or (503) if others change it without end
 */
export async function changeCatalogue(prompts: PromptStore, change: (before: Catalogue) => Catalogue): Promise<void> {
  for (let tries = 0; tries < TRIES; tries++) {
    const stored = await prompts.get(bucket.catalogue);
    // A body that isn't read would keep its connection.
    await stored?.body.cancel();
    const text = JSON.stringify(change(await readCatalogue(prompts)));
    const onlyIf = stored ? { etagMatches: stored.etag } : { etagDoesNotMatch: "*" };
    if (await prompts.put(bucket.catalogue, text, { onlyIf })) return;
  }
  throw new ProblemError("The catalogue is busy", "Others are changing it; try again.", { status: 503 });
}

/** @throws ProblemError (404) */
export function findStudent({ students }: Catalogue, id: string): Student {
  const student = students.find((candidate) => candidate.id === id);
  if (!student) throw new ProblemError("Not found", `There is no student ${JSON.stringify(id)}.`, { status: 404 });
  return student;
}

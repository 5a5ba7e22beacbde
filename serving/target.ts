import type { Bucket } from "../batch/storage/bucket.ts";
import { Models } from "../batch/storage/models.ts";
import { hashModel } from "../shared/data/model-files.ts";
import { type OpenModel, openModel } from "../shared/operations/open-model.ts";
import { bucket } from "../shared/protocol/bucket.ts";
import { catalogueSchema } from "../shared/protocol/catalogue.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { validate } from "../shared/protocol/json.ts";
import type { Environment } from "./environment.ts";

/**
 * The target that is served: of a folder, or of the catalogue, downloaded and checked as the jobs do it.
 * @throws ProblemError if there is none of its name, or it can't be read
 */
export async function openTarget(store: Bucket, environment: Environment): Promise<OpenModel> {
  const { SERVING_TARGET: id, SERVING_MODEL: folder, SOFTPOST_CACHE: cache } = environment;
  if (folder !== undefined) return openModel(folder, { id, digest: (await hashModel(folder)).digest });
  const title = "The catalogue can't be read";
  const { students } = validate(catalogueSchema, await store.readJson(bucket.catalogue), bucket.catalogue, title);
  const target = students.findLast((student) => student.target.id === id)?.target;
  if (!target) {
    const known = [...new Set(students.map((student) => student.target.id))].join(", ") || "none";
    throw new ProblemError("There is no such target", `SERVING_TARGET is ${id}; the catalogue has ${known}.`);
  }
  return new Models(store, cache).open(target, target);
}

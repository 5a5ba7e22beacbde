import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { readCorpus } from "../../shared/data/corpus.ts";
import { distillStudent, writeStudent } from "../../shared/operations/distill.ts";
import type { DistillSpec } from "../../shared/protocol/job.ts";
import type { JobContext } from "../lifecycle/attempt.ts";
import { fetchPublicSet } from "../storage/models.ts";
import { publishStudent } from "../storage/publish.ts";

/** Makes a student of a teacher in the bucket and publishes it. */
export async function runDistill(
  spec: DistillSpec,
  { store, models, engines, capacity, work, statePath, resume, watch }: JobContext,
): Promise<undefined> {
  const teacher = await models.open(spec.teacher, spec.teacher, watch);
  const corpus = await fetchPublicSet(store, work, spec.corpus);
  using tokens = await readCorpus([corpus], teacher.tokenizer);
  const { layers, steps, batchSize, maxLength: length, learningRate, seed } = spec;
  const state = { path: statePath, resume };
  const request = { teacher, tokens, layers, steps, batchSize, length, learningRate, seed, state };
  const student = await engines.use(spec.job, (engine) => distillStudent(request, engine, watch));
  const folder = join(work, "student");
  await mkdir(folder);
  await writeStudent(folder, student, request);
  const target = { folder: teacher.folder, name: spec.teacher.id };
  await publishStudent(store, { student: { folder, name: spec.student }, target, capacity });
}

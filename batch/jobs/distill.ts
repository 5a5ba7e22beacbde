import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { readCorpus } from "../../shared/data/corpus.ts";
import { copyTokenizer } from "../../shared/data/model-files.ts";
import { maskTokens } from "../../shared/data/tokenizer.ts";
import { writeCheckpoint } from "../../shared/models/write-checkpoint.ts";
import type { DistillSpec } from "../../shared/protocol/job.ts";
import { distill } from "../../shared/training/distill.ts";
import type { JobContext } from "../lifecycle/attempt.ts";
import { fetchPublicSet } from "../storage/models.ts";
import { publishStudent } from "../storage/publish.ts";

/** Makes a student of a teacher in the bucket and publishes it. */
export async function runDistill(
  spec: DistillSpec,
  { store, models, engines, capacity, work, statePath, resume, watch }: JobContext,
) {
  const teacher = await models.open(spec.teacher);
  const tokens = await readCorpus([await fetchPublicSet(store, work, spec.corpus)], teacher.tokenizer);
  const { layers, steps, batchSize, maxLength: length, learningRate, seed } = spec;
  await engines.use(spec.job, async (engine) => {
    const state = { path: statePath, settings: { job: spec.job }, resume };
    const options = {
      engine,
      teacher: teacher.checkpoint,
      layers,
      tokens,
      mask: maskTokens(teacher.tokenizer, teacher.checkpoint.config.vocabulary),
      steps,
      batchSize,
      length,
      learningRate,
      seed,
    };
    const student = await distill({ ...options, state }, watch);
    const folder = join(work, "student");
    await mkdir(folder);
    await writeCheckpoint(folder, student.json, student.weights);
    await copyTokenizer(teacher.folder, folder);
    const target = { folder: teacher.folder, name: spec.teacher.id };
    await publishStudent(store, { student: { folder, name: spec.student }, target, capacity });
  });
}

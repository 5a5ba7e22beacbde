import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { predictRows } from "../../shared/operations/predict.ts";
import { encodedTexts } from "../../shared/operations/texts.ts";
import { WEIGHTS_FILE } from "../../shared/prompt/adapter.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { type PredictSpec, resultSchema } from "../../shared/protocol/job.ts";
import { MANIFEST_FILE } from "../../shared/protocol/manifest.ts";
import { PREDICTIONS_FILE } from "../../shared/protocol/prediction.ts";
import type { JobContext } from "../lifecycle/attempt.ts";
import type { Bucket } from "../storage/bucket.ts";
import { fetchPublicSet } from "../storage/models.ts";
import { readStoredPrompt } from "../storage/stored-prompt.ts";

/** Labels or answers data in the bucket with a transferred prompt: `predictions.jsonl`, a row an input. */
export async function runPredict(
  spec: PredictSpec,
  { store, models, engines, work, output, watch }: JobContext,
): Promise<undefined> {
  const model = await models.open(spec.model, spec.model, watch);
  const job = bucket.job(spec.prompt);
  const folder = job + jobFiles.output + resultSchema.parse(await store.readJson(job + jobFiles.result)).folder;
  const prompt = await readStoredPrompt(store, { manifest: folder + MANIFEST_FILE, weights: folder + WEIGHTS_FILE });
  const { task } = prompt.manifest;
  const texts = await encodedTexts(await fetchTexts(spec, store, work), task, model);
  const rows = await engines.use(spec.job, (engine) =>
    predictRows({ model, task, prompt: prompt.value }, texts, engine, watch),
  );
  await writeFile(join(output, PREDICTIONS_FILE), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

async function fetchTexts({ job, data, own }: PredictSpec, store: Bucket, work: string): Promise<string> {
  if (!own) return fetchPublicSet(store, work, data);
  const path = join(work, jobFiles.texts);
  await store.download(bucket.job(job) + jobFiles.texts, path, data.digest);
  return path;
}

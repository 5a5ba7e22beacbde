import { open } from "node:fs/promises";
import { join } from "node:path";
import { quietTokenizer } from "../../shared/data/quiet-tokenizer.ts";
import { predictFile } from "../../shared/operations/predict.ts";
import { surveyTexts } from "../../shared/operations/texts.ts";
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
  const opened = await models.open(spec.model, spec.model, watch);
  // Why a job failed is logged, kept in the ledger and sent.
  const model = { ...opened, tokenizer: quietTokenizer(opened.tokenizer) };
  const job = bucket.job(spec.prompt);
  const folder = job + jobFiles.output + resultSchema.parse(await store.readJson(job + jobFiles.result)).folder;
  const prompt = await readStoredPrompt(store, { manifest: folder + MANIFEST_FILE, weights: folder + WEIGHTS_FILE });
  const { task } = prompt.manifest;
  const data = await fetchTexts(spec, store, work);
  const total = await surveyTexts(data, task, model);
  await using file = await open(join(output, PREDICTIONS_FILE), "w");
  await engines.use(spec.job, async (engine) => {
    const predicted = predictFile({ model, task, prompt: prompt.value, data, total }, engine, watch);
    for await (const rows of predicted) {
      await file.appendFile(rows.map(({ prediction }) => `${JSON.stringify(prediction)}\n`).join(""));
    }
  });
}

async function fetchTexts({ job, data, own }: PredictSpec, store: Bucket, work: string): Promise<string> {
  if (!own) return fetchPublicSet(store, work, data);
  const path = join(work, jobFiles.texts);
  await store.download(bucket.job(job) + jobFiles.texts, path, data.digest);
  return path;
}

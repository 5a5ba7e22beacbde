import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { predictLabels } from "../../shared/operations/predict.ts";
import { encodedTexts } from "../../shared/operations/texts.ts";
import { WEIGHTS_FILE } from "../../shared/prompt/adapter.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { PredictSpec } from "../../shared/protocol/job.ts";
import { MANIFEST_FILE } from "../../shared/protocol/manifest.ts";
import type { JobContext } from "../lifecycle/attempt.ts";
import { fetchPublicSet } from "../storage/models.ts";
import { readStoredPrompt } from "../storage/stored-prompt.ts";

/** Labels data in the bucket with a transferred prompt: `predictions.jsonl`, a row an input. */
export async function runPredict(
  spec: PredictSpec,
  { store, models, engines, work, output, watch }: JobContext,
): Promise<undefined> {
  const model = await models.open(spec.model);
  const folder = bucket.job(spec.prompt) + jobFiles.output;
  const prompt = await readStoredPrompt(store, { manifest: folder + MANIFEST_FILE, weights: folder + WEIGHTS_FILE });
  const { task } = prompt.manifest;
  const texts = await encodedTexts(await fetchPublicSet(store, work, spec.data), task, model);
  const rows = await engines.use(spec.job, (engine) =>
    predictLabels({ model, task, prompt: prompt.value }, texts, engine, watch),
  );
  await writeFile(join(output, "predictions.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { verbalizer } from "../../shared/data/verbalizer.ts";
import { parsePromptTensor, WEIGHTS_FILE } from "../../shared/prompt/adapter.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { type PredictSpec, resultSchema } from "../../shared/protocol/job.ts";
import { MANIFEST_FILE, parseManifest } from "../../shared/protocol/manifest.ts";
import { predict } from "../../shared/training/evaluate.ts";
import type { JobContext } from "../lifecycle/attempt.ts";
import { fetchPublicSet, readEncoded } from "../storage/models.ts";

/** Labels data in the bucket with a transferred prompt: `predictions.jsonl`, a row an input. */
export async function runPredict(
  spec: PredictSpec,
  { store, models, engines, work, output, watch }: JobContext,
): Promise<void> {
  const opened = await models.open(spec.model);
  const { model, tokenizer } = opened;
  const job = bucket.job(spec.prompt);
  const folder = job + jobFiles.output + resultSchema.parse(await store.readJson(job + jobFiles.result)).folder;
  const { task } = parseManifest(new TextDecoder().decode(await store.need(folder + MANIFEST_FILE)), MANIFEST_FILE);
  const { prompt, virtualTokens, dimension } = parsePromptTensor(await store.need(folder + WEIGHTS_FILE), WEIGHTS_FILE);
  const texts = await readEncoded(await fetchPublicSet(store, work, spec.data), task, opened);
  const { classes } = verbalizer(task, tokenizer);
  await engines.use(spec.job, async (engine) => {
    const value = { shape: [virtualTokens, dimension], data: prompt };
    const probabilities = await predict({ engine, model, classes, prompt: value }, texts, watch);
    const rows = texts.map((_, i) => {
      const row = [...probabilities.subarray(i * classes.length, (i + 1) * classes.length)];
      const named = Object.fromEntries(task.labels.map(({ name }, k) => [name, row[k]]));
      return JSON.stringify({ label: task.labels[row.indexOf(Math.max(...row))]!.name, probabilities: named });
    });
    await writeFile(join(output, "predictions.jsonl"), `${rows.join("\n")}\n`);
  });
}

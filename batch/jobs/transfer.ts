import { encodedTexts } from "../../shared/operations/texts.ts";
import { transferPrompt } from "../../shared/operations/transfer.ts";
import { writePrompt } from "../../shared/operations/write-prompt.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { TransferSpec } from "../../shared/protocol/job.ts";
import type { JobContext } from "../lifecycle/attempt.ts";
import { keptStates } from "../storage/kept-states.ts";
import { fetchPublicSet } from "../storage/models.ts";
import { readStoredPrompt } from "../storage/stored-prompt.ts";

/** The job behind `POST /v1/transfers`: a client's prompt for the student becomes one for the target. */
export async function runTransfer(spec: TransferSpec, job: JobContext): Promise<void> {
  const { store, models, engines, work, output, statePath, resume, watch } = job;
  const [target, student] = [await models.open(spec.target), await models.open(spec.student)];
  const folder = bucket.job(spec.job);
  const files = { manifest: folder + jobFiles.manifest, weights: folder + jobFiles.weights };
  const prompt = await readStoredPrompt(store, files);
  const file = await fetchPublicSet(store, work, spec.publicSet);
  const texts = await encodedTexts(file, prompt.manifest.task, target);
  const { id, digest } = spec.publicSet;
  const { alpha, steps, batchSize, learningRate, seed } = spec.options;
  const moved = await transferPrompt(
    {
      target,
      student,
      prompt,
      publicSet: { id, digest, file, texts },
      alpha,
      steps,
      batchSize,
      learningRate,
      seed,
      state: { path: statePath, resume },
    },
    {
      use: (graphs, run) => engines.use(graphs, run),
      bareStates: ({ model, encoding, shape }, compute) =>
        keptStates(store, bucket.states(model, digest, encoding), shape, compute),
      watch,
    },
  );
  await writePrompt(output, moved);
}

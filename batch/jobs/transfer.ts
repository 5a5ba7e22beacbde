import { publicTexts } from "../../shared/operations/texts.ts";
import { transferPrompt } from "../../shared/operations/transfer.ts";
import { writePrompt } from "../../shared/operations/write-prompt.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { ResultFacts, TransferSpec } from "../../shared/protocol/job.ts";
import type { JobContext } from "../lifecycle/attempt.ts";
import { keptStates } from "../storage/kept-states.ts";
import { fetchPublicSet } from "../storage/models.ts";
import { readStoredPrompt } from "../storage/stored-prompt.ts";

/** The job behind `POST /v1/transfers`: a client's prompt for the student becomes one for the target. */
export async function runTransfer(spec: TransferSpec, job: JobContext): Promise<ResultFacts> {
  const { store, models, engines, work, output, statePath, resume, watch } = job;
  const [target, student] = [await models.open(spec.target), await models.open(spec.student)];
  const folder = bucket.job(spec.job);
  const files = { manifest: folder + jobFiles.manifest, weights: folder + jobFiles.weights };
  const prompt = await readStoredPrompt(store, files, spec.prompt.sha256);
  const { id, digest } = spec.publicSet;
  const path = await fetchPublicSet(store, work, spec.publicSet);
  const { loss, alpha, starts, selected, steps, batchSize, learningRate, seed } = spec.options;
  const moved = await transferPrompt(
    {
      target,
      student,
      open: spec.student.kind === "open",
      prompt,
      publicSet: { id, digest, ...(await publicTexts(path, prompt.manifest.task, target, student)) },
      loss,
      alpha,
      starts,
      selected,
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
  return { travel: moved.travel, advice: [...moved.advice] };
}

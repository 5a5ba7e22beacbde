import { countTexts } from "../../shared/data/jsonl.ts";
import { type Candidate, chooseSet } from "../../shared/operations/rank-public-sets.ts";
import { writePrompt } from "../../shared/operations/soft-prompt.ts";
import { transferAs } from "../../shared/operations/transfer-answers.ts";
import type { TransferTools } from "../../shared/operations/transfer-request.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { ResultFacts, TransferSpec } from "../../shared/protocol/job.ts";
import type { JobContext } from "../lifecycle/attempt.ts";
import { keptStates } from "../storage/kept-states.ts";
import { fetchPublicSet } from "../storage/models.ts";
import { readStoredPrompt } from "../storage/stored-prompt.ts";

/** The job behind `POST /v1/transfers`: a client's prompt for the student becomes one for the target. */
export async function runTransfer(spec: TransferSpec, job: JobContext): Promise<ResultFacts> {
  const { store, models, engines, work, output, statePath, resume, watch } = job;
  const { precision } = spec.target;
  const folder = bucket.job(spec.job);
  const files = { manifest: folder + jobFiles.manifest, weights: folder + jobFiles.weights };
  const prompt = await readStoredPrompt(store, files, { weights: spec.prompt.sha256 });
  // The prompt means what it does on the student that it was tuned on, however that was rounded.
  const target = await models.open(spec.target, spec.target, watch);
  const student = await models.open(spec.student, { precision, weights: prompt.manifest.model.quantisation }, watch);
  const candidates: Candidate[] = [];
  for (const set of [spec.publicSet, ...(spec.alternatives ?? [])]) {
    candidates.push({ id: set.id, digest: set.digest, file: await fetchPublicSet(store, work, set) });
  }
  const use: TransferTools["use"] = (graphs, run) => engines.use(graphs, run);
  const { loss, alpha, starts, selected, steps, batchSize, learningRate, seed, answers } = spec.options;
  const open = spec.student.kind === "open";
  const { ranked, candidate } = await chooseSet({ student, prompt, seed }, candidates, { use, watch });
  const { id, digest, file } = candidate;
  const moved = await transferAs(
    prompt.manifest.task,
    {
      target,
      student,
      open,
      prompt,
      publicSet: { id, digest, file, examples: await countTexts(file) },
      ranked,
      loss,
      alpha,
      starts,
      selected,
      answers,
      steps,
      batchSize,
      learningRate,
      seed,
      state: { path: statePath, resume },
    },
    {
      use,
      bareStates: ({ model, encoding, shape }, compute) =>
        keptStates(store, bucket.states(model, digest, encoding), shape, compute),
      watch,
    },
  );
  await writePrompt(output, moved);
  return { travel: moved.travel, advice: [...moved.advice], ranked: ranked ?? null };
}

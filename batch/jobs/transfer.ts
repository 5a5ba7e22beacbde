import { initialisationIds } from "../../shared/data/encode.ts";
import { writePromptFolder } from "../../shared/data/prompt-folder.ts";
import type { Value } from "../../shared/graph/engine.ts";
import { parsePromptTensor } from "../../shared/prompt/adapter.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { TransferSpec } from "../../shared/protocol/job.ts";
import { type Manifest, parseManifest, sha256 } from "../../shared/protocol/manifest.ts";
import { initialPrompt } from "../../shared/training/initial-prompt.ts";
import { TEMPERATURE } from "../../shared/training/losses.ts";
import { ADAM } from "../../shared/training/optimizers.ts";
import { readStates, transfer } from "../../shared/training/transfer.ts";
import type { JobContext } from "../lifecycle/attempt.ts";
import type { Bucket } from "../storage/bucket.ts";
import { keptStates } from "../storage/kept-states.ts";
import { fetchPublicSet, type OpenModel, readEncoded } from "../storage/models.ts";

/** The job behind `POST /v1/transfers`: a client's prompt for the student becomes one for the target. */
export async function runTransfer(spec: TransferSpec, job: JobContext): Promise<void> {
  const { store, models, engines, work, watch } = job;
  const { precision } = spec.target;
  const [target, student] = [await models.open(spec.target, precision), await models.open(spec.student)];
  const { manifest, prompt } = await readUpload(store, spec.job);
  const texts = await readEncoded(await fetchPublicSet(store, work, spec.publicSet), manifest.task, target);
  const encoding = await encodingOf(manifest);
  const unprompted = ({ model, checkpoint }: OpenModel, digest: string, name: string, settings: string) => {
    const key = bucket.states(digest, spec.publicSet.digest, settings);
    // An engine of its own, so that a target's weights are never there twice.
    const read = () => engines.use(`read ${digest}`, (engine) => readStates(engine, model, texts, name, watch));
    return keptStates(store, key, [texts.length, checkpoint.config.width], read);
  };
  const bare = {
    // States in half precision are others than in full.
    target: await unprompted(
      target,
      spec.target.digest,
      "reading the target",
      precision === "fp32" ? encoding : `${precision}-${encoding}`,
    ),
    student: await unprompted(student, spec.student.digest, "reading the student", encoding),
  };
  const graphs = [spec.target.digest, spec.student.digest, manifest.prompt.virtualTokens, precision].join(" ");
  await engines.use(graphs, async (engine) => {
    const name = "reading the prompted student";
    const cache = { ...bare, studentPrompted: await readStates(engine, student.model, texts, name, watch, prompt) };
    const ids = initialisationIds(target.tokenizer, manifest.initialisation.text, manifest.prompt.virtualTokens);
    const { alpha, steps, batchSize, learningRate, seed } = spec.options;
    const result = await transfer(
      {
        engine,
        target: target.model,
        publicTexts: texts,
        cache,
        optimizer: ADAM,
        alpha,
        steps,
        batchSize,
        learningRate,
        seed,
        start: await initialPrompt(engine, target.model, ids),
        state: { path: job.statePath, settings: { job: spec.job }, resume: job.resume },
      },
      watch,
    );
    await writeOutput(job.output, spec, manifest, result.prompt);
  });
}

async function readUpload(store: Bucket, id: string): Promise<{ manifest: Manifest; prompt: Value }> {
  const read = (name: string) => store.need(bucket.job(id) + name);
  const manifest = parseManifest(new TextDecoder().decode(await read(jobFiles.manifest)), jobFiles.manifest);
  const { prompt, virtualTokens, dimension } = parsePromptTensor(await read(jobFiles.weights), jobFiles.weights);
  return { manifest, prompt: { shape: [virtualTokens, dimension], data: prompt } };
}

/** What the tokens of a public text depend on beside the text and the model. */
function encodingOf({ task: { template, maxLength } }: Manifest): Promise<string> {
  return sha256(new TextEncoder().encode(JSON.stringify([template, maxLength])));
}

async function writeOutput(folder: string, spec: TransferSpec, manifest: Manifest, prompt: Value): Promise<void> {
  const { architecture } = manifest.model;
  const { alpha, steps, batchSize, learningRate } = spec.options;
  const { virtualTokens, dimension } = manifest.prompt;
  await writePromptFolder(
    folder,
    { prompt: prompt.data as Float32Array, virtualTokens, dimension },
    {
      ...manifest,
      model: { id: spec.target.id, digest: spec.target.digest, architecture },
      transfer: {
        student: { id: spec.student.id, digest: spec.student.digest, architecture },
        promptDigest: manifest.prompt.digest,
        publicSet: { id: spec.publicSet.id, digest: spec.publicSet.digest, examples: spec.publicSet.examples },
        alpha,
        temperature: TEMPERATURE,
        training: { optimizer: "adam", learningRate, steps, batchSize },
      },
    },
  );
}

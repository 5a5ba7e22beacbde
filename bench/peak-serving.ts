/**
 * Opens the serving process's engine on a model's folder, with weights of a form and so many rows, makes every row as long as the model can have it, and prints what it
 * said that it needs and the most memory that it took, in bytes.
 */
import { useHugePages } from "../client/huge-pages.ts";
import { openModel } from "../client/local/model.ts";
import { OwnBackend } from "../serving/engine/own-backend.ts";
import { weightsSchema } from "../shared/protocol/weights.ts";
import { peakMemory } from "./measure.ts";

const NEW = 8;
const GREEDY = { temperature: 0, topP: 1, seed: undefined, stop: [], logprobs: undefined };
const QUIET = { signal: new AbortController().signal, onPrompt: () => {}, onCompletion: () => {} };

useHugePages();
const [folder, form, slots] = process.argv.slice(2) as [string, string, string];
const weights = weightsSchema.parse(form);
// A folder that holds its own form is opened as it is.
const target = await openModel(folder, weights === "fp16" ? { weights } : {});
const onFailure = (error: Error) => {
  throw error;
};
const backend = await OwnBackend.open(
  target,
  { slots: Number(slots), threads: 1, device: "cpu" },
  { onStep: () => {}, onFailure },
  { onEvent: (event) => event.kind === "note" && console.log(event.text) },
);
const { positions } = target.model.config;
const ids = new Int32Array(positions - NEW).fill(5);
const answer = () =>
  backend.complete({ ids, prompt: undefined }, { ...GREEDY, maxNewTokens: NEW }, 1, 0, () => {}, QUIET);
await Promise.all(Array.from({ length: Number(slots) }, answer));
await backend.close();
process.stdout.write(`peak ${peakMemory()}\n`);

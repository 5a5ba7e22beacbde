import type { CompletionOptions } from "../../../client/api/inference.ts";
import { quoted } from "../../../client/words.ts";
import type { ServedModel } from "../../../shared/protocol/served-model.ts";
import { type ClassificationTask, isGeneration } from "../../../shared/protocol/task.ts";

const FREE_TOKENS = 32;

/** What a model is asked: to label a text, or to go on with one. */
export type Asked =
  | {
      readonly kind: "classify";
      readonly model: string;
      readonly text: string;
      /** Of a target by itself, which has none. */
      readonly task?: ClassificationTask;
    }
  | { readonly kind: "complete"; readonly options: CompletionOptions };

/** The request that a text is, to a model: what its prompt was tuned for, or a continuation of the text as it stands. */
export function askedOf({ id, task }: ServedModel, text: string): Asked {
  if (task && !isGeneration(task)) return { kind: "classify", model: id, text };
  if (!task) return { kind: "complete", options: { model: id, prompt: text, max_tokens: FREE_TOKENS, temperature: 0 } };
  const prompt = task.template.replace("{text}", () => text);
  // The API takes four stop strings.
  const stop = task.stop.slice(0, 4);
  return { kind: "complete", options: { model: id, prompt, max_tokens: task.maxNewTokens, temperature: 0, stop } };
}

/** The same text to the bare target behind a prompt, for the prompt's task. */
export function bareOf(model: ServedModel, text: string): Asked | undefined {
  const { parent, task } = model;
  if (parent === null || !task) return undefined;
  if (!isGeneration(task)) return { kind: "classify", model: parent, text, task };
  const asked = askedOf(model, text);
  return asked.kind === "complete" ? { kind: "complete", options: { ...asked.options, model: parent } } : undefined;
}

/** The request as a line of curl and as code, to be copied; the key is not in it. */
export function examplesOf(asked: Asked, origin: string): { readonly curl: string; readonly code: string } {
  const [path, body] =
    asked.kind === "classify"
      ? ["classify", { model: asked.model, input: [asked.text], task: asked.task }]
      : ["completions", { ...asked.options }];
  const json = JSON.stringify(body);
  const curl = `curl ${origin}/v1/${path} -H "Authorization: Bearer $SOFTPOST_KEY" -H 'Content-Type: application/json' -d ${quoted(json)}`;
  const start = `import OpenAI from "openai";\nconst client = new OpenAI({ baseURL: "${origin}/v1", apiKey: process.env.SOFTPOST_KEY });`;
  const call =
    asked.kind === "classify"
      ? `const { data } = await client.post("/classify", { body: ${json} });\nconsole.log(data);`
      : `const stream = await client.completions.create({ ...${json}, stream: true });\nfor await (const part of stream) process.stdout.write(part.choices[0]?.text ?? "");`;
  return { curl, code: `${start}\n${call}` };
}

import type { CompletionOptions } from "../../../client/api/inference.ts";
import { quoted } from "../../../client/words.ts";
import type { ServedModel } from "../../../shared/protocol/served-model.ts";
import { isGeneration } from "../../../shared/protocol/task.ts";

/** A label's word and what follows; nothing more is compared. */
const LABEL_TOKENS = 4;
const FREE_TOKENS = 32;

/** What a model is asked: to label a text, or to go on with one. */
export type Asked =
  | { readonly kind: "classify"; readonly model: string; readonly text: string }
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

/** The same text to the bare target behind a prompt: in the task's template, to be continued. */
export function bareOf({ parent, task }: ServedModel, text: string): CompletionOptions | undefined {
  if (parent === null || !task || task.template.includes("{mask}")) return undefined;
  const prompt = task.template.replace("{text}", () => text);
  const most = isGeneration(task)
    ? { max_tokens: task.maxNewTokens, stop: task.stop.slice(0, 4) }
    : { max_tokens: LABEL_TOKENS };
  return { model: parent, prompt, temperature: 0, ...most };
}

/** The request as a line of curl and as code, to be copied; the key is not in it. */
export function examplesOf(asked: Asked, origin: string): { readonly curl: string; readonly code: string } {
  const [path, body] =
    asked.kind === "classify"
      ? ["classify", { model: asked.model, input: [asked.text] }]
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

import { stat } from "node:fs/promises";
import { join } from "node:path";
import vm from "node:vm";
import { Template } from "@huggingface/jinja";
import { readText } from "../../shared/data/files.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { MAX_BODY_BYTES } from "../../shared/protocol/inference.ts";

/** Templates of open models have at most 20 000 characters. */
const MAX_TEMPLATE_BYTES = 256 * 1024;
const MAX_CONFIG_BYTES = 16 * 1024 * 1024;
/** A template that loops is stopped. */
const RENDER_MS = 1000;

export interface Message {
  readonly role: string;
  readonly content: string;
}

/** Messages as the text that the model was trained to read, up to where the assistant begins. @throws ProblemError for what the template refuses */
export type RenderChat = (messages: readonly Message[]) => string;

/**
 * A model folder's chat template: `chat_template.jinja`, or that of tokenizer_config.json.
 * @returns undefined where there is none
 * @throws ProblemError if it can't be read or isn't Jinja
 */
export async function chatTemplate(folder: string): Promise<RenderChat | undefined> {
  const config = JSON.parse(await optional(join(folder, "tokenizer_config.json"), MAX_CONFIG_BYTES, "{}"));
  const file = await optional(join(folder, "chat_template.jinja"), MAX_TEMPLATE_BYTES, "");
  const text = file === "" ? named(config.chat_template) : file;
  if (text === undefined) return undefined;
  const template = parse(text, folder);
  const tokens = { bos_token: textOf(config.bos_token), eos_token: textOf(config.eos_token) };
  return (messages) => render(template, { messages: messages.map(asSystem), add_generation_prompt: true, ...tokens });
}

async function optional(path: string, limit: number, fallback: string): Promise<string> {
  return (await stat(path).catch(() => undefined)) ? readText(path, limit) : fallback;
}

/** One template, or a list of named ones. */
function named(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  return value.find((each) => each?.name === "default")?.template;
}

function textOf(token: unknown): string {
  return typeof token === "string" ? token : ((token as { content?: string } | undefined)?.content ?? "");
}

/** OpenAI's newer word for the same. */
function asSystem({ role, content }: Message): Message {
  return { role: role === "developer" ? "system" : role, content };
}

function parse(text: string, folder: string): Template {
  try {
    if (text.length > MAX_TEMPLATE_BYTES) throw new Error(`it has ${text.length} characters`);
    return new Template(text);
  } catch (cause) {
    const detail = `${folder}: ${(cause as Error).message}. Mend it or remove it.`;
    throw new ProblemError("The chat template can't be used", detail, { cause });
  }
}

function render(template: Template, values: Readonly<Record<string, unknown>>): string {
  try {
    // The interpreter has nothing of JavaScript's; what runs within a script of its own has a time limit.
    const context = vm.createContext({ run: () => template.render({ ...values }) });
    const text: string = vm.runInContext("run()", context, { timeout: RENDER_MS });
    if (text.length > 2 * MAX_BODY_BYTES) throw new Error("too long");
    return text;
  } catch {
    // Its message may quote the messages.
    const detail = "Many want user and assistant in turn, beginning with user, and some take no system message.";
    throw new ProblemError("The model's chat template refuses these messages", detail, {
      faults: [{ at: "body#/messages", message: "Can't be rendered." }],
    });
  }
}

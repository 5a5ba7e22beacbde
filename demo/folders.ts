import { copyFileSync, cpSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pretraining, tasks, writeTask } from "./corpora/prepare.ts";
import type { TaskFiles } from "./corpora/task-files.ts";
import { hashOrder } from "./corpora/text.ts";
import type { SentFile } from "./report/results.ts";
import { DISTILLATION, TASKS } from "./settings.ts";

/** The two parties of the demo are two folders: nothing of one is read by the other but what is copied here. */
export const PROVIDER = "provider";
export const CLIENT = "client";

const SHIPPED_MODEL = fileURLToPath(new URL("./model", import.meta.url));

/**
 * Fills `folder` anew: the provider with the target and public texts, the client with its private tasks.
 *
 * @returns the tasks
 */
export function setUp(folder: string): TaskFiles[] {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, PROVIDER), { recursive: true });
  cpSync(SHIPPED_MODEL, join(folder, PROVIDER, "target"), { recursive: true });
  const sources = pretraining();
  const texts = DISTILLATION.sources.flatMap((name) => sources.get(name)!);
  const documents = hashOrder(texts, (text) => text).slice(0, DISTILLATION.documents);
  writeFileSync(join(folder, PROVIDER, "corpus.jsonl"), jsonl(documents));
  const made = tasks();
  for (const files of made) {
    const { name } = files.task;
    writeTask(join(folder, CLIENT), files);
    // The client's folder has what is the client's only.
    rmSync(join(folder, CLIENT, name, "public.jsonl"));
    writeFileSync(
      join(folder, PROVIDER, `${name}-public.jsonl`),
      jsonl(files.public.slice(0, TASKS[name]!.publicTexts)),
    );
  }
  return made;
}

function jsonl(texts: readonly string[]): string {
  return texts.map((text) => `${JSON.stringify({ text })}\n`).join("");
}

/** The client downloads what the provider publishes. */
export function download(folder: string, name: string): void {
  cpSync(join(folder, PROVIDER, name), join(folder, CLIENT, name), { recursive: true });
}

/** The client sends a prompt folder; nothing else ever goes this way. Returns what was sent. */
export function upload(folder: string, prompt: string): SentFile[] {
  const from = join(folder, CLIENT, prompt);
  cpSync(from, join(folder, PROVIDER, "received", prompt), { recursive: true });
  return readdirSync(from)
    .sort()
    .map((file) => ({ name: join(prompt, file), bytes: statSync(join(from, file)).size }));
}

/** A student's prompt as a plain PEFT adapter, which the target takes for one of its own. */
export function withoutManifest(folder: string, prompt: string, copy: string): void {
  mkdirSync(join(folder, copy), { recursive: true });
  for (const file of ["adapter_config.json", "adapter_model.safetensors"]) {
    copyFileSync(join(folder, prompt, file), join(folder, copy, file));
  }
}

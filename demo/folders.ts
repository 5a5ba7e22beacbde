import { copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { demoTasks, pretraining, writeTask } from "./corpora/prepare.ts";
import type { TaskFiles } from "./corpora/task-files.ts";
import { hashOrder } from "./corpora/text.ts";
import { DISTILLATION, FIRST_TASK, TASKS } from "./settings.ts";
import type { Party } from "./softpost.ts";

const SHIPPED_MODEL = fileURLToPath(new URL("./model", import.meta.url));

/** The client's settings, in its folder: the provider's address and key. */
const CONFIG = "provider.json";

/** The two parties, each in a folder of its own, and who compares them and sees both. */
export type Parties = Readonly<Record<"provider" | "client" | "referee", Party>>;

export function partiesOf(folder: string, stop: AbortSignal): Parties {
  const own = join(folder, "client");
  return {
    provider: { name: "provider", folder: join(folder, "provider"), environment: {}, stop },
    client: {
      name: "client",
      folder: own,
      stop,
      // Its privacy ledger is part of the demo too, not of the user's own.
      environment: { SOFTPOST_HOME: join(own, ".softpost"), SOFTPOST_CONFIG: join(own, CONFIG) },
    },
    referee: { name: "", folder, environment: { SOFTPOST_HOME: join(folder, "comparison", ".softpost") }, stop },
  };
}

/**
 * Makes the folders anew: the provider's with the target and public texts, the client's with its private tasks.
 *
 * @param full whether every task is to be done, or only the first
 * @returns the tasks
 */
export function setUp({ provider, client, referee }: Parties, full: boolean): TaskFiles[] {
  rmSync(referee.folder, { recursive: true, force: true });
  mkdirSync(provider.folder, { recursive: true });
  cpSync(SHIPPED_MODEL, join(provider.folder, "target"), { recursive: true });
  const sources = pretraining();
  const texts = DISTILLATION.sources.flatMap((name) => sources.get(name)!);
  const documents = hashOrder(texts, (text) => text).slice(0, DISTILLATION.documents);
  writeFileSync(join(provider.folder, "corpus.jsonl"), jsonl(documents));
  const made = demoTasks().filter(({ task }) => full || task.name === FIRST_TASK);
  for (const files of made) {
    const { name } = files.task;
    writeTask(client.folder, files);
    // The client's folder has what is the client's only.
    rmSync(join(client.folder, name, "public.jsonl"));
    const texts = files.public.slice(0, TASKS[name]!.publicTexts);
    writeFileSync(join(provider.folder, publicFile(name)), jsonl(texts));
  }
  return made;
}

/** The provider's file of public texts for a task. */
export function publicFile(task: string): string {
  return `${task}-public.jsonl`;
}

/** Tells the client where the provider is, and gives it a key. */
export function introduce({ folder }: Party, url: string, key: string): void {
  writeFileSync(join(folder, CONFIG), JSON.stringify({ profiles: { default: { url, key } } }), { mode: 0o600 });
}

/** A student's prompt as a plain PEFT adapter, which the target takes for one of its own. */
export function withoutManifest(prompt: string, copy: string): void {
  mkdirSync(copy, { recursive: true });
  for (const file of ["adapter_config.json", "adapter_model.safetensors"]) {
    copyFileSync(join(prompt, file), join(copy, file));
  }
}

function jsonl(texts: readonly string[]): string {
  return texts.map((text) => `${JSON.stringify({ text })}\n`).join("");
}

/** `softpost serve` with the smallest of models, and prompts that a client tuned. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { tinyStudent } from "../helpers/student.ts";
import { type Served, serve } from "../service/served.ts";

export interface WebProvider {
  readonly served: Served;
  /** Prompt folders: one tuned with privacy, one without. */
  readonly prompts: { readonly private: string; readonly plain: string };
  /** Starts it again, with what it has. */
  restart(): Promise<Served>;
}

export async function startWebProvider(folder: string): Promise<WebProvider> {
  const at = (name: string) => join(folder, name);
  const student = await tinyStudent(folder);
  // Enough texts for some to be held out.
  const texts = ["train", "test"].map((name) => readFileSync(fixture(`tiny-task/${name}.jsonl`), "utf8"));
  writeFileSync(at("news.jsonl"), texts.join(""));
  const published = ["--target", fixture("tiny-gpt2"), "--student", student, "--public", at("news.jsonl")];
  const limits = ["--epsilon-limit", "30", "--delta-limit", "1e-2"];
  const served = await serve(at("provider"), ...published, ...limits, "--quiet");
  const tune = async (out: string, ...more: string[]) => {
    const task = ["--task", fixture("tiny-task/task.json"), "--train", fixture("tiny-task/train.jsonl")];
    const few = ["--prompt-tokens", "4", "--batch-size", "4", "--steps", "3", ...more, "--out", at(out)];
    const { code, stderr } = await softpost("tune", "--model", student, ...task, ...few);
    if (code !== 0) throw new Error(stderr);
    return at(out);
  };
  const prompts = {
    private: await tune("private", "--epsilon", "8", "--delta", "1e-2"),
    plain: await tune("plain"),
  };
  return { served, prompts, restart: () => serve(at("provider"), "--quiet") };
}

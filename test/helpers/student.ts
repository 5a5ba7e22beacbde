import { join } from "node:path";
import { fixture } from "./fixtures.ts";
import { softpost } from "./softpost.ts";

/** Distils tiny-gpt2, by one step, into a student of two of its three layers; returns its folder, within `folder`. */
export async function tinyStudent(folder: string): Promise<string> {
  const out = join(folder, "student");
  const corpus = ["--target", fixture("tiny-gpt2"), "--public", fixture("tiny-task/train.jsonl")];
  const few = ["--steps", "1", "--max-length", "12", "--batch-size", "2"];
  const { code, stderr } = await softpost("distill", ...corpus, ...few, "--out", out);
  if (code !== 0) throw new Error(stderr);
  return out;
}

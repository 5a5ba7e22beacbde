/**
 * Writes what the demo and its model are made of, the same bytes every time: `node demo/corpora/prepare.ts OUTDIR`.
 *
 *     pretrain/<source>.jsonl      public documents, {"text"} a line, one file a source
 *     pretrain-heldout.jsonl       1 % of the documents of every source, in none of the files above
 *     topic/, kinds/, mailbox/     task.json, train.jsonl and test.jsonl (private, {"text", "label"}), public.jsonl ({"text"})
 *     tokenizer/                   tokenizer.json and tokenizer_config.json, learned from pretrain/
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { tokenizerFiles } from "../tokenizer/files.ts";
import { trainBpe } from "../tokenizer/train-bpe.ts";
import { kindsTask } from "./kinds.ts";
import { mailboxTask, publicMailPassages } from "./mailbox.ts";
import { brown, mobyDick, stateOfTheUnion } from "./prose.ts";
import type { TaskFiles } from "./task-files.ts";
import { hashFraction, hashOrder } from "./text.ts";
import { dictionaryEntry, splitTopics, topicTask } from "./topic.ts";
import { wordnet } from "./wordnet.ts";

const HELD_OUT = 0.01;
const VOCABULARY = 6144;

/** The public documents by source, in an order without neighbours from one text. */
export function pretraining(): ReadonlyMap<string, readonly string[]> {
  const sources = {
    brown: brown(),
    "moby-dick": mobyDick(),
    "state-of-the-union": stateOfTheUnion(),
    wordnet: splitTopics(wordnet()).public.map(dictionaryEntry),
    mail: publicMailPassages(),
  };
  return new Map(
    Object.entries(sources).map(([name, texts]) => [name, hashOrder([...new Set(texts)], (text) => text)]),
  );
}

/** The private tasks of the demo with their public texts. */
export function demoTasks(): TaskFiles[] {
  const synsets = wordnet();
  const split = splitTopics(synsets);
  return [topicTask(split), kindsTask(synsets, split)];
}

/** These, and the one that is for studies only. */
export function tasks(): TaskFiles[] {
  return [...demoTasks(), mailboxTask()];
}

/** Writes the task's four files under `folder/<name>`. */
export function writeTask(folder: string, { task, train, test, public: texts }: TaskFiles): void {
  const at = (file: string) => join(folder, task.name, file);
  write(at("task.json"), `${JSON.stringify(task, null, 2)}\n`);
  write(at("train.jsonl"), jsonl(train));
  write(at("test.jsonl"), jsonl(test));
  write(at("public.jsonl"), jsonl(texts.map((text) => ({ text }))));
}

function write(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

function jsonl(rows: readonly object[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}

function main(folder: string): void {
  const kept: string[] = [];
  const heldOut: string[] = [];
  for (const [name, texts] of pretraining()) {
    const train = texts.filter((text) => hashFraction(`held out ${text}`) >= HELD_OUT);
    heldOut.push(...texts.filter((text) => hashFraction(`held out ${text}`) < HELD_OUT));
    kept.push(...train);
    write(join(folder, "pretrain", `${name}.jsonl`), jsonl(train.map((text) => ({ text }))));
    console.log(`pretrain/${name}.jsonl: ${train.length} documents, ${characters(train)} characters`);
  }
  write(join(folder, "pretrain-heldout.jsonl"), jsonl(heldOut.map((text) => ({ text }))));
  console.log(`pretrain-heldout.jsonl: ${heldOut.length} documents, ${characters(heldOut)} characters`);
  for (const files of tasks()) {
    writeTask(folder, files);
    console.log(
      `${files.task.name}: ${files.train.length} to train, ${files.test.length} to test, ${files.public.length} public`,
    );
  }
  const bpe = trainBpe(kept, VOCABULARY);
  for (const [name, content] of Object.entries(tokenizerFiles(bpe))) write(join(folder, "tokenizer", name), content);
  console.log(`tokenizer: ${bpe.tokens.length} tokens; pretrain/ has ${bpe.tokensLearnedFrom}`);
}

function characters(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + text.length, 0);
}

if (import.meta.main) {
  const folder = process.argv[2];
  if (folder === undefined) {
    console.error("usage: node demo/corpora/prepare.ts OUTDIR");
    process.exit(2);
  }
  main(folder);
}

/** The batch by itself: who is held up by whom, and who leaves when. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Batcher } from "../../../serving/engine/batcher.ts";
import { Choice } from "../../../serving/engine/choice.ts";
import { Engine } from "../../../shared/graph/engine.ts";
import type { Model } from "../../../shared/models/model.ts";
import { Decoder, type Prefix } from "../../../shared/training/decoder.ts";
import { rejection } from "../../helpers/problem.ts";
import { tinyModel } from "../../helpers/tiny-gpt2.ts";
import { longModel } from "../models.ts";

const folder = mkdtempSync(join(tmpdir(), "softpost-batcher-"));
let engine: Engine;
let model: Model;
beforeAll(async () => {
  engine = new Engine({ threads: 1 });
  model = await tinyModel(await longModel(folder));
});
afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true });
});

const decode = async (ids: readonly number[]) => ids.map((id) => ` t${id}`).join("");
const options = (maxNewTokens: number) => ({ decode, stop: [], endIds: new Set<number>(), maxNewTokens });
const text = (length: number) => Int32Array.from({ length }, (_, i) => (7 * i) % 40);

async function open(slots: number, steps: number[] = []) {
  const decoder = await Decoder.open(engine, model, slots);
  const onFailure = (error: Error) => {
    throw error;
  };
  return new Batcher(decoder, { onStep: (rows) => steps.push(rows), onFailure });
}

/** Continues a text, and says how many tokens others had when it began, and its own. */
function go(
  batcher: Batcher,
  ids: Int32Array,
  maxNewTokens: number,
  {
    count = 1,
    onGrowth = () => {},
    onBegin = () => {},
    prefix,
  }: { count?: number; onGrowth?: () => void; onBegin?: () => void; prefix?: Prefix } = {},
) {
  const abort = new AbortController();
  const choices = Array.from({ length: count }, () => new Choice(options(maxNewTokens)));
  const state = { begun: false };
  const done = batcher.continue({
    ids,
    prefix,
    choices,
    signal: abort.signal,
    onBegin: () => {
      state.begun = true;
      onBegin();
    },
    onGrowth,
  });
  return { choices, done, abort, state };
}

test("a long text is read piece by piece, while others go on and short ones pass it by; the answers are those without company", async () => {
  const alone = await open(1);
  const long = text(1000);
  const wanted = go(alone, long, 5);
  await wanted.done;
  const short = go(alone, text(9), 5);
  await short.done;

  const batcher = await open(4);
  const other = go(batcher, text(3), 400);
  const seen: number[] = [];
  while (other.choices[0]!.made < 3) await new Promise(setImmediate);
  const before = other.choices[0]!.made;
  const first = go(batcher, long, 5, { onGrowth: () => seen.push(other.choices[0]!.made) });
  while (!first.state.begun) await new Promise(setImmediate);
  const passing = go(batcher, text(9), 5, { onGrowth: () => seen.push(-1) });
  await Promise.all([first.done, passing.done]);
  // Sixteen pieces of 64 tokens, and a step of the other between two of them.
  expect(seen.find((made) => made > 0)! - before).toBeGreaterThanOrEqual(15);
  expect(seen[0]).toBe(-1);
  expect(first.choices[0]!.piece()).toEqual(wanted.choices[0]!.piece());
  expect(passing.choices[0]!.piece()).toEqual(short.choices[0]!.piece());
  other.abort.abort();
  await other.done;
});

test("who is aborted leaves within a step: while it is decoded, read, or waits", async () => {
  const steps: number[] = [];
  const batcher = await open(2, steps);
  const stays = go(batcher, text(4), 60);
  const leaves = go(batcher, text(5), 500, {
    onGrowth: () => {
      if (leaves.choices[0]!.made === 3) leaves.abort.abort();
    },
  });
  const waits = go(batcher, text(6), 500);
  waits.abort.abort();
  await Promise.all([leaves.done, waits.done]);
  expect(leaves.choices[0]!.made).toBe(3);
  expect(waits.choices[0]!.made).toBe(0);
  expect(batcher.load).toEqual({ waiting: 0, rows: 1 });
  const reads = go(batcher, text(1900), 5);
  while (!reads.state.begun) await new Promise(setImmediate);
  reads.abort.abort();
  await reads.done;
  expect(reads.choices[0]!.made).toBe(0);
  await stays.done;
  expect(stays.choices[0]!.made).toBe(60);
  expect(steps.filter((rows) => rows > 1)).toHaveLength(2);
});

test("who needs several places isn't overtaken for ever by who needs one", async () => {
  const batcher = await open(4);
  const order: string[] = [];
  const ones = Array.from({ length: 12 }, (_, i) => go(batcher, text(3 + i), 6));
  const four = go(batcher, text(7), 6, { count: 4 });
  const later = Array.from({ length: 4 }, (_, i) => go(batcher, text(20 + i), 6));
  for (const [i, one] of [...ones, four, ...later].entries())
    void one.done.then(() => order.push(i === 12 ? "four" : "one"));
  await Promise.all([...ones, four, ...later].map(({ done }) => done));
  expect(order.indexOf("four")).toBeLessThanOrEqual(12);
  const pieces = four.choices.map((choice) => choice.piece().text);
  expect(new Set(pieces).size).toBe(1);
});

test("questions are answered as a continuation begins, whatever they share a batch with", async () => {
  const batcher = await open(2);
  const company = go(batcher, text(3), 200);
  const signal = new AbortController().signal;
  const ask = (length: number) => batcher.ask({ ids: text(length), prefix: undefined, signal, onBegin: () => {} });
  for (const length of [1, 17, 100, 300]) {
    const [scores] = await Promise.all([ask(length), ask(5), ask(64)]);
    const best = scores!.indexOf(Math.max(...scores!));
    const { choices, done } = go(batcher, text(length), 1);
    await done;
    expect(choices[0]!.piece().text).toBe(` t${best}`);
  }
  const gone = new AbortController();
  const question = batcher.ask({ ids: text(9), prefix: undefined, signal: gone.signal, onBegin: () => {} });
  gone.abort();
  await expect(question).rejects.toThrow(/nobody waits/);
  company.abort.abort();
  await company.done;
});

const nothing = new AbortController().signal;
const whole = (prefix: Prefix | undefined, ids: Int32Array) => ({ ids, prefix, signal: nothing, onBegin: () => {} });

test("a prompt that makes no numbers fails who uses it, and nobody else", async () => {
  const batcher = await open(4);
  const wanted = go(batcher, text(30), 40);
  await wanted.done;
  const broken = await batcher.prefix({ shape: [4, 64], data: new Float32Array(256).fill(Number.NaN) });
  const company = go(batcher, text(30), 40);
  const failing = [text(2), text(300)].map((ids) => go(batcher, ids, 9, { prefix: broken }));
  const several = go(batcher, text(2), 9, { prefix: broken, count: 2 });
  for (const { done } of [...failing, several]) expect(await rejection(done)).toMatch(/scores .* NaN or infinity/);
  expect((await batcher.ask(whole(broken, text(3)))).every(Number.isNaN)).toBe(true);
  // What comes in their places has nothing of them.
  const after = Array.from({ length: 3 }, () => go(batcher, text(30), 40));
  await Promise.all([company, ...after].map(({ done }) => done));
  const said = wanted.choices[0]!.piece().text;
  for (const { choices } of [company, ...after]) expect(choices[0]!.piece().text).toBe(said);
  expect(batcher.load).toEqual({ waiting: 0, rows: 0 });
});

test("a request that can't be read, or that fails at what it is told, fails alone", async () => {
  const batcher = await open(4);
  const company = go(batcher, text(3), 30);
  expect(await rejection(go(batcher, text(2040), 10).done)).toMatch(/2049 positions; the model has 2048/);
  expect(await rejection(batcher.ask(whole(undefined, Int32Array.of(40))))).toMatch(/can't be read/);
  const fail = () => {
    throw new Error("gone");
  };
  await expect(go(batcher, text(3), 5, { onGrowth: fail }).done).rejects.toThrow("gone");
  await expect(batcher.ask({ ...whole(undefined, text(3)), onBegin: fail })).rejects.toThrow("gone");
  for (const length of [3, 300])
    await expect(go(batcher, text(length), 5, { onBegin: fail }).done).rejects.toThrow("gone");
  await company.done;
  expect(company.choices[0]!.made).toBe(30);
  expect(batcher.load).toEqual({ waiting: 0, rows: 0 });
});

test("where the engine fails, all who wait are told, those that are being read too", async () => {
  const decoder = await Decoder.open(engine, model, 2);
  const failures: Error[] = [];
  const batcher = new Batcher(decoder, { onStep: () => {}, onFailure: (error) => failures.push(error) });
  const row = go(batcher, text(4), 500);
  while (row.choices[0]!.made < 2) await new Promise(setImmediate);
  decoder.look = () => Promise.reject(new Error("out of memory"));
  const asked = batcher.ask(whole(undefined, text(5)));
  const waiting = go(batcher, text(6), 5, { count: 2 });
  for (const promise of [asked, row.done, waiting.done]) await expect(promise).rejects.toThrow("out of memory");
  await expect(go(batcher, text(3), 5).done).rejects.toThrow("out of memory");
  expect(failures).toHaveLength(1);
});

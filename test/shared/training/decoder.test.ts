/** Decoding with kept keys and values against PEFT's and transformers' generate: golden/make_generation.py. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "../../../shared/graph/engine.ts";
import { Decoder, type Prefix } from "../../../shared/training/decoder.ts";
import { expectNear, goldenTensors } from "../../helpers/golden.ts";
import { problem, rejection } from "../../helpers/problem.ts";
import { tinyModel } from "../../helpers/tiny-gpt2.ts";

const folder = new URL("golden/generation/", import.meta.url);
const NEW = 32;

let engine: Engine;
beforeAll(() => {
  engine = new Engine({ threads: 1 });
});
afterAll(() => engine.close());

/** Greedy tokens behind each text, `[rows, NEW]`; each begins with its own prefix. A row joins whenever there is a place. */
async function greedy(decoder: Decoder, texts: readonly Int32Array[], prefixes: readonly (Prefix | undefined)[]) {
  const waiting = texts.map((_, i) => i);
  const active: number[] = [];
  const out: number[][] = texts.map(() => []);
  const leaving = async () => {
    for (let row = active.length - 1; row >= 0; row--) {
      if (out[active[row]!]!.length < NEW) continue;
      await decoder.leave(row);
      const last = active.pop()!;
      if (row < active.length) active[row] = last;
    }
  };
  const advance = async () => {
    const { best } = await decoder.step(Int32Array.from(active, (index) => out[index]!.at(-1)!));
    active.forEach((index, row) => {
      out[index]!.push(best[row]!);
    });
  };
  while (waiting.length + active.length > 0) {
    if (waiting.length > 0 && active.length < decoder.slots) {
      // The first one by itself, so that rows join others that are further on.
      const joining = waiting.splice(0, active.length === 0 ? 1 : decoder.slots - active.length);
      const { best } = await decoder.join(joining.map((index) => ({ ids: texts[index]!, prefix: prefixes[index] })));
      active.push(...joining);
      joining.forEach((index, i) => {
        out[index]!.push(best[i]!);
      });
      if (active.length > joining.length) continue;
      await advance();
    } else {
      await advance();
    }
    await leaving();
  }
  return out;
}

describe.each(readdirSync(folder))("%s", (name) => {
  const tensor = goldenTensors(new URL(`${name}/golden.safetensors`, folder));
  const [B, T] = tensor("ids").shape as [number, number];
  const texts = Array.from({ length: B }, (_, row) =>
    Int32Array.from(tensor("ids").data.subarray(row * T, row * T + tensor("starts").data[row]!)),
  );
  const wanted = (of: string) =>
    Array.from({ length: B }, (_, row) => [...tensor(of).data.subarray(row * NEW, (row + 1) * NEW)]);
  const open = async (slots: number) =>
    Decoder.open(engine, await tinyModel(fileURLToPath(new URL(name, folder))), slots);

  test.each([1, 2, 4])("32 greedy tokens in a batch of up to %i rows of other lengths", async (slots) => {
    const decoder = await open(slots);
    const prefix = await decoder.prefix(tensor("prompt"));
    expect(
      await greedy(
        decoder,
        texts,
        texts.map(() => prefix),
      ),
    ).toEqual(wanted("decoded"));
    expect(
      await greedy(
        decoder,
        texts,
        texts.map(() => undefined),
      ),
    ).toEqual(wanted("bare"));
    await decoder.close();
  });

  test("rows with a prompt and without in one batch", async () => {
    const decoder = await open(3);
    const prefix = await decoder.prefix(tensor("prompt"));
    const got = await greedy(
      decoder,
      texts,
      texts.map((_, row) => (row % 2 === 0 ? prefix : undefined)),
    );
    expect(got).toEqual(texts.map((_, row) => wanted(row % 2 === 0 ? "decoded" : "bare")[row]));
    await decoder.close();
  });

  test("a prompt and texts that are read aside, piece by piece, while rows go on; and looks that leave nothing", async () => {
    const decoder = await open(B + 1);
    const prompt = tensor("prompt");
    const [P, D] = prompt.shape as [number, number];
    await decoder.begin();
    for (const row of Array.from({ length: P }).keys()) {
      await decoder.read({ shape: [1, D], data: prompt.data.subarray(row * D, (row + 1) * D) });
    }
    const prefix = await decoder.keep();
    const { best } = await decoder.join([{ ids: texts[0]!, prefix }]);
    const out = [[best[0]!]];
    for (const [row, ids] of texts.entries()) {
      if (row === 0) continue;
      await decoder.begin(prefix);
      const looked = await decoder.look([{ ids, prefix }, { ids: texts[0]! }]);
      let next = await decoder.read(ids.subarray(0, 1));
      for (const id of ids.subarray(1)) {
        next = await decoder.read(Int32Array.of(id));
        const step = await decoder.step(Int32Array.from(out, (own) => own.at(-1)!));
        for (const [i, own] of out.entries()) own.push(step.best[i]!);
      }
      await decoder.settle(1);
      out.push([next.best[0]!]);
      expect(looked.best[0]).toBe(wanted("decoded")[row]![0]);
      expect(looked.best[1]).toBe(wanted("bare")[0]![0]);
    }
    while (out.some((own) => own.length < NEW)) {
      const { best } = await decoder.step(Int32Array.from(out, (own) => own.at(-1)!));
      for (const [i, own] of out.entries()) own.push(best[i]!);
    }
    expect(out.map((own) => own.slice(0, NEW))).toEqual(wanted("decoded"));
    await decoder.close();
  });

  test("a text behind a prompt that nearly fills the positions, beside a longer one", async () => {
    const decoder = await open(3);
    const length = 60;
    const value = { shape: [length, 16], data: Float32Array.from({ length: length * 16 }, (_, i) => Math.sin(i) / 10) };
    const texts = [
      { ids: Int32Array.of(3, 5, 7), prefix: await decoder.prefix(value) },
      { ids: Int32Array.from({ length: 50 }, (_, i) => (7 * i) % 40) },
      { ids: Int32Array.of(2, 9) },
    ];
    const alone: Float32Array[] = [];
    for (const text of texts) alone.push((await decoder.look([text])).scores!);
    for (const together of [await decoder.look(texts), await decoder.join(texts, true)]) {
      expectNear(
        { shape: [3, 40], data: together.scores! },
        { shape: [3, 40], data: Float32Array.from(alone.flatMap((scores) => [...scores])) },
        1e-5,
        "scores",
      );
    }
    await decoder.close();
  });

  test("what isn't a number says so, and stays with its row", async () => {
    const decoder = await open(2);
    const broken = await decoder.prefix({ shape: [2, 16], data: new Float32Array(32).fill(Number.NaN) });
    const [short, long] = [{ ids: Int32Array.of(3, 5) }, { ids: Int32Array.from({ length: 20 }, (_, i) => i) }];
    const wanted = (await decoder.look([long])).best[0];
    for (const read of ["look", "join"] as const) {
      const { best, areNumbers } = await decoder[read]([{ ...short, prefix: broken }, long]);
      expect(areNumbers).toEqual([false, true]);
      expect(best[1]).toBe(wanted);
    }
    expect((await decoder.step(Int32Array.of(1, wanted!))).areNumbers).toEqual([false, true]);
    await decoder.leave(0);
    // Into the memory of the row that left, and beside it.
    await decoder.join([short]);
    expect((await decoder.step(Int32Array.of(1, 1))).areNumbers).toEqual([true, true]);
    await decoder.close();
  });

  test("what can't be read is refused before anything is changed", async () => {
    const decoder = await open(2);
    const { best } = await decoder.join([{ ids: Int32Array.of(3) }]);
    for (const [ids, message] of [
      [new Int32Array(65), /65 positions; the model has 64/],
      [new Int32Array(0), /no token, or one/],
      [Int32Array.of(40), /no token, or one/],
    ] as const) {
      expect(problem(() => decoder.requireFits({ ids }))).toMatch(message);
      expect(await rejection(decoder.join([{ ids }]))).toMatch(message);
    }
    expect(problem(() => decoder.requireFits({ ids: new Int32Array(60) }, 5))).toMatch(/65 positions/);
    expect((await decoder.step(best)).best).toHaveLength(1);
    await decoder.close();
  });
});

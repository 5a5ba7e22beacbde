import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Draws, seededRandom } from "../../../shared/protocol/random.ts";
import { GrowingAnswer } from "../../../shared/training/answer.ts";
import { isExact, wordF1 } from "../../../shared/training/answer-figures.ts";
import { candidates, sample } from "../../../shared/training/sampling.ts";
import { goldenTensors } from "../../helpers/golden.ts";

const golden = JSON.parse(readFileSync(new URL("golden/generation.json", import.meta.url), "utf8"));

/** A byte-level tokenizer's decoding: token i is some bytes, and half a character becomes U+FFFD. */
function bytesOf(tokens: readonly (string | Uint8Array)[]) {
  const encoder = new TextEncoder();
  const bytes = tokens.map((token) => (typeof token === "string" ? encoder.encode(token) : token));
  return async (ids: readonly number[]) => new TextDecoder().decode(Buffer.concat(ids.map((id) => bytes[id]!)));
}

const END = -1;

/** Pushes tokens 0, 1, … until the answer is finished; gives the pieces that were shown on the way, too. */
async function answer(tokens: readonly (string | Uint8Array | null)[], stop: readonly string[], maxNewTokens = 99) {
  const decode = bytesOf(tokens.map((token) => token ?? ""));
  const growing = new GrowingAnswer({ decode, stop, endIds: new Set([END]), maxNewTokens });
  const pieces: string[] = [];
  for (const [id, token] of tokens.entries()) {
    await growing.push(token === null ? END : id);
    pieces.push(growing.take());
    if (growing.finish) break;
  }
  return { ...growing.answer, pieces };
}

describe("an answer", () => {
  test("ends at a stop string of its own token, which is no part of it", async () => {
    expect(await answer([" steven", " spiel", "berg", "\n", "x"], ["\n"])).toMatchObject({
      text: " steven spielberg",
      ids: [0, 1, 2],
      finish: "stop",
    });
  });

  test("ends where a stop string ends in the middle of a token", async () => {
    expect(await answer([" john", " woo.\nThe", " next"], [".\n"])).toMatchObject({ text: " john woo", ids: [0, 1] });
  });

  test("ends where a stop string spans tokens, and shows nothing of it before", async () => {
    const { text, ids, pieces } = await answer([" a", " b#", "#", "# c"], ["###"]);
    expect({ text, ids }).toEqual({ text: " a b", ids: [0, 1] });
    expect(pieces).toEqual([" a", " b", "", ""]);
  });

  test("shows what only looked like a stop string once it isn't", async () => {
    expect((await answer([" a#", "#", " b"], ["###"])).pieces).toEqual([" a", "", "## b"]);
  });

  test("ends at the first of several stop strings, and at the end token", async () => {
    expect((await answer(["a;b\nc"], ["\n", ";"])).text).toBe("a");
    expect(await answer(["a", "b", null, "c"], ["\n"])).toMatchObject({ text: "ab", ids: [0, 1], finish: "stop" });
    expect(await answer(["\n"], ["\n"])).toMatchObject({ text: "", ids: [], finish: "stop" });
  });

  test("has at most so many tokens, and never half a character", async () => {
    const euro = new TextEncoder().encode("€");
    const half = [" 5", euro.subarray(0, 1), euro.subarray(1)];
    expect(await answer(half, [], 2)).toMatchObject({ text: " 5", ids: [0, 1], finish: "length" });
    expect(await answer(half, [], 3)).toMatchObject({ text: " 5€", ids: [0, 1, 2], pieces: [" 5", "", "€"] });
  });

  test("shown in pieces is the whole answer, whatever the tokens and the stop strings", async () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "€", "😀"), maxLength: 12 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "€"), minLength: 1, maxLength: 3 }), {
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(letters, stops, fc.array(fc.integer({ min: 1, max: 3 })), async (text, stop, cuts) => {
        const bytes = new TextEncoder().encode(text);
        const tokens: Uint8Array[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = cuts[i] ?? 1;
          tokens.push(bytes.subarray(at, at + size));
          at += size;
        }
        // The first token with which one of them is whole ends it: one that begins before but is whole later comes too late.
        const grown = tokens.map((_, i) => new TextDecoder().decode(Buffer.concat(tokens.slice(0, i + 1))));
        const ended = grown.find((so) => stop.some((each) => so.includes(each))) ?? "";
        const found = stop.map((each) => ended.indexOf(each)).filter((at) => at >= 0);
        const { pieces, ...made } = await answer(tokens, stop, Math.max(1, tokens.length));
        expect(made.text).toBe(found.length > 0 ? text.slice(0, Math.min(...found)) : text);
        expect(pieces.join("")).toBe(made.text);
      }),
    );
  });
});

test.each(golden.answers as { answer: string; target: string; exact: boolean; f1: number }[])(
  "'$answer' for '$target' scores as SQuAD's script says",
  ({ answer: given, target, exact, f1 }) => {
    expect(isExact(given, target)).toBe(exact);
    expect(wordF1(given, target)).toBeCloseTo(f1, 12);
  },
);

describe("sampling", () => {
  const tensor = goldenTensors(new URL("golden/generation/gpt2/golden.safetensors", import.meta.url));
  const [rows, V] = tensor("logits").shape as [number, number];
  const row = (name: string, i: number) => (tensor(name).data as Float32Array).subarray(i * V, (i + 1) * V);

  test.each((golden.samplings as object[]).map((sampling, index) => ({ sampling, index })))(
    "with $sampling leaves what transformers leaves",
    ({ sampling, index }) => {
      for (let i = 0; i < rows; i++) {
        const left = new Float32Array(V);
        const { ids, probabilities } = candidates(row("logits", i), sampling);
        for (const [at, id] of ids.entries()) left[id] = probabilities[at]!;
        left.forEach((probability, id) => {
          expect(probability).toBeCloseTo(row(`kept.${index}`, i)[id]!, 5);
        });
      }
    },
  );

  test("draws as often as it is probable, and the same again with the same seed", () => {
    const scores = row("logits", 0);
    const sampling = { topK: 4 };
    const draw = (seed: number) => {
      const draws = new Draws(seededRandom(seed));
      return Array.from({ length: 4000 }, () => sample(scores, sampling, draws));
    };
    const drawn = draw(1);
    expect(draw(1)).toEqual(drawn);
    const { ids, probabilities } = candidates(scores, sampling);
    for (const [at, id] of ids.entries()) {
      const probability = probabilities[at]!;
      const share = drawn.filter((each) => each === id).length / drawn.length;
      // Five standard errors.
      expect(Math.abs(share - probability)).toBeLessThan(
        5 * Math.sqrt((probability * (1 - probability)) / drawn.length),
      );
    }
  });
});

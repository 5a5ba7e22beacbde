import { describe, expect, test } from "vitest";
import type { Env } from "../../../edge/env.ts";
import { priceOf } from "../../../edge/transfers/price.ts";
import type { PublicSet, Student } from "../../../shared/protocol/catalogue.ts";
import type { Manifest } from "../../../shared/protocol/manifest.ts";
import { optionsSchema } from "../../../shared/protocol/transfer-options.ts";

const env = {
  PROMPTS: { get: async () => null },
  PRICE_MICROS: "1000",
  DEVICE: "d",
  CURRENCY: "USD",
} as unknown as Env;
const manifest = { task: { maxLength: 20 }, prompt: { virtualTokens: 5 } } as Manifest;
const student = { target: { digest: "t" }, tokensPerSecond: 1000 } as Student;

async function workOf(options: object, ...sizes: number[]): Promise<number> {
  return workOn(student, options, ...sizes);
}

async function workOn(student: Student, options: object, ...sizes: number[]): Promise<number> {
  const all = optionsSchema.parse({ dataset: "d", publicSet: "p", steps: 10, batchSize: 4, ...options });
  const publicSets = (sizes.length > 0 ? sizes : [200]).map((examples) => ({ examples }) as PublicSet);
  return (await priceOf(env, { manifest, options: all, student, publicSets })).work;
}

/** Token positions: three times the steps' texts and prompt, then the passes over the public set, then the held-out texts. */
describe("the work that a quote is made from", () => {
  test.each([
    ["the defaults", {}, 3 * 10 * (4 * 20 + 5) + 200 * 20 + 20 * 20],
    ["the movement term: two more passes", { alpha: 0.5 }, 3 * 10 * (4 * 20 + 5) + 3 * 200 * 20 + 20 * 20],
    [
      "two starts: all steps twice",
      { starts: ["words", "prompt"] },
      2 * 3 * 10 * (4 * 20 + 5) + 200 * 20 + 2 * 20 * 20,
    ],
    ["chosen texts: all are read, fewer held out", { selected: 50 }, 3 * 10 * (4 * 20 + 5) + 200 * 20 + 5 * 20],
  ])("%s", async (_, options, work) => {
    expect(await workOf(options)).toBe(work);
  });

  test("with a masked model, which computes the prompt with every text that it sees it with", async () => {
    const masked = { ...student, architecture: "roberta" } as Student;
    const walked = 3 * 10 * 4 * (20 + 5);
    expect(await workOn(masked, {})).toBe(walked + (200 + 20) * (20 + 5));
    expect(await workOn(masked, { alpha: 0.5 })).toBe(walked + (200 + 20) * (20 + 5) + 2 * 200 * 20);
  });

  test("a set too small to hold texts out, and one of which only 500 are", async () => {
    expect(await workOf({}, 9)).toBe(3 * 10 * 85 + 9 * 20);
    expect(await workOf({ steps: 10_000 }, 20_000)).toBe(3 * 10_000 * 85 + 20_000 * 20 + 500 * 20);
  });

  test("a set of more texts than the steps can see, and one of which texts are chosen", async () => {
    expect(await workOf({}, 1e6)).toBe(3 * 10 * 85 + (40 + 500) * 20 + 500 * 20);
    expect(await workOf({ selected: 300, alpha: 0.5 }, 1e6)).toBe(3 * 10 * 85 + (1e6 + 2 * 300) * 20 + 30 * 20);
  });

  test("of several sets the largest, and texts of each to rank it by", async () => {
    expect(await workOf({}, 100, 9000, 300)).toBe((await workOf({}, 9000)) + (100 + 500 + 300) * 20);
  });

  test("starts that are named twice or not at all are refused", () => {
    const base = { dataset: "d", publicSet: "p" };
    expect(optionsSchema.safeParse({ ...base, starts: ["words", "words"] }).success).toBe(false);
    expect(optionsSchema.safeParse({ ...base, starts: [] }).success).toBe(false);
    expect(optionsSchema.safeParse({ ...base, selected: 3 }).success).toBe(false);
  });
});

import { expect, test } from "vitest";
import { together } from "../../serving/together.ts";

const signal = new AbortController().signal;

test("parts are given in their order", async () => {
  const wait = (part: number) => new Promise<number>((resolve) => setTimeout(() => resolve(2 * part), 10 - part));
  expect(await together(signal, [1, 9, 5], wait)).toEqual([2, 18, 10]);
});

test("where one fails, the others are aborted, and it isn't over before they are", async () => {
  let left = 0;
  const parts = together(signal, [0, 1, 2], async (part, own) => {
    if (part === 1) throw new Error("the second");
    await new Promise((resolve) => own.addEventListener("abort", resolve));
    await new Promise(setImmediate);
    left += 1;
  });
  await expect(parts).rejects.toThrow("the second");
  expect(left).toBe(2);
});

test("the request's own signal reaches them", async () => {
  const abort = new AbortController();
  const parts = together(abort.signal, [0], async (_, own) => {
    abort.abort();
    return own.aborted;
  });
  expect(await parts).toEqual([true]);
});

/** Rows of a file for predictions, in whatever chunks they come, and how long they may take. */
import { afterEach, expect, test, vi } from "vitest";
import { chunksInTime } from "../../../edge/http/upload.ts";
import { Rows } from "../../../edge/inference/store-texts.ts";
import type { ProblemError } from "../../../shared/protocol/errors.ts";

const encoder = new TextEncoder();
const inChunks = (bytes: Uint8Array, size: number) =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));

afterEach(() => {
  vi.useRealTimers();
});

function read(chunks: readonly Uint8Array[]): Rows {
  const rows = new Rows();
  for (const chunk of chunks) rows.take(chunk);
  return rows;
}

test("rows are the same ones in chunks of any size", () => {
  const texts = ["short", "é — 漢字", "", "x".repeat(3000)].map((text) => JSON.stringify({ text }));
  const bytes = encoder.encode(`${texts.join("\n")}\n\n`);
  for (const size of [1, 2, 7, 4096]) expect(read(inChunks(bytes, size)).end()).toBe(texts.length);
});

test("a long line in small chunks is put together once, and none of it is read twice for its end", () => {
  const line = encoder.encode(`${JSON.stringify({ text: "x".repeat(100_000) })}\n`);
  const split = vi.spyOn(String.prototype, "split");
  const join = vi.spyOn(Array.prototype, "join");
  expect(read(inChunks(line, 64)).end()).toBe(1);
  const searched = split.mock.contexts.reduce((sum: number, text) => sum + String(text).length, 0);
  const longest = join.mock.results.filter(({ value }) => String(value).length > 1000).length;
  vi.restoreAllMocks();
  expect(searched).toBe(line.length);
  expect(longest).toBe(1);
});

test("what a job would refuse is refused: a key that is there twice, a line that is too long", () => {
  const faultsOf = (text: string) => {
    try {
      return read([encoder.encode(text)]).end();
    } catch (error) {
      return (error as ProblemError).faults;
    }
  };
  expect(faultsOf('{"text":"a"}\n{"text":"secret","text":"b"}')).toEqual([
    { at: "body:2", message: "Says a key twice." },
  ]);
  expect(faultsOf('{"text":"a","more":{"x":1,"x":2}}')).toMatchObject([{ at: "body:1" }]);
  const long = `{"text":"${"x".repeat(1_100_000)}"}`;
  expect(faultsOf(long)).toEqual([{ at: "body:1", message: "Is too long." }]);
  expect(faultsOf(`{"text":"${"漢".repeat(400_000)}"}`)).toEqual([{ at: "body:1", message: "Is too long." }]);
  expect(faultsOf(`{"text":1}\n${long}\n{"text":"a"}`)).toMatchObject([{ at: "body:1" }, { at: "body:2" }]);
});

test("a body that comes byte by byte is given up, after a time that its length has", async () => {
  vi.useFakeTimers();
  const dripping = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, 29_000));
      controller.enqueue(Uint8Array.of(120));
    },
  });
  const read: number[] = [];
  const all = async () => {
    for await (const chunk of chunksInTime(dripping, 7_000_000)) read.push(chunk.length);
  };
  const end = all().catch((error: ProblemError) => error.status);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(await end).toBe(408);
  // A minute, and 100 s for 7 MB.
  expect(read).toHaveLength(5);
});

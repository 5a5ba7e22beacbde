import { expect, test } from "vitest";
import { cacheFeeds, offsets, requireCacheSpace, SequenceCache } from "../../../shared/training/sequence-cache.ts";

const WIDTH = 2;
/** Answers of one, three and two tokens. */
const sequences = [1, 3, 2].map((answer) => ({ ids: new Int32Array(4 + answer), start: 4, readAt: 3 }));

test("a batch has the states of its texts, in its order", () => {
  const starts = offsets(sequences);
  expect(starts).toEqual([0, 1, 4, 6]);
  using cache = new SequenceCache(0.5);
  const states = Float32Array.from({ length: 6 * WIDTH }, (_, i) => i);
  for (const [i, stream] of [cache.prompted, cache.student!, cache.target!].entries()) {
    stream.append(states.map((value) => 100 * i + value));
  }
  const feeds = cacheFeeds(cache, starts, WIDTH, Int32Array.of(2, 0));
  expect(Object.keys(feeds)).toEqual(["cached.prompted", "cached.student", "cached.target"]);
  expect(feeds["cached.prompted"]).toEqual({ shape: [3, WIDTH], data: Float32Array.of(8, 9, 10, 11, 0, 1) });
  expect(feeds["cached.target"]!.data[0]).toBe(208);
  using alone = new SequenceCache(0);
  alone.prompted.append(states);
  expect(Object.keys(cacheFeeds(alone, starts, WIDTH, Int32Array.of(1)))).toEqual(["cached.prompted"]);
});

test("states that may be more than there is room for are refused before they are made", () => {
  const of = { texts: 16_500, positions: 129, width: 4096, alpha: 0 };
  expect(() => requireCacheSpace(of, 40e9)).not.toThrow();
  expect(() => requireCacheSpace(of, 30e9)).toThrow(
    /states of 16500 texts at up to 129 positions may take 34\.8 GB .*has 30\.0: fewer public texts, shorter answers \(maxNewTokens\) take less/,
  );
  expect(() => requireCacheSpace({ ...of, alpha: 0.5 }, 40e9)).toThrow(/104 GB.* or α 0 take less/);
  // What memory holds needs no room for files.
  expect(() => requireCacheSpace({ ...of, texts: 10, positions: 7 }, 0)).not.toThrow();
});

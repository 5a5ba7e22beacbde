import { expect, test } from "vitest";
import { PromptCache } from "../../serving/prompts/prompt-cache.ts";

/** A cache of 10 bytes whose prompts have 4 each, and what was loaded and released. */
function cacheOf(load: (key: string) => Promise<void> = async () => {}) {
  const [loaded, released, hits]: [string[], string[], boolean[]] = [[], [], []];
  const source = {
    nameOf: (key: string) => key,
    async load(key: string) {
      loaded.push(key);
      await load(key);
      return { value: key, bytes: 4 };
    },
    async release(value: string) {
      released.push(value);
    },
  };
  return { cache: new PromptCache(source, 10, (hit) => hits.push(hit)), loaded, released, hits };
}

const nothing = async () => {};

test("the last used ones are kept, as many as there is memory for", async () => {
  const { cache, loaded, released, hits } = cacheOf();
  for (const key of ["a", "b", "a", "c", "a", "b"]) await cache.use(key, nothing);
  expect(loaded).toEqual(["a", "b", "c", "b"]);
  expect(released).toEqual(["b", "c"]);
  expect(hits).toEqual([false, false, true, false, true, false]);
  expect(cache.size).toEqual({ prompts: 2, bytes: 8 });
});

test("two at once share one loading", async () => {
  const { cache, loaded } = cacheOf(() => new Promise((resolve) => setTimeout(resolve, 5)));
  expect(await Promise.all(["a", "a", "a"].map((key) => cache.use(key, async (value) => value)))).toEqual([
    "a",
    "a",
    "a",
  ]);
  expect(loaded).toEqual(["a"]);
});

test("one in use is never dropped, however much there is", async () => {
  const { cache, released } = cacheOf();
  const { promise, resolve } = Promise.withResolvers<void>();
  const used = ["a", "b", "c", "d"].map((key) => cache.use(key, () => promise));
  await cache.use("e", nothing);
  expect(released).toEqual(["e"]);
  expect(cache.size.bytes).toBe(16);
  resolve();
  await Promise.all(used);
  expect(cache.size).toEqual({ prompts: 2, bytes: 8 });
  expect(released).toHaveLength(3);
});

test("one that can't be loaded isn't kept, and whoever waits for it is told", async () => {
  let isBroken = true;
  const { cache, loaded } = cacheOf(async () => {
    if (isBroken) throw new Error("damaged");
  });
  const both = await Promise.allSettled([cache.use("a", nothing), cache.use("a", nothing)]);
  expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  isBroken = false;
  expect(await cache.use("a", async (value) => value)).toBe("a");
  expect(loaded).toEqual(["a", "a"]);
});

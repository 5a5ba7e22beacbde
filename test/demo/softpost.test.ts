/** How the demo runs commands. */
import { readdirSync, statSync, watch } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { softpost } from "../../demo/softpost.ts";
import { fixture } from "../helpers/fixtures.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const METRICS = ".metrics.jsonl";

test("a stopped command has ended, and saved its state, before the demo goes on", async () => {
  const stop = new AbortController();
  const party = { name: "provider", folder: temporaryFolder(), environment: {}, stop: stop.signal };
  // The first lines of the metrics say that it trains.
  const watcher = watch(party.folder, (_, name) => {
    if (name === METRICS && statSync(join(party.folder, METRICS)).size > 0) stop.abort();
  });
  const inputs = ["--target", fixture("tiny-gpt2"), "--public", fixture("tiny-task/train.jsonl"), "--max-length", "8"];
  const run = softpost(party, "distill", ...inputs, "--layers", "0,-1", "--steps", "1000000", "--out", "student");
  await expect(run).rejects.toThrow(/^softpost distill ended with exit code 130/);
  watcher.close();
  expect(readdirSync(party.folder).filter((name) => name !== METRICS)).toEqual([expect.stringContaining("student")]);
});

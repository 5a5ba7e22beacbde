/** A transfer that is killed again and again ends with the same bytes as one that is left in peace. */
import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadBundle } from "../../../infra/local/bundle.ts";
import { Draws, seededRandom } from "../../../shared/protocol/random.ts";
import { type Provider, startProvider } from "../../service/provider.ts";
import { type TransferJobs, transferJobs } from "../transfer-jobs.ts";

const KILLS = 20;
/** Some kills come before the first step, most between two steps or in the middle of a checkpoint. */
const MAX_MOMENT = 40;
/** Two dozen processes, on a machine that has much else to do. */
const SLOW = 900_000;

let provider: Provider;
let folder: string;
let jobs: TransferJobs;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "softpost-chaos-"));
  provider = await startProvider(await loadBundle());
  jobs = await transferJobs(provider, folder);
});

afterAll(async () => {
  await provider.close();
  rmSync(folder, { recursive: true });
});

test(
  `a transfer that is killed ${KILLS} times ends with the bytes of an undisturbed one`,
  async () => {
    const seed = Number(process.env.SOFTPOST_CHAOS_SEED ?? randomInt(2 ** 32));
    const draws = new Draws(seededRandom(seed));
    const kills = Array.from({ length: KILLS }, () => ({
      signal: draws.bernoulli(1, 2) ? "SIGKILL" : "SIGTERM",
      moment: 1 + draws.integer(MAX_MOMENT),
    }));
    const story = `SOFTPOST_CHAOS_SEED=${seed}: ${kills.map(({ signal, moment }) => `${signal} ${moment}`).join(", ")}`;
    // A moment is one step at most, so that the last kill still finds something to do.
    const steps = kills.reduce((sum, { moment }) => sum + moment + 2, 20);
    await jobs.put("left", { steps, seed: 7 });
    expect((await jobs.run("left")).code).toBe(0);
    // Only now, or the other would have done it too.
    await jobs.put("killed", { steps, seed: 7 });

    const chaos = {
      NODE_OPTIONS: `--import ${new URL("../../helpers/kill-at.ts", import.meta.url)}`,
      SOFTPOST_CHECKPOINT_SECONDS: "0",
    };
    const restored: number[] = [];
    const run = async (env: Record<string, string>) => {
      const ended = await jobs.run("killed", env);
      const dropped = ended.log.filter(({ event }) => /dropped|anew|crashed/.test(String(event)));
      expect(dropped, story).toEqual([]);
      restored.push(...ended.log.filter(({ event }) => event === "restored").map(({ step }) => Number(step)));
      return ended;
    };
    for (const { signal, moment } of kills) {
      const { code, signal: killedBy } = await run({ ...chaos, SOFTPOST_TEST_KILL: `${signal} ${moment}` });
      expect(signal === "SIGKILL" ? killedBy : code, story).toBe(signal === "SIGKILL" ? "SIGKILL" : 143);
    }
    expect((await run({})).code, story).toBe(0);

    expect((await jobs.output("killed")).equals(await jobs.output("left")), story).toBe(true);
    // It never fell back, and the last attempt didn't have to begin from nothing.
    expect(restored, story).toEqual(restored.toSorted((a, b) => a - b));
    expect(restored.at(-1), story).toBeGreaterThan(0);
  },
  SLOW,
);

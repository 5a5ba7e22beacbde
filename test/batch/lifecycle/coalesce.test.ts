import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Turns } from "../../../batch/lifecycle/coalesce.ts";
import { Lease } from "../../../batch/lifecycle/lease.ts";
import { loadBundle } from "../../../infra/local/bundle.ts";
import { bucket, jobFiles } from "../../../shared/protocol/bucket.ts";
import { jobId } from "../../../shared/protocol/ids.ts";
import { type LeaseRecord, leaseSchema, resultSchema, WITHDRAWN } from "../../../shared/protocol/job.ts";
import { type Provider, startProvider } from "../../service/provider.ts";
import { type Ended, type TransferJobs, transferJobs } from "../transfer-jobs.ts";

let provider: Provider;
let folder: string;
let jobs: TransferJobs;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "softpost-shift-"));
  provider = await startProvider(await loadBundle());
  jobs = await transferJobs(provider, folder);
});

afterAll(async () => {
  await provider.close();
  rmSync(folder, { recursive: true });
});

/** The n-th transfer of a tenant that is called by one letter. */
const nameOf = (tenant: string, n: number) => jobId(tenant.repeat(16), `${"abcdefgh"[n]}`.repeat(16));
const events = (ended: Ended, event: string) =>
  ended.log.filter((line) => line.event === event).map(({ job }) => job as string);
const leaseOf = async (job: string) =>
  leaseSchema.parse(await provider.store.readJson(bucket.job(job) + jobFiles.lease));
const writeLease = (job: string, lease: LeaseRecord) =>
  provider.store.write(bucket.job(job) + jobFiles.lease, JSON.stringify(lease));
const waiting = () => provider.store.list("waiting/");
const seedOf = (job: string) => job.charCodeAt(0) * 100 + job.charCodeAt(20);
const put = async (names: readonly string[]) => {
  // One after the other, so that they are in the order of their age.
  for (const job of names) await jobs.put(job, { seed: seedOf(job) });
};

describe("one job start", () => {
  test("does all transfers that wait for its target, in turn between tenants, each as if it were alone", async () => {
    const [a, b] = ["p", "q"].map((tenant) => (n: number) => nameOf(tenant, n)) as [typeof one, typeof one];
    const one = (n: number) => nameOf("r", n);
    await put([a(0), a(1), a(2), a(3), b(0), one(0), b(1)]);
    const ended = await jobs.run(a(0));
    expect(ended.code).toBe(0);
    const order = [a(0), b(0), one(0), a(1), b(1), a(2), a(3)];
    expect(events(ended, "started")).toEqual(order);
    expect(events(ended, "done")).toEqual(order);
    expect(await waiting()).toEqual([]);
    for (const job of order) {
      const { files, deviceSeconds } = resultSchema.parse(
        await provider.store.readJson(bucket.job(job) + jobFiles.result),
      );
      expect(files).toHaveLength(3);
      expect(deviceSeconds).toBeGreaterThan(0);
    }
    // Their own jobs have nothing left to do.
    expect(events(await jobs.run(b(1)), "started")).toEqual([]);
    // What was done on the kept engine has the bytes of one that was done in a start of its own.
    await jobs.put("alone", { seed: seedOf(a(3)) });
    expect(events(await jobs.run("alone"), "done")).toEqual(["alone"]);
    expect((await jobs.output(a(3))).equals(await jobs.output("alone"))).toBe(true);
    expect((await jobs.output(a(2))).equals(await jobs.output("alone"))).toBe(false);
  });

  test("that dies in the middle leaves what it had begun to its own job, and the rest to whoever starts next", async () => {
    const [x, y, z] = [nameOf("s", 0), nameOf("t", 0), nameOf("u", 0)];
    await put([x, y, z]);
    const NODE_OPTIONS = `--import ${new URL("../../helpers/kill-at.ts", import.meta.url)}`;
    // Its second transfer's first steps.
    const killed = await jobs.run(x, { NODE_OPTIONS, SOFTPOST_TEST_KILL: "SIGKILL 20 started:2" });
    expect(killed.signal).toBe("SIGKILL");
    expect(events(killed, "done")).toEqual([x]);
    expect(events(killed, "started")).toEqual([x, y]);

    // Batch starts the killed one again: its own is done.
    expect(events(await jobs.run(x), "started")).toEqual([]);
    // Another leaves y alone, since somebody had it.
    const next = await jobs.run(z);
    expect(events(next, "done")).toEqual([z]);
    // Once the lease has ended, y's own job does it.
    await writeLease(y, { ...(await leaseOf(y)), until: 0 });
    const own = await jobs.run(y);
    expect(events(own, "done")).toEqual([y]);
    expect(await leaseOf(y)).toMatchObject({ holder: `batch-${y}`, epoch: 2 });
    await jobs.put("undisturbed", { seed: seedOf(y) });
    await jobs.run("undisturbed");
    expect((await jobs.output(y)).equals(await jobs.output("undisturbed"))).toBe(true);
  });

  test("is one of several: no transfer is done twice", async () => {
    const all = ["v", "w", "x", "y"].flatMap((tenant) => [nameOf(tenant, 0), nameOf(tenant, 1)]);
    await put(all);
    const starts = await Promise.all([all[0]!, all[2]!, all[4]!].map((job) => jobs.run(job)));
    expect(starts.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(starts.flatMap((ended) => events(ended, "done")).sort()).toEqual(all.toSorted());
  });

  test("goes on after a transfer that can't be done, and fails only for its own", async () => {
    const [good, bad] = [nameOf("y", 2), nameOf("z", 2)];
    await put([good, bad]);
    await provider.store.write(bucket.job(bad) + jobFiles.weights, "no prompt");
    const ended = await jobs.run(good);
    expect([ended.code, events(ended, "failed")]).toEqual([0, [bad]]);
    expect((await jobs.run(bad)).code).toBe(2);
  });

  test("does not work on what was withdrawn", async () => {
    const [own, gone] = [nameOf("y", 3), nameOf("z", 3)];
    await put([own, gone]);
    await writeLease(gone, WITHDRAWN);
    expect(events(await jobs.run(own), "started")).toEqual([own]);
    const { code, log } = await jobs.run(gone);
    expect([code, log.filter(({ event }) => event === "started")]).toEqual([2, []]);
  });
});

describe("a lease", () => {
  test("is one's who takes it first, then its own job's once it has ended", async () => {
    const { store } = provider;
    const taken = await Promise.all(["a", "b", "c"].map((holder) => Lease.takeFirst(store, "lease-1", holder)));
    const [held] = taken.filter((lease) => lease !== undefined);
    expect(taken.filter((lease) => lease !== undefined)).toHaveLength(1);
    expect(await Lease.takeOwn(store, "lease-1", "own")).toBe("taken");
    await held!.release();
    const own = (await Lease.takeOwn(store, "lease-1", "own")) as Lease;
    expect(own.epoch).toBe(2);
    // Its next attempt need not wait.
    const again = (await Lease.takeOwn(store, "lease-1", "own")) as Lease;
    expect(again.epoch).toBe(3);
    await Promise.all([own.release(), again.release()]);
  });

  test("is lost at its renewal when the transfer was withdrawn", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    try {
      const lease = (await Lease.takeFirst(provider.store, "lease-2", "a"))!;
      await vi.advanceTimersByTimeAsync(10_000);
      await expect.poll(async () => (await leaseOf("lease-2")).until - Date.now()).toBeGreaterThan(50_000);
      expect(lease.lost.aborted).toBe(false);
      await writeLease("lease-2", WITHDRAWN);
      await vi.advanceTimersByTimeAsync(10_000);
      await expect.poll(() => lease.lost.aborted).toBe(true);
      await lease.release();
      expect(await leaseOf("lease-2")).toEqual(WITHDRAWN);
    } finally {
      vi.useRealTimers();
    }
  });
});

test("turns: of those that wait, nobody is served twice while another waits who was served less recently", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(4), fc.nat(7)), { minLength: 1, maxLength: 30 }), (pairs) => {
      const waiting = [...new Set(pairs.map(([tenant, n]) => nameOf("abcde"[tenant]!, n)))];
      const turns = new Turns();
      const served: string[] = [];
      for (let left = waiting; left.length > 0; ) {
        const [next, ...others] = turns.order(left);
        const tenant = next!.split("-")[0]!;
        const since = (job: string) => served.lastIndexOf(job.split("-")[0]!);
        for (const other of others) expect(since(other)).toBeGreaterThanOrEqual(served.lastIndexOf(tenant));
        served.push(tenant);
        turns.served(next!);
        left = left.filter((job) => job !== next);
      }
    }),
  );
});

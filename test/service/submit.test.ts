import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bucket } from "../../shared/protocol/bucket.ts";
import type { TransferSpec } from "../../shared/protocol/job.ts";
import { type BlockQuantisation, type Quantisation, usualQuantisation } from "../../shared/protocol/weights.ts";
import {
  catalogue,
  faultyBundle,
  newKey,
  OPTIONS,
  type Provider,
  promptOf,
  startProvider,
  uploadOf,
} from "./provider.ts";

let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await faultyBundle());
  await provider.define(["sleep", "60"]);
});

afterAll(() => provider.close());

describe("a submission", () => {
  test("is accepted, stored, submitted to Batch and shown", async () => {
    const tenant = await provider.tenant();
    const { status, headers, body } = await tenant.submit(uploadOf(promptOf(1)));
    expect(status).toBe(202);
    expect(headers.get("location")).toBe(`/v1/transfers/${body.id}`);
    expect(body.state).toBe("queued");
    expect((await tenant.get(`/v1/transfers/${body.id}`)).body).toEqual(body);
    expect((await tenant.get("/v1/transfers")).body.transfers).toEqual([body]);
    const stored = await provider.store.list(`jobs/${tenant.id}-${body.id}/`);
    expect(stored.map((key) => key.split("/").slice(2).join("/"))).toEqual([
      "prompt/adapter_model.safetensors",
      "prompt/softpost.json",
      "spec.json",
    ]);
    expect(await tenant.ledgerAddsUp()).toBe(true);
  });

  test("costs what its quote said at most", async () => {
    const tenant = await provider.tenant();
    const prompt = promptOf(2);
    const { body: quote } = await tenant.quote(prompt.manifest, OPTIONS);
    expect(quote.refusals).toEqual([]);
    const { body: transfer } = await tenant.submit(uploadOf(prompt));
    expect(transfer.reserved).toEqual(quote.reserve);
    expect(quote.rate).toEqual({ device: "NVIDIA A10G or L4", currency: "USD", microsPerHour: 3_600_000 });
    expect(quote.estimate.micros).toBe((quote.estimate.deviceSeconds * quote.rate.microsPerHour) / 3600);
    const { rate, estimatedSeconds } = transfer;
    expect({ rate, estimatedSeconds }).toEqual({ rate: quote.rate, estimatedSeconds: quote.estimate.deviceSeconds });
    const { body: budget } = await tenant.get("/v1/budget");
    expect(budget.money.reserved).toBe(quote.reserve.micros);
    expect(budget.money.limit - budget.money.reserved).toBe(quote.left.money);
  });

  test("sent twice at once with one key is one transfer", async () => {
    const tenant = await provider.tenant();
    const before = provider.door.submits;
    const key = newKey();
    const answers = await Promise.all(Array.from({ length: 8 }, () => tenant.submit(uploadOf(promptOf(3)), key)));
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(202));
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(provider.door.submits - before).toBe(1);
    expect((await tenant.get("/v1/budget")).body.daily.used).toBe(1);
    expect(await tenant.ledgerAddsUp()).toBe(true);
  });

  test("sent again with its key is answered as it was, also when the student was retired meanwhile", async () => {
    const tenant = await provider.tenant();
    const key = newKey();
    const send = (seed: number) => tenant.submit(uploadOf(promptOf(seed)), key);
    const first = await send(3);
    const retire = (retired: boolean) => {
      const students = catalogue.students.map((student) => ({ ...student, retired: student.retired || retired }));
      return provider.store.write(bucket.catalogue, JSON.stringify({ ...catalogue, students }));
    };
    await retire(true);
    const [again, other] = [await send(3), await send(4)];
    const fresh = await tenant.submit(uploadOf(promptOf(3)), newKey());
    await retire(false);
    expect([again.status, again.body]).toEqual([202, first.body]);
    expect(again.headers.get("location")).toBe(`/v1/transfers/${first.body.id}`);
    expect([other.status, other.body.title]).toEqual([422, "The idempotency key is taken"]);
    expect([fresh.status, fresh.body.title]).toEqual([422, "The upload is not valid"]);
  });

  test("with a used key but other content is refused", async () => {
    const tenant = await provider.tenant();
    const key = newKey();
    await tenant.submit(uploadOf(promptOf(4)), key);
    const { status, body } = await tenant.submit(uploadOf(promptOf(5)), key);
    expect(status).toBe(422);
    expect(body.title).toBe("The idempotency key is taken");
  });

  test("among 200 at once against a budget for 10, exactly 10 are accepted", async () => {
    const { body: quote } = await (await provider.tenant()).quote(promptOf(0).manifest, OPTIONS);
    const tenant = await provider.tenant({ micros: quote.reserve.micros * 10 + quote.reserve.micros - 1 });
    // A crowded machine breaks a connection now and then; the key makes it one submission all the same.
    const submitted = (_: unknown, i: number) => {
      const [upload, key] = [uploadOf(promptOf(i)), newKey()];
      const send = () => tenant.submit(upload, key);
      return send().catch(send);
    };
    const answers = await Promise.all(Array.from({ length: 200 }, submitted));
    const count = (status: number) => answers.filter((answer) => answer.status === status).length;
    expect([count(202), count(402)]).toEqual([10, 190]);
    expect(await tenant.ledgerAddsUp()).toBe(true);
  });
});

describe("the form of the student's weights", () => {
  const promptWith = (quantisation: Quantisation) => {
    const { weights, manifest } = promptOf(50);
    return { weights, manifest: { ...manifest, model: { ...manifest.model, quantisation } } };
  };

  test.each(["fp16", "int8", "int4"] as const)("is taken as --weights %s makes it", async (weights) => {
    const { manifest } = promptWith(usualQuantisation(weights));
    expect(await (await provider.tenant()).quote(manifest, OPTIONS)).toMatchObject({ status: 200 });
  });

  test.each<Partial<BlockQuantisation>>([{ block: 32 }, { symmetric: true }, { head: true }, { embeddings: true }])(
    "is not chosen by a client, by a quote or by a submission: %j",
    async (more) => {
      const prompt = promptWith({ ...(usualQuantisation("int4") as BlockQuantisation), ...more });
      const tenant = await provider.tenant();
      for (const answer of [await tenant.quote(prompt.manifest, OPTIONS), await tenant.submit(uploadOf(prompt))]) {
        expect(answer.status).toBe(422);
        const [{ at, message }] = answer.body.faults;
        expect([at, message]).toEqual([
          "softpost.json#/model/quantisation",
          expect.stringMatching(/isn't taken; tune on the student as it is published, or with --weights/),
        ]);
      }
    },
  );
});

describe("when something fails, the ledger adds up and nothing is lost", () => {
  test("Batch can't be reached: the transfer waits and is submitted later", async () => {
    const tenant = await provider.tenant();
    provider.door.mode = "cut";
    const { status, body } = await tenant.submit(uploadOf(promptOf(6)));
    provider.door.mode = "open";
    expect([status, body.state]).toEqual([202, "accepted"]);
    expect(await tenant.ledgerAddsUp()).toBe(true);
    await provider.worker.reconcile();
    expect((await tenant.get(`/v1/transfers/${body.id}`)).body.state).not.toBe("accepted");
  });

  test("Batch accepts but its answer is lost: the job is found, not submitted again", async () => {
    const tenant = await provider.tenant();
    const before = provider.door.submits;
    provider.door.mode = "swallow";
    const { status, body } = await tenant.submit(uploadOf(promptOf(7)));
    provider.door.mode = "open";
    expect([status, body.state]).toEqual([202, "queued"]);
    expect(provider.door.submits - before).toBe(1);
    expect(await tenant.ledgerAddsUp()).toBe(true);
  });

  test("Batch refuses: the client is told, the money is back, and the key can be used again", async () => {
    const tenant = await provider.tenant();
    const key = newKey();
    provider.door.mode = "refuse";
    const { status, body } = await tenant.submit(uploadOf(promptOf(8)), key);
    provider.door.mode = "open";
    expect([status, body.title]).toEqual([502, "The job was refused"]);
    expect((await tenant.get("/v1/budget")).body.money).toMatchObject({ used: 0, reserved: 0 });
    expect(await tenant.ledgerAddsUp()).toBe(true);
    expect((await tenant.submit(uploadOf(promptOf(8)), key)).status).toBe(202);
  });

  test.each(["adapter_model.safetensors", "softpost.json", "spec.json"])(
    "the bucket fails to take %s",
    async (name) => {
      const tenant = await provider.tenant();
      const key = newKey();
      const { status, body } = await tenant.submit(uploadOf(promptOf(9)), { ...key, "x-test-fault": `put ${name}` });
      expect([status, body.title]).toEqual([503, "The storage can't be reached"]);
      expect((await tenant.get("/v1/budget")).body.money).toMatchObject({ used: 0, reserved: 0 });
      expect(await tenant.ledgerAddsUp()).toBe(true);
      expect((await tenant.submit(uploadOf(promptOf(9)), key)).status).toBe(202);
    },
  );
});

describe("a transfer that ends while it is begun", () => {
  test("because storing took too long gets no job", async () => {
    const tenant = await provider.tenant();
    const key = newKey();
    const before = provider.door.submits;
    const { status } = await tenant.submit(uploadOf(promptOf(30)), { ...key, "x-test-fault": "late spec.json" });
    expect([status, provider.door.submits - before]).toEqual([502, 0]);
    expect((await tenant.get("/v1/budget")).body.money).toMatchObject({ used: 0, reserved: 0 });
    expect((await tenant.submit(uploadOf(promptOf(30)), key)).status).toBe(202);
    expect(await tenant.ledgerAddsUp()).toBe(true);
  });

  test("has its job taken back", async () => {
    const tenant = await provider.tenant();
    let job = "";
    provider.door.beforeAnswer = async () => {
      const [{ id }] = (await tenant.get("/v1/transfers")).body.transfers;
      job = `${tenant.id}-${id}`;
      const { report } = (await provider.store.readJson(`jobs/${job}/spec.json`)) as { report: { token: string } };
      const ended = await fetch(`${provider.url}/internal/jobs/${job}/events`, {
        method: "POST",
        headers: { authorization: `Bearer ${report.token}`, "content-type": "application/json" },
        body: JSON.stringify({ attempt: 1, sequence: 0, progress: null, state: "failed", problem: "It broke." }),
      });
      expect(ended.ok).toBe(true);
    };
    const { status } = await tenant.submit(uploadOf(promptOf(31)));
    provider.door.beforeAnswer = async () => {};
    expect(status).toBe(502);
    await expect.poll(() => provider.batchStatus(job), { timeout: 30_000 }).toBe("FAILED");
  });
});

describe("cancelling", () => {
  test("stops the job and refunds", async () => {
    const tenant = await provider.tenant();
    const { body } = await tenant.submit(uploadOf(promptOf(10)));
    const { status, body: cancelled } = await tenant.cancel(body.id);
    expect([status, cancelled.state, cancelled.cost]).toEqual([202, "cancelled", { deviceSeconds: 0, micros: 0 }]);
    expect((await tenant.get("/v1/budget")).body).toMatchObject({
      money: { used: 0, reserved: 0 },
      concurrent: { used: 0 },
      daily: { used: 1 },
    });
    expect(await tenant.ledgerAddsUp()).toBe(true);
    expect((await tenant.cancel(body.id)).body).toEqual(cancelled);
  });

  test("late costs what was computed, and a quote says so; what is done stays done", async () => {
    const tenant = await provider.tenant();
    const { body: quote } = await tenant.quote(promptOf(20).manifest, OPTIONS);
    expect(quote.cancellation).toContain("computed until then");
    const { body } = await tenant.submit(uploadOf(promptOf(20)));
    const folder = `jobs/${tenant.id}-${body.id}/`;
    const { report } = (await provider.store.readJson(`${folder}spec.json`)) as { report: Record<string, string> };
    const tell = (sequence: number, deviceSeconds: number) =>
      fetch(provider.url + new URL(report.url!).pathname, {
        method: "POST",
        headers: { authorization: `Bearer ${report.token}`, "content-type": "application/json" },
        body: JSON.stringify({ attempt: 1, sequence, state: "running", progress: null, deviceSeconds }),
      });
    await tell(0, 2.5);
    await tell(2, 7.25);
    await tell(1, 3);
    const { body: cancelled } = await tenant.cancel(body.id);
    expect(cancelled).toMatchObject({
      state: "cancelled",
      cost: { deviceSeconds: 8, micros: 8000 },
      actualSeconds: 7.25,
    });
    const { body: ledger } = await tenant.get("/v1/ledger");
    expect(ledger.entries.at(-1)).toMatchObject({
      kind: "settle",
      note: expect.stringMatching(/^Cancelled after 7.3 s/),
    });
    expect((await tenant.get("/v1/budget")).body).toMatchObject({
      money: { used: 8000, reserved: 0 },
      virtualTokens: { used: 0 },
    });
    expect(await tenant.ledgerAddsUp()).toBe(true);

    const { body: done } = await tenant.submit(uploadOf(promptOf(21)));
    const file = { name: "softpost.json", size: 2, sha256: "0".repeat(64) };
    await provider.store.write(
      `jobs/${tenant.id}-${done.id}/result.json`,
      JSON.stringify({ files: [file], deviceSeconds: 3 }),
    );
    expect((await tenant.cancel(done.id)).body).toMatchObject({ state: "succeeded", cost: { deviceSeconds: 3 } });
    expect(await tenant.ledgerAddsUp()).toBe(true);
  });

  test("costs no more than was reserved", async () => {
    const tenant = await provider.tenant();
    const { body } = await tenant.submit(uploadOf(promptOf(22)));
    const { report } = (await provider.store.readJson(`jobs/${tenant.id}-${body.id}/spec.json`)) as {
      report: Record<string, string>;
    };
    await fetch(provider.url + new URL(report.url!).pathname, {
      method: "POST",
      headers: { authorization: `Bearer ${report.token}`, "content-type": "application/json" },
      body: JSON.stringify({ attempt: 1, sequence: 0, state: "running", progress: null, deviceSeconds: 1e6 }),
    });
    expect((await tenant.cancel(body.id)).body.cost).toEqual(body.reserved);
    expect(await tenant.ledgerAddsUp()).toBe(true);
  });

  test("while Batch can't be reached happens later", async () => {
    const tenant = await provider.tenant();
    const { body } = await tenant.submit(uploadOf(promptOf(11)));
    provider.door.mode = "cut";
    expect((await tenant.cancel(body.id)).body.state).toBe("cancelling");
    provider.door.mode = "open";
    await provider.worker.reconcile();
    expect((await tenant.get(`/v1/transfers/${body.id}`)).body.state).toBe("cancelled");
  });
});

// Last: what its results say of the speed would change what the others reserve.
describe("several public sets", () => {
  const other = { ...catalogue.publicSets[0]!, id: "other", digest: "e".repeat(64), examples: 300 };
  const old = { ...other, id: "old", retired: true };
  beforeAll(() =>
    provider.store.write(
      bucket.catalogue,
      JSON.stringify({ ...catalogue, publicSets: [...catalogue.publicSets, other, old] }),
    ),
  );
  afterAll(() => provider.store.write(bucket.catalogue, JSON.stringify(catalogue)));

  test.each([
    ["named", { publicSet: "other", alternatives: ["news"] }, ["other", "news"]],
    ["all in service", { publicSet: "auto" }, ["news", "other"]],
  ])("%s: the job gets them, a quote knows them, and the transfer says what was taken", async (_, sets, ids) => {
    const tenant = await provider.tenant();
    const options = { ...OPTIONS, ...sets };
    const prompt = promptOf(100);
    const alone = await tenant.quote(prompt.manifest, { ...OPTIONS, publicSet: "other" });
    const { status, body: quote } = await tenant.quote(prompt.manifest, options);
    const { maxLength } = prompt.manifest.task;
    expect([status, quote.model.tokens]).toEqual([200, alone.body.model.tokens + (100 + 300) * maxLength]);
    const { body } = await tenant.submit(uploadOf(prompt, options));
    expect(body).toMatchObject({ options: sets, ranked: null });
    const folder = `jobs/${tenant.id}-${body.id}/`;
    const spec = (await provider.store.readJson(`${folder}spec.json`)) as TransferSpec;
    expect([spec.publicSet, ...spec.alternatives!].map(({ id }) => id)).toEqual(ids);
    const ranked = spec.alternatives!.concat(spec.publicSet).map(({ id, digest }, i) => {
      return { id, digest, texts: 100, information: 1 / (i + 1), confidence: 0.5, unnamed: 0 };
    });
    const result = { files: [{ name: "softpost.json", size: 2, sha256: "0".repeat(64) }], deviceSeconds: 3, ranked };
    await provider.store.write(`${folder}result.json`, JSON.stringify(result));
    expect((await tenant.cancel(body.id)).body).toMatchObject({ state: "succeeded", ranked });
  });

  test.each([
    [{ publicSet: "news", alternatives: ["none"] }, "options#/alternatives/0"],
    [{ publicSet: "news", alternatives: ["other", "old"] }, "options#/alternatives/1"],
    [{ publicSet: "news", alternatives: ["news"] }, "options#/alternatives"],
    [{ publicSet: "auto", alternatives: ["news"] }, "options#/alternatives"],
  ])("%j is refused", async (sets, at) => {
    const { status, body } = await (await provider.tenant()).submit(uploadOf(promptOf(101), { ...OPTIONS, ...sets }));
    expect([status, body.faults.map((fault: { at: string }) => fault.at)]).toEqual([422, [at]]);
  });
});

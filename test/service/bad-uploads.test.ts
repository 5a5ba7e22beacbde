/**
 * Generated bad uploads: none is accepted, none breaks the Worker, none leaves a trace. The number is small in a normal run; the full
 * ten thousand: SOFTPOST_BAD_UPLOADS=10000 npx vitest run test/service/bad-uploads.test.ts
 */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { OPTIONS, type Provider, promptOf, startProvider, type TenantClient, uploadOf } from "./provider.ts";

const RUNS = Number(process.env.SOFTPOST_BAD_UPLOADS ?? 300);
/** As many at once as a busy provider sees. */
const AT_ONCE = 8;

let provider: Provider;
let tenant: TenantClient;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  await provider.define(["true"]);
  tenant = await provider.tenant();
});

afterAll(() => provider.close());

const encoder = new TextEncoder();
const good = promptOf(1);
const goodForm = await multipart(uploadOf(good));

async function multipart(form: FormData) {
  const request = new Request("http://x", { method: "POST", body: form });
  return { type: request.headers.get("content-type")!, body: new Uint8Array(await request.arrayBuffer()) };
}

/** A value that no JSON field of an upload takes. */
const junk = fc.oneof(
  fc.constant(null),
  fc.constant({}),
  fc.constant([[]]),
  fc.double({ min: -1e300, max: -1e-3, noNaN: true }),
  fc.string({ minLength: 2001, maxLength: 2100 }),
);

/** The JSON with one of its values replaced, or with one field too many. */
function spoil(json: unknown, at: number, value: unknown): unknown {
  const copy = structuredClone(json);
  const places: (() => void)[] = [];
  const visit = (node: unknown) => {
    if (typeof node !== "object" || node === null) return;
    if (!Array.isArray(node)) places.push(() => Object.assign(node, { smuggled: value }));
    for (const key of Object.keys(node)) {
      const fields = node as Record<string, unknown>;
      // Not private is a value that the privacy record may have.
      if (key !== "privacy" || value !== null) places.push(() => Object.assign(fields, { [key]: value }));
      visit(fields[key]);
    }
  };
  visit(copy);
  places[at % places.length]!();
  return copy;
}

/** Bytes with some of them changed, cut off or added. */
const mutation = (bytes: Uint8Array) =>
  fc
    .record({
      cut: fc.option(fc.nat(bytes.length - 1)),
      flips: fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 8,
      }),
      more: fc.uint8Array({ maxLength: 20 }),
    })
    .map(({ cut, flips, more }) => {
      const changed = new Uint8Array(bytes);
      for (const [at, by] of flips) changed[at] = changed[at]! ^ by;
      return new Uint8Array([...changed.subarray(0, cut ?? undefined), ...more]);
    });

const safetensors = (header: unknown, data: Uint8Array) => {
  const json = encoder.encode(JSON.stringify(header));
  const length = new Uint8Array(new BigUint64Array([BigInt(json.length)]).buffer);
  return new Uint8Array([...length, ...json, ...data]);
};

/** Headers that ask for too much, lie or hide something. */
const lyingWeights = fc
  .record({
    dtype: fc.constantFrom("F32", "F64", "I64", "BOOL", "X"),
    shape: fc.array(fc.oneof(fc.nat(8), fc.constantFrom(-1, 2 ** 53, 1e300)), { maxLength: 10 }),
    from: fc.nat(200),
    to: fc.nat(200),
    name: fc.constantFrom("prompt_embeddings", "other", "__proto__"),
    second: fc.boolean(),
  })
  .map(({ dtype, shape, from, to, name, second }) => {
    const tensor = { dtype, shape, data_offsets: [from, to] };
    const header = JSON.parse(`{${JSON.stringify(name)}: ${JSON.stringify(tensor)}}`);
    return safetensors(second ? { ...header, second: tensor } : header, new Uint8Array(128));
  });

const strangeValue = fc
  .tuple(fc.nat(31), fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, 1e30))
  .map(([at, value]) => {
    const bytes = new Uint8Array(good.weights);
    new DataView(bytes.buffer).setFloat32(bytes.length - 4 * (at + 1), value, true);
    return bytes;
  });

const badUpload = fc.oneof(
  fc
    .oneof(mutation(good.weights), lyingWeights, strangeValue)
    .map((weights) => multipart(uploadOf({ ...good, weights }))),
  fc
    .tuple(fc.nat(), junk)
    .map(([at, value]) => multipart(uploadOf({ ...good, manifest: spoil(good.manifest, at, value) }))),
  fc.tuple(fc.nat(), junk).map(([at, value]) => multipart(uploadOf(good, spoil(OPTIONS, at, value) as object))),
  fc.constantFrom("manifest", "prompt", "options").map((name) => {
    const form = uploadOf(good);
    form.delete(name);
    return multipart(form);
  }),
  fc.constantFrom("manifest", "prompt", "options", "extra", "__proto__").map((name) => {
    const form = uploadOf(good);
    form.append(name, "more");
    return multipart(form);
  }),
  // A cut in the middle of the body, or a broken boundary: what is left is no multipart body.
  fc.nat(goodForm.body.length - 8).map(async (end) => ({ ...goodForm, body: goodForm.body.subarray(0, end) })),
  fc.uint8Array({ maxLength: 300 }).map(async (body) => ({ ...goodForm, body })),
  fc
    .constantFrom("application/json", "multipart/form-data", "multipart/form-data; boundary=", "text/plain")
    .map(async (type) => ({ ...goodForm, type })),
);

test(`${RUNS} bad uploads are refused with a problem, and nothing is left of them`, async () => {
  const uploads = fc.sample(badUpload, { numRuns: RUNS, seed: 20260724 });
  const statuses: Record<number, number> = {};
  const send = async (upload: (typeof uploads)[number]) => {
    const { type, body } = await upload;
    const response = await fetch(`${provider.url}/v1/transfers`, {
      method: "POST",
      headers: { ...tenant.headers, "content-type": type },
      body: new Uint8Array(body),
    });
    const answer = await response.text();
    expect([response.status, answer]).toSatisfy(([status]) => status >= 400 && status < 500);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(JSON.parse(answer)).toMatchObject({ status: response.status, title: expect.any(String) });
    statuses[response.status] = (statuses[response.status] ?? 0) + 1;
  };
  for (let i = 0; i < uploads.length; i += AT_ONCE) await Promise.all(uploads.slice(i, i + AT_ONCE).map(send));
  // Most must get as far as the validation for this to mean anything.
  expect(statuses[422]).toBeGreaterThan(RUNS / 2);

  expect(await provider.store.list("jobs/")).toEqual([]);
  expect((await tenant.get("/v1/ledger")).body.entries).toEqual([]);
  expect((await tenant.get("/v1/budget")).body).toMatchObject({
    money: { used: 0, reserved: 0 },
    daily: { used: 0 },
    privacy: { datasets: [] },
  });
}, 1_200_000);

test("a body that is too large is refused while it arrives", async () => {
  const chunk = new Uint8Array(1024 * 1024);
  let sent = 0;
  const endless = new ReadableStream({
    pull(controller) {
      sent += chunk.length;
      if (sent > 64 * chunk.length) controller.close();
      else controller.enqueue(chunk);
    },
  });
  const response = await fetch(`${provider.url}/v1/transfers`, {
    method: "POST",
    headers: { ...tenant.headers, "content-type": goodForm.type },
    body: endless,
    duplex: "half",
  } as RequestInit).catch(() => undefined);
  // Where the connection is cut before all was sent, the client may not see the answer.
  expect([413, undefined]).toContain(response?.status);
  expect(sent).toBeLessThan(64 * chunk.length);
});

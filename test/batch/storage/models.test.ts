/** A job's cache of models: what is damaged there is noticed and fetched again. */
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Models } from "../../../batch/storage/models.ts";
import { loadBundle } from "../../../infra/local/bundle.ts";
import { hashModel } from "../../../shared/data/model-files.ts";
import { bucket } from "../../../shared/protocol/bucket.ts";
import { fixture } from "../../helpers/fixtures.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";
import { type Provider, startProvider } from "../../service/provider.ts";

let provider: Provider;
let model: Awaited<ReturnType<typeof hashModel>>;
let cache: string;
let folder: string;
/** As another job does: a job opens a model once. */
const open = () => new Models(provider.store, cache).open({ id: "tiny-gpt2", ...model });
const whole = async () => expect(await hashModel(folder)).toEqual(model);

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  model = await hashModel(fixture("tiny-gpt2"));
  for (const { name, sha256 } of model.files) {
    await provider.store.upload(join(fixture("tiny-gpt2"), name), bucket.model(model.digest) + name, sha256);
  }
});

afterAll(() => provider.close());

beforeEach(async () => {
  cache = temporaryFolder();
  folder = join(cache, model.digest);
  await open();
});

/** Flips a bit in the middle of the weights, and sets the file's time back. */
function flipBit(): void {
  const path = join(folder, "model.safetensors");
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1]! ^= 4;
  writeFileSync(path, bytes);
  utimesSync(path, 1, 1);
}

/** Files of what was seen. */
const records = () => readdirSync(join(cache, "digests")).map((name) => join(cache, "digests", name));

const damages: Record<string, () => void> = {
  "has a flipped bit": flipBit,
  "was cut off": () => truncateSync(join(folder, "model.safetensors"), 1000),
  "lacks its tokenizer": () => rmSync(join(folder, "tokenizer.json")),
  "has a config of another": () => writeFileSync(join(folder, "config.json"), "{}"),
  "has no record of what was seen": () => {
    rmSync(join(cache, "digests"), { recursive: true });
    flipBit();
  },
  "has a damaged record": () => {
    for (const path of records()) writeFileSync(path, "{");
    flipBit();
  },
};

test.each(Object.keys(damages))("a cached model that %s is mended", async (name) => {
  damages[name]!();
  await open();
  await whole();
});

test("what doesn't belong to a cached model is removed: it could change what is computed", async () => {
  writeFileSync(join(folder, "special_tokens_map.json"), "{}");
  await open();
  expect(readdirSync(folder).toSorted()).toEqual(model.files.map(({ name }) => name).toSorted());
});

test("files that look untouched are believed for a day, and then read again", async () => {
  const path = join(folder, "model.safetensors");
  const sha256 = model.files.find(({ name }) => name === "model.safetensors")!.sha256;
  const record = records().find((name) => readFileSync(name, "utf8").includes(sha256))!;
  const before = readFileSync(record, "utf8");
  await open();
  expect(readFileSync(record, "utf8")).toBe(before);
  // As a bit flips on a worn disk: no time changes, but the day is over.
  flipBit();
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  const untouched = { identity: [dev, ino, size, mtimeNs, ctimeNs].join(" "), size: Number(size), sha256 };
  writeFileSync(record, JSON.stringify({ ...untouched, read: Date.now() - 23 * 3_600_000 }));
  await open();
  await expect(whole()).rejects.toThrow();
  writeFileSync(record, JSON.stringify({ ...untouched, read: Date.now() - 25 * 3_600_000 }));
  await open();
  await whole();
});

test("a cached model whose bucket lost the file is not used", async () => {
  const key = `${bucket.model(model.digest)}config.json`;
  const bytes = await provider.store.need(key);
  writeFileSync(join(folder, "config.json"), "{}");
  await provider.store.write(key, "{}");
  await expect(open()).rejects.toMatchObject({ title: "An object is damaged" });
  await provider.store.write(key, bytes);
});

import { execFile } from "node:child_process";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fetchPublicSet } from "../../batch/storage/models.ts";
import { loadBundle } from "../../infra/local/bundle.ts";
import { textsOf } from "../../shared/data/jsonl.ts";
import { hashModel } from "../../shared/data/model-files.ts";
import { STUDENT_FILE } from "../../shared/data/student-record.ts";
import { bucket } from "../../shared/protocol/bucket.ts";
import { catalogueSchema } from "../../shared/protocol/catalogue.ts";
import { fixture } from "../helpers/fixtures.ts";
import { tinyStudent } from "../helpers/student.ts";
import { withSwappedTokens } from "../helpers/swapped-tokenizer.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { CREDENTIALS, type Provider, startProvider } from "../service/provider.ts";

const PROGRAM = fileURLToPath(new URL("../../infra/publish.ts", import.meta.url));
const TARGET = fixture("tiny-gpt2");
let provider: Provider;
let student: string;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  student = await tinyStudent(provider.folder);
});

afterAll(() => provider.close());

const publish = (...args: string[]) =>
  promisify(execFile)(process.execPath, [PROGRAM, ...args], {
    env: {
      ...process.env,
      SOFTPOST_BUCKET: provider.worker.bucketName,
      SOFTPOST_S3_ENDPOINT: provider.worker.s3,
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    },
  });

test("a model, its student and public texts are in the bucket and on offer", async () => {
  const { stdout } = await publish(
    ...["--target", TARGET, "--student", student, "--public", fixture("tiny-task/test.jsonl")],
  );
  expect(stdout).toMatch(/^student student [0-9a-f]{64}\npublic set test with \d+ texts\n$/);
  const { students, publicSets } = catalogueSchema.parse(await provider.store.readJson(bucket.catalogue));
  const offered = students.find(({ id }) => id === "student")!;
  expect(offered.files.map(({ name }) => name)).not.toContain(STUDENT_FILE);
  expect(publicSets.map(({ id }) => id)).toContain("test");
  for (const { name } of offered.files)
    expect(await provider.store.has(bucket.model(offered.digest) + name)).toBe(true);
});

describe("public texts", () => {
  const texts = ["One, two.", 'She said "no".', "Ж"];
  const published = async (name: string, content: string) => {
    const file = join(temporaryFolder(), name);
    writeFileSync(file, content);
    await publish("--public", file);
    const { publicSets } = catalogueSchema.parse(await provider.store.readJson(bucket.catalogue));
    const set = publicSets.find(({ id }) => id === "rows")!;
    const fetched = await fetchPublicSet(provider.store, temporaryFolder(), set);
    return { set, texts: await Array.fromAsync(textsOf(fetched)), bytes: readFileSync(fetched, "utf8") };
  };

  test("JSON lines are published as they are", async () => {
    const lines = texts.map((text) => JSON.stringify({ text, of: 1 })).join("\n");
    const made = await published("rows.jsonl", lines);
    expect(made).toMatchObject({ texts, bytes: lines, set: { examples: 3 } });
  });

  test("other files of rows as JSON lines of their texts, which jobs read", async () => {
    const quoted = texts.map((text) => `7,"${text.replaceAll('"', '""')}"`);
    expect((await published("rows.csv", ["of,text", ...quoted].join("\n"))).texts).toEqual(texts);
    const array = JSON.stringify(texts.map((text) => ({ of: 1, text })));
    expect(await published("rows.json", array)).toMatchObject({ texts, set: { examples: 3 } });
  });

  test("without a text, or under a name that can't be in the catalogue, are refused", async () => {
    await expect(published("rows.csv", "text\n")).rejects.toMatchObject({ code: 1, stderr: /rows\.csv has no texts/ });
    await expect(published("my rows.csv", "text\na\n")).rejects.toMatchObject({
      code: 1,
      stderr: /catalogue can't have this name.*1 to 64 letters/s,
    });
  });
});

describe("what isn't a student of the target is refused, and nothing of it is uploaded", () => {
  const offered = async () => JSON.stringify(await provider.store.readJson(bucket.catalogue));
  const refused = async (folder: string, why: RegExp, target = TARGET, ...more: string[]) => {
    const before = [await offered(), await provider.store.list("models/")];
    await expect(publish("--target", target, "--student", folder, ...more)).rejects.toMatchObject({
      code: 1,
      stderr: why,
    });
    expect([await offered(), await provider.store.list("models/")]).toEqual(before);
  };
  /** The student's folder once more, changed. */
  const changed = (change: (folder: string) => void): string => {
    const folder = join(temporaryFolder(), "changed");
    cpSync(student, folder, { recursive: true });
    change(folder);
    return folder;
  };
  const editConfig = (folder: string, edit: object) => {
    const path = join(folder, "config.json");
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...edit }));
  };

  test("the target itself, and both exchanged, also with the provider's word", async () => {
    for (const more of [[], ["--unknown-origin"]]) {
      await refused(TARGET, /It is the target itself\..*exchanged/, TARGET, ...more);
      await refused(TARGET, /It isn't smaller than its target \(3 layers of 2/, student, ...more);
    }
  });

  test("the target saved anew, so that its digest is another", async () => {
    const copy = join(temporaryFolder(), "copy");
    cpSync(TARGET, copy, { recursive: true });
    editConfig(copy, { comment: "mine" });
    await refused(copy, /isn't smaller/, TARGET, "--unknown-origin");
  });

  test("the target whose config alone was cut: all its weights are still in the file", async () => {
    const cut = join(temporaryFolder(), "cut");
    cpSync(TARGET, cut, { recursive: true });
    editConfig(cut, { n_layer: 2 });
    await refused(cut, /weights that the student doesn't use \((transformer\.)?h\.2\./, TARGET, "--unknown-origin");
  });

  test("a student beside whose weights the target's lie", async () => {
    const both = changed((folder) => cpSync(join(TARGET, "model.safetensors"), join(folder, "old.safetensors")));
    await refused(both, /doesn't use \(.*old\.safetensors/, TARGET, "--unknown-origin");
  });

  test("one of unknown origin, unless the provider says so", async () => {
    const unknown = changed((folder) => rmSync(join(folder, STUDENT_FILE)));
    await refused(unknown, /no record of what it was distilled from.*--unknown-origin/);
    expect((await publish("--target", TARGET, "--student", unknown, "--unknown-origin")).stdout).toContain(
      "student changed",
    );
  });

  test("one that was changed since, one of another model, and a record that is none", async () => {
    await refused(
      changed((folder) => editConfig(folder, { comment: "mine" })),
      /changed since it was distilled/,
    );
    const other = changed((folder) => {
      const path = join(folder, STUDENT_FILE);
      const record = JSON.parse(readFileSync(path, "utf8"));
      writeFileSync(path, JSON.stringify({ ...record, teacher: { ...record.teacher, digest: "0".repeat(64) } }));
    });
    await refused(other, /distilled from another model/);
    await refused(
      changed((folder) => writeFileSync(join(folder, STUDENT_FILE), "{}")),
      /record is not valid/,
    );
  });
});

test("a student's record says what it was cut from", async () => {
  const record = JSON.parse(readFileSync(join(student, STUDENT_FILE), "utf8"));
  const digests = [(await hashModel(student)).digest, (await hashModel(TARGET)).digest];
  expect([record.student, record.teacher.digest]).toEqual(digests);
  expect(record).toMatchObject({ teacher: { layers: 3 }, layers: [0, 2], training: { steps: 1, maxLength: 12 } });
});

test("a student whose tokenizer isn't the target's is refused", async () => {
  const swapped = withSwappedTokens("Ġbad", "Ġgood", student);
  const stderr = expect.stringMatching(/The student's tokenizer is not the target's/);
  await expect(publish("--target", TARGET, "--student", swapped, "--unknown-origin")).rejects.toMatchObject({
    code: 1,
    stderr,
  });
});

test("half of a pair is refused", async () => {
  await expect(publish("--target", "x")).rejects.toMatchObject({ code: 1, stderr: /given together/ });
});

test("a student is taken out of service", async () => {
  expect((await publish("--retire", "small")).stdout).toBe("student small is retired\n");
  const { students } = catalogueSchema.parse(await provider.store.readJson(bucket.catalogue));
  expect(students.find(({ id }) => id === "small")?.retired).toBe(true);
  await expect(publish("--retire", "nobody")).rejects.toMatchObject({ code: 1, stderr: /no such student/ });
});

/** A job and the command of the same verb are one operation: the same inputs give the same bytes, or the same refusal. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { publishPublicSet } from "../../../batch/storage/publish.ts";
import { loadBundle } from "../../../infra/local/bundle.ts";
import { hashModel } from "../../../shared/data/model-files.ts";
import { bucket, jobFiles } from "../../../shared/protocol/bucket.ts";
import { resultSchema } from "../../../shared/protocol/job.ts";
import { fixture } from "../../helpers/fixtures.ts";
import { softpost } from "../../helpers/softpost.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";
import { type Provider, startProvider } from "../../service/provider.ts";
import { type TransferJobs, transferJobs } from "../transfer-jobs.ts";

const PUBLIC = fixture("tiny-task/test.jsonl");
const OPTIONS = { steps: 7, batchSize: 3, learningRate: 0.02, alpha: 0.25, seed: 5 };

let provider: Provider;
let jobs: TransferJobs;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  jobs = await transferJobs(provider, provider.folder);
});

afterAll(() => provider.close());

function transferCommand(student: string, prompt: string, out: string, publicSets = [PUBLIC]) {
  const { steps, batchSize, learningRate, alpha, seed } = OPTIONS;
  const numbers = { steps, "batch-size": batchSize, lr: learningRate, alpha, seed };
  const flags = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const files = ["--student", student, "--prompt", prompt, "--public", ...publicSets, "--out", out, "--threads", "1"];
  return softpost("transfer", "--target", fixture("tiny-gpt2"), ...files, ...flags);
}

test("a transfer has the same tensor file, and the same manifest but for ids", async () => {
  const out = join(temporaryFolder(), "moved");
  expect(await transferCommand(fixture("tiny-gpt2"), jobs.prompt, out)).toMatchObject({ code: 0 });
  await jobs.put("same", OPTIONS);
  expect(await jobs.run("same")).toMatchObject({ code: 0 });
  expect(await jobs.output("same")).toEqual(readFileSync(join(out, "adapter_model.safetensors")));
  const { folder } = resultSchema.parse(await provider.store.readJson(bucket.job("same") + jobFiles.result));
  const output = bucket.job("same") + jobFiles.output + folder;
  const manifest = JSON.parse(new TextDecoder().decode(await provider.store.need(`${output}softpost.json`)));
  const written = JSON.parse(readFileSync(join(out, "softpost.json"), "utf8"));
  // The client has a file of its own, the provider's catalogue a name for it.
  expect([written.transfer.publicSet.id, manifest.transfer.publicSet.id]).toEqual([
    expect.stringMatching(/^public-/),
    "test",
  ]);
  written.transfer.publicSet.id = "test";
  written.model.id = manifest.model.id;
  written.transfer.student.id = manifest.transfer.student.id;
  expect(manifest).toEqual(written);
});

test("of several public sets both take the same one, by the same figures", async () => {
  const [first, second] = [0, 1].map((i) => join(temporaryFolder(), `set-${i}.jsonl`)) as [string, string];
  const lines = readFileSync(PUBLIC, "utf8").trimEnd().split("\n");
  writeFileSync(first, lines.slice(0, 3).join("\n"));
  writeFileSync(second, lines.slice(3).join("\n"));
  const sets = [];
  for (const file of [first, second]) sets.push(await publishPublicSet(provider.store, { file, description: "" }));
  const out = join(temporaryFolder(), "moved");
  const command = await transferCommand(fixture("tiny-gpt2"), jobs.prompt, out, [PUBLIC, first, second]);
  expect(command.code, command.stderr).toBe(0);
  await jobs.put("ranked", OPTIONS, undefined, { alternatives: sets });
  expect(await jobs.run("ranked")).toMatchObject({ code: 0 });
  expect(await jobs.output("ranked")).toEqual(readFileSync(join(out, "adapter_model.safetensors")));
  const { ranked } = resultSchema.parse(await provider.store.readJson(bucket.job("ranked") + jobFiles.result));
  const written = JSON.parse(readFileSync(join(out, "softpost.json"), "utf8")).transfer;
  expect(ranked).toHaveLength(3);
  expect(ranked!.map(({ id: _, ...set }) => set)).toEqual(
    written.ranked.map(({ id: _, ...set }: { id: string }) => set),
  );
  expect(ranked![0]!.digest).toBe(written.publicSet.digest);
  expect(ranked!.map(({ id }) => id).sort()).toEqual(["set-0", "set-1", "test"]);
});

/** What the command says is wrong, and what the job's log says. */
async function refusals(job: string, folder: string, prompt: string, manifest?: string) {
  const student = { id: "tiny-gpt2", ...(await hashModel(folder)) };
  for (const { name, sha256 } of student.files) {
    await provider.store.upload(join(folder, name), bucket.model(student.digest) + name, sha256);
  }
  const command = await transferCommand(folder, prompt, join(temporaryFolder(), "out"));
  await jobs.put(job, OPTIONS, undefined, { student, ...(manifest !== undefined && { uploaded: manifest }) });
  const { code, log } = await jobs.run(job);
  const problem = String(log.find(({ event }) => event === "failed")?.problem);
  // The command calls the models what its user does, the job what the catalogue does.
  const said = command.stderr.trim().split("\n").at(-1)!;
  const named = said.replaceAll(folder, "tiny-gpt2").replaceAll(fixture("tiny-gpt2"), "tiny-gpt2");
  return { codes: [command.code, code], command: named, problem };
}

test("a student that isn't of its target is refused in the same words", async () => {
  const folder = join(temporaryFolder(), "tiny-gpt2");
  cpSync(fixture("tiny-gpt2"), folder, { recursive: true });
  const weights = readFileSync(join(folder, "model.safetensors"));
  const header = JSON.parse(weights.subarray(8, 8 + Number(weights.readBigUInt64LE())).toString());
  const [begin] = header["transformer.wte.weight"]?.data_offsets ?? header["wte.weight"].data_offsets;
  const [, end] = header["transformer.wte.weight"]?.data_offsets ?? header["wte.weight"].data_offsets;
  const start = 8 + Number(weights.readBigUInt64LE());
  for (let at = start + begin; at < start + end; at += 4) weights.writeFloatLE(weights.readFloatLE(at) + 1, at);
  writeFileSync(join(folder, "model.safetensors"), weights);
  // The client's prompt was tuned on that student.
  const prompt = join(temporaryFolder(), "prompt");
  cpSync(jobs.prompt, prompt, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(prompt, "softpost.json"), "utf8"));
  manifest.model.digest = (await hashModel(folder)).digest;
  writeFileSync(join(prompt, "softpost.json"), JSON.stringify(manifest));
  const { codes, command, problem } = await refusals("stranger", folder, prompt, JSON.stringify(manifest));
  expect(codes).toEqual([1, 2]);
  expect(problem).toContain("does not have the token embeddings");
  expect(command).toBe(problem);
});

test("a prompt and texts that have no room are refused in the same words", async () => {
  const prompt = join(temporaryFolder(), "prompt");
  cpSync(jobs.prompt, prompt, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(prompt, "softpost.json"), "utf8"));
  manifest.task.maxLength = 4000;
  writeFileSync(join(prompt, "softpost.json"), JSON.stringify(manifest));
  const { command, problem } = await refusals("long", fixture("tiny-gpt2"), prompt, JSON.stringify(manifest));
  expect(problem).toMatch(/The prompt and the texts are too long: .* positions/);
  expect(command).toBe(problem);
});

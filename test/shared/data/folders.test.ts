import { createHash } from "node:crypto";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { copyTokenizer, hashModel } from "../../../shared/data/model-files.ts";
import {
  type ManifestFacts,
  readPromptFolder,
  requireFit,
  writePromptFolder,
} from "../../../shared/data/prompt-folder.ts";
import { modelDigest } from "../../../shared/protocol/model-digest.ts";
import { problem, rejection } from "../../helpers/problem.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";
import { sentiment } from "./task.ts";

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
const digest = "ab".repeat(32);

const facts: ManifestFacts = {
  task: sentiment,
  model: { id: "tiny", digest, architecture: "gpt2" },
  initialisation: { text: sentiment.init },
  training: { optimizer: "adam", learningRate: 1e-3, steps: 10, batchSize: 4 },
  privacy: null,
};
const prompt = { prompt: Float32Array.of(1, 2, 3, 4, 5, 6), virtualTokens: 2, dimension: 3 };

describe("a model's digest", () => {
  test("is that of sha256sum's lines", async () => {
    const folder = fixture("tiny-gpt2");
    const names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
    const hex = (data: string | Buffer) => createHash("sha256").update(data).digest("hex");
    const lines = names.map((name) => `${hex(readFileSync(join(folder, name)))}  ${name}\n`);
    const { digest, files } = await hashModel(folder);
    expect(digest).toBe(hex(lines.join("")));
    expect(files.map(({ name }) => name)).toEqual(names);
    expect(await modelDigest([...files].reverse().concat({ name: "README.md", size: 1, sha256: "0" }))).toBe(digest);
  });

  test("changes with every file that counts", async () => {
    const folder = temporaryFolder();
    cpSync(fixture("tiny-gpt2"), folder, { recursive: true });
    const { digest } = await hashModel(folder);
    writeFileSync(join(folder, "README.md"), "hello");
    expect((await hashModel(folder)).digest).toBe(digest);
    writeFileSync(join(folder, "config.json"), "{}");
    expect((await hashModel(folder)).digest).not.toBe(digest);
  });

  test("needs a folder", async () => {
    expect(await rejection(hashModel("/nowhere"))).toMatch(/\/nowhere can't be read \(ENOENT\)/);
  });
});

test("a tokenizer is copied whole", async () => {
  const folder = temporaryFolder();
  await copyTokenizer(fixture("tiny-gpt2"), folder);
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    expect(readFileSync(join(folder, name))).toEqual(readFileSync(join(fixture("tiny-gpt2"), name)));
  }
});

describe("a prompt's folder", () => {
  test("is read as it was written", async () => {
    const folder = temporaryFolder();
    const manifest = await writePromptFolder(folder, prompt, facts);
    expect(await readPromptFolder(folder)).toEqual({
      ...prompt,
      baseModel: "tiny",
      layers: null,
      heads: null,
      saved: new Map(),
      manifest,
      digest: createHash("sha256")
        .update(readFileSync(join(folder, "adapter_model.safetensors")))
        .digest("hex"),
    });
    expect(manifest.prompt).toMatchObject({ virtualTokens: 2, dimension: 3 });
  });

  test("may be PEFT's own, without a manifest", async () => {
    const read = await readPromptFolder(fixture("tiny-prompt"));
    expect(read).toMatchObject({ virtualTokens: 5, dimension: 32, manifest: null });
  });

  test("with the manifest of another prompt is refused", async () => {
    const folder = temporaryFolder();
    await writePromptFolder(folder, prompt, facts);
    const other = temporaryFolder();
    await writePromptFolder(other, { ...prompt, prompt: prompt.prompt.map((x) => -x) }, facts);
    cpSync(join(other, "adapter_model.safetensors"), join(folder, "adapter_model.safetensors"));
    expect(await rejection(readPromptFolder(folder))).toMatch(
      /softpost\.json#\/prompt\/digest: Is [0-9a-f]{64}; the file's is/,
    );
  });

  test("without its weights is refused", async () => {
    const folder = temporaryFolder();
    await writePromptFolder(folder, prompt, facts);
    rmSync(join(folder, "adapter_model.safetensors"));
    expect(await rejection(readPromptFolder(folder))).toMatch(/adapter_model\.safetensors can't be read \(ENOENT\)/);
    writeFileSync(join(folder, "adapter_model.bin"), "a pickle");
    expect(await rejection(readPromptFolder(folder))).toMatch(
      /in adapter_model\.bin only.*Python pickle.*save_pretrained/,
    );
  });

  test("fits one model only", async () => {
    const folder = temporaryFolder();
    await writePromptFolder(folder, prompt, facts);
    const read = await readPromptFolder(folder);
    expect(requireFit(read, folder, { name: "m", dimension: 3, layers: 1, heads: 2, digest })).toBeUndefined();
    expect(problem(() => requireFit(read, "p", { name: "m", dimension: 4, layers: 1, heads: 2, digest }))).toMatch(
      /Has dimension 3; m has 4/,
    );
    const other = { name: "m", dimension: 3, layers: 1, heads: 2, digest: "cd".repeat(32) };
    expect(problem(() => requireFit(read, "p", other))).toMatch(
      /p\/softpost\.json: The prompt was tuned for tiny, and m is another model\. .*softpost transfer/,
    );
    expect(requireFit({ ...read, manifest: null }, "p", other)).toBeUndefined();
    // PEFT writes down the layers and heads of the model, which another one of the same width may have otherwise.
    expect(problem(() => requireFit({ ...read, manifest: null, layers: 2 }, "p", other))).toMatch(
      /p\/adapter_config\.json#\/num_layers: Is 2; m has 1 layers\. It was tuned on "tiny"/,
    );
    expect(problem(() => requireFit({ ...read, manifest: null, heads: 4 }, "p", other))).toMatch(
      /num_attention_heads: Is 4/,
    );
  });
});

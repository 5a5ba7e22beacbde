import { cpSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { encodeSafetensors } from "../../shared/prompt/safetensors.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

const taskFile = fixture("tiny-task/task.json");
const trainFile = fixture("tiny-task/train.jsonl");
const weights = new Uint8Array(readFileSync(fixture("tiny-prompt/adapter_model.safetensors")));

interface Inputs {
  readonly model?: string;
  readonly task?: string;
  readonly train?: string;
  readonly prompt?: string;
  readonly more?: readonly string[];
}

/** Tunes with one input replaced; gives the exit code, what was said, and whether anything was written. */
async function tune({ model = fixture("tiny-gpt2"), task = taskFile, train = trainFile, prompt, more = [] }: Inputs) {
  const folder = temporaryFolder();
  const start = prompt === undefined ? ["--prompt-tokens", "4"] : ["--prompt", prompt];
  const inputs = ["--model", model, "--task", task, "--train", train, ...start];
  const { code, stdout, stderr } = await softpost(
    "tune",
    ...inputs,
    "--steps",
    "1",
    "--out",
    join(folder, "out"),
    ...more,
  );
  return { code, stderr, clean: stdout === "" && readdirSync(folder).length === 0 };
}

async function expectRefused(inputs: Inputs, ...messages: readonly RegExp[]) {
  const { stderr, ...rest } = await tune(inputs);
  expect(rest, stderr).toEqual({ code: 1, clean: true });
  for (const message of messages) expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/bug in softpost/);
}

/** A copy of a fixture folder with one file replaced. */
function changed(name: string, file: string, content: string | Uint8Array): string {
  const folder = temporaryFolder();
  cpSync(fixture(name), folder, { recursive: true });
  writeFileSync(join(folder, file), content);
  return folder;
}

/** A safetensors file with this header and so many bytes of zeros. */
function safetensors(header: string, dataBytes: number): Uint8Array {
  const bytes = new Uint8Array(8 + header.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(new TextEncoder().encode(header), 8);
  return bytes;
}

const promptOf = (shape: number[], fill: number) =>
  encodeSafetensors([{ name: "prompt_embeddings", shape, data: new Float32Array(shape[0]! * shape[1]!).fill(fill) }]);
const entry = (begin: number, end: number) =>
  `{"dtype":"F32","shape":[${(end - begin) / 4}],"data_offsets":[${begin},${end}]}`;

/** What git leaves of a large file where LFS isn't installed. */
const POINTER = new TextEncoder().encode(
  `version https://git-lfs.github.com/spec/v1\noid sha256:${"ab".repeat(32)}\nsize 548105171\n`,
);

describe("a soft prompt", () => {
  test.each<[string, Uint8Array, RegExp]>([
    ["truncated", weights.subarray(0, weights.length - 4), /tensor "prompt_embeddings": Is truncated/],
    ["oversized", new Uint8Array([...weights, 0]), /1 bytes after its last tensor/],
    ["header oversized", safetensors("{}", 0).fill(0xff, 0, 8), /header has \d+ bytes; at most/],
    ["NaN-filled", promptOf([5, 32], Number.NaN), /Row 0, column 0 is NaN/],
    ["of wrong shape", promptOf([6, 32], 0), /says 5 × 32, but the tensor in adapter_model.safetensors is 6 × 32/],
    ["with a duplicate key", safetensors(`{"a":${entry(0, 4)},"a":${entry(0, 4)}}`, 4), /"a" is there twice/],
    ["that is a Git LFS pointer", POINTER, /adapter_model\.safetensors is a Git LFS pointer.*git lfs pull/],
    ["with overlapping offsets", safetensors(`{"a":${entry(0, 8)},"b":${entry(4, 8)}}`, 8), /tensor "b": Overlaps/],
  ])("%s", async (_, bytes, message) => {
    const prompt = changed("tiny-prompt", "adapter_model.safetensors", bytes);
    await expectRefused({ prompt }, message, /adapter_model\.safetensors/);
  });

  test("for a model of another dimension", async () => {
    const config = readFileSync(fixture("tiny-prompt/adapter_config.json"), "utf8").replace(
      '"token_dim": 32',
      '"token_dim": 16',
    );
    const prompt = changed("tiny-prompt", "adapter_config.json", config);
    writeFileSync(join(prompt, "adapter_model.safetensors"), promptOf([5, 16], 0));
    await expectRefused({ prompt }, /for another model: .*Has dimension 16; .*tiny-gpt2 has 32/);
  });

  test("that isn't there", async () => {
    await expectRefused({ prompt: "/nowhere" }, /\/nowhere\/adapter_config\.json can't be read \(ENOENT\)/);
  });
});

describe("training data", () => {
  test("with a broken line, a missing and an unknown label: all lines are named", async () => {
    const rows = ['{"text": "a", "label": 0}', '{"text": "a"', '{"text": "a"}', '{"text": "a", "label": "neutral"}'];
    const train = temporaryFile("train.jsonl", rows.join("\n"));
    await expectRefused(
      { train },
      /jsonl:2:13: Ends within the object/,
      /jsonl:3: Has no "label"/,
      /jsonl:4: The label is a string that is no label's name/,
    );
  });

  test("without rows, or that isn't there", async () => {
    await expectRefused({ train: temporaryFile("train.jsonl", "") }, /train\.jsonl has no rows/);
    await expectRefused({ train: "/nowhere.jsonl" }, /\/nowhere\.jsonl can't be read \(ENOENT\)/);
  });

  test("that are a folder, or aren't there, in the privacy ledger", async () => {
    for (const path of [temporaryFolder(), "/nowhere.jsonl"]) {
      const { code, stderr } = await softpost("privacy", "ledger", "--data", path);
      expect(code).toBe(1);
      expect(stderr).toMatch(/can't be read \((EISDIR|ENOENT)\)/);
    }
  });
});

describe("a task", () => {
  const original = JSON.parse(readFileSync(taskFile, "utf8"));
  const taskWith = (change: object) => temporaryFile("task.json", JSON.stringify({ ...original, ...change }));

  test("with words that are not in the vocabulary", async () => {
    const labels = [{ name: "negative", words: [" bad", "日本"] }, original.labels[1]];
    await expectRefused(
      { task: taskWith({ labels }) },
      /task#\/labels\/0\/words\/1: The word "日本" is not in the vocabulary/,
    );
  });

  test("with a word of two classes", async () => {
    const labels = [original.labels[0], { name: "positive", words: [" bad"] }];
    await expectRefused(
      { task: taskWith({ labels }) },
      /labels\/1\/words\/0: .*same token as a word of the label "negative"/,
    );
  });

  test("with faults, all of them named", async () => {
    const task = taskWith({ template: "It was", labels: [], extra: 1 });
    await expectRefused({ task }, /task\.json#\/template: .*\{text\}/, /#\/labels: .*two labels/, /"extra"/);
  });

  test("that is longer than the model's positions", async () => {
    await expectRefused({ task: taskWith({ maxLength: 61 }) }, /4 virtual tokens and 61 tokens .* has 64 positions/);
  });
});

describe("a model", () => {
  test("that isn't there", async () => {
    await expectRefused({ model: "/nowhere" }, /no folder \/nowhere/);
  });

  test.each<[string, string, string | Uint8Array, RegExp]>([
    [
      "of a family that isn't known",
      "config.json",
      '{"model_type": "mamba"}',
      /model_type is "mamba"; supported: .*gpt2/,
    ],
    ["whose weights are truncated", "model.safetensors", new Uint8Array(4), /model\.safetensors is truncated/],
    ["without its weights' tensors", "model.safetensors", promptOf([1, 1], 0), /transformer\.wte\.weight: is missing/],
    ...["model.safetensors", "tokenizer.json", "tokenizer_config.json", "config.json"].map(
      (file): [string, string, Uint8Array, RegExp] => [
        `whose ${file} is a Git LFS pointer`,
        file,
        POINTER,
        new RegExp(`${file.replace(".", "\\.")} is a Git LFS pointer.*git lfs pull`),
      ],
    ),
    [
      "whose weights are PyTorch's",
      "model.safetensors",
      Buffer.from("PK\x03\x04archive/data.pkl"),
      /begins like a zip archive/,
    ],
    [
      "whose weights are a web page",
      "model.safetensors",
      Buffer.from("<!DOCTYPE html><html>"),
      /begins like a web page/,
    ],
    ["with a broken tokenizer", "tokenizer.json", "{", /tokenizer\.json can't be read as JSON/],
  ])("%s", async (_, file, content, message) => {
    await expectRefused({ model: changed("tiny-gpt2", file, content) }, message);
  });

  test("whose tokenizer_config.json is a link to nothing: it is not taken for a model without one", async () => {
    const folder = temporaryFolder();
    cpSync(fixture("tiny-gpt2"), folder, { recursive: true });
    rmSync(join(folder, "tokenizer_config.json"));
    symlinkSync("../../blobs/gone", join(folder, "tokenizer_config.json"));
    await expectRefused({ model: folder }, /tokenizer_config\.json is a link to a file that isn't there/);
  });

  test("whose weights are a pickle is refused with the reason", async () => {
    const folder = temporaryFolder();
    cpSync(fixture("tiny-gpt2"), folder, { recursive: true });
    renameSync(join(folder, "model.safetensors"), join(folder, "pytorch_model.bin"));
    await expectRefused(
      { model: folder },
      /in pytorch_model\.bin only\. That is a Python pickle, which can run any code/,
      /pytorch_model\.bin: Is a pickle; safetensors weights are needed/,
    );
    renameSync(join(folder, "pytorch_model.bin"), join(folder, "weights.gguf"));
    await expectRefused({ model: folder }, /has no model\.safetensors and no model\.safetensors\.index\.json/);
  });

  test("whose weights are NaN gives no result", async () => {
    const folder = temporaryFolder();
    cpSync(fixture("tiny-gpt2"), folder, { recursive: true });
    const file = join(folder, "model.safetensors");
    const bytes = readFileSync(file);
    bytes.fill(0xff, bytes.length - 128);
    writeFileSync(file, bytes);
    await expectRefused({ model: folder }, /prompt.s values hold NaN or infinity/);
  });
});

describe("wrong usage ends with exit code 2", () => {
  test.each<[string, readonly string[], RegExp]>([
    ["delta without privacy", ["--delta", "1e-5"], /--delta needs --epsilon or --noise-multiplier/],
    ["both noise and epsilon", ["--epsilon", "8", "--noise-multiplier", "1", "--delta", "1e-5"], /cannot be used with/],
    ["file order with privacy", ["--epsilon", "8", "--delta", "1e-5", "--no-shuffle"], /random sampling/],
    ["an optimiser that isn't there", ["--optimizer", "lion"], /Allowed choices are adam, sgd/],
  ])("%s", async (_, more, message) => {
    const { stderr, ...rest } = await tune({ more });
    expect(rest, stderr).toEqual({ code: 2, clean: true });
    expect(stderr).toMatch(message);
  });

  test("a guarantee that can't be given is refused with exit code 1", async () => {
    await expectRefused({ more: ["--epsilon", "8", "--delta", "0.5"] }, /: --delta: 0\.5 is above 1\/N = 0\.083, /);
  });
});

test("a mean over more steps than there are is refused", async () => {
  await expectRefused({ more: ["--average", "2"] }, /--average is 2, the run has 1 step\./);
});

test("a result that is there already is not overwritten", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "mine"), "precious");
  const inputs = ["--model", fixture("tiny-gpt2"), "--task", taskFile, "--train", trainFile];
  const { code, stderr } = await softpost("tune", ...inputs, "--steps", "1", "--prompt-tokens", "4", "--out", folder);
  expect(code).toBe(1);
  expect(stderr).toMatch(/is there already/);
  expect(readdirSync(folder)).toEqual(["mine"]);
});

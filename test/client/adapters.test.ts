import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readPromptFolder } from "../../shared/data/prompt-folder.ts";
import { encodeSafetensors, parseHeader } from "../../shared/prompt/safetensors.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

/** Folders that PEFT wrote, and what it puts before a text then (golden/make_adapters.py). */
const adapter = (name: string) => fileURLToPath(new URL(`golden/adapters/${name}`, import.meta.url));
const PROMPTS: Readonly<Record<string, number[][]>> = JSON.parse(readFileSync(adapter("prompts.json"), "utf8"));

const evaluate = (prompt: string, model = fixture("tiny-gpt2")) =>
  softpost(
    ...["evaluate", "--model", model, "--prompt", prompt, "--json"],
    ...["--task", fixture("tiny-task/task.json"), "--data", fixture("tiny-task/test.jsonl")],
  );

test.each(Object.keys(PROMPTS))("%s is the prompt that PEFT puts before a text, and is used", async (name) => {
  const { prompt, virtualTokens } = await readPromptFolder(adapter(name));
  expect(virtualTokens).toBe(4);
  expect([...prompt]).toEqual(PROMPTS[name]!.flat());
  const { code, stderr } = await evaluate(adapter(name));
  expect(code, stderr).toBe(0);
  expect(stderr).not.toMatch(/tuned on/);
});

describe("embeddings that were saved beside a prompt", () => {
  /** The adapter with its tensors changed. */
  function changed(change: (tensors: Map<string, { shape: readonly number[]; data: Float32Array }>) => void): string {
    const folder = temporaryFolder();
    cpSync(adapter("embeddings-saved"), folder, { recursive: true });
    const path = join(folder, "adapter_model.safetensors");
    const bytes = readFileSync(path);
    const { tensors } = parseHeader(bytes, bytes.length, path);
    const read = new Map(
      [...tensors].map(([name, { shape, begin, end }]) => {
        return [name, { shape, data: new Float32Array(new Uint8Array(bytes.subarray(begin, end)).buffer) }] as const;
      }),
    );
    change(read);
    writeFileSync(
      path,
      encodeSafetensors(
        [...read].map(([name, tensor]) => ({ name, ...tensor })),
        { format: "pt" },
      ),
    );
    return folder;
  }

  const WORDS = "base_model.transformer.wte.weight";

  test.each(["transformer.wte.weight", "lm_head.weight"])("are compared with the model's: %s", async (name) => {
    const other = changed((tensors) => {
      tensors.get(`base_model.${name}`)!.data[77]! += 1e-3;
    });
    const { code, stderr } = await evaluate(other);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      new RegExp(`for another model: .*tensor "base_model.${name}": Differs from the model's own`),
    );
  });

  test("of a model with more tokens, or of none, are refused", async () => {
    const longer = changed((tensors) => {
      const { data } = tensors.get(WORDS)!;
      tensors.set(WORDS, { shape: [97, 32], data: new Float32Array([...data, ...Array(32).fill(0)]) });
    });
    expect((await evaluate(longer)).stderr).toMatch(/Has shape \[97,32\]; the model's has \[96,32\]/);
    const none = changed((tensors) =>
      tensors.set("base_model.other.weight", { shape: [1], data: new Float32Array(1) }),
    );
    expect((await evaluate(none)).stderr).toMatch(/"base_model\.other\.weight": Is no embedding of/);
    const lora = changed((tensors) => tensors.set("lora_A", { shape: [1], data: new Float32Array(1) }));
    expect((await evaluate(lora)).stderr).toMatch(/Must hold one tensor "prompt_embeddings"; it holds 4/);
  });
});

test("an adapter of another base is not used without a word", async () => {
  const folder = temporaryFolder();
  cpSync(adapter("p-tuning-mlp"), folder, { recursive: true });
  const path = join(folder, "adapter_config.json");
  const config = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...config, base_model_name_or_path: "/home/you/other-model" }));
  const other = await evaluate(folder);
  expect([other.code, other.stderr]).toEqual([0, expect.stringMatching(/was tuned on "\/home\/you\/other-model"/)]);
  writeFileSync(path, JSON.stringify({ ...config, num_layers: 12 }));
  const deeper = await evaluate(folder);
  expect([deeper.code, deeper.stderr]).toEqual([1, expect.stringMatching(/num_layers: Is 12; .* has 3 layers/)]);
});

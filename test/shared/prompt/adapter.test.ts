import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeAdapter, parseAdapter, promptEntry } from "../../../shared/prompt/adapter.ts";
import { encodeSafetensors, parseHeader } from "../../../shared/prompt/safetensors.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { problem } from "../../helpers/problem.ts";

const golden = (path: string) => readFileSync(new URL(`golden/${path}`, import.meta.url));
const goldenConfig = golden("peft-0.21-float32/adapter_config.json").toString();
const goldenWeights = new Uint8Array(golden("peft-0.21-float32/adapter_model.safetensors"));

/** The fields that PEFT 0.10 writes; 0.11 to 0.17 add nothing to them or only fields that are null here. */
const peft010 = {
  auto_mapping: null,
  base_model_name_or_path: "tiny-gpt2",
  inference_mode: true,
  num_attention_heads: 2,
  num_layers: 1,
  num_transformer_submodules: 1,
  num_virtual_tokens: 5,
  peft_type: "PROMPT_TUNING",
  prompt_tuning_init: "TEXT",
  prompt_tuning_init_text: "Classify",
  revision: null,
  task_type: "CAUSAL_LM",
  token_dim: 8,
  tokenizer_kwargs: null,
  tokenizer_name_or_path: "tiny-gpt2",
};

/** Reads the two files as they are in memory. */
function parse(config: string, weights: Uint8Array, name: string) {
  const header = parseHeader(weights, weights.length, `${name}/adapter_model.safetensors`);
  const { begin, end } = promptEntry(header.tensors, `${name}/adapter_model.safetensors`);
  return parseAdapter(config, header, weights.subarray(begin, end), name);
}

function reject(config: object, weights: Uint8Array = goldenWeights): string {
  return problem(() => parse(JSON.stringify({ ...peft010, ...config }), weights, "p"));
}

const weightsOf = (name: string, shape: number[], data: number[]) =>
  encodeSafetensors([{ name, shape, data: Float32Array.from(data) }]);

describe("reads what PEFT writes", () => {
  test.each(["float32", "float16", "bfloat16"])("0.21, %s", (dtype) => {
    const folder = `peft-0.21-${dtype}`;
    const config = golden(`${folder}/adapter_config.json`).toString();
    const weights = new Uint8Array(golden(`${folder}/adapter_model.safetensors`));
    const { prompt, ...rest } = parse(config, weights, folder);
    expect(rest).toEqual({
      virtualTokens: 5,
      dimension: 8,
      baseModel: "tiny-gpt2",
      layers: 1,
      heads: 2,
      saved: new Map(),
    });
    expect(Array.from(prompt)).toEqual(JSON.parse(golden(`${folder}/values.json`).toString()));
    expect(Object.is(prompt[1], -0)).toBe(true);
  });

  test("0.10", () => {
    const adapter = parse(JSON.stringify(peft010), goldenWeights, "p");
    expect(adapter).toEqual(parse(goldenConfig, goldenWeights, "p"));
  });
});

describe("writes what PEFT reads", () => {
  test("the tensor file is PEFT's own, byte for byte", () => {
    const adapter = parse(goldenConfig, goldenWeights, "p");
    const { weights } = encodeAdapter({ ...adapter, masked: false });
    expect(Buffer.from(weights).equals(goldenWeights)).toBe(true);
  });

  test("the config has only fields that PEFT 0.10 knows", () => {
    const adapter = parse(goldenConfig, goldenWeights, "p");
    const config = JSON.parse(encodeAdapter({ ...adapter, masked: false }).config);
    expect(Object.keys(peft010)).toEqual(expect.arrayContaining(Object.keys(config)));
    expect(config).toMatchObject({ peft_type: "PROMPT_TUNING", num_virtual_tokens: 5, token_dim: 8 });
  });

  test("a round trip keeps every bit", () => {
    const finite = fc.float({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(fc.array(finite, { minLength: 6, maxLength: 6 }), (values) => {
        const prompt = Float32Array.from(values);
        const own = { prompt, virtualTokens: 2, dimension: 3, baseModel: null };
        const files = encodeAdapter({ ...own, masked: true });
        const back = parse(files.config, files.weights, "p");
        expect(back).toEqual({ ...own, layers: null, heads: null, saved: new Map() });
        expect(new Uint32Array(back.prompt.buffer)).toEqual(new Uint32Array(prompt.buffer));
      }),
    );
  });

  test("a value that is not finite is not written", () => {
    const prompt = new Float32Array([1, Number.NaN]);
    const bad = { prompt, virtualTokens: 1, dimension: 2, baseModel: null, masked: true };
    expect(problem(() => encodeAdapter(bad))).toMatch(/not finite/);
  });
});

describe("refuses, naming file and field or tensor", () => {
  test.each<[string, object, RegExp]>([
    [
      "another adapter",
      { peft_type: "LORA" },
      /p\/adapter_config\.json#\/peft_type: Must be PROMPT_TUNING or P_TUNING/,
    ],
    ["no rows", { num_virtual_tokens: 0 }, /#\/num_virtual_tokens/],
    ["an encoder-decoder prompt", { num_transformer_submodules: 2 }, /encoder-decoder/],
    [
      "another number of rows",
      { num_virtual_tokens: 6 },
      /says 6 × 8, but the tensor in adapter_model.safetensors is 5 × 8/,
    ],
    ["another dimension", { token_dim: 16 }, /says 5 × 16/],
  ])("%s", (_, config, message) => {
    expect(reject(config)).toMatch(message);
  });

  test.each<[string, Uint8Array, RegExp]>([
    ["another tensor", weightsOf("lora", [5, 8], Array(40).fill(0)), /Must hold one tensor.*"lora"/],
    ["no matrix", weightsOf("prompt_embeddings", [40], Array(40).fill(0)), /shape must be .* it is \[40\]/],
    ["no rows", weightsOf("prompt_embeddings", [0, 8], []), /shape must be/],
    ["too many rows", weightsOf("prompt_embeddings", [5000, 1], Array(5000).fill(0)), /above the limit/],
    ["NaN", weightsOf("prompt_embeddings", [5, 8], [...Array(39).fill(0), Number.NaN]), /Row 4, column 7 is NaN/],
    [
      "infinity",
      weightsOf("prompt_embeddings", [5, 8], [Infinity, ...Array(39).fill(0)]),
      /Row 0, column 0 is Infinity/,
    ],
  ])("%s", (_, weights, message) => {
    expect(reject({}, weights)).toMatch(message);
    expect(reject({}, weights)).toContain("p/adapter_model.safetensors");
  });

  test("a config that says a key twice", () => {
    const twice = goldenConfig.replace("{", '{"token_dim": 4,');
    expect(problem(() => parse(twice, goldenWeights, "p"))).toMatch(/"token_dim" is there twice/);
  });

  test("whatever bytes come, only a ProblemError is thrown", () => {
    const edits = fc.array(fc.tuple(fc.nat(goldenWeights.length - 1), fc.integer({ min: 0, max: 255 })), {
      maxLength: 6,
    });
    const configEdits = fc.array(fc.tuple(fc.nat(goldenConfig.length - 1), fc.string({ maxLength: 2 })), {
      maxLength: 2,
    });
    fc.assert(
      fc.property(edits, configEdits, (bytesAt, textAt) => {
        const weights = goldenWeights.slice();
        for (const [at, byte] of bytesAt) weights[at] = byte;
        let config = goldenConfig;
        for (const [at, text] of textAt) config = config.slice(0, at) + text + config.slice(at + 1);
        try {
          expect(parse(config, weights, "p").prompt.every(Number.isFinite)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(ProblemError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../../shared/models/checkpoint.ts";
import { configureModel } from "../../../shared/models/configure.ts";
import { readWeight } from "../../../shared/models/weights.ts";
import { writeCheckpoint } from "../../../shared/models/write-checkpoint.ts";
import { encodeSafetensors } from "../../../shared/prompt/safetensors.ts";
import { problem } from "../../helpers/problem.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

const golden = (name: string) => fileURLToPath(new URL(`golden/families/${name}`, import.meta.url));
const configOf = (name: string) => JSON.parse(readFileSync(join(golden(name), "config.json"), "utf8"));

describe("a config.json that softpost can't compute is refused by its field", () => {
  test.each<[string, object, string | RegExp]>([
    ["llama", { model_type: "gemma2" }, /model_type is "gemma2"; supported: gpt2, llama, mistral/],
    ["llama", { hidden_act: "relu2" }, "hidden_act"],
    ["llama", { num_key_value_heads: 3 }, /must divide num_attention_heads, 4/],
    ["llama", { head_dim: null, hidden_size: 18 }, /hidden_size must be a multiple/],
    ["llama-rope-yarn", { rope_parameters: { rope_type: "longrope", rope_theta: 1 } }, "rope_parameters.rope_type"],
    ["llama", { rope_scaling: { type: "linear" }, rope_parameters: null }, "rope_parameters.factor"],
    ["llama", { partial_rotary_factor: 0.5 }, "rope_parameters.partial_rotary_factor"],
    ["qwen2", { layer_types: ["full_attention", "linear_attention", "full_attention"] }, "layer_types.1"],
    ["gpt2-fp16", { scale_attn_by_inverse_layer_idx: true }, "scale_attn_by_inverse_layer_idx"],
    ["roberta", { position_embedding_type: "relative_key" }, "position_embedding_type"],
    ["roberta", { is_decoder: true }, "is_decoder"],
    ["bert", { num_attention_heads: 5 }, /must divide hidden_size/],
  ])("%s with %o", (name, change, fault) => {
    const message = problem(() => configureModel({ ...configOf(name), ...change }, "config.json"));
    expect(message).toMatch(typeof fault === "string" ? `config.json: ${fault}: ` : fault);
  });
});

describe("positions", () => {
  const positions = (name: string, change = {}) =>
    configureModel({ ...configOf(name), ...change }, "c").config.positions;

  test("end with a sliding window, within which attention is whole", () => {
    expect(positions("mistral")).toBe(12);
    expect(positions("mistral", { sliding_window: null })).toBe(64);
    expect(positions("qwen2", { sliding_window: 8, use_sliding_window: false })).toBe(64);
    expect(positions("qwen2", { sliding_window: 8, layer_types: ["full_attention", "sliding_attention"] })).toBe(8);
  });

  // golden/sliding_windows.py: which layers slide, and how far, is what transformers' configs say.
  const windows: { json: Record<string, unknown>; window: number | null }[] = JSON.parse(
    readFileSync(fileURLToPath(new URL("golden/sliding_windows.json", import.meta.url)), "utf8"),
  );
  test.each(windows)("are bound by the window of transformers, $window: $json", ({ json, window }) => {
    expect(configureModel(json, "c").config.positions).toBe(window ?? 10_000);
  });

  test("of a student are its teacher's: layers keep their kind whatever their number", () => {
    const base = { num_hidden_layers: 8, max_position_embeddings: 64 };
    const windowed = { use_sliding_window: true, sliding_window: 8, max_window_layers: 6, layer_types: null };
    const qwen = { ...configOf("qwen2"), ...base, ...windowed };
    const student = (json: Record<string, unknown>, layers: readonly number[]) => {
      const { family } = configureModel(json, "c");
      const picked = family.withLayers(json, layers);
      return { picked, config: configureModel(picked, "c").config };
    };
    expect(student(qwen, [0, 5]).config.positions).toBe(64);
    expect(student(qwen, [0, 7]).config.positions).toBe(8);
    expect(student({ ...qwen, use_sliding_window: false }, [0, 7]).picked.layer_types).toBeNull();
    // One layer of four has no rotation: the fourth stays the one.
    const smol = {
      ...configOf("smollm3"),
      ...base,
      no_rope_layers: null,
      no_rope_layer_interval: 4,
      layer_types: null,
    };
    expect(student(smol, [0, 3, 4]).picked.no_rope_layers).toEqual([1, 0, 1]);
    expect(student(smol, [0, 3, 4]).config).toMatchObject({ rotated: [true, false, true] });
  });

  test("of RoBERTa begin after its padding's", () => {
    expect(positions("roberta")).toBe(30);
    expect(positions("bert")).toBe(32);
  });
});

test("BERT's norms may have TensorFlow's words, and a base model no prefix", async () => {
  const folder = temporaryFolder();
  const { json, ...given } = await openCheckpoint(golden("bert"));
  const weights = await Promise.all(
    [...given.weights].map(async ([name, { shape }]) => {
      const old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
      const bare = old.replace(/^bert\.encoder/, "encoder");
      const renamed = bare.includes("LayerNorm") ? old : bare;
      return [renamed, { shape, data: await readWeight({ json, ...given }, name) }] as const;
    }),
  );
  await writeCheckpoint(folder, json, Object.fromEntries(weights));
  const { weights: found } = await openCheckpoint(folder);
  expect([...found.keys()]).toEqual([...given.weights.keys()]);
});

test("tied token embeddings may lie under the head's name", async () => {
  const folder = temporaryFolder();
  const { json, ...given } = await openCheckpoint(golden("llama-tied-grouped"));
  const weights = await Promise.all(
    [...given.weights].map(async ([name, { shape }]) => {
      const stored = name === "model.embed_tokens.weight" ? "lm_head.weight" : name;
      return [stored, { shape, data: await readWeight({ json, ...given }, name) }] as const;
    }),
  );
  await writeCheckpoint(folder, json, Object.fromEntries(weights));
  const { weights: found } = await openCheckpoint(folder);
  expect(found.get("model.embed_tokens.weight")!.shape).toEqual([40, 16]);
  await writeCheckpoint(folder, { ...json, tie_word_embeddings: false }, Object.fromEntries(weights));
  await expect(openCheckpoint(folder)).rejects.toMatchObject({ faults: [{ at: "model.embed_tokens.weight" }] });
});

describe("a checkpoint that is written", () => {
  const weights = Object.fromEntries(
    ["a", "b", "c"].map((name, i) => [name, { shape: [2, 3], data: new Float32Array(6).fill(i) }]),
  );

  test("is one file, or shards with an index that transformers' layout fits", async () => {
    const folder = temporaryFolder();
    await writeCheckpoint(folder, {}, weights);
    expect(readdirSync(folder)).toEqual(["config.json", "model.safetensors"]);
    await writeCheckpoint(folder, {}, weights, 50);
    const index = JSON.parse(readFileSync(join(folder, "model.safetensors.index.json"), "utf8"));
    expect(index).toEqual({
      metadata: { total_size: 72 },
      weight_map: {
        a: "model-00001-of-00002.safetensors",
        b: "model-00001-of-00002.safetensors",
        c: "model-00002-of-00002.safetensors",
      },
    });
  });

  test("is read again as it was, from shards too", async () => {
    const checkpoint = await openCheckpoint(golden("qwen3"));
    const weights = Object.fromEntries(
      await Promise.all(
        [...checkpoint.weights].map(async ([name, { shape }]) => [
          name,
          { shape, data: await readWeight(checkpoint, name) },
        ]),
      ),
    );
    const folder = temporaryFolder();
    await writeCheckpoint(folder, checkpoint.json, weights, 5000);
    expect(readdirSync(folder).length).toBeGreaterThan(4);
    const again = await openCheckpoint(folder);
    for (const name of again.weights.keys()) expect(await readWeight(again, name)).toEqual(weights[name].data);
  });
});

test("a missing shard is named", async () => {
  const folder = temporaryFolder();
  cpSync(golden("llama-bf16-shards"), folder, { recursive: true });
  const index = join(folder, "model.safetensors.index.json");
  writeFileSync(index, readFileSync(index, "utf8").replaceAll("00002-of", "00009-of"));
  await expect(openCheckpoint(folder)).rejects.toThrow(/model-00009-of-00004\.safetensors can't be opened/);
});

describe("weights that are there more than once, or for nothing", () => {
  const shard = (
    folder: string,
    name: string,
    tensors: Readonly<Record<string, { shape: readonly number[]; data: Float32Array }>>,
  ) => {
    const list = Object.entries(tensors).map(([tensor, value]) => ({ name: tensor, ...value }));
    writeFileSync(join(folder, name), encodeSafetensors(list as never, { format: "pt" }));
  };
  const [FIRST, LAST] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

  /** Two shards: the last has tensors that the first has too. */
  async function twice(doubled: object, index: object) {
    const folder = temporaryFolder();
    const { json, ...given } = await openCheckpoint(golden("llama-tied-grouped"));
    const weights: Record<string, { shape: readonly number[]; data: Float32Array }> = {};
    for (const [name, { shape }] of given.weights)
      weights[name] = { shape, data: await readWeight({ json, ...given }, name) };
    shard(folder, FIRST, weights);
    shard(folder, LAST, doubled as typeof weights);
    const map = { ...Object.fromEntries(Object.keys(weights).map((name) => [name, FIRST])), ...index };
    writeFileSync(join(folder, "config.json"), JSON.stringify(json));
    writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: map }));
    return { folder, weights };
  }
  const norm = "model.norm.weight";
  const other = { [norm]: { shape: [16], data: new Float32Array(16).fill(7) } };

  test("of a tensor in two shards the one counts that the index names, and it is said", async () => {
    const { folder, weights } = await twice(other, { x: LAST });
    const first = await openCheckpoint(folder);
    expect(await readWeight(first, norm)).toEqual(weights[norm]!.data);
    expect(first.notes).toEqual([
      expect.stringMatching(/"model\.norm\.weight" is in .*00001.* and in .*00002.*, with other values/),
    ]);
    const last = await openCheckpoint((await twice(other, { [norm]: LAST })).folder);
    expect(await readWeight(last, norm)).toEqual(other[norm]!.data);
    const neither = await twice(other, { [norm]: FIRST.replace("00001-of", "00003-of"), x: LAST });
    cpSync(join(golden("llama"), "model.safetensors"), join(neither.folder, FIRST.replace("00001-of", "00003-of")));
    await expect(openCheckpoint(neither.folder)).rejects.toThrow(/and the index names neither|with other values/);
  });

  test("the same values twice, or a head that is the embedding, are no matter", async () => {
    const { folder, weights } = await twice({}, { x: LAST });
    const embedding = weights["model.embed_tokens.weight"]!;
    shard(folder, LAST, { [norm]: weights[norm]!, "lm_head.weight": embedding });
    const { notes, json } = await openCheckpoint(folder);
    expect(notes).toEqual([]);
    expect(json.tie_word_embeddings).toBe(true);
  });

  test("two names of one weight with other values are refused; what nobody uses is mentioned", async () => {
    const { folder } = await twice({ "norm.weight": other[norm] }, { x: LAST });
    await expect(openCheckpoint(folder)).rejects.toMatchObject({
      faults: [{ at: norm, message: expect.stringMatching(/as "norm\.weight", with other values/) }],
    });
    const unused = ["a.q_proj.bias", "b", "c", "d", "e", "f", "model.layers.0.self_attn.rotary_emb.inv_freq"];
    const extra = await twice(Object.fromEntries(unused.map((name) => [name, other[norm]])), { x: LAST });
    expect((await openCheckpoint(extra.folder)).notes).toEqual([
      expect.stringMatching(/doesn't use: "a\.q_proj\.bias", "b", "c", "d", "e", … \(6\)\.$/),
    ]);
  });

  test("a head of its own is said, and a student has it too", async () => {
    const { notes, json, family, config } = await openCheckpoint(golden("roberta-tied-with-own-head"));
    expect(notes).toEqual([expect.stringMatching(/head is not the embedding/)]);
    expect(json.tie_word_embeddings).toBe(false);
    expect(family.embeddings(config)).toContain("lm_head.decoder.weight");
  });

  test("a masked model's bias is the decoder's, where it has both", async () => {
    const folder = temporaryFolder();
    const { json, ...given } = await openCheckpoint(golden("roberta"));
    const weights: Record<string, { shape: readonly number[]; data: Float32Array }> = {};
    for (const [name, { shape }] of given.weights)
      weights[name] = { shape, data: await readWeight({ json, ...given }, name) };
    weights["lm_head.decoder.bias"] = { shape: [40], data: new Float32Array(40).fill(5) };
    writeFileSync(join(folder, "config.json"), JSON.stringify(json));
    shard(folder, "model.safetensors", weights);
    expect((await readWeight(await openCheckpoint(folder), "lm_head.bias"))[0]).toBe(5);
  });
});

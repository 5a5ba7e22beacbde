/** Small students for tests of one record's influence: ordinary ones, and such as a provider would make to break the guarantee. */
import type { Value } from "../../shared/graph/engine.ts";
import { openCheckpoint } from "../../shared/models/checkpoint.ts";
import { configureModel } from "../../shared/models/configure.ts";
import type { Model } from "../../shared/models/model.ts";
import { frozenWeights } from "../../shared/models/weights.ts";
import { writeCheckpoint } from "../../shared/models/write-checkpoint.ts";
import { Draws, seededRandom } from "../../shared/protocol/random.ts";

export const STUDENT_FAMILIES = ["gpt2", "llama", "roberta", "bert"] as const;
export const STUDENT_KINDS = ["ordinary", "common", "cancelling"] as const;
export type StudentFamily = (typeof STUDENT_FAMILIES)[number];

/**
 * - `ordinary`: random weights.
 * - `common`: 1e5 is added to every weight behind a norm whose input's entries have mean zero. In exact arithmetic it cancels.
 * - `cancelling`: beyond that, the feed-forward layers' inner features come twice, and what follows adds 1e5 times the one and takes
 *   away 1e5 times the other: that cancels too, over a distance, forwards and backwards, in every layer.
 */
export type StudentKind = (typeof STUDENT_KINDS)[number];

const COMMON = 1e5;
/** Widths that are no multiples of 4, and heads that are none. */
const WIDTH = 30;
const INNER = 44;
export const VOCABULARY = 64;
export const POSITIONS = 120;

const CONFIGS: Readonly<Record<StudentFamily, Record<string, unknown>>> = {
  gpt2: { n_layer: 3, n_embd: WIDTH, n_head: 5, n_inner: INNER, n_positions: POSITIONS },
  llama: {
    num_hidden_layers: 3,
    hidden_size: WIDTH,
    intermediate_size: INNER,
    num_attention_heads: 6,
    num_key_value_heads: 2,
    head_dim: 6,
    max_position_embeddings: POSITIONS,
    tie_word_embeddings: true,
  },
  roberta: masked(POSITIONS + 2),
  bert: masked(POSITIONS),
};

function masked(positions: number): Record<string, unknown> {
  return {
    num_hidden_layers: 3,
    hidden_size: WIDTH,
    intermediate_size: INNER,
    num_attention_heads: 5,
    max_position_embeddings: positions,
    type_vocab_size: 1,
    pad_token_id: 1,
  };
}

/** The weights that a common component is added to, the norms before them, and both sides of the inner features. */
const PARTS: Readonly<Record<StudentFamily, Record<"behind" | "norm" | "inner" | "outer" | "centred", RegExp>>> = {
  gpt2: {
    behind: /mlp\.c_fc\.weight$/,
    norm: /ln_2\./,
    inner: /mlp\.c_fc\./,
    outer: /mlp\.c_proj\.weight$/,
    centred: /^$/,
  },
  llama: {
    behind: /up_proj\.weight$/,
    norm: /post_attention_layernorm/,
    inner: /(up|gate)_proj\./,
    outer: /down_proj\.weight$/,
    // A norm that takes no mean away needs an input that has none.
    centred: /embed_tokens|o_proj|down_proj/,
  },
  roberta: bertParts(),
  bert: bertParts(),
};

function bertParts() {
  return {
    behind: /intermediate\.dense\.weight$/,
    norm: /attention\.output\.LayerNorm/,
    inner: /intermediate\.dense\./,
    outer: /layer\.\d+\.output\.dense\.weight$/,
    centred: /^$/,
  };
}

/** Writes a student into a folder. GPT-2 has its matrices as `[in, out]`, the others as `[out, in]`. */
export async function writeStudent(folder: string, family: StudentFamily, kind: StudentKind, seed = 1): Promise<void> {
  const json = { model_type: family, vocab_size: VOCABULARY, ...CONFIGS[family] };
  const configured = configureModel(json, "config.json");
  const weights: Record<string, Value> = {};
  for (const [i, [name, shape]] of Object.entries(configured.family.parameters(configured.config)).entries()) {
    const draws = new Draws(seededRandom(seed, i));
    const isNorm = shape.length === 1 && name.endsWith("weight");
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
      const noise = draws.uniform53() + draws.uniform53() + draws.uniform53() - 1.5;
      return isNorm ? 1 + 0.2 * noise : 0.4 * noise;
    });
    if (kind !== "ordinary") adjust(family, kind, name, shape, data, seededRandom(seed, i, 1));
    weights[name] = { shape, data };
  }
  await writeCheckpoint(folder, json, weights);
}

function adjust(
  family: StudentFamily,
  kind: StudentKind,
  name: string,
  shape: readonly number[],
  data: Float32Array,
  random: ReturnType<typeof seededRandom>,
): void {
  const { behind, norm, inner, outer, centred } = PARTS[family];
  const inFirst = family === "gpt2";
  if (norm.test(name)) data.fill(name.endsWith("weight") ? 1 : 0);
  if (centred.test(name)) centre(data, shape, name.includes("embed") ? 1 : 0);
  if (kind === "cancelling" && inner.test(name)) {
    // Feature j + half is a copy of feature j.
    each(shape, inFirst || shape.length === 1 ? shape.length - 1 : 0, (at, twin) => {
      data[twin] = data[at]!;
    });
  }
  if (kind === "cancelling" && outer.test(name)) {
    const draws = new Draws(random);
    each(shape, inFirst ? 0 : 1, (at, twin) => {
      const large = COMMON * (draws.uniform53() - 0.5);
      data[at]! += large;
      data[twin]! -= large;
    });
  }
  if (behind.test(name)) for (let i = 0; i < data.length; i++) data[i]! += COMMON;
}

/** Every element in the first half of an axis, with the one that is half of the axis behind it. */
function each(shape: readonly number[], axis: number, visit: (at: number, twin: number) => void): void {
  const stride = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const half = Math.floor(shape[axis]! / 2);
  const size = shape.reduce((a, b) => a * b, 1);
  for (let i = 0; i < size; i++) {
    if (Math.floor(i / stride) % shape[axis]! < half) visit(i, i + half * stride);
  }
}

/** Takes the mean along an axis of a matrix away. */
function centre(data: Float32Array, [rows, columns]: readonly number[], axis: number): void {
  const [lines, length] = axis === 1 ? [rows!, columns!] : [columns!, rows!];
  const at = (line: number, i: number) => (axis === 1 ? line * columns! + i : i * columns! + line);
  for (let line = 0; line < lines; line++) {
    let mean = 0;
    for (let i = 0; i < length; i++) mean += data[at(line, i)]! / length;
    for (let i = 0; i < length; i++) data[at(line, i)]! -= mean;
  }
}

/** A student that was written. */
export async function openStudent(folder: string, precision: "float32" | "float16" = "float32"): Promise<Model> {
  const checkpoint = await openCheckpoint(folder);
  return checkpoint.family.build(checkpoint.config, frozenWeights(checkpoint, precision));
}

/** Records of random tokens, one of every length in turn from 1 to `longest`. */
export function randomRecords(count: number, longest: number, seed: number) {
  const draws = new Draws(seededRandom(seed));
  return Array.from({ length: count }, () => {
    const ids = Int32Array.from({ length: 1 + draws.integer(longest) }, () => draws.integer(VOCABULARY));
    return { ids, readAt: draws.integer(ids.length), label: draws.integer(2) };
  });
}

/** A prompt `[rows, WIDTH]` whose rows have mean zero. */
export function randomPrompt(rows: number, seed: number): Value {
  const draws = new Draws(seededRandom(seed));
  const data = Float32Array.from({ length: rows * WIDTH }, () => draws.uniform53() - 0.5);
  centre(data, [rows, WIDTH], 1);
  return { shape: [rows, WIDTH], data };
}

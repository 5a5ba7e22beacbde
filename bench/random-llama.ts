import { mkdir, open, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { copyTokenizer } from "../shared/data/model-files.ts";
import { llama } from "../shared/models/llama.ts";
import { Draws, seededRandom } from "../shared/protocol/random.ts";

/** The fields of config.json that make the size of a model. */
export const LLAMA_SIZES = {
  "tinyllama-1.1b": [22, 2048, 5632, 32, 4, 2048],
  "llama-2-7b": [32, 4096, 11_008, 32, 32, 4096],
} as const;

export type LlamaSize = keyof typeof LLAMA_SIZES;

/** The demo's: what is measured is made of ids, so any tokenizer will do. */
const TOKENIZER = fileURLToPath(new URL("../demo/model", import.meta.url));
const PIECE = 2 ** 22;

/** A Llama with random bfloat16 weights in one file, made in the folder when it is wanted first: 2 bytes a parameter. @returns its folder */
export async function randomLlama(folder: string, size: LlamaSize): Promise<string> {
  const path = join(folder, size);
  if (await stat(join(path, "config.json")).catch(() => undefined)) return path;
  const [layers, width, inner, heads, keyHeads, positions] = LLAMA_SIZES[size];
  const json = {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    num_hidden_layers: layers,
    hidden_size: width,
    intermediate_size: inner,
    num_attention_heads: heads,
    num_key_value_heads: keyHeads,
    max_position_embeddings: positions,
    vocab_size: 32_000,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    bos_token_id: 0,
    eos_token_id: 0,
  };
  await mkdir(path, { recursive: true });
  const header: Record<string, unknown> = {};
  let offset = 0;
  const shapes = Object.entries(llama.parameters(llama.configure(json)));
  for (const [name, shape] of shapes) {
    const end = offset + shape.reduce((a, b) => a * b, 2);
    header[name] = { dtype: "BF16", shape, data_offsets: [offset, end] };
    offset = end;
  }
  const text = JSON.stringify(header);
  const bytes = Buffer.from(text.padEnd(8 * Math.ceil(text.length / 8)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  await using file = await open(join(path, "model.safetensors"), "w");
  await file.write(length);
  await file.write(bytes);
  const draws = new Draws(seededRandom(1));
  // As wide as normal draws of deviation 0.02. A table of them, begun elsewhere in each piece: a billion draws take minutes.
  const table = Uint16Array.from({ length: PIECE / 2 }, () => half(0.07 * (draws.uniform53() - 0.5)));
  for (const [, shape] of shapes) {
    const total = shape.reduce((a, b) => a * b, 2);
    if (shape.length === 1) {
      await file.write(Buffer.from(new Uint16Array(total / 2).fill(half(1)).buffer));
      continue;
    }
    for (let done = 0; done < total; ) {
      const from = 2 * draws.integer(PIECE / 4);
      const piece = Buffer.from(table.buffer).subarray(from, from + Math.min(PIECE - from, total - done));
      await file.write(piece);
      done += piece.length;
    }
  }
  await copyTokenizer(TOKENIZER, path);
  await writeFile(join(path, "config.json"), JSON.stringify(json));
  return path;
}

/** A number's upper 16 bits as a float32. */
function half(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16;
}

import { open, stat } from "node:fs/promises";
import { LLAMA_SIZES, type LlamaSize } from "./random-llama.ts";

/** Forms of llama.cpp's matrices: their number in the file, and the bytes of a block of 32 values with its 16-bit scale before them. */
export const GGUF_FORMS = { Q8_0: [8, 34], Q4_0: [2, 18] } as const;

export type GgufForm = keyof typeof GGUF_FORMS;

const [F32, BLOCK, ALIGNMENT, VOCABULARY] = [0, 32, 32, 32_000] as const;
/** Types of metadata. */
const [UINT32, FLOAT32, STRING, ARRAY, INT32] = [4, 6, 8, 9, 5] as const;
/** 2⁻⁹ as a 16-bit number: with 8 bits, values to a quarter. */
const SCALE = 0x1800;

/**
 * A Llama with random weights in a file as llama.cpp reads it, made when it is wanted first. The head and the embeddings are in Q8_0: llama.cpp's own
 * files of Q4_0 have more than 4 bits there, too.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export async function randomGguf(path: string, size: LlamaSize, form: GgufForm): Promise<void> {
  if (await stat(path).catch(() => undefined)) return;
  const [layers, width, inner, heads, keyHeads, positions] = LLAMA_SIZES[size];
  const keyWidth = (width / heads) * keyHeads;
  const matrix = (name: string, columns: number, rows: number, kind: GgufForm = form) => ({
    name: `${name}.weight`,
    shape: [columns, rows],
    type: GGUF_FORMS[kind][0] as number,
    bytes: ((columns * rows) / BLOCK) * GGUF_FORMS[kind][1],
  });
  const norm = (name: string) => ({ name: `${name}.weight`, shape: [width], type: F32, bytes: 4 * width });
  const tensors = [
    matrix("token_embd", width, VOCABULARY, "Q8_0"),
    norm("output_norm"),
    matrix("output", width, VOCABULARY, "Q8_0"),
    ...Array.from({ length: layers }, (_, i) => [
      norm(`blk.${i}.attn_norm`),
      matrix(`blk.${i}.attn_q`, width, width),
      matrix(`blk.${i}.attn_k`, width, keyWidth),
      matrix(`blk.${i}.attn_v`, width, keyWidth),
      matrix(`blk.${i}.attn_output`, width, width),
      norm(`blk.${i}.ffn_norm`),
      matrix(`blk.${i}.ffn_gate`, width, inner),
      matrix(`blk.${i}.ffn_up`, width, inner),
      matrix(`blk.${i}.ffn_down`, inner, width),
    ]).flat(),
  ];
  const tokens = Array.from({ length: VOCABULARY }, (_, i) => string(tokenName(i)));
  const numbers = (type: number, values: readonly number[]) => [
    uint32(ARRAY, type),
    uint64(values.length),
    Buffer.from(type === FLOAT32 ? Float32Array.from(values).buffer : Int32Array.from(values).buffer),
  ];
  const text = (value: string) => [uint32(STRING), string(value)];
  const whole = (value: number) => [uint32(UINT32, value)];
  const metadata: Record<string, readonly Buffer[]> = {
    "general.architecture": text("llama"),
    "general.name": text("random"),
    "llama.context_length": whole(positions),
    "llama.embedding_length": whole(width),
    "llama.block_count": whole(layers),
    "llama.feed_forward_length": whole(inner),
    "llama.rope.dimension_count": whole(width / heads),
    "llama.attention.head_count": whole(heads),
    "llama.attention.head_count_kv": whole(keyHeads),
    "llama.attention.layer_norm_rms_epsilon": [uint32(FLOAT32), Buffer.from(Float32Array.of(1e-5).buffer)],
    "tokenizer.ggml.model": text("llama"),
    "tokenizer.ggml.tokens": [uint32(ARRAY, STRING), uint64(tokens.length), ...tokens],
    "tokenizer.ggml.scores": numbers(
      FLOAT32,
      tokens.map((_, i) => -i),
    ),
    // Unknown, control, bytes, ordinary ones.
    "tokenizer.ggml.token_type": numbers(
      INT32,
      tokens.map((_, i) => (i === 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1)),
    ),
    "tokenizer.ggml.bos_token_id": whole(1),
    "tokenizer.ggml.eos_token_id": whole(2),
  };
  const infos: Buffer[] = [];
  let offset = 0;
  for (const { name, shape, type, bytes } of tensors) {
    infos.push(string(name), uint32(shape.length), ...shape.map(uint64), uint32(type), uint64(offset));
    offset += aligned(bytes);
  }
  const entries = Object.entries(metadata);
  const head = Buffer.concat([
    Buffer.from("GGUF"),
    uint32(3),
    uint64(tensors.length),
    uint64(entries.length),
    ...entries.flatMap(([key, value]) => [string(key), ...value]),
    ...infos,
  ]);
  await using file = await open(path, "w");
  await file.write(Buffer.concat([head, Buffer.alloc(aligned(head.length) - head.length)]));
  for (const { type, bytes } of tensors) {
    const data = type === F32 ? Buffer.from(new Float32Array(bytes / 4).fill(1).buffer) : blocks(bytes, type);
    await file.write(Buffer.concat([data, Buffer.alloc(aligned(bytes) - bytes)]));
  }
}

/** A SentencePiece vocabulary: three that stand for no text, all bytes, and others. */
function tokenName(i: number): string {
  if (i < 3) return ["<unk>", "<s>", "</s>"][i]!;
  return i < 259 ? `<0x${(i - 3).toString(16).toUpperCase().padStart(2, "0")}>` : `t${i}`;
}

/** Blocks with one scale and random values. */
function blocks(bytes: number, type: number): Buffer {
  const block = Object.values(GGUF_FORMS).find(([number]) => number === type)![1];
  const data = Buffer.alloc(bytes);
  let state = bytes;
  for (let i = 0; i < bytes; i++) {
    // xorshift32 (Marsaglia 2003): quality counts for nothing here.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    data[i] = state;
  }
  for (let i = 0; i < bytes; i += block) data.writeUInt16LE(SCALE, i);
  return data;
}

const aligned = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function uint32(...values: readonly number[]): Buffer {
  return Buffer.from(Uint32Array.from(values).buffer);
}

function uint64(value: number): Buffer {
  return Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
}

function string(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64(bytes.length), bytes]);
}

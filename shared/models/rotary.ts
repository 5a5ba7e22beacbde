/** Rotary position embeddings (Su et al. 2021, equation 34), with the scalings of longer contexts. */
import { z } from "zod";
import { add, div, mul, sub } from "../graph/operators/elementwise.ts";
import { gather } from "../graph/operators/indexing.ts";
import { concat, reshape, split } from "../graph/operators/layout.ts";
import { constant, integers, type Tensor } from "../graph/tensor.ts";

const number = z.number().positive();
const base = { rope_theta: number.default(10_000), partial_rotary_factor: z.literal(1).nullish() };
const scaled = { ...base, factor: z.number().min(1) };

/** The rotation as config.json describes it: transformers 5's `rope_parameters`, older ones' `rope_scaling`. */
export const ropeSchema = z.preprocess(
  (value) => {
    const { type, ...rest } = (value ?? {}) as Record<string, unknown>;
    return { ...rest, rope_type: rest.rope_type ?? type ?? "default" };
  },
  z.discriminatedUnion("rope_type", [
    z.object({ rope_type: z.literal("default"), ...base }),
    z.object({ rope_type: z.literal("linear"), ...scaled }),
    z.object({ rope_type: z.literal("dynamic"), ...scaled }),
    z.object({
      rope_type: z.literal("llama3"),
      ...scaled,
      low_freq_factor: number,
      high_freq_factor: number,
      original_max_position_embeddings: number,
    }),
    z.object({
      rope_type: z.literal("yarn"),
      ...scaled,
      attention_factor: number.nullish(),
      mscale: number.nullish(),
      mscale_all_dim: number.nullish(),
      beta_fast: number.default(32),
      beta_slow: number.default(1),
      truncate: z.boolean().default(true),
      original_max_position_embeddings: number,
    }),
  ]),
);

export type Rope = z.infer<typeof ropeSchema>;
type Yarn = Extract<Rope, { rope_type: "yarn" }>;

/**
 * How fast each pair of a head's dimensions turns, in radians a position, `[d / 2]`. Dynamic scaling changes nothing up to the
 * model's own positions, beyond which softpost does not go.
 */
function frequencies(rope: Rope, size: number): number[] {
  const own = Array.from({ length: size / 2 }, (_, i) => rope.rope_theta ** ((-2 * i) / size));
  switch (rope.rope_type) {
    case "default":
    case "dynamic":
      return own;
    case "linear":
      return own.map((frequency) => frequency / rope.factor);
    case "llama3":
      return own.map((frequency) => {
        const turns = (rope.original_max_position_embeddings * frequency) / (2 * Math.PI);
        const kept = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
        return mix(frequency / rope.factor, frequency, kept);
      });
    case "yarn": {
      const [low, high] = yarnRange(rope, size);
      return own.map((frequency, i) => mix(frequency, frequency / rope.factor, (i - low) / (high - low)));
    }
  }
}

/** From a to b, by a part that is cut to 0…1. */
function mix(a: number, b: number, part: number): number {
  const bounded = Math.max(0, Math.min(1, part));
  return a + (b - a) * bounded;
}

/** The dimensions between which YaRN goes from a frequency to its scaled one (Peng et al. 2023, section 3.2). */
function yarnRange(rope: Yarn, size: number): readonly [number, number] {
  const { rope_theta: theta, original_max_position_embeddings: positions, truncate } = rope;
  const dimension = (turns: number) => (size * Math.log(positions / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [fast, slow] = [dimension(rope.beta_fast), dimension(rope.beta_slow)];
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(truncate ? Math.ceil(slow) : slow, size - 1);
  return [low, low === high ? high + 0.001 : high];
}

/** What cosines and sines are multiplied with: YaRN's temperature of the attention (Peng et al. 2023, equation 22). */
function amplitude(rope: Rope): number {
  if (rope.rope_type !== "yarn") return 1;
  const { factor, attention_factor: given, mscale, mscale_all_dim: all } = rope;
  const of = (scale: number) => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  return given ?? (mscale && all ? of(mscale) / of(all) : of(1));
}

/** Positions are a multiple of this many and a rest. */
const STRIDE = 512;

/** Cosines and sines of `count` positions that are `step` apart, `[count, d / 2]` each. */
function tables(speeds: readonly number[], count: number, step: number): Record<"cosine" | "sine", Tensor> {
  const table = (of: (angle: number) => number) =>
    constant(Array.from({ length: count }, (_, i) => speeds.map((speed) => of(i * step * speed))).flat(), [
      count,
      speeds.length,
    ]);
  return { cosine: table(Math.cos), sine: table(Math.sin) };
}

/**
 * A function that turns heads: `[…, W]` of d dimensions each at positions, int32 from 0 up to below `count`, that broadcast to
 * `[…]`. The first half of a head's dimensions pairs with the second, as in Hugging Face's checkpoints. A GPU's own cosine is off
 * by 2e-4 and more, so that of a position comes from two small tables by the cosine and sine of a sum.
 */
export function rotation(rope: Rope, size: number, count: number): (x: Tensor, positions: Tensor) => Tensor {
  const speeds = frequencies(rope, size);
  const [coarse, fine] = [
    tables(speeds, Math.ceil(count / STRIDE), STRIDE),
    tables(speeds, Math.min(count, STRIDE), 1),
  ];
  const factor = amplitude(rope);
  const turns = new Map<Tensor, { readonly cosine: Tensor; readonly sine: Tensor }>();
  const turnOf = (positions: Tensor) => {
    const known = turns.get(positions);
    if (known) return known;
    const multiple = div(positions, integers(STRIDE, "int32"));
    const rest = sub(positions, mul(multiple, integers(STRIDE, "int32")));
    const at = (table: Tensor, row: Tensor) => reshape(gather(table, row), [...positions.shape, 1, size / 2]);
    const [cosA, sinA] = [at(coarse.cosine, multiple), at(coarse.sine, multiple)];
    const [cosB, sinB] = [at(fine.cosine, rest), at(fine.sine, rest)];
    const c = mul(sub(mul(cosA, cosB), mul(sinA, sinB)), factor);
    const s = mul(add(mul(sinA, cosB), mul(cosA, sinB)), factor);
    const turn = { cosine: concat([c, c], -1), sine: concat([mul(s, -1), s], -1) };
    turns.set(positions, turn);
    return turn;
  };
  return (x, positions) => {
    const { cosine, sine } = turnOf(positions);
    const heads = reshape(x, [...x.shape.slice(0, -1), (x.shape.at(-1) as number) / size, size]);
    const [first, second] = split(heads, -1, [size / 2, size / 2]);
    const turned = add(mul(heads, cosine), mul(concat([second!, first!], -1), sine));
    return reshape(turned, x.shape);
  };
}

/**
 * The forward pass of a causal transformer on the next positions of texts whose keys and values are kept: of a soft prompt, of a
 * whole text, or of one token a text.
 */
import { add, mul } from "../graph/operators/elementwise.ts";
import { cachedAttention, type Kept, keptSize } from "../graph/operators/cached-attention.ts";
import { argMax, gather } from "../graph/operators/indexing.ts";
import { cast, concat, range, reshape } from "../graph/operators/layout.ts";
import { product, sum } from "../graph/shape.ts";
import { input, integers, sizes, type Tensor, variable } from "../graph/tensor.ts";
import type { Update } from "../graph/engine.ts";
import type { Model } from "./model.ts";

/** New positions of R rows: embeddings of E virtual tokens, then S tokens. One of E and S may be 0. */
const ROWS = "R";
const NEW = sum(["E", "S"]);

/** Names of the variables that keep a layer's keys and values, `[slots, K, M, W]`: of which a run takes R rows. */
export function keptNames(prefix: string, layer: number): { readonly key: string; readonly value: string } {
  return { key: `${prefix}.key.${layer}`, value: `${prefix}.value.${layer}` };
}

/** The dimensions W that a head is kept in. */
export function keptHeadSize({ config, heads }: Model): number {
  const x = input("x", "float32", [1, 1, config.width]);
  return keptSize((heads(0, x, range(0, 1)).key.shape[2] as number) / config.keyHeads);
}

/**
 * Adds positions to what is kept. Inputs: `embedded` `[R, E, D]`, `ids` int32 `[R, S]`, `past` int32 `[R]`, how many positions of each row
 * are kept, and `total`, int32 scalar: the largest of them and the new ones. If E + S isn't 1, R is.
 * @param prefix of the names of the variables that keep keys and values
 * @returns `scores` `[R, V]` of the token behind the last new position and `best`, the likeliest, int32 `[R]`; and the updates in place
 */
export function decodeStep(
  model: Model,
  prefix: string,
): { readonly outputs: Record<"scores" | "best", Tensor>; readonly updates: readonly Update[] } {
  const { layers, width, keyHeads } = model.config;
  const size = keptHeadSize(model);
  const [ids, past] = [input("ids", "int32", [ROWS, "S"]), input("past", "int32", [ROWS])];
  const total = input("total", "int32", []);
  const added = cast(sizes([NEW]), "int32");
  const last = add(past, add(added, integers(-1, "int32")));
  const positions = add(reshape(past, [ROWS, 1]), range(0, NEW));
  const updates: Update[] = [];
  let x = concat([input("embedded", "float32", [ROWS, "E", width]), model.tokens(ids)], 1);
  x = model.place(x, positions);
  for (let layer = 0; layer < layers; layer++) {
    const names = keptNames(prefix, layer);
    const shape = [ROWS, keyHeads, "M", size];
    const kept: Kept = { key: variable(names.key, shape), value: variable(names.value, shape) };
    const attended = cachedAttention(model.heads(layer, x, positions), kept, { last, total }, model.config);
    for (const part of ["key", "value"] as const) {
      updates.push({ variable: kept[part], next: attended.kept[part], inPlace: true });
    }
    // Of the last layer only what is read is finished.
    const read = layer === layers - 1 ? lastOf : (all: Tensor) => all;
    x = model.finish(layer, read(x), read(attended.context));
  }
  const scores = model.logits(model.finalNorm(x));
  return { outputs: { scores, best: argMax(scores) }, updates };
}

/** The last of every row's new positions: `[R, E + S, W]` → `[R, W]`. */
function lastOf(x: Tensor): Tensor {
  const flat = reshape(x, [product([ROWS, NEW]), x.shape[2]!]);
  const length = cast(sizes([NEW]), "int32");
  return gather(flat, add(mul(range(0, ROWS), length), add(length, integers(-1, "int32"))));
}

/**
 * The forward pass of a causal transformer on the next positions of texts whose keys and values are kept: of a soft prompt, of a
 * whole text, or of one token a text.
 */
import type { Graph } from "../graph/graph.ts";
import { add, minimum, mul } from "../graph/operators/elementwise.ts";
import { argMax, gather } from "../graph/operators/indexing.ts";
import { cast, concat, range, reshape } from "../graph/operators/layout.ts";
import { reduceSum } from "../graph/operators/reduction.ts";
import { product, sum } from "../graph/shape.ts";
import { input, integers, sizes, type Tensor, variable } from "../graph/tensor.ts";
import { attendKept } from "./kept-attention.ts";
import type { Model } from "./model.ts";

const ROWS = "R";
/** New positions of a row: E virtual tokens, then S tokens. One of the two is 0. */
const NEW = sum(["E", "S"]);

/** Names of the variables that keep a layer's keys and values, `[slots, K, M, d]`, of which a run takes R rows. */
export function keptNames(prefix: string, layer: number): { readonly key: string; readonly value: string } {
  return { key: `${prefix}.key.${layer}`, value: `${prefix}.value.${layer}` };
}

/** Dimensions d of a head. */
export function headSize({ config, heads }: Model): number {
  const x = input("x", "float32", [1, 1, config.width]);
  return (heads(0, x, range(0, 1)).key.shape[2] as number) / config.keyHeads;
}

/**
 * Adds positions to what is kept. Inputs: `embedded` `[R, E, D]` or `ids` int32 `[R, S]`, right-padded; `past` int32 `[R]`, how many
 * positions of each row are kept; `read` int32 `[R]`, the last new position that is no padding.
 * @param prefix of the names of the variables that keep keys and values
 * @returns a graph of `scores` `[R, V]`, of the token behind the read position, `best`, the likeliest, int32 `[R]`, and `total`, the
 *   scores' sum `[R]`, which is a number if all of them are
 */
export function decodeStep(model: Model, prefix: string): Graph {
  const { layers, width, keyHeads } = model.config;
  const [ids, past] = [input("ids", "int32", [ROWS, "S"]), input("past", "int32", [ROWS])];
  // The padding of a row that begins late may be where the model has no position.
  const last = integers(model.config.positions - 1, "int32");
  const positions = minimum(add(reshape(past, [ROWS, 1]), range(0, NEW)), last);
  const shape = [ROWS, keyHeads, "M", headSize(model)];
  const atRead = reader(input("read", "int32", [ROWS]));
  const appends: { variable: Tensor; next: Tensor }[] = [];
  let x = model.place(concat([input("embedded", "float32", [ROWS, "E", width]), model.tokens(ids)], 1), positions);
  for (let layer = 0; layer < layers; layer++) {
    const names = keptNames(prefix, layer);
    const kept = { key: variable(names.key, shape), value: variable(names.value, shape) };
    const { context, added } = attendKept(model.heads(layer, x, positions), kept, past, model.config);
    appends.push({ variable: kept.key, next: added.key }, { variable: kept.value, next: added.value });
    // Of the last layer only what is read is finished.
    const wanted = layer === layers - 1 ? atRead : (all: Tensor) => all;
    x = model.finish(layer, wanted(x), wanted(context));
  }
  const scores = model.logits(model.finalNorm(x));
  return { outputs: { scores, best: argMax(scores), total: reduceSum(scores, [1]) }, appends };
}

/** A function that takes one position of every row, int32 `[R]`: `[R, E + S, W]` → `[R, W]`. */
function reader(positions: Tensor): (x: Tensor) => Tensor {
  const at = add(mul(range(0, ROWS), cast(sizes([NEW]), "int32")), positions);
  return (x) => gather(reshape(x, [product([ROWS, NEW]), x.shape[2]!]), at);
}

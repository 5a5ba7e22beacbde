/**
 * The layout that PEFT and the reference implementation of POST compute in, built from the same operators: the prompt is
 * broadcast to every row, all positions go through all layers, and logits are computed for all of them.
 */
import { add, mul } from "../shared/graph/operators/elementwise.ts";
import { gather } from "../shared/graph/operators/indexing.ts";
import { cast, concat, range, reshape } from "../shared/graph/operators/layout.ts";
import { product, sum } from "../shared/graph/shape.ts";
import { integers, sizes, type Tensor } from "../shared/graph/tensor.ts";
import { attend, causalMask } from "../shared/models/attention.ts";
import { everyRow } from "../shared/models/masked.ts";
import type { Model } from "../shared/models/model.ts";
import type { Texts } from "../shared/models/texts.ts";

/**
 * Logits `[B, V]` at the last real token of every text.
 * @param prompt `[B, P, D]` or `[1, P, D]`
 */
export function naiveLogits(model: Model, { ids, lengths }: Texts, prompt?: Tensor): Tensor {
  const rows = ids.shape[0]!;
  const virtualTokens = prompt ? (prompt.shape[1] as number) : 0;
  const texts = model.tokens(ids);
  const length = sum([virtualTokens, ids.shape[1]!]);
  const positions = range(0, length);
  let x = model.place(prompt ? concat([everyRow(prompt, rows), texts], 1) : texts, positions);
  for (let layer = 0; layer < model.config.layers; layer++) {
    const { query, key, value } = model.heads(layer, x, positions);
    const context = attend(query, { texts: key }, { texts: value }, causalMask(length), model);
    x = model.finish(layer, x, context);
  }
  const logits = model.logits(model.finalNorm(x));
  const last = add(lengths, integers(virtualTokens - 1, "int32"));
  const flat = reshape(logits, [product([rows, length]), model.config.vocabulary]);
  return gather(flat, add(mul(range(0, rows), cast(sizes([length]), "int32")), last));
}

/**
 * The forward pass of a masked (bidirectional) transformer with a soft prompt before the texts. The prompt sees the text, so
 * it is computed anew for each of them.
 */
import { add, mul } from "../graph/operators/elementwise.ts";
import { gather } from "../graph/operators/indexing.ts";
import { cast, concat, range, reshape } from "../graph/operators/layout.ts";
import { type Dim, product } from "../graph/shape.ts";
import { integers, sizes, type Tensor } from "../graph/tensor.ts";
import { attend, lastMask } from "./attention.ts";
import type { Model } from "./model.ts";
import type { Texts } from "./texts.ts";

/** {@link readHidden} of a masked model. */
export function readMasked(model: Model, { ids, lengths, read }: Texts, prompt?: Tensor): Tensor {
  const rows = ids.shape[0]!;
  const virtualTokens = prompt ? (prompt.shape[1] as number) : 0;
  const last = add(lengths, integers(virtualTokens - 1, "int32"));
  const final = model.config.layers - 1;
  let x = embed(model, ids, prompt);
  const length = x.shape[1]!;
  const mask = lastMask(last, length);
  for (let layer = 0; layer < final; layer++) x = wholeLayer(model, layer, x, mask);

  const position = add(read, integers(virtualTokens, "int32"));
  const at = add(mul(range(0, rows), cast(sizes([length]), "int32")), position);
  const one = gather(reshape(x, [product([rows, length]), model.config.width]), at);
  const { query } = model.heads(final, one, position);
  const { key, value } = model.heads(final, x, range(0, length));
  const only = reshape(query, [rows, 1, query.shape[1]!]);
  const context = attend(only, { texts: key }, { texts: value }, mask, model);
  return model.finalNorm(model.finish(final, one, reshape(context, [rows, context.shape[2]!])));
}

/** {@link allHidden} of a masked model: rows without padding. */
export function allMasked(model: Model, ids: Tensor): Tensor {
  let x = embed(model, ids);
  const [rows, length] = x.shape as readonly [Dim, Dim];
  const last = add(
    mul(range(0, rows), integers(0, "int32")),
    add(cast(sizes([length]), "int32"), integers(-1, "int32")),
  );
  const mask = lastMask(last, length);
  for (let layer = 0; layer < model.config.layers; layer++) x = wholeLayer(model, layer, x, mask);
  return model.finalNorm(x);
}

/** `[B, P + T, D]` */
function embed(model: Model, ids: Tensor, prompt?: Tensor): Tensor {
  const texts = model.tokens(ids);
  const rows = ids.shape[0]!;
  if (!prompt) return model.place(texts, range(0, ids.shape[1]!));
  const x = concat([everyRow(prompt, rows), texts], 1);
  return model.place(x, range(0, x.shape[1]!));
}

/** A prompt `[L, P, D]`, L 1 or `PER_EXAMPLE`, for every row by itself: `[B, P, D]`. */
export function everyRow(prompt: Tensor, rows: Dim): Tensor {
  return mul(add(mul(cast(reshape(range(0, rows), [rows, 1, 1]), "float32"), 0), 1), prompt);
}

function wholeLayer(model: Model, layer: number, x: Tensor, mask: Tensor): Tensor {
  const { query, key, value } = model.heads(layer, x, range(0, x.shape[1]!));
  return model.finish(layer, x, attend(query, { texts: key }, { texts: value }, mask, model));
}

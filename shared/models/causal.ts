/**
 * The forward pass of a causal transformer with a soft prompt before the texts, for any family. A causal prompt does
 * not see the text, so its hidden states are computed once for the whole batch; and after the last layer's keys and
 * values, only the read position of each text goes on.
 */
import { add, mul } from "../graph/operators/elementwise.ts";
import { gather } from "../graph/operators/indexing.ts";
import { cast, concat, range, reshape, split } from "../graph/operators/layout.ts";
import { type Dim, PER_EXAMPLE, product } from "../graph/shape.ts";
import { integers, sizes, type Tensor } from "../graph/tensor.ts";
import { attend, causalMask, lastMask, type Parts } from "./attention.ts";
import type { Heads, Model } from "./model.ts";

/** A batch of right-padded texts. */
export interface Texts {
  /** Token ids, int32 `[B, T]`. */
  readonly ids: Tensor;
  /** Number of real tokens in each row, int32 `[B]`, at least 1. */
  readonly lengths: Tensor;
}

/**
 * Final hidden states (after the last norm) at the last real token of every text, `[B, D]`.
 * @param prompt `[1, P, D]`, or `[PER_EXAMPLE, P, D]` so that its gradient comes out as `[B, P, D]`
 */
export function readHidden(model: Model, { ids, lengths }: Texts, prompt?: Tensor): Tensor {
  const layout = layoutOf(ids, prompt);
  const final = model.config.layers - 1;
  let streams = embed(model, layout, ids, prompt);
  for (let layer = 0; layer < final; layer++) streams = wholeLayer(model, layout, layer, streams);
  return model.finalNorm(readLayer(model, layout, final, streams, lengths));
}

/** Final hidden states at every position of texts without a prompt, `[B, T, D]`. */
export function allHidden(model: Model, ids: Tensor): Tensor {
  const layout = layoutOf(ids);
  let streams = embed(model, layout, ids);
  for (let layer = 0; layer < model.config.layers; layer++) streams = wholeLayer(model, layout, layer, streams);
  return model.finalNorm(streams[0]!);
}

/**
 * Hidden states between layers. Without a prompt: the texts' `[B, T, D]`. With a shared prompt: one tensor
 * `[P + B·T, D]`, so that every linear layer is one matrix product. With per-example gradients, which have other
 * shapes for the prompt than for the texts: the prompt's `[PER_EXAMPLE, P, D]` and the texts' `[B, T, D]`.
 */
type Streams = readonly Tensor[];

interface Layout {
  readonly rows: Dim;
  readonly length: Dim;
  readonly virtualTokens: number;
  readonly joined: boolean;
}

function layoutOf(ids: Tensor, prompt?: Tensor): Layout {
  const [rows, length] = ids.shape as readonly [Dim, Dim];
  const virtualTokens = prompt ? (prompt.shape[1] as number) : 0;
  return { rows, length, virtualTokens, joined: prompt !== undefined && prompt.shape[0] !== PER_EXAMPLE };
}

function pack({ rows, length, virtualTokens, joined }: Layout, { prompt, texts }: Parts): Streams {
  if (!prompt) return [texts];
  if (!joined) return [prompt, texts];
  const width = texts.shape[2]!;
  return [concat([reshape(prompt, [virtualTokens, width]), reshape(texts, [product([rows, length]), width])], 0)];
}

function unpack({ rows, length, virtualTokens, joined }: Layout, streams: Streams): Parts {
  if (!joined) return streams.length === 1 ? { texts: streams[0]! } : { prompt: streams[0]!, texts: streams[1]! };
  const [prompt, texts] = split(streams[0]!, 0, [virtualTokens, product([rows, length])]);
  const width = prompt!.shape[1]!;
  return { prompt: reshape(prompt!, [1, virtualTokens, width]), texts: reshape(texts!, [rows, length, width]) };
}

function embed(model: Model, layout: Layout, ids: Tensor, prompt?: Tensor): Streams {
  const texts = model.place(model.tokens(ids), layout.virtualTokens);
  return pack(layout, prompt ? { prompt: model.place(prompt, 0), texts } : { texts });
}

function heads(model: Model, layout: Layout, layer: number, streams: Streams): Record<keyof Heads, Parts> {
  const all = streams.map((x) => model.heads(layer, x));
  const parts = (name: keyof Heads) =>
    unpack(
      layout,
      all.map((each) => each[name]),
    );
  return { query: parts("query"), key: parts("key"), value: parts("value") };
}

function wholeLayer(model: Model, layout: Layout, layer: number, streams: Streams): Streams {
  const { query, key, value } = heads(model, layout, layer, streams);
  const among = (part: "prompt" | "texts", length: Dim) => {
    const [k, v] = part === "texts" ? [key, value] : [{ texts: key.prompt! }, { texts: value.prompt! }];
    return attend(query[part]!, k, v, causalMask(length), model.config.heads);
  };
  const texts = among("texts", layout.length);
  const contexts = pack(layout, query.prompt ? { prompt: among("prompt", layout.virtualTokens), texts } : { texts });
  return streams.map((x, i) => model.finish(layer, x, contexts[i]!));
}

/** The last layer, of which only the read position of each text is needed: `[B, D]`. */
function readLayer(model: Model, layout: Layout, layer: number, streams: Streams, lengths: Tensor): Tensor {
  const { rows, length } = layout;
  const last = add(cast(lengths, "int64"), integers(-1));
  const at = add(mul(range(0, rows), sizes([length])), last);
  const read = (x: Tensor) => gather(reshape(x, [product([rows, length]), x.shape[2]!]), at);

  const { query, key, value } = heads(model, layout, layer, streams);
  const one = reshape(read(query.texts), [rows, 1, query.texts.shape[2]!]);
  const context = attend(one, key, value, lastMask(last, length), model.config.heads);
  return model.finish(layer, read(unpack(layout, streams).texts), reshape(context, [rows, context.shape[2]!]));
}

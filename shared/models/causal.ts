/**
 * The forward pass of a causal transformer with a soft prompt before the texts, for any family. A causal prompt does
 * not see the text, so its hidden states are computed once for the whole batch; and of the last layer, only the keys,
 * the values and what is read of each text are computed.
 */
import { add, mul } from "../graph/operators/elementwise.ts";
import { gather } from "../graph/operators/indexing.ts";
import { cast, concat, range, reshape, split } from "../graph/operators/layout.ts";
import { type Dim, PER_EXAMPLE, product } from "../graph/shape.ts";
import { integers, sizes, type Tensor } from "../graph/tensor.ts";
import { attend, causalMask, type Parts, positionMask } from "./attention.ts";
import type { Model } from "./model.ts";
import type { Texts } from "./texts.ts";

/** {@link readHidden} of a causal model. */
export function readCausal(model: Model, { ids, lengths }: Texts, prompt?: Tensor): Tensor {
  const last = add(lengths, integers(-1, "int32"));
  return readPositions(model, ids, reshape(last, [ids.shape[0]!, 1]), prompt);
}

/**
 * Final hidden states of a causal model at Q positions of every text, `[B·Q, D]`.
 * @param ids int32 `[B, T]`, right-padded
 * @param positions int32 `[B, Q]`
 * @param prompt as {@link readHidden} takes it
 */
export function readPositions(model: Model, ids: Tensor, positions: Tensor, prompt?: Tensor): Tensor {
  const layout = layoutOf(ids, prompt);
  const final = model.config.layers - 1;
  let states = embed(model, layout, ids, prompt);
  for (let layer = 0; layer < final; layer++) states = wholeLayer(model, layout, layer, states);
  return model.finalNorm(readLayer(model, layout, final, states, positions));
}

/** {@link allHidden} of a causal model. */
export function allCausal(model: Model, ids: Tensor): Tensor {
  const layout = layoutOf(ids);
  let states = embed(model, layout, ids);
  for (let layer = 0; layer < model.config.layers; layer++) states = wholeLayer(model, layout, layer, states);
  return model.finalNorm(states.streams[0]!);
}

/** What all layers have in common. */
interface Layout {
  readonly rows: Dim;
  readonly length: Dim;
  readonly virtualTokens: number;
  /** Prompt and texts go on in one stream; gradients for each example have other shapes for one than for the other. */
  readonly joined: boolean;
  /** Of the prompt `[P]` and the texts `[T]`, and of the joined stream `[P + B·T]`. */
  readonly positions: { readonly prompt: Tensor; readonly texts: Tensor; readonly joined: Tensor };
}

/**
 * Hidden states between layers. Without a prompt: the texts' `[B, T, D]`. At first, and with gradients for each example: the
 * prompt's `[L, P, D]` and the texts' `[B, T, D]`. Behind the first layer, a prompt that is shared makes one stream
 * `[P + B·T, D]` with the texts, so that every linear layer is one matrix product; up to there the texts don't depend on the
 * prompt, and apart they need no gradient.
 */
interface States {
  readonly joined: boolean;
  readonly streams: readonly Tensor[];
}

function layoutOf(ids: Tensor, prompt?: Tensor): Layout {
  const [rows, length] = ids.shape as readonly [Dim, Dim];
  const virtualTokens = prompt ? (prompt.shape[1] as number) : 0;
  const [before, after] = [range(0, virtualTokens), range(virtualTokens, length)];
  const everyRow = add(mul(reshape(range(0, rows), [rows, 1]), integers(0, "int32")), after);
  return {
    rows,
    length,
    virtualTokens,
    joined: prompt !== undefined && prompt.shape[0] !== PER_EXAMPLE,
    positions: {
      prompt: before,
      texts: after,
      joined: concat([before, reshape(everyRow, [product([rows, length])])], 0),
    },
  };
}

function embed(model: Model, { positions }: Layout, ids: Tensor, prompt?: Tensor): States {
  const texts = model.place(model.tokens(ids), positions.texts);
  return { joined: false, streams: prompt ? [model.place(prompt, positions.prompt), texts] : [texts] };
}

function join({ rows, length, virtualTokens }: Layout, [prompt, texts]: readonly Tensor[]): Tensor {
  const width = texts!.shape[2]!;
  return concat([reshape(prompt!, [virtualTokens, width]), reshape(texts!, [product([rows, length]), width])], 0);
}

/** Each stream's features, as the prompt's and the texts'. */
function partsOf({ rows, length, virtualTokens }: Layout, joined: boolean, streams: readonly Tensor[]): Parts {
  if (streams.length === 2) return { prompt: streams[0]!, texts: streams[1]! };
  if (!joined) return { texts: streams[0]! };
  const [prompt, texts] = split(streams[0]!, 0, [virtualTokens, product([rows, length])]);
  const width = prompt!.shape[1]!;
  return { prompt: reshape(prompt!, [1, virtualTokens, width]), texts: reshape(texts!, [rows, length, width]) };
}

function heads(model: Model, layout: Layout, layer: number, { joined, streams }: States) {
  const { positions } = layout;
  const at = joined
    ? [positions.joined]
    : streams.length === 2
      ? [positions.prompt, positions.texts]
      : [positions.texts];
  const all = streams.map((x, i) => model.heads(layer, x, at[i]!));
  const parts = (name: "query" | "key" | "value") =>
    partsOf(
      layout,
      joined,
      all.map((each) => each[name]),
    );
  return { query: parts("query"), key: parts("key"), value: parts("value") };
}

function wholeLayer(model: Model, layout: Layout, layer: number, states: States): States {
  const { query, key, value } = heads(model, layout, layer, states);
  const texts = attend(query.texts, key, value, causalMask(layout.length), model);
  const contexts = [texts];
  if (query.prompt) {
    const mask = causalMask(layout.virtualTokens);
    contexts.unshift(attend(query.prompt, { texts: key.prompt! }, { texts: value.prompt! }, mask, model));
  }
  if (!layout.joined) return { ...states, streams: states.streams.map((x, i) => model.finish(layer, x, contexts[i]!)) };
  const x = states.joined ? states.streams[0]! : join(layout, states.streams);
  return { joined: true, streams: [model.finish(layer, x, join(layout, contexts))] };
}

/** The last layer, of which only Q positions of each text are needed, int32 `[B, Q]`: `[B·Q, D]`. */
function readLayer(model: Model, layout: Layout, layer: number, states: States, positions: Tensor): Tensor {
  const { rows, length, virtualTokens } = layout;
  const count = positions.shape[1]!;
  const all = product([rows, count]);
  const { texts } = partsOf(layout, states.joined, states.streams);
  const flat = reshape(texts, [product([rows, length]), model.config.width]);
  const rowStarts = mul(reshape(range(0, rows), [rows, 1]), cast(sizes([length]), "int32"));
  const x = gather(flat, reshape(add(rowStarts, positions), [all]));
  const { query } = model.heads(layer, x, reshape(add(positions, integers(virtualTokens, "int32")), [all]));
  const apart = reshape(query, [rows, count, query.shape[1]!]);
  const { key, value } = heads(model, layout, layer, states);
  const context = attend(apart, key, value, positionMask(positions, length), model);
  return model.finish(layer, x, reshape(context, [all, context.shape[2]!]));
}

import type { Tokens } from "../data/token-stream.ts";
import type { MaskTokens } from "../data/tokenizer.ts";
import { reshape } from "../graph/operators/layout.ts";
import { input, type Tensor } from "../graph/tensor.ts";
import { allHidden } from "../models/forward.ts";
import type { Model } from "../models/model.ts";
import { ProblemError } from "../protocol/errors.ts";
import type { LanguageRows, RowOptions } from "./language-batches.ts";
import type { LanguageOutputs, LanguageTargets } from "./losses.ts";
import { MaskedRows } from "./masked-rows.ts";
import { TokenRows } from "./token-rows.ts";

/**
 * A token stream as a kind of model is trained on it: every next token, or some tokens that are masked.
 * @param mask what masking needs of the model's tokenizer
 * @throws ProblemError if the stream has no full row, or a masked model's tokenizer has no mask
 */
export function languageRows(
  kind: Model["kind"],
  tokens: Tokens,
  options: RowOptions,
  mask: MaskTokens | undefined,
): LanguageRows {
  if (kind === "causal") return new TokenRows(tokens, options);
  if (mask) return new MaskedRows(tokens, options, mask);
  const detail = "a masked model is trained on masked tokens, but its tokenizer has no mask, start or end token";
  throw new ProblemError("The tokenizer does not fit the model", detail);
}

/** The graph inputs of a batch of B rows of T tokens: `ids` `[B, T]` and what they are compared with. */
export function languageInputs({ batchSize: B, length: T }: RowOptions): { ids: Tensor; targets: LanguageTargets } {
  const each = (name: string, dtype: "int32" | "float32") => reshape(input(name, dtype, [B, T]), [B * T]);
  return {
    ids: input("ids", "int32", [B, T]),
    targets: { labels: each("labels", "int32"), predicted: each("predicted", "float32") },
  };
}

/**
 * What a model makes of rows without padding, int32 `[B, T]`.
 * @throws ProblemError if they are longer than the model's positions
 */
export function languageOutputs(model: Model, ids: Tensor): LanguageOutputs {
  const [rows, length] = ids.shape as readonly [number, number];
  if (length > model.config.positions) {
    const detail = `they have ${length} tokens, the model has ${model.config.positions} positions: lower --max-length.`;
    throw new ProblemError("The rows are too long", detail, { status: 422 });
  }
  const hidden = reshape(allHidden(model, ids), [rows * length, model.config.width]);
  return { hidden, head: (rows) => model.logits(rows) };
}

import { ProblemError } from "../protocol/errors.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A model's tokenizer for texts of somebody else's, of which no word may get into an error: it refuses what the model can't read without the token. */
export function quietTokenizer(tokenizer: Tokenizer): Tokenizer {
  return {
    ...tokenizer,
    encode: (texts) => tokenizer.encode(texts).catch(hide),
    encodePieces: (texts) => tokenizer.encodePieces(texts).catch(hide),
  };
}

function hide(error: unknown): never {
  if (!(error instanceof ProblemError)) throw error;
  const detail = "A text has a token that the model has no embedding for. Leave it out, or ask the provider.";
  throw new ProblemError("The texts are not valid", detail);
}

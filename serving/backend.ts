import type { Value } from "../shared/graph/graph.ts";
import type { EncodedText } from "../shared/training/texts.ts";
import type { Piece } from "./engine/choice.ts";
import type { Kept } from "./prompts/prompt-cache.ts";

/** How texts are continued, in OpenAI's terms. */
export interface Decoding {
  readonly maxNewTokens: number;
  /** 0: the likeliest token each time. */
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number | undefined;
  readonly stop: readonly string[];
  /** Log-probabilities of so many of the likeliest tokens; undefined: of none. */
  readonly logprobs: number | undefined;
}

/** A text with a prompt, as the backend keeps it, or none. */
export interface Prompted<P> {
  readonly ids: Int32Array;
  readonly prompt: P | undefined;
}

/** Who is told how a request gets on. */
export interface Progress {
  readonly signal: AbortSignal;
  /** The model has begun to read a text of so many tokens. */
  onPrompt(tokens: number): void;
  /** So many tokens more were made. */
  onCompletion(tokens: number): void;
}

/** What computes: the engine of this process, or another server. P is what it keeps of a soft prompt. */
export interface Backend<P> {
  /** Makes a soft prompt `[P, D]` ready. */
  prepare(value: Value): Promise<Kept<P>>;
  release(prompt: P): Promise<void>;
  /**
   * Continues a text, as often as there are choices; tells every piece of every one.
   * @param which of the request's texts it is: with a seed, each draws its own
   * @throws ProblemError that the client may see
   */
  complete(
    text: Prompted<P>,
    decoding: Decoding,
    choices: number,
    which: number,
    onPiece: (choice: number, piece: Piece) => void,
    progress: Progress,
  ): Promise<void>;
  /** The scores of all tokens `[V]` at a text's read position. Undefined where there is no way to ask for them. */
  readonly ask?: (text: Prompted<P> & EncodedText, progress: Progress) => Promise<Float32Array>;
  /** Texts that wait, and rows in the batch. */
  readonly load: { readonly waiting: number; readonly rows: number };
  close(): Promise<void>;
}

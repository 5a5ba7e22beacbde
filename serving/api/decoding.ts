import type { ChatRequest, CompletionRequest } from "../../shared/protocol/inference.ts";
import type { Decoding, Progress } from "../backend.ts";
import type { Piece } from "../engine/choice.ts";
import type { Likely } from "../engine/log-probabilities.ts";
import { requirePositions, withPrompt } from "../service.ts";
import { together } from "../together.ts";
import { type RequestContext, requireAllowed } from "./request.ts";

/** An answer as far as it is there. */
export interface Answer {
  text: string;
  readonly tokens: Likely[];
  finish: "stop" | "length" | undefined;
}

/** All answers of a request, text by text, and what they took. */
export interface Answers {
  readonly answers: readonly Answer[];
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** What a request says of its decoding. */
export function decodingOf(request: CompletionRequest | ChatRequest, logprobs: number | undefined): Decoding {
  return {
    maxNewTokens: request.max_tokens,
    temperature: request.temperature,
    topP: request.top_p,
    seed: request.seed ?? undefined,
    stop: request.stop,
    logprobs,
  };
}

/**
 * Continues texts with a ticket's prompt.
 * @param choices of each text
 * @param onPiece told every piece of every answer; answers are counted text by text
 */
export async function continueTexts<P>(
  context: RequestContext<P>,
  texts: readonly Int32Array[],
  decoding: Decoding,
  choices: number,
  onPiece: (index: number, piece: Piece) => void,
): Promise<Answers> {
  const { service, ticket, progress } = context;
  const { target, backend } = service;
  const prompt = texts.reduce((sum, { length }) => sum + length, 0);
  requireAllowed(ticket, prompt + texts.length * choices * decoding.maxNewTokens);
  const counted = { prompt: 0, completion: 0 };
  const counting: Omit<Progress, "signal"> = {
    onPrompt(tokens) {
      counted.prompt += tokens;
      progress.onPrompt(tokens);
    },
    onCompletion(tokens) {
      counted.completion += tokens;
      progress.onCompletion(tokens);
    },
  };
  const answers = Array.from(
    { length: texts.length * choices },
    (): Answer => ({ text: "", tokens: [], finish: undefined }),
  );
  const grow = (index: number, piece: Piece) => {
    const answer = answers[index]!;
    answer.text += piece.text;
    answer.tokens.push(...piece.tokens);
    answer.finish = piece.finish;
    onPiece(index, piece);
  };
  await withPrompt(service, ticket, async (ready) => {
    const virtualTokens = ready?.virtualTokens ?? 0;
    for (const { length } of texts) requirePositions(target, virtualTokens, length, decoding.maxNewTokens);
    await together(progress.signal, texts, (ids, signal, i) =>
      backend.complete(
        { ids, prompt: ready?.kept },
        decoding,
        choices,
        i,
        (choice, piece) => grow(i * choices + choice, piece),
        { ...counting, signal },
      ),
    );
  });
  return { answers, promptTokens: counted.prompt, completionTokens: counted.completion };
}

import { Buffer } from "node:buffer";
import { jsonFault } from "../../shared/data/json-fault.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { MAX_BODY_BYTES } from "../../shared/protocol/inference.ts";
import { duplicateKeys } from "../../shared/protocol/json.ts";
import type { Ticket } from "../../shared/protocol/ticket.ts";
import type { Progress } from "../backend.ts";
import type { Service } from "../service.ts";
import type { Emit } from "./respond.ts";

/** A request whose ticket is spent. */
export interface RequestContext<P> {
  readonly service: Service<P>;
  readonly ticket: Ticket;
  /** What the answer is called, and the model in it. */
  readonly id: string;
  readonly model: string;
  readonly progress: Progress;
}

/** What a route does with a request: its whole answer, or its events. */
export interface Work {
  readonly streamed: boolean;
  /** Rows that it takes of the batch. */
  readonly rows: number;
  run(emit: Emit): Promise<object>;
}

/** What OpenAI's answers say of tokens. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

export function usageOf(prompt: number, completion: number): Usage {
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

/** @throws ProblemError 413 for a body that is larger than any request may be, whatever its header says */
export async function readBody(body: ReadableStream<Uint8Array> | null): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) {
      throw new ProblemError("The request is too large", `A body has at most ${MAX_BODY_BYTES} bytes.`, {
        status: 413,
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A body as JSON. @throws ProblemError that quotes nothing of it */
export function parseBody(bytes: Uint8Array): unknown {
  const title = "The request is not valid";
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ProblemError(title, "The body is not UTF-8.");
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProblemError(title, `The body can't be read as JSON. ${jsonFault(text).kind}`);
  }
  if (duplicateKeys(text).length > 0) throw new ProblemError(title, "The body says a key twice.");
  return value;
}

/** @throws ProblemError where a request may use more than its ticket allows */
export function requireAllowed({ maxTokens }: Ticket, tokens: number): void {
  if (tokens <= maxTokens) return;
  const detail = `It may take ${tokens} tokens, and its ticket is for ${maxTokens}.`;
  throw new ProblemError("The request is too large for its ticket", detail);
}

import { z } from "zod";
import { chunksOf } from "../../shared/protocol/chunks.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { parsedOrUndefined } from "../../shared/protocol/json.ts";
import { openaiErrorSchema } from "../../shared/protocol/openai-error.ts";

const problemSchema = z.object({
  title: z.string(),
  detail: z.string(),
  faults: z.array(z.object({ at: z.string(), message: z.string() })).default([]),
});

/** The longest answer is a page of transfers with their losses. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** A provider and the key for it. */
export interface Connection {
  /** Without a slash at its end. */
  readonly url: string;
  readonly key: string;
  /** By which way it is reached, for the message when it isn't: `, by way of the proxy …`. */
  readonly via?: string;
}

/** How a request is stopped. */
export interface Call {
  readonly signal?: AbortSignal | undefined;
}

/** An operation whose answer is JSON. */
interface Operation<A extends z.ZodType> {
  readonly method: string;
  readonly path: string;
  readonly answer: A;
}

/** What an operation is asked with. */
export interface Asked extends Call {
  /** In place of `{id}` in its path. */
  readonly id?: string;
  readonly query?: Readonly<Record<string, string>>;
  /** A body, and how it is described. */
  readonly sent?: {
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string | Uint8Array<ArrayBuffer>;
  };
}

/** Requests to a provider, from Node and browsers. Its answers are checked like any other input: the client doesn't trust the provider either. */
export class Transport {
  readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** An operation's answer. @throws ProblemError as `json` */
  call<A extends z.ZodType>({ method, path, answer }: Operation<A>, asked: Asked = {}): Promise<z.output<A>> {
    const { id, query, sent, signal } = asked;
    const named = id === undefined ? path : path.replace("{id}", encodeURIComponent(id));
    const address = query ? `${named}?${new URLSearchParams(query)}` : named;
    return this.json(address, answer, { method, ...sent, ...(signal && { signal }) });
  }

  /** The answer to a request, whatever its content. @throws ProblemError with the provider's own problem, or if it can't be reached */
  async request(path: string, init: RequestInit = {}): Promise<Response> {
    let response: Response;
    try {
      response = await this.send(path, init);
    } catch (cause) {
      if (init.signal?.aborted) throw cause;
      throw broke(cause) && init.body ? cutOff(this.connection, cause) : unreachable(this.connection, cause);
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  /** The answer to a request, whatever its status. @throws Error of `fetch` if there is none */
  send(path: string, init: RequestInit): Promise<Response> {
    const { url, key } = this.connection;
    const headers = { ...(init.headers as Record<string, string>), authorization: `Bearer ${key}` };
    // Following a redirect could take the key and the prompt to somebody else.
    return fetch(url + path, { ...init, headers, redirect: "error" });
  }

  /** The answer to a request, checked. @throws ProblemError as `request`, or if it isn't what it should be */
  async json<S extends z.ZodType>(path: string, schema: S, init: RequestInit = {}): Promise<z.output<S>> {
    const response = await this.request(path, init);
    const answer = schema.safeParse(parsedOrUndefined(await readLimited(response, this.connection, init.signal)));
    if (answer.success) return answer.data;
    const [issue] = answer.error.issues;
    const detail = `${path}: ${issue!.path.join(".") || "the answer"}: ${issue!.message}. Is it another version?`;
    throw new ProblemError("The provider's answer is not understood", detail, { status: 502 });
  }
}

/** What an answer says that isn't the wanted one. */
export async function problemOf(response: Response): Promise<ProblemError> {
  const { status } = response;
  const wait = Number(response.headers.get("retry-after") ?? Number.NaN);
  const retryAfter = Number.isFinite(wait) ? wait : undefined;
  const value = parsedOrUndefined(await readLimited(response, { url: response.url }));
  const openai = openaiErrorSchema.safeParse(value);
  if (openai.success) return new ProblemError("The request failed", openai.data.error.message, { status, retryAfter });
  const parsed = problemSchema.safeParse(value);
  if (!parsed.success) {
    return new ProblemError("The provider failed", `It answered with status ${status}.`, { status, retryAfter });
  }
  const { title, detail, faults } = parsed.data;
  return new ProblemError(title, detail, { status, faults, retryAfter });
}

async function readLimited(
  response: Response,
  from: Pick<Connection, "url" | "via">,
  signal?: AbortSignal | null,
): Promise<string> {
  const decoder = new TextDecoder();
  let [text, size] = ["", 0];
  try {
    for await (const chunk of response.body ? chunksOf(response.body) : []) {
      size += chunk.length;
      if (size > MAX_ANSWER_BYTES)
        throw new ProblemError("The provider failed", "Its answer doesn't end.", { status: 502 });
      text += decoder.decode(chunk, { stream: true });
    }
  } catch (cause) {
    throw cause instanceof ProblemError || signal?.aborted ? cause : unreachable(from, cause);
  }
  return text + decoder.decode();
}

/** The request with a JSON body. */
export function sending(method: string, body: unknown) {
  return { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

/** Whether there was a connection, which then ended before the answer. */
function broke(error: unknown): boolean {
  const { code } = ((error as Error).cause ?? {}) as { code?: string };
  return code === "EPIPE" || code === "ECONNRESET" || code === "UND_ERR_SOCKET";
}

function cutOff({ url }: Connection, cause: unknown): ProblemError {
  const detail =
    `${url}: the connection ended before there was an answer. The provider, or something in front of it, may refuse so large a body, ` +
    "or was just stopped. softpost status shows whether a submission arrived; under its idempotency key it can be sent again safely.";
  return new ProblemError("The upload broke off", detail, { status: 503, cause });
}

function unreachable({ url, via = "" }: Pick<Connection, "url" | "via">, cause: unknown): ProblemError {
  const reason = ((cause as Error).cause as Error | undefined)?.message ?? (cause as Error).message;
  return new ProblemError("The provider can't be reached", `${url}${via}: ${reason}.`, { status: 503, cause });
}

/** What an answer holds. @throws ProblemError if the connection breaks off */
export async function wholeBody(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const body = await response.arrayBuffer().catch((cause: unknown) => {
    if (cause instanceof Error && cause.name === "AbortError") throw cause;
    throw new ProblemError("The download failed", "The connection broke off.", { status: 502, cause });
  });
  return new Uint8Array(body);
}

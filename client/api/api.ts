import { z } from "zod";
import {
  type FileRecord,
  type PublicSet,
  publicSetSchema,
  type Student,
  studentSchema,
} from "../../shared/protocol/catalogue.ts";
import { chunksOf } from "../../shared/protocol/chunks.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { parsedOrUndefined } from "../../shared/protocol/json.ts";
import { openaiErrorSchema } from "../../shared/protocol/openai-error.ts";
import {
  type Budget,
  budgetSchema,
  type Quote,
  quoteSchema,
  type ReleaseRecord,
  releaseSchema,
  type Transfer,
  transferSchema,
} from "../../shared/protocol/transfer.ts";
import type { SubmitRequest } from "../../shared/submission/submit-request.ts";

const problemSchema = z.object({
  title: z.string(),
  detail: z.string(),
  faults: z.array(z.object({ at: z.string(), message: z.string() })).default([]),
});

export const transferPageSchema = z.object({
  transfers: z.array(transferSchema),
  has_more: z.boolean(),
  cursor: z.string().nullable(),
});

export type TransferPage = z.output<typeof transferPageSchema>;

/** The longest answer is a page of transfers with their losses. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** A provider and the key for it. */
export interface Connection {
  /** Without a slash at its end. */
  readonly url: string;
  readonly key: string;
  /** By which proxy it is reached, for messages. */
  readonly via?: string;
}

/** A provider's API, for Node and browsers. Its answers are checked like any other input: the client doesn't trust the provider either. */
export class Api {
  readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  async students(): Promise<Student[]> {
    return (await this.json("/v1/students", z.object({ students: z.array(studentSchema) }))).students;
  }

  async publicSets(): Promise<PublicSet[]> {
    return (await this.json("/v1/public-sets", z.object({ publicSets: z.array(publicSetSchema) }))).publicSets;
  }

  quote(request: unknown): Promise<Quote> {
    return this.json("/v1/quotes", quoteSchema, sending("POST", request));
  }

  submit({ path, headers, body }: SubmitRequest, signal?: AbortSignal): Promise<Transfer> {
    return this.json(path, transferSchema, { method: "POST", headers, body, ...(signal && { signal }) });
  }

  /** A page of them, newest first. @param query as `GET /v1/transfers` takes it */
  transfers(query: Readonly<Record<string, string>> = {}): Promise<TransferPage> {
    return this.json(`/v1/transfers?${new URLSearchParams(query)}`, transferPageSchema);
  }

  transfer(id: string): Promise<Transfer> {
    return this.json(transferPath(id), transferSchema);
  }

  cancel(id: string): Promise<Transfer> {
    return this.json(`${transferPath(id)}/cancel`, transferSchema, { method: "POST" });
  }

  remove(id: string): Promise<Transfer> {
    return this.json(transferPath(id), transferSchema, { method: "DELETE" });
  }

  budget(): Promise<Budget> {
    return this.json("/v1/budget", budgetSchema);
  }

  /** What was released from a data set, oldest first. */
  async releases(dataset: string): Promise<ReleaseRecord[]> {
    const path = `/v1/releases?${new URLSearchParams({ dataset })}`;
    return (await this.json(path, z.object({ releases: z.array(releaseSchema) }))).releases;
  }

  /** The answer to a request, whatever its content. @throws ProblemError with the provider's own problem, or if it can't be reached */
  async request(path: string, init: RequestInit = {}): Promise<Response> {
    const { url, via = "" } = this.connection;
    let response: Response;
    try {
      response = await this.send(path, init);
    } catch (cause) {
      if (init.signal?.aborted) throw cause;
      throw broke(cause) && init.body ? cutOff(url, cause) : unreachable(url + via, cause);
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
  async json<S extends z.ZodType>(path: string, schema: S, init?: RequestInit): Promise<z.output<S>> {
    const response = await this.request(path, init);
    const answer = schema.safeParse(parsedOrUndefined(await readLimited(response, this.connection.url)));
    if (answer.success) return answer.data;
    const [issue] = answer.error.issues;
    const detail = `${path}: ${issue!.path.join(".") || "the answer"}: ${issue!.message}. Is it another version?`;
    throw new ProblemError("The provider's answer is not understood", detail, { status: 502 });
  }
}

/** @throws ProblemError if the id has another form: it becomes part of a path */
export function transferPath(id: string): string {
  if (/^[a-z2-7]{16}$/.test(id)) return `/v1/transfers/${id}`;
  throw new ProblemError("There is no such transfer", `${JSON.stringify(id)} is no transfer's id.`, { status: 404 });
}

/** Where a file of a student's folder is. */
export function studentFilePath(student: Student, { name }: FileRecord): string {
  return `/v1/students/${student.id}/files/${name}`;
}

/** What an answer says that isn't the wanted one. */
export async function problemOf(response: Response): Promise<ProblemError> {
  const { status } = response;
  const value = parsedOrUndefined(await readLimited(response, response.url));
  const openai = openaiErrorSchema.safeParse(value);
  if (openai.success) return new ProblemError("The request failed", openai.data.error.message, { status });
  const parsed = problemSchema.safeParse(value);
  if (!parsed.success) return new ProblemError("The provider failed", `It answered with status ${status}.`, { status });
  const { title, detail, faults } = parsed.data;
  return new ProblemError(title, detail, { status, faults });
}

async function readLimited({ body }: Response, url: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  try {
    for await (const chunk of body ? chunksOf(body) : []) {
      size += chunk.length;
      if (size > MAX_ANSWER_BYTES)
        throw new ProblemError("The provider failed", "Its answer doesn't end.", { status: 502 });
      text += decoder.decode(chunk, { stream: true });
    }
  } catch (cause) {
    throw cause instanceof ProblemError ? cause : unreachable(url, cause);
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

function cutOff(url: string, cause: unknown): ProblemError {
  const detail =
    `${url}: the connection ended before there was an answer. The provider, or something in front of it, may refuse so large a body, ` +
    "or was just stopped. softpost status shows whether a submission arrived; with its --idempotency-key it can be sent again safely.";
  return new ProblemError("The upload broke off", detail, { status: 503, cause });
}

function unreachable(url: string, cause: unknown): ProblemError {
  const reason = ((cause as Error).cause as Error | undefined)?.message ?? (cause as Error).message;
  return new ProblemError("The provider can't be reached", `${url}: ${reason}.`, { status: 503, cause });
}

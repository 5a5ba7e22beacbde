import { z } from "zod";
import type { ProblemError } from "./errors.ts";

/** How OpenAI's API says that something went wrong; its clients make their error classes of it. */
export const openaiErrorSchema = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable().describe("The parameter that is wrong."),
      code: z.string().nullable(),
    }),
  })
  .meta({ id: "OpenAIError" });

export type OpenAIError = z.output<typeof openaiErrorSchema>;

/** OpenAI's words for statuses; any other of 4xx is an invalid request. */
const KINDS: Readonly<Record<number, { readonly type: string; readonly code: string }>> = {
  401: { type: "authentication_error", code: "invalid_api_key" },
  403: { type: "permission_error", code: "permission_denied" },
  404: { type: "invalid_request_error", code: "model_not_found" },
  402: { type: "insufficient_quota", code: "insufficient_quota" },
  429: { type: "rate_limit_error", code: "rate_limit_exceeded" },
  503: { type: "server_error", code: "overloaded" },
};

/** A problem in OpenAI's form, with its status there: a body that isn't valid is 400. */
export function openaiError({ title, detail, status, faults }: ProblemError): { status: number; body: OpenAIError } {
  const own = status === 422 ? 400 : status;
  const kind = KINDS[own] ?? { type: own >= 500 ? "server_error" : "invalid_request_error", code: null };
  const said = faults.map(({ at, message }) => `${nameOf(at) ?? at}: ${message}`).join(" ");
  const param = faults.map(({ at }) => nameOf(at)).find((name) => name !== undefined) ?? null;
  const message = `${title}: ${detail}${said && ` ${said}`}`;
  return { status: own, body: { error: { message, type: kind.type, param, code: kind.code } } };
}

/** `messages[0].content` for `body#/messages/0/content`. */
function nameOf(at: string): string | undefined {
  const [, pointer] = /^body#\/(.+)$/.exec(at) ?? [];
  return pointer
    ?.split("/")
    .map((part, i) => (/^\d+$/.test(part) ? `[${part}]` : i === 0 ? part : `.${part}`))
    .join("");
}

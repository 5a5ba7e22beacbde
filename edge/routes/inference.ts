import { createRoute } from "@hono/zod-openapi";
import type { Context } from "hono";
import { ProblemError } from "../../shared/protocol/errors.ts";
import {
  chatSchema,
  classifySchema,
  completionSchema,
  type Endpoint,
  MAX_BODY_BYTES,
  parseInference,
} from "../../shared/protocol/inference.ts";
import {
  chatAnswerSchema,
  classifyAnswerSchema,
  completionAnswerSchema,
} from "../../shared/protocol/inference-answers.ts";
import { parseJson } from "../../shared/protocol/json.ts";
import type { Tokens } from "../../shared/protocol/metering.ts";
import { type ClassificationTask, isGeneration } from "../../shared/protocol/task.ts";
import type { App, AppEnv } from "../http/app-env.ts";
import { tenantWith } from "../http/auth.ts";
import { limitBody } from "../http/upload.ts";
import { forward } from "../inference/forward.ts";
import { readManifest } from "../inference/manifests.ts";
import { type ResolvedModel, resolveModel } from "../inference/models.ts";
import { chatTokens, classifyTokens, completionTokens } from "../inference/most-tokens.ts";
import { describeSchema, openaiProblems, secured } from "./route.ts";

const TITLE = "The request is not valid";
const BODIES = { completions: "CompletionRequest", "chat/completions": "ChatRequest", classify: "ClassifyRequest" };
const ANSWERS = { completions: "CompletionAnswer", "chat/completions": "ChatAnswer", classify: "ClassifyAnswer" };

/** What `createRoute` takes for it: schemas by their names, since answers go through as they come. */
type Content = Readonly<Record<string, { readonly schema: { readonly $ref: string } | { readonly type: "string" } }>>;

const EVENTS: Content = { "text/event-stream": { schema: { type: "string" } } };

const schemaOf = (name: string) => ({ $ref: `#/components/schemas/${name}` });

/** A route whose body is checked by `parseInference`, which names what isn't supported. */
function inferenceRoute<P extends Endpoint>(
  endpoint: P,
  {
    operationId,
    summary,
    description,
    example,
    answer,
  }: { operationId: string; summary: string; description: string; example: object; answer: object },
) {
  const whole = { "application/json": { schema: schemaOf(ANSWERS[endpoint]), example: answer } };
  const content: Content = endpoint === "classify" ? whole : { ...whole, ...EVENTS };
  return createRoute({
    operationId,
    tags: ["Inference"],
    method: "post",
    path: `/v1/${endpoint}` as const,
    summary,
    description,
    security: secured,
    middleware: [tenantWith("infer"), limitBody(MAX_BODY_BYTES)],
    request: {
      body: {
        required: true,
        content: {
          "application/json": { schema: schemaOf(BODIES[endpoint]), example },
        },
      },
    },
    responses: {
      200: { description: "The answer.", content },
      ...openaiProblems,
    },
  });
}

const PARAMETERS =
  "What isn't supported is refused by name. With `stream` the answer is server-sent events that end with `[DONE]`.";
const usage = { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 };

const postCompletion = inferenceRoute("completions", {
  operationId: "createCompletion",
  summary: "Continue texts, behind the model's soft prompt if it has one; in OpenAI's form",
  description: `No template is filled in: the prompt is continued as it stands. ${PARAMETERS}`,
  example: { model: "TARGET:TRANSFER_ID", prompt: "The weather is", max_tokens: 16, stream: true },
  answer: {
    id: "cmpl-abc",
    object: "text_completion",
    created: 1700000000,
    model: "TARGET:TRANSFER_ID",
    choices: [{ index: 0, text: " fine today", logprobs: null, finish_reason: "length" }],
    usage,
  },
});

const postChat = inferenceRoute("chat/completions", {
  operationId: "createChatCompletion",
  summary: "Answer a chat, where the target's tokenizer has a chat template; in OpenAI's form",
  description: PARAMETERS,
  example: { model: "TARGET:TRANSFER_ID", messages: [{ role: "user", content: "How is the weather?" }] },
  answer: {
    id: "chatcmpl-abc",
    object: "chat.completion",
    created: 1700000000,
    model: "TARGET:TRANSFER_ID",
    choices: [{ index: 0, message: { role: "assistant", content: "Fine." }, logprobs: null, finish_reason: "stop" }],
    usage,
  },
});

const postClassify = inferenceRoute("classify", {
  operationId: "classify",
  summary: "Label texts with a transferred prompt, or with a target by itself",
  description:
    "The texts go into the template of the prompt's task; for a target by itself, of the `task` in the body. The figures are those of `softpost predict`.",
  example: { model: "TARGET:TRANSFER_ID", input: ["What a film!", "What a bore."] },
  answer: {
    object: "list",
    model: "TARGET:TRANSFER_ID",
    data: [{ index: 0, label: "good", probabilities: { bad: 0.1, good: 0.9 } }],
    usage: { prompt_tokens: 9, completion_tokens: 0, total_tokens: 9 },
  },
});

export function addInferenceRoutes(app: App): void {
  app.openAPIRegistry.register(BODIES.completions, completionSchema);
  app.openAPIRegistry.register(BODIES["chat/completions"], chatSchema);
  app.openAPIRegistry.register(BODIES.classify, classifySchema);
  describeSchema(app, ANSWERS.completions, completionAnswerSchema);
  describeSchema(app, ANSWERS["chat/completions"], chatAnswerSchema);
  describeSchema(app, ANSWERS.classify, classifyAnswerSchema);

  app.openapi(postCompletion, async (c) => {
    const [body, parsed] = await readBody(c, "completions");
    const model = await resolveModel(c.env, c.get("tenant"), parsed.model);
    return answer(c, {
      endpoint: "completions",
      model,
      shownModel: parsed.model,
      body,
      most: completionTokens(parsed),
    });
  });

  app.openapi(postChat, async (c) => {
    const [body, parsed] = await readBody(c, "chat/completions");
    const model = await resolveModel(c.env, c.get("tenant"), parsed.model);
    return answer(c, { endpoint: "chat/completions", model, shownModel: parsed.model, body, most: chatTokens(parsed) });
  });

  app.openapi(postClassify, async (c) => {
    const [body, parsed] = await readBody(c, "classify");
    const model = await resolveModel(c.env, c.get("tenant"), parsed.model);
    const most = classifyTokens(parsed, await taskOf(c, model, parsed.task ?? undefined));
    return answer(c, { endpoint: "classify", model, shownModel: parsed.model, body, most });
  });
}

interface Checked {
  readonly endpoint: Endpoint;
  readonly model: ResolvedModel;
  readonly shownModel: string;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly most: Tokens;
}

function answer(c: Context<AppEnv>, checked: Checked): Promise<Response> {
  return forward(c.env, c.executionCtx as ExecutionContext, {
    ...checked,
    tenant: c.get("tenant"),
    signal: c.req.raw.signal,
  });
}

/** The body as it was sent, and what it says. @throws ProblemError with every fault */
async function readBody<E extends Endpoint>(c: Context<AppEnv>, endpoint: E) {
  const body = new Uint8Array(await c.req.arrayBuffer());
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch (cause) {
    throw new ProblemError(TITLE, "The body is not UTF-8 text.", { cause });
  }
  return [body, parseInference(endpoint, parseJson(text, "body", TITLE))] as const;
}

/** The task that texts are labelled for: the prompt's, or of a target by itself the request's. @throws ProblemError (400) if there is none, or two */
async function taskOf(
  c: Context<AppEnv>,
  { prompt }: ResolvedModel,
  given: ClassificationTask | undefined,
): Promise<ClassificationTask> {
  if (prompt && given) {
    const faults = [{ at: "body#/task", message: "Is for a target by itself: leave it out." }];
    throw new ProblemError(TITLE, "A transferred prompt has a task of its own.", { faults });
  }
  const task = prompt ? (await readManifest(c.env, c.get("tenant"), prompt)).task : given;
  if (task && !isGeneration(task)) return task;
  const detail = task
    ? "The prompt's answers are text; use /v1/completions."
    : "A target labels nothing without a prompt; name one as TARGET:TRANSFER_ID, or say the task.";
  throw new ProblemError(TITLE, detail, { faults: [{ at: "body#/model", message: "Has no labels." }] });
}

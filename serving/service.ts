import { type Encoded, encoder } from "../shared/data/encode.ts";
import { verbalizer } from "../shared/data/verbalizer.ts";
import { requireClasses, requireRoom } from "../shared/operations/checks.ts";
import type { OpenModel } from "../shared/operations/open-model.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import type { Task } from "../shared/protocol/task.ts";
import type { Ticket } from "../shared/protocol/ticket.ts";
import type { Admission } from "./admission.ts";
import type { RenderChat } from "./api/chat-template.ts";
import type { Backend } from "./backend.ts";
import type { Metrics } from "./metrics.ts";
import type { Kept, PromptCache, Source } from "./prompts/prompt-cache.ts";
import type { PromptKey, StoredPrompt } from "./prompts/served-prompt.ts";
import type { Tickets } from "./tickets.ts";

/** What classifies texts with a prompt: the labels' names and words, and the template. */
export interface Classes {
  readonly names: readonly string[];
  /** Tokens of each label's words. */
  readonly tokens: readonly Int32Array[];
  encode(texts: readonly string[]): Promise<Encoded[]>;
}

/** A soft prompt that is ready to be used. P is what the backend keeps of it. */
export interface ReadyPrompt<P> {
  readonly kept: P;
  readonly virtualTokens: number;
  /** @throws ProblemError if its task has no labels, or doesn't fit the target */
  classes(): Promise<Classes>;
}

/** Everything that requests share. */
export interface Service<P> {
  readonly target: OpenModel;
  readonly backend: Backend<P>;
  readonly prompts: PromptCache<PromptKey, ReadyPrompt<P>>;
  readonly tickets: Tickets;
  readonly admission: Admission;
  readonly metrics: Metrics;
  /** Undefined where the target's tokenizer has no chat template. */
  readonly renderChat: RenderChat | undefined;
  /** How many tokens the tokenizer puts behind a text: nothing is continued behind them. */
  readonly closingTokens: number;
  /** Milliseconds that a request may take. */
  readonly requestMs: number;
}

/** The service's prompts: those in the bucket, as the backend keeps them. */
export function readyPrompts<P>(
  fetch: (key: PromptKey) => Promise<StoredPrompt>,
  backend: Backend<P>,
  target: OpenModel,
): Source<PromptKey, ReadyPrompt<P>> {
  return {
    nameOf: ({ sha256, manifestSha256 }) => `${sha256} ${manifestSha256}`,
    async load(key): Promise<Kept<ReadyPrompt<P>>> {
      const { manifest, value } = await fetch(key);
      const { value: kept, bytes } = await backend.prepare(value);
      const virtualTokens = value.shape[0]!;
      let classes: Promise<Classes> | undefined;
      return {
        value: {
          kept,
          virtualTokens,
          classes() {
            classes ??= classesOf(manifest.task, virtualTokens, target);
            return classes;
          },
        },
        bytes,
      };
    },
    release: ({ kept }) => backend.release(kept),
  };
}

/** What classifies texts of a task. @throws ProblemError if it has no labels, or doesn't fit the target */
export async function classesOf(task: Task, virtualTokens: number, target: OpenModel): Promise<Classes> {
  const classification = requireClasses(task);
  requireRoom(classification, virtualTokens, target);
  const { classes } = await verbalizer(classification, target.tokenizer);
  return {
    names: classification.labels.map(({ name }) => name),
    tokens: classes,
    encode: await encoder(classification, target.tokenizer, target.model.kind),
  };
}

/** Runs something with a ticket's prompt, or with none. */
export function withPrompt<P, R>(
  { prompts }: Service<P>,
  { prompt }: Ticket,
  run: (prompt: ReadyPrompt<P> | undefined) => Promise<R>,
): Promise<R> {
  return prompt ? prompts.use(prompt, run) : run(undefined);
}

/** @throws ProblemError where prompt, text and answer have no room */
export function requirePositions(target: OpenModel, virtualTokens: number, text: number, answer: number): void {
  const { positions } = target.checkpoint.config;
  const wanted = virtualTokens + text + answer;
  if (wanted <= positions) return;
  const soft = virtualTokens > 0 ? `${virtualTokens} virtual tokens of the prompt, ` : "";
  const detail = `${soft}${text} tokens of the text and ${answer} of the answer (max_tokens) make ${wanted}; the model has ${positions} positions.`;
  throw new ProblemError("The text is too long", detail, {
    faults: [{ at: "body#/max_tokens", message: `At most ${Math.max(0, positions - virtualTokens - text)} here.` }],
  });
}

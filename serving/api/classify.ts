import { ProblemError } from "../../shared/protocol/errors.ts";
import type { ClassifyRequest } from "../../shared/protocol/inference.ts";
import { scoresFault } from "../engine/scores-fault.ts";
import { type Classes, classesOf, type ReadyPrompt, withPrompt } from "../service.ts";
import { together } from "../together.ts";
import { type RequestContext, requireAllowed, usageOf, type Work } from "./request.ts";

/** Texts that take as much of the queue as one answer does. */
const TEXTS_A_ROW = 8;

/** POST /v1/classify */
export function classify<P>({ input, task }: ClassifyRequest, context: RequestContext<P>): Work {
  const { service, ticket, progress } = context;
  const { ask } = service.backend;
  if (!ask) {
    const detail = "The target is served by a server that only continues texts; use softpost predict --remote.";
    throw new ProblemError("Texts can't be classified here", detail);
  }
  if (!ticket.prompt && !task) {
    const detail = "The model is a target by itself; a transferred prompt, or a task, says what the labels are.";
    throw new ProblemError("There are no labels", detail, {
      faults: [{ at: "body#/model", message: "Name TARGET:TRANSFER." }],
    });
  }
  const classesFor = (ready: ReadyPrompt<P> | undefined): Promise<Classes> =>
    ready ? ready.classes() : classesOf(task!, 0, service.target);
  return {
    streamed: false,
    rows: Math.ceil(input.length / TEXTS_A_ROW),
    run: () =>
      withPrompt(service, ticket, async (ready) => {
        const { names, tokens, encode } = await classesFor(ready);
        const texts = await encode(input);
        const empty = texts.findIndex(({ ids }) => ids.length === 0);
        if (empty >= 0) throw new ProblemError("The request is not valid", `Text ${empty + 1} has no token.`);
        const count = texts.reduce((sum, { ids }) => sum + ids.length, 0);
        requireAllowed(ticket, count);
        const data = await together(progress.signal, texts, async (text, signal, index) => {
          const scores = await ask({ ...text, prompt: ready?.kept }, { ...progress, signal });
          return { index, ...labelOf(scores, names, tokens) };
        });
        return { object: "list", model: context.model, data, usage: usageOf(count, 0) };
      }),
  };
}

/**
 * As `softpost predict`: a class's score is the mean of its words' logits; softmax over the classes.
 * @throws ProblemError if these aren't numbers
 */
function labelOf(scores: Float32Array, names: readonly string[], tokens: readonly Int32Array[]) {
  const means = tokens.map((ids) => ids.reduce((sum, id) => sum + scores[id]!, 0) / ids.length);
  const best = Math.max(...means);
  const weights = means.map((mean) => Math.exp(mean - best));
  const sum = weights.reduce((a, b) => a + b, 0);
  if (!Number.isFinite(sum)) throw scoresFault();
  const probabilities = Object.fromEntries(names.map((name, k) => [name, weights[k]! / sum]));
  return { label: names[means.indexOf(best)]!, probabilities };
}

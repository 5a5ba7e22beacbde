/** What a program of somebody else's may write: only `package.test.ts` compiles it, against the packed packages. */
import {
  checkTransfer,
  InterruptedError,
  ProblemError,
  privacy,
  type TrainingEvent,
  type TunedSoftPrompt,
  tune,
} from "softpost";
import type { Client, CompletionEvent, Quote, Transfer } from "softpost/client";
import { epsilonOf } from "softpost/privacy";
import { parseAdapter } from "softpost/prompt";

export function told(event: TrainingEvent): string {
  switch (event.kind) {
    case "phase":
      return `${event.name}: ${event.total} ${event.unit}`;
    case "progress":
      return String(event.loss ?? event.done);
    case "note":
      return event.text;
    case "checkpoint":
      return String(event.step);
  }
}

export function why(error: unknown): string | number {
  if (error instanceof ProblemError) return error.code;
  return error instanceof InterruptedError ? error.step : "";
}

export async function pays(client: Client, of: Omit<Parameters<typeof checkTransfer>[0], "client">): Promise<boolean> {
  return (await checkTransfer({ ...of, client })).mayPay;
}

export async function ask(client: Client, signal: AbortSignal): Promise<[Quote["refusals"], Transfer["state"][]]> {
  const submission = await client.submission(
    { manifest: {} as TunedSoftPrompt["manifest"], weights: new Uint8Array() },
    { dataset: "mails", publicSet: "news" },
    { name: "first", signal },
  );
  const states: Transfer["state"][] = [];
  for await (const { state } of client.wait((await client.submit(submission)).id, { signal })) states.push(state);
  const events: AsyncGenerator<CompletionEvent, void> = client.complete({ model: "m", prompt: "p" }, { signal });
  for await (const event of events) if (event.kind === "text") event.text.trim();
  return [(await client.quote(submission)).refusals, states];
}

export const same = [privacy.epsilonOf, epsilonOf, parseAdapter];
// @ts-expect-error: a tuning needs a model
export const wrong = () => tune({ task: "task.json", train: "rows.jsonl" });

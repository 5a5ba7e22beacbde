import type { Curve } from "../../examples/charts.ts";
import type { Budget } from "../../shared/protocol/budget.ts";
import type { Cost } from "../../shared/protocol/cost.ts";
import type { Travel } from "../../shared/protocol/manifest.ts";

/** What the demo measured: the reports are written from this and nothing else. */
export interface Results {
  readonly tasks: readonly TaskResults[];
  readonly distillation: { readonly seconds: number; readonly steps: number; readonly curve: Curve };
  readonly transfers: readonly TransferResult[];
  /** The client's budgets: at the start, when only a task's prompt with privacy was submitted (one a task), and at the end. */
  readonly budgets: { readonly before: Budget; readonly between: readonly Budget[]; readonly after: Budget };
  /** Everything that the client sent. */
  readonly sent: readonly Sent[];
  readonly seconds: number;
}

/** What the provider asked for moving a prompt. */
export interface TransferResult {
  readonly prompt: string;
  readonly estimate: Cost;
  /** What was set aside: the most that it could cost. */
  readonly reserve: Cost;
  readonly cost: Cost;
  /** How well the prompt travelled, as the provider's record says. */
  readonly travel: Travel;
}

export interface TaskResults {
  readonly name: string;
  /** What the task is, in a sentence or two. */
  readonly about: string;
  readonly classes: readonly string[];
  readonly testExamples: number;
  readonly methods: readonly MethodResult[];
  readonly privacy: { readonly epsilon: number; readonly delta: number };
  /** Accuracy of a bag-of-words logistic regression on the same private examples. */
  readonly bagOfWords: number;
  readonly tuning: readonly Curve[];
  readonly transfer: readonly Curve[];
}

export interface MethodResult {
  readonly method: string;
  /** Which model, which prompt. */
  readonly how: string;
  /** Share of the test examples that it gets right. */
  readonly accuracy: number;
  readonly privateExamples: number;
  readonly publicExamples: number;
  /** What making the prompt took; the evaluation is not in it. */
  readonly seconds: number;
}

/** A part of a request of the client's, or requests without a body. */
export interface Sent {
  readonly request: string;
  readonly what: string;
  readonly bytes: number;
}

import type { Budget, Cost, Travel } from "../../shared/protocol/transfer.ts";

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

/** A loss by step. */
export interface Curve {
  readonly name: string;
  readonly losses: readonly Point[];
}

export interface Point {
  readonly step: number;
  readonly loss: number;
}

/** A part of a request of the client's, or requests without a body. */
export interface Sent {
  readonly request: string;
  readonly what: string;
  readonly bytes: number;
}

/** The standard error of an accuracy that was measured on `examples` independent examples: √(a(1−a)/n). */
export function standardError(accuracy: number, examples: number): number {
  return Math.sqrt((accuracy * (1 - accuracy)) / examples);
}

/** Means of `losses` over equally many of them: at most `points` means, each at its last step. */
export function smooth(losses: readonly Point[], points: number): Point[] {
  const stretch = Math.max(1, Math.ceil(losses.length / points));
  return Array.from({ length: Math.ceil(losses.length / stretch) }, (_, index) => {
    const part = losses.slice(index * stretch, (index + 1) * stretch);
    return { step: part.at(-1)!.step, loss: part.reduce((sum, { loss }) => sum + loss, 0) / part.length };
  });
}

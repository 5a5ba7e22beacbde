/** What the demo measured: the reports are written from this and nothing else. */
export interface Results {
  readonly tasks: readonly TaskResults[];
  readonly distillation: { readonly seconds: number; readonly steps: number; readonly curve: Curve };
  /** What the client sent, by file. */
  readonly sent: readonly SentFile[];
  readonly seconds: number;
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
  readonly losses: readonly number[];
}

export interface SentFile {
  readonly name: string;
  readonly bytes: number;
}

/** The standard error of an accuracy that was measured on `examples` independent examples: √(a(1−a)/n). */
export function standardError(accuracy: number, examples: number): number {
  return Math.sqrt((accuracy * (1 - accuracy)) / examples);
}

/** Means of `losses` over equal stretches: at most `points` of them, each with its last step's number (from 1). */
export function smooth(losses: readonly number[], points: number): { step: number; loss: number }[] {
  const stretch = Math.max(1, Math.ceil(losses.length / points));
  return Array.from({ length: Math.ceil(losses.length / stretch) }, (_, index) => {
    const part = losses.slice(index * stretch, (index + 1) * stretch);
    return { step: index * stretch + part.length, loss: part.reduce((sum, loss) => sum + loss, 0) / part.length };
  });
}

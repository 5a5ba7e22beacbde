import type { Method } from "./fit.ts";

/** A method and its accuracy on the test rows. */
export type Measured = Omit<Method, "prompt"> & { readonly test: number };

/** A mean over seeds with its standard error, null of a single one. */
export interface Mean {
  readonly mean: number;
  readonly error: number | null;
}

/** A row of a table: a method through a public set. */
export interface MethodMeans {
  readonly method: string;
  readonly publicSet: string | null;
  readonly validation: Mean;
  readonly test: Mean;
  readonly agreement: Mean | null;
}

/** The runs of a method through a public set, together. */
export function meansOf(results: readonly Measured[]): MethodMeans[] {
  const groups = Map.groupBy(results, ({ method, publicSet }) => JSON.stringify([method, publicSet]));
  return [...groups.values()].map((runs) => {
    const { method, publicSet } = runs[0]!;
    const travels = runs.flatMap(({ travel }) => (travel ? [travel.agreement] : []));
    return {
      method,
      publicSet,
      validation: meanOf(runs.map((run) => run.validation)),
      test: meanOf(runs.map((run) => run.test)),
      agreement: travels.length > 0 ? meanOf(travels) : null,
    };
  });
}

/** Mean and standard error, √(Σ(x − mean)²/(n(n − 1))). */
export function meanOf(values: readonly number[]): Mean {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  if (values.length < 2) return { mean, error: null };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, error: Math.sqrt(squares / (values.length * (values.length - 1))) };
}

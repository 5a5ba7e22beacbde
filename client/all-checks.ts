import { ProblemError } from "../shared/protocol/errors.ts";

/** Checks, each of which gives a part of what a command needs. */
type Checks<T extends readonly unknown[]> = { readonly [K in keyof T]: () => Promise<T[K]> };

/**
 * Does checks that don't need each other, one after the other, and reports what all of them find wrong together: who mends one fault isn't told of the next
 * one only then. What costs least to mend is checked last. If one fails, what the others hold is let go.
 * @throws ProblemError of the one check that failed, or of all that did
 */
export async function allChecks<T extends readonly unknown[]>(...checks: Checks<T>): Promise<T> {
  const results: unknown[] = [];
  const problems: ProblemError[] = [];
  for (const check of checks) {
    try {
      results.push(await check());
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      problems.push(error);
    }
  }
  if (problems.length === 0) return results as unknown as T;
  for (const result of results) if (isDisposable(result)) result[Symbol.dispose]();
  if (problems.length === 1) throw problems[0];
  const faults = problems.flatMap(({ title, detail, faults }) =>
    faults.length > 0 ? faults : [{ at: title, message: detail }],
  );
  const titles = problems.map(({ title }) => title);
  throw new ProblemError(`${problems.length} things are wrong`, `${titles.join("; ")}.`, { faults });
}

function isDisposable(value: unknown): value is Disposable {
  return typeof value === "object" && value !== null && Symbol.dispose in value;
}

import type { Shown } from "../api.ts";

/** What went wrong, read out when it appears. */
export function Problem({ problem }: { readonly problem: Shown | undefined }) {
  return (
    <div role="alert">
      {problem && (
        <div class="problem">
          <p>{problem.text}</p>
          {problem.faults.length > 0 && (
            <ul>
              {problem.faults.map((fault) => (
                <li key={fault}>{fault}</li>
              ))}
            </ul>
          )}
        </div>
      )}
    </div>
  );
}

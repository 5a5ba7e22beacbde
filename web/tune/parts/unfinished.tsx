import { count } from "../../../client/words.ts";
import type { Unfinished } from "../worker/messages.ts";

/** Runs that were paused, or whose tab was closed: what is left of them, and what is lost. */
export function UnfinishedRuns({
  runs,
  onGoOn,
  onForget,
}: {
  readonly runs: readonly Unfinished[];
  readonly onGoOn: (run: Unfinished) => void;
  readonly onForget: (run: Unfinished) => void;
}) {
  if (runs.length === 0) return null;
  return (
    <section aria-labelledby="tune-unfinished">
      <h3 id="tune-unfinished">Unfinished runs</h3>
      <ul>
        {runs.map((run) => (
          <li key={run.id}>
            <p>
              “{run.settings.task.name}” on {run.data.name}, with {run.student.id}, begun{" "}
              {new Date(run.began).toLocaleString()}:{" "}
              {run.saved > 0 ? `${count(run.saved, "step")} saved` : "no step was saved; it begins anew"}.{" "}
              {run.charged && "Its privacy was spent when it began, and is not charged again if it goes on. "}
              The rows are not kept: it goes on when the same file is dropped again.
            </p>
            <button type="button" onClick={() => onGoOn(run)}>
              Go on
            </button>{" "}
            <button type="button" class="quiet" onClick={() => onForget(run)}>
              Forget it
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

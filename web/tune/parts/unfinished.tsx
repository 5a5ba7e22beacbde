import { count } from "../../../client/words.ts";
import { Button } from "../../ui/button.tsx";
import { Panel } from "../../ui/panel.tsx";
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
    <Panel title="Unfinished runs">
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
            <div class="buttons">
              <Button onClick={() => onGoOn(run)}>Go on</Button>
              <Button kind="danger" onClick={() => onForget(run)}>
                Forget it
              </Button>
            </div>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

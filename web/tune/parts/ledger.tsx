import { useEffect, useState } from "preact/hooks";
import { count, short, shortUp } from "../../../client/words.ts";
import { type Shown, shownProblem } from "../api.ts";
import { saveZip } from "../save-zip.ts";
import type { Threads } from "../use-threads.ts";
import type { ChargedSet } from "../worker/messages.ts";
import { Problem } from "./problem.tsx";

/** What was spent in this browser, and taking it elsewhere. */
export function Ledger({
  threads,
  version,
}: {
  readonly threads: Threads /** Changes when something was charged. */;
  readonly version: number;
}) {
  const [sets, setSets] = useState<readonly ChargedSet[]>([]);
  const [problem, setProblem] = useState<Shown>();
  const [persisted, setPersisted] = useState(true);
  useEffect(() => {
    threads.tuning.call("ledger").then(setSets, (error) => setProblem(shownProblem(error)));
    navigator.storage.persisted().then(setPersisted);
  }, [version]);
  return (
    <section aria-labelledby="tune-ledger">
      <h3 id="tune-ledger">Ledger of this browser</h3>
      <Problem problem={problem} />
      {sets.length === 0 && <p>No private run was charged here.</p>}
      <ul>
        {sets.map(({ name, runs, epsilon, delta }) => (
          <li key={name}>
            Data set {name.slice(0, 8)}: {count(runs.length, "run")}, together ε {shortUp(epsilon)} at δ {short(delta)}.
            The last one was for “{runs.at(-1)?.task}”, {new Date(runs.at(-1)!.time).toLocaleDateString()}
          </li>
        ))}
      </ul>
      {sets.length > 0 && (
        <>
          <p>
            It lies in this browser, for this address only.{" "}
            <strong>Clearing the site's data deletes it, and what was spent is forgotten, not given back</strong>
            {persisted ? "." : "; this browser may also clear it by itself when it needs room."} Keep a copy: its files
            are those of the command line (<code>~/.softpost/ledger</code>).
          </p>
          <button
            type="button"
            onClick={() =>
              threads.tuning.call("exportLedger").then(
                (files) => saveZip("softpost-ledger.zip", files),
                (error) => setProblem(shownProblem(error)),
              )
            }
          >
            Export the ledger
          </button>
        </>
      )}
    </section>
  );
}

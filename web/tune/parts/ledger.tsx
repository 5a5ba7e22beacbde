import { zipSync } from "fflate";
import { useEffect, useState } from "preact/hooks";
import { count, short, shortUp } from "../../../client/words.ts";
import { Button } from "../../ui/button.tsx";
import { Loaded, useLoading } from "../../ui/loaded.tsx";
import { Message, Problem } from "../../ui/message.tsx";
import { Panel } from "../../ui/panel.tsx";
import { save } from "../../ui/save.ts";
import type { Threads } from "../use-threads.ts";

/** What was spent in this browser, and taking it elsewhere. */
export function Ledger({
  threads,
  version,
}: {
  readonly threads: Threads;
  /** Changes when something was charged. */
  readonly version: number;
}) {
  const sets = useLoading(() => threads.tuning.call("ledger"), [threads.tuning, version]);
  const [error, setError] = useState<unknown>();
  const [isPersistent, setPersistent] = useState(true);
  useEffect(() => {
    navigator.storage.persisted().then(setPersistent);
  }, [version]);
  const exportAll = async () => {
    setError(undefined);
    try {
      const files = await threads.tuning.call("exportLedger");
      save("softpost-ledger.zip", zipped(files), "application/zip");
    } catch (cause) {
      setError(cause);
    }
  };
  return (
    <Panel title="Privacy spent in this browser">
      <Loaded of={sets}>
        {(all) =>
          all.length === 0 ? (
            <p>No private run was charged here.</p>
          ) : (
            <>
              <ul>
                {all.map(({ name, runs, epsilon, delta, unit }) => (
                  <li key={name}>
                    Data set {name.slice(0, 8)}: {count(runs.length, "run")}, together ε {shortUp(epsilon)} at δ{" "}
                    {short(delta)} for {unit}. The last one was for “{runs.at(-1)?.task}”,{" "}
                    {new Date(runs.at(-1)!.time).toLocaleDateString()}
                  </li>
                ))}
              </ul>
              <Message kind="warning" title="Clearing this site's data deletes the ledger">
                <p>
                  What was spent is then forgotten, not given back
                  {isPersistent ? "" : "; and this browser may clear it by itself when it needs room"}. It lies in this
                  browser, for this address only. Keep a copy: its files are the command line's (
                  <code>~/.softpost/ledger</code>).
                </p>
              </Message>
              <div class="buttons">
                <Button onClick={exportAll}>Export the ledger</Button>
              </div>
            </>
          )
        }
      </Loaded>
      {error !== undefined && <Problem error={error} />}
    </Panel>
  );
}

/** Files as a zip archive. */
export function zipped(
  files: readonly { readonly name: string; readonly bytes: Uint8Array }[],
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(zipSync(Object.fromEntries(files.map(({ name, bytes }) => [name, bytes])), { level: 0 }));
}

/** Tuning in this tab: from a student and a file of private rows to a prompt, without a request that carries a row. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Task } from "../../shared/protocol/task.ts";
import type { TuneApi } from "./api.ts";
import { DataDrop, type OpenData } from "./parts/data-drop.tsx";
import { Guarantee } from "./parts/guarantee.tsx";
import { Ledger } from "./parts/ledger.tsx";
import { Requests } from "./parts/requests.tsx";
import { Result } from "./parts/result.tsx";
import { RunPanel } from "./parts/run-panel.tsx";
import { type OpenStudent, StudentPicker } from "./parts/student-picker.tsx";
import { TaskEditor } from "./parts/task-editor.tsx";
import { UnfinishedRuns } from "./parts/unfinished.tsx";
import { type Threads, useThreads } from "./use-threads.ts";
import type { Finished, Settings, Unfinished } from "./worker/messages.ts";

export interface TuneProps {
  readonly api: TuneApi;
  /** What the page calls the provider. */
  readonly provider: string;
}

/** The view at `#/tune`. */
export default function TuneView(props: TuneProps) {
  const threads = useThreads();
  if (!threads) return <p aria-busy="true">Starting …</p>;
  return <Tune {...props} threads={threads} />;
}

function Tune({ api, provider, threads }: TuneProps & { readonly threads: Threads }) {
  const [student, setStudent] = useState<OpenStudent>();
  const [data, setData] = useState<OpenData>();
  const [task, setTask] = useState<Task>();
  const [settings, setSettings] = useState<Settings>();
  const [resumed, setResumed] = useState<Unfinished>();
  const [running, setRunning] = useState(false);
  const [finished, setFinished] = useState<Finished>();
  const [version, setVersion] = useState(0);
  const [unfinished, setUnfinished] = useState<readonly Unfinished[]>([]);
  const loaded = useRef<number>(undefined);
  if (data && loaded.current === undefined) loaded.current = Date.now();

  useEffect(() => {
    threads.tuning.call("unfinished").then(setUnfinished, () => {});
  }, [version]);
  useWarning(running);

  const ended = (isRunning: boolean) => {
    setRunning(isRunning);
    if (!isRunning) setVersion((before) => before + 1);
  };
  const run = resumed ? resumed.settings : settings;
  return (
    <div class="tune">
      <p>
        Tune a soft prompt on your own rows, here in this tab. They are read, learned from and forgotten here; only the
        prompt, which differential privacy covers, is given away, and only if you submit it.
      </p>
      {threads.failure !== undefined && (
        <p role="alert" class="problem">
          A thread of this page ended ({threads.failure}); most likely the tab has no more memory. Reload the page: a
          run that was saved goes on.
        </p>
      )}
      {!running && (
        <UnfinishedRuns
          runs={unfinished}
          onGoOn={setResumed}
          onForget={(old) => threads.tuning.call("forget", old.id).then(() => setVersion((before) => before + 1))}
        />
      )}
      <fieldset class="tune-steps" disabled={running}>
        <legend class="visually-hidden">What is tuned</legend>
        <Step number={1} name="Student">
          <StudentPicker api={api} threads={threads} picked={student} onPicked={setStudent} />
        </Step>
        <Step number={2} name="Private rows">
          <DataDrop threads={threads} provider={provider} data={data} onData={setData} />
        </Step>
        {student && data && !resumed && (
          <Step number={3} name="Task">
            <TaskEditor key={student.student.digest} threads={threads} data={data} onTask={setTask} />
          </Step>
        )}
        {student && data && task && !resumed && (
          <Step number={4} name="Privacy and steps">
            <Guarantee
              threads={threads}
              data={data}
              task={task}
              positions={student.positions}
              onPlanned={(planned) => setSettings(planned?.settings)}
            />
          </Step>
        )}
      </fieldset>
      {resumed && (
        <p role="status">
          Going on with “{resumed.settings.task.name}”: pick {resumed.student.id} and drop {resumed.data.name} again.{" "}
          <button type="button" class="quiet" disabled={running} onClick={() => setResumed(undefined)}>
            Begin another run instead
          </button>
        </p>
      )}
      {student && data && run && (
        <Step number={5} name="Tuning">
          <RunPanel
            threads={threads}
            settings={run}
            resume={resumed?.id}
            onRunning={ended}
            onFinished={(result) => {
              setResumed(undefined);
              setFinished(result);
            }}
          />
        </Step>
      )}
      {finished && (
        <Step number={6} name="The prompt">
          <Result key={finished.manifest.prompt.digest} api={api} finished={finished} />
        </Step>
      )}
      <Requests requests={threads.requests} since={loaded.current} />
      <Ledger threads={threads} version={version} />
    </div>
  );
}

function Step({
  number,
  name,
  children,
}: {
  readonly number: number;
  readonly name: string;
  readonly children: preact.ComponentChildren;
}) {
  const id = `tune-step-${number}`;
  return (
    <section aria-labelledby={id}>
      <h3 id={id}>
        {number}. {name}
      </h3>
      {children}
    </section>
  );
}

/** The browser asks before it closes a tab that tunes. */
function useWarning(running: boolean): void {
  useEffect(() => {
    if (!running) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [running]);
}

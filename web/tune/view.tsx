/** Tuning in this tab: from a student and a file of private rows to a prompt, without a request that carries a row. */
import { useEffect, useState } from "preact/hooks";
import type { Api } from "../../client/api/api.ts";
import type { Task } from "../../shared/protocol/task.ts";
import { useApi, useSession } from "../shell/session.ts";
import { Button } from "../ui/button.tsx";
import { Message } from "../ui/message.tsx";
import { Panel } from "../ui/panel.tsx";
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

/** The view at `#/tune`. */
export default function TuneView() {
  const threads = useThreads();
  const api = useApi();
  if (!isSecureContext) {
    return (
      <Message kind="error" title="This page can't tune">
        <p>
          It came by http from another machine: browsers give storage and threads to pages by https, or from this
          machine, only.
        </p>
      </Message>
    );
  }
  return threads ? <Tune api={api} threads={threads} /> : <p class="skeleton">Starting …</p>;
}

function Tune({ api, threads }: { readonly api: Api; readonly threads: Threads }) {
  const { provider } = useSession();
  const [student, setStudent] = useState<OpenStudent>();
  const [data, setData] = useState<OpenData>();
  const [task, setTask] = useState<Task>();
  const [settings, setSettings] = useState<Settings>();
  const [resumed, setResumed] = useState<Unfinished>();
  const [running, setRunning] = useState(false);
  const [finished, setFinished] = useState<Finished>();
  const [version, setVersion] = useState(0);
  const [unfinished, setUnfinished] = useState<readonly Unfinished[]>([]);
  const [loaded, setLoaded] = useState<number>();

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
    <>
      <p>
        Tune a soft prompt on your own rows, here in this tab. They are read, learned from and forgotten here; only the
        prompt, which differential privacy covers, is given away, and only if you submit it.
      </p>
      {threads.failure !== undefined && (
        <Message kind="error" title="A thread of this page ended">
          <p>
            {threads.failure}. Most likely the tab has no more memory. Reload the page: a run that was saved goes on.
          </p>
        </Message>
      )}
      {!running && (
        <UnfinishedRuns
          runs={unfinished}
          onGoOn={setResumed}
          onForget={(old) => threads.tuning.call("forget", old.id).then(() => setVersion((before) => before + 1))}
        />
      )}
      <fieldset class="plain" disabled={running}>
        <legend class="hidden">What is tuned</legend>
        <Panel title="1. Student">
          <StudentPicker api={api} threads={threads} picked={student} onPicked={setStudent} />
        </Panel>
        <Panel title="2. Private rows">
          <DataDrop
            threads={threads}
            isOwnPage={provider.servedBy === "client"}
            data={data}
            onOpening={() => setLoaded((before) => before ?? Date.now())}
            onData={setData}
          />
        </Panel>
        {student && data && !resumed && (
          <Panel title="3. Task">
            <TaskEditor key={student.student.digest} threads={threads} data={data} onTask={setTask} />
          </Panel>
        )}
        {student && data && task && !resumed && (
          <Panel title="4. Privacy and steps">
            <Guarantee
              threads={threads}
              data={data}
              task={task}
              positions={student.positions}
              onPlanned={(planned) => setSettings(planned?.settings)}
            />
          </Panel>
        )}
      </fieldset>
      {resumed && (
        <Message title={`Going on with “${resumed.settings.task.name}”`}>
          <p>
            Pick {resumed.student.id} and drop {resumed.data.name} again.
          </p>
          <Button small disabled={running} onClick={() => setResumed(undefined)}>
            Begin another run instead
          </Button>
        </Message>
      )}
      {student && data && run && (
        <Panel title="5. Tuning">
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
        </Panel>
      )}
      {finished && (
        <Panel title="6. The prompt">
          <Result key={finished.manifest.prompt.digest} api={api} finished={finished} />
        </Panel>
      )}
      <Requests requests={threads.requests} since={loaded} />
      <Ledger threads={threads} version={version} />
    </>
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

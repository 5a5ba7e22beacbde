import { useState } from "preact/hooks";
import { count, duration } from "../../../client/words.ts";
import { Button } from "../../ui/button.tsx";
import { Chart } from "../../ui/chart.tsx";
import { Message, Problem } from "../../ui/message.tsx";
import { Progress as Bar } from "../../ui/progress.tsx";
import { hasGpu } from "../has-gpu.ts";
import { StoppedError } from "../thread.ts";
import { type Progress, useProgress } from "../use-progress.ts";
import type { Threads } from "../use-threads.ts";
import type { Finished, Settings } from "../worker/messages.ts";

/** More share the work of a small student's step in vain. */
const MOST_THREADS = 8;

/** Runs a tuning, shows how it goes, and lets it be paused. */
export function RunPanel({
  threads,
  settings,
  resume,
  isReady,
  onRunning,
  onFinished,
}: {
  readonly threads: Threads;
  readonly settings: Settings;
  /** An unfinished run that goes on. */
  readonly resume: string | undefined;
  /** False while a file is read that it would be on. */
  readonly isReady: boolean;
  readonly onRunning: (running: boolean) => void;
  readonly onFinished: (finished: Finished) => void;
}) {
  const { progress, begin, see } = useProgress();
  const [running, setRunning] = useState(false);
  const [error, setError] = useState<unknown>();
  const [said, setSaid] = useState("");
  const cores = navigator.hardwareConcurrency;
  const [threadCount] = useState(crossOriginIsolated ? Math.min(cores, MOST_THREADS) : 1);

  const start = async () => {
    setError(undefined);
    setSaid("");
    begin();
    setRunning(true);
    onRunning(true);
    threads.listen("tuning", see);
    try {
      await navigator.storage.persist();
      await threads.tuning.startRuntime(threadCount);
      if (!settings.privacy && (await hasGpu())) await threads.tuning.startGpu();
      onFinished(await threads.tuning.call("tune", settings, resume));
    } catch (cause) {
      if (cause instanceof StoppedError)
        setSaid(`${cause.message} It is among the unfinished runs above, and goes on from there.`);
      else setError(cause);
    }
    setRunning(false);
    onRunning(false);
  };
  return (
    <>
      <p>
        {crossOriginIsolated
          ? `Computed on ${count(threadCount, "thread")} of WebAssembly.`
          : "Computed on 1 thread of WebAssembly: this page isn't isolated from others, so more can't be had."}
        {!settings.privacy && " Or on the GPU, where there is one and it computes a first step as WebAssembly does."}
      </p>
      <div class="buttons">
        {running ? (
          <Button onClick={() => threads.tuning.call("stop")}>Pause: save and stop after this step</Button>
        ) : (
          <Button kind="primary" disabled={!isReady} onClick={start}>
            {resume === undefined ? "Tune" : "Go on with the run"}
          </Button>
        )}
      </div>
      {progress && <Standing progress={progress} running={running} />}
      <div role="status">{said !== "" && <Message>{said}</Message>}</div>
      {error !== undefined && <Problem error={error} />}
    </>
  );
}

function Standing({ progress, running }: { readonly progress: Progress; readonly running: boolean }) {
  const { phase, total, done, times, losses, notes, saved } = progress;
  const perSecond = times.length > 1 ? (1000 * (times.length - 1)) / (times.at(-1)! - times[0]!) : undefined;
  const rest = [
    `${done} of ${total}`,
    ...(perSecond !== undefined && running
      ? [
          perSecond >= 1 ? `${perSecond.toFixed(1)} a second` : `${(1 / perSecond).toFixed(1)} seconds each`,
          `${duration((total - done) / perSecond)} left`,
        ]
      : []),
    ...(saved > 0 && running ? [`saved up to step ${saved}`] : []),
  ];
  return (
    <>
      <Bar label={phase} done={done} total={total} note={rest.join(", ")} />
      {losses.length > 1 && (
        <Chart
          title="Loss on your own rows, which is for your eyes only"
          x={{ name: "Step", values: losses.map(([step]) => step) }}
          series={[{ name: "Loss", values: losses.map(([, loss]) => loss), colour: "accent" }]}
          from={0}
        />
      )}
      {notes.map((note) => (
        <p key={note} class="quiet small">
          {note}
        </p>
      ))}
    </>
  );
}

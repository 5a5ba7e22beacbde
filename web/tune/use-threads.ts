import { useEffect, useRef, useState } from "preact/hooks";
import type { TrainingEvent } from "../../shared/training/events.ts";
import { DownloadThread, TuningThread } from "./thread.ts";
import type { RequestRecord } from "./worker/messages.ts";

/** The two threads of the view, which live as long as it is shown, and what they tell. */
export interface Threads {
  readonly tuning: TuningThread;
  readonly downloads: DownloadThread;
  /** Every request of the page and of its threads since the view was opened, by the platform's records. */
  readonly requests: readonly RequestRecord[];
  /** Why a thread ended by itself. */
  readonly failure: string | undefined;
  /** Hears a thread's events until it is called again. */
  listen(which: "tuning" | "downloads", onEvent: (event: TrainingEvent) => void): void;
}

/** Starts the threads with the view, and ends them with it. @returns undefined before that */
export function useThreads(): Threads | undefined {
  const [requests, setRequests] = useState<readonly RequestRecord[]>([]);
  const [failure, setFailure] = useState<string>();
  const [threads, setThreads] = useState<Pick<Threads, "tuning" | "downloads">>();
  const listeners = useRef<Partial<Record<"tuning" | "downloads", (event: TrainingEvent) => void>>>({});
  useEffect(() => {
    if (!isSecureContext) return;
    const add = (more: readonly RequestRecord[]) => setRequests((all) => [...all, ...more]);
    const listener = (which: "tuning" | "downloads") => ({
      onEvent: (event: TrainingEvent) => listeners.current[which]?.(event),
      onRequests: add,
      onFailure: setFailure,
    });
    const tuning = new TuningThread(listener("tuning"));
    const downloads = new DownloadThread(listener("downloads"));
    setThreads({ tuning, downloads });
    const opened = performance.now();
    const observer = new PerformanceObserver((list) => {
      const entries = list.getEntries() as PerformanceResourceTiming[];
      add(entries.filter(({ startTime }) => startTime >= opened).map(pageRequest));
    });
    observer.observe({ type: "resource", buffered: true });
    return () => {
      observer.disconnect();
      tuning.end();
      downloads.end();
    };
  }, []);
  if (!threads) return undefined;
  return {
    ...threads,
    requests,
    failure,
    listen: (which, onEvent) => {
      listeners.current[which] = onEvent;
    },
  };
}

function pageRequest(entry: PerformanceResourceTiming): RequestRecord {
  return {
    url: entry.name,
    time: performance.timeOrigin + entry.startTime,
    initiator: entry.initiatorType,
    received: entry.encodedBodySize,
    thread: "page",
  };
}

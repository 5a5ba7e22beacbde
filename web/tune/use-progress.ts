import { useEffect, useRef, useState } from "preact/hooks";
import type { TrainingEvent } from "../../shared/training/events.ts";

/** Steps by whose time the rest is estimated. */
const RECENT = 20;
/** Events come as often as steps; a page that is drawn for each has no time for its reader. */
const SHOWN_EVERY_MS = 200;

/** Where a run stands. */
export interface Progress {
  readonly phase: string;
  readonly total: number;
  readonly done: number;
  /** When the newest steps were done. */
  readonly times: readonly number[];
  readonly losses: readonly (readonly [number, number])[];
  readonly notes: readonly string[];
  /** Steps that are saved. */
  readonly saved: number;
}

const NOTHING: Progress = { phase: "Starting", total: 1, done: 0, times: [], losses: [], notes: [], saved: 0 };

/** A run's progress: `see` takes every event, and what came is shown a few times a second. */
export function useProgress(): {
  readonly progress: Progress | undefined;
  begin(): void;
  see(event: TrainingEvent): void;
} {
  const [progress, setProgress] = useState<Progress>();
  const latest = useRef(NOTHING);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  return {
    progress,
    begin() {
      latest.current = NOTHING;
      setProgress(NOTHING);
    },
    see(event) {
      latest.current = after(latest.current, event);
      timer.current ??= setTimeout(() => {
        timer.current = undefined;
        setProgress(latest.current);
      }, SHOWN_EVERY_MS);
    },
  };
}

function after(progress: Progress, event: TrainingEvent): Progress {
  switch (event.kind) {
    case "phase":
      return { ...progress, phase: event.name, total: event.total, done: 0, times: [] };
    case "progress": {
      const times = [...progress.times, performance.now()].slice(-RECENT);
      const losses =
        event.loss === undefined ? progress.losses : [...progress.losses, [event.done, event.loss] as const];
      return { ...progress, done: event.done, times, losses };
    }
    case "note":
      return { ...progress, notes: [...progress.notes, event.text] };
    case "checkpoint":
      return { ...progress, saved: event.step };
  }
}

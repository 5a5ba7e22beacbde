import { type Options, SingleBar } from "cli-progress";
import type { TrainingEvent } from "../shared/training/events.ts";
import type { Sink } from "./output.ts";

/** Where no terminal is, a line now and then is enough. */
const LINE_EVERY_MS = 10_000;

export interface Progress {
  onEvent(event: TrainingEvent): void;
  /** Ends the bar, so that what is printed next starts on a line of its own. */
  stop(): void;
}

/** A stretch of work as far as it has come. */
interface Phase {
  readonly name: string;
  readonly unit: string;
  readonly total: number;
  readonly startedAt: number;
  /** Work that an earlier run had done: it says nothing about this one's rate. */
  startedWith: number | undefined;
  done: number;
  loss: number | undefined;
}

/**
 * Shows the events of a long function: a bar on a terminal, lines elsewhere, both with rate, time left and loss.
 *
 * @param now milliseconds
 */
export function showProgress(stderr: Sink, now: () => number = () => performance.now()): Progress {
  const display = stderr.isTTY ? bar(stderr as NodeJS.WriteStream) : lines(stderr, now);
  let phase: Phase | undefined;
  return {
    onEvent(event) {
      if (event.kind === "phase") {
        if (phase) display.end(phase, describe(phase, now()));
        const { name, unit, total } = event;
        phase = { name, unit, total, startedAt: now(), startedWith: undefined, done: 0, loss: undefined };
        display.begin(phase);
      } else if (event.kind === "progress" && phase) {
        // The first step's time is lost for the rate, and with it the time of loading.
        phase.startedWith ??= event.done;
        phase.done = event.done;
        phase.loss = event.loss ?? phase.loss;
        display.update(phase, describe(phase, now()));
      } else if (event.kind === "note") display.note(event.text);
    },
    stop() {
      if (phase) display.end(phase, describe(phase, now()));
      phase = undefined;
    },
  };
}

/** One of the two ways to show a phase. `figures` is rate, time left and loss as text. */
interface Display {
  begin(phase: Phase): void;
  update(phase: Phase, figures: string): void;
  note(text: string): void;
  end(phase: Phase, figures: string): void;
}

function lines(stderr: Sink, now: () => number): Display {
  let shownAt = Number.NEGATIVE_INFINITY;
  let shown = -1;
  const show = (phase: Phase, figures: string) => {
    [shownAt, shown] = [now(), phase.done];
    stderr.write(`${phase.name}: ${amounts(phase)}${figures}\n`);
  };
  return {
    begin(phase) {
      [shownAt, shown] = [now(), -1];
      stderr.write(`${phase.name}: ${scaled(phase.total, phase)}\n`);
    },
    update(phase, figures) {
      if (now() - shownAt >= LINE_EVERY_MS) show(phase, figures);
    },
    note: (text) => stderr.write(`${text}\n`),
    end(phase, figures) {
      if (phase.done > 0 && phase.done !== shown) show(phase, figures);
    },
  };
}

function bar(stream: NodeJS.WriteStream): Display {
  const options: Options = {
    stream,
    format: "{name} {bar} {amounts}{figures}",
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 24,
    hideCursor: true,
    linewrap: true,
    gracefulExit: false,
  };
  let single = new SingleBar(options);
  return {
    begin(phase) {
      single = new SingleBar(options);
      single.start(phase.total, 0, { name: phase.name, amounts: amounts(phase), figures: "" });
    },
    update: (phase, figures) => single.update(phase.done, { amounts: amounts(phase), figures }),
    note(text) {
      stream.write(`\r\u001b[K${text}\n`);
    },
    end(phase, figures) {
      single.update(phase.done, { amounts: amounts(phase), figures });
      single.stop();
    },
  };
}

function describe(phase: Phase, time: number): string {
  const done = phase.done - (phase.startedWith ?? 0);
  const rate = done / ((time - phase.startedAt) / 1000);
  const loss = phase.loss === undefined ? "" : ` · loss ${phase.loss.toPrecision(4)}`;
  if (!(done > 0 && Number.isFinite(rate))) return loss;
  const left = phase.done < phase.total ? ` · ${duration((phase.total - phase.done) / rate)} left` : "";
  const perSecond = phase.unit === "bytes" ? scaled(rate, phase) : rate.toPrecision(3);
  return ` · ${perSecond}/s${left}${loss}`;
}

/** So much of so much, such as "3/10 steps" or "1.2 MB/3.4 GB". */
function amounts(phase: Phase): string {
  const done = phase.unit === "bytes" ? scaled(phase.done, phase) : phase.done;
  return `${done}/${scaled(phase.total, phase)}`;
}

/** A number of units with their name; bytes in kB, MB or GB. */
function scaled(value: number, { unit }: Phase): string {
  if (unit !== "bytes") return `${value} ${unit}`;
  const [size, name] = value >= 1e9 ? [1e9, "GB"] : value >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${(value / size).toFixed(1)} ${name}`;
}

/** Seconds as 42s, 3m10s or 2h05m. */
function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const two = (value: number) => String(value).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
}

import type { TrainingEvent } from "../shared/training/events.ts";
import type { Sink } from "./sink.ts";
import { bytes, duration } from "./words.ts";

/** Where no terminal is, a line now and then is enough. */
const LINE_EVERY_MS = 10_000;
/** A terminal is drawn so often at most. */
const DRAW_EVERY_MS = 100;
/** Where a terminal doesn't say how wide it is. */
const USUAL_COLUMNS = 80;
/** Blocks of a bar, from the widest terminal's to that of one that is too narrow for any. */
const BAR_WIDTHS = [24, 12, 0] as const;

export interface Progress {
  onEvent(event: TrainingEvent): void;
  /** Makes room for what is printed on the same terminal next; whatever is shown comes back with the next event. */
  makeRoom(): void;
  /** Ends the display, so that what is printed next starts on a line of its own. */
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
 * Shows the events of a long function: a bar on a terminal that can move its cursor, lines elsewhere, both with rate, time left and loss.
 *
 * @param now milliseconds
 */
export function showProgress(
  stderr: Sink,
  now: () => number = () => performance.now(),
  environment: NodeJS.ProcessEnv = process.env,
): Progress {
  const plain = !stderr.isTTY || environment.TERM === "dumb" || (environment.NO_COLOR ?? "") !== "";
  const display = plain ? lines(stderr, now) : bar(stderr, now);
  let phase: Phase | undefined;
  const end = () => {
    if (phase) display.end(phase);
    phase = undefined;
  };
  return {
    onEvent(event) {
      if (event.kind === "phase") {
        end();
        const { name, unit, total } = event;
        phase = { name, unit, total, startedAt: now(), startedWith: undefined, done: 0, loss: undefined };
        display.show(phase);
      } else if (event.kind === "progress" && phase) {
        // The first step's time is lost for the rate, and with it the time of loading.
        phase.startedWith ??= event.done;
        phase.done = event.done;
        phase.loss = event.loss ?? phase.loss;
        display.show(phase);
      } else if (event.kind === "note") display.note(event.text);
    },
    makeRoom: () => display.makeRoom(),
    stop() {
      end();
      display.close();
    },
  };
}

/** One of the two ways to show a phase. */
interface Display {
  show(phase: Phase): void;
  note(text: string): void;
  makeRoom(): void;
  end(phase: Phase): void;
  close(): void;
}

function lines(stderr: Sink, now: () => number): Display {
  let shownAt = Number.NEGATIVE_INFINITY;
  let unfinished: Phase | undefined;
  return {
    show(phase) {
      if (now() - shownAt < LINE_EVERY_MS) return;
      shownAt = now();
      unfinished = phase;
      stderr.write(`${phase.done === 0 ? `${phase.name}: ${scaled(phase.total, phase)}` : running(phase, now())}\n`);
    },
    note: (text) => stderr.write(`${text}\n`),
    makeRoom: () => {},
    end(phase) {
      // What nobody was told of needs no end, and neither what ended at once.
      const told = phase === unfinished && phase.done > 0;
      if (told && (now() - phase.startedAt >= 1000 || phase.loss !== undefined))
        stderr.write(`${ended(phase, now())}\n`);
      unfinished = undefined;
    },
    close: () => {},
  };
}

/** To the line's beginning, and nothing from there on. */
const CLEAR = "\r\u001b[J";

function bar(stderr: Sink, now: () => number): Display {
  let drawn: Phase | undefined;
  let drawnAt = 0;
  const draw = (phase: Phase) => {
    // The cursor waits at the line's beginning: there it stays where a terminal that becomes narrower breaks the line, or cuts it off.
    stderr.write(`${CLEAR}${fitting(phase, now(), (stderr.columns || USUAL_COLUMNS) - 1)}\r`);
    [drawn, drawnAt] = [phase, now()];
  };
  const redraw = () => drawn && draw(drawn);
  stderr.on?.("resize", redraw);
  return {
    show(phase) {
      if (!drawn || now() - drawnAt >= DRAW_EVERY_MS) draw(phase);
    },
    note(text) {
      stderr.write(`${drawn ? CLEAR : ""}${text}\n`);
      redraw();
    },
    makeRoom() {
      if (drawn) stderr.write(CLEAR);
      drawn = undefined;
    },
    end(phase) {
      stderr.write(`${CLEAR}${ended(phase, now())}\n`);
      drawn = undefined;
    },
    close: () => stderr.off?.("resize", redraw),
  };
}

/** The figures of a phase that runs, the more important ones first. */
function figures(phase: Phase, time: number): string[] {
  const done = phase.done - (phase.startedWith ?? 0);
  const rate = done / ((time - phase.startedAt) / 1000);
  const known = done > 0 && Number.isFinite(rate);
  return [
    amounts(phase),
    ...(known && phase.done < phase.total ? [`${duration((phase.total - phase.done) / rate)} left`] : []),
    ...lossOf(phase),
    ...(known ? [`${phase.unit === "bytes" ? bytes(rate) : rate.toPrecision(3)}/s`] : []),
  ];
}

const running = (phase: Phase, time: number) => `${phase.name}: ${figures(phase, time).join(" · ")}`;

/** The richest line that fits: first the bar goes, then the figures from the least important one on, and at last the end of the name. */
function fitting(phase: Phase, time: number, columns: number): string {
  const all = figures(phase, time);
  const part = phase.total > 0 ? Math.min(phase.done / phase.total, 1) : 1;
  for (const width of BAR_WIDTHS) {
    const full = Math.floor(part * width);
    const blocks = width > 0 ? ` ${"█".repeat(full)}${"░".repeat(width - full)} ` : ": ";
    const line = phase.name + blocks + all.join(" · ");
    if ([...line].length <= columns) return line;
  }
  for (let kept = all.length - 1; kept > 0; kept--) {
    const line = `${phase.name}: ${all.slice(0, kept).join(" · ")}`;
    if ([...line].length <= columns) return line;
  }
  return [...`${phase.name}: ${all[0]}`].slice(0, columns).join("");
}

/** A phase that is over: finished, or as far as it came. */
function ended(phase: Phase, time: number): string {
  const seconds = (time - phase.startedAt) / 1000;
  const took = seconds >= 1 ? ` in ${duration(seconds)}` : "";
  const amount = phase.done >= phase.total ? scaled(phase.total, phase) : amounts(phase);
  return [`${phase.name}: ${amount}${took}`, ...lossOf(phase)].join(" · ");
}

const lossOf = ({ loss }: Phase) => (loss === undefined ? [] : [`loss ${loss.toPrecision(4)}`]);

/** So much of so much, such as "3/10 steps" or "1.2 MB/3.4 GB". */
function amounts(phase: Phase): string {
  const done = phase.unit === "bytes" ? bytes(phase.done) : phase.done;
  return `${done}/${scaled(phase.total, phase)}`;
}

/** A number of units with their name; bytes in kB, MB or GB. */
function scaled(value: number, { unit }: Phase): string {
  if (unit === "bytes") return bytes(value);
  return `${value} ${value === 1 ? unit.slice(0, -1) : unit}`;
}

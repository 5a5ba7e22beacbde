import type { Device } from "../shared/graph/engine.ts";
import type { Precision } from "../shared/models/model.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { InterruptedError } from "../shared/training/loop.ts";

/** A stream as far as output needs it. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** How commands talk: results on stdout, everything else on stderr. */
export interface Io {
  /** The command's result: `value` as one line of JSON with --json, else `text`. */
  result(value: unknown, text: string): void;
  /** A line of a result that consists of lines. */
  row(line: string): void;
  /** A piece of a result that comes in pieces. */
  piece(text: string): void;
  /** A line for the user. */
  message(text: string): void;
  /** Whether results are JSON. */
  readonly json: boolean;
  /** Where every step's loss is written, if anywhere. */
  readonly metrics: string | undefined;
  /** CPU threads of an engine, if not its default. */
  readonly threads: number | undefined;
  /** Where models run, and how precisely. */
  readonly device: Device;
  readonly precision: Precision;
  /** Whether digests of models are computed from their bytes, whatever is recorded of them. */
  readonly verify: boolean;
  /** Where progress is shown. */
  readonly stderr: Sink;
}

/** The options that all commands have. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly metrics?: string;
  readonly threads?: number;
  readonly device?: Device;
  readonly precision?: "fp32" | "fp16";
  readonly verify?: boolean;
}

/** @param options asked at every use, since they are parsed after this is made */
export function createIo(stdout: Sink, stderr: Sink, options: () => CommonOptions): Io {
  return {
    result: (value, text) => stdout.write(`${options().json ? JSON.stringify(value) : text}\n`),
    row: (line) => stdout.write(`${line}\n`),
    piece: (text) => stdout.write(text),
    message: (text) => stderr.write(`${printable(text)}\n`),
    get json() {
      return options().json === true;
    },
    get metrics() {
      return options().metrics;
    },
    get threads() {
      return options().threads;
    },
    get device() {
      return options().device ?? "cpu";
    },
    get precision() {
      return options().precision === "fp16" ? "float16" : "float32";
    },
    get verify() {
      return options().verify === true;
    },
    stderr,
  };
}

/** Messages may quote names from files of others: control characters are written as escapes, so they can't act. */
function printable(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is replaced
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * Tells the user why a command failed: a problem with every fault, or that it is a bug.
 *
 * @returns the exit code
 */
export function reportFailure(error: unknown, io: Io): number {
  if (error instanceof InterruptedError) {
    const { step } = error;
    io.message(
      step === 0 ? "Stopped." : `Stopped after step ${step}. The same command with --resume goes on from there.`,
    );
    return 130;
  }
  if (error instanceof ProblemError) {
    const { title, detail, faults } = error;
    if (io.json) io.result({ error: { title, detail, faults } }, "");
    io.message(`${title}: ${detail}`);
    for (const { at, message } of faults) io.message(`  ${at}: ${message}`);
    return 1;
  }
  io.message(`This is a bug in softpost; please report it with what you did.\n${(error as Error)?.stack ?? error}`);
  return 1;
}

import { diskProblem } from "../shared/data/write-problem.ts";
import type { Device } from "../shared/graph/engine.ts";
import type { Precision } from "../shared/models/model.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import type { WeightsName } from "../shared/protocol/weights.ts";
import { askYesOrNo } from "./ask.ts";
import { asCommandFault } from "./fault-names.ts";
import type { Sink } from "./sink.ts";

/** How commands talk: results on stdout, everything else on stderr. */
export interface Io {
  /** The command's result: `value` as one line of JSON with --json, else `text`, which can't act on a terminal. */
  result(value: unknown, text: string): void;
  /** A line of a result that consists of lines: byte for byte, but on a terminal. */
  row(line: string): void;
  /** A piece of a result that comes in pieces, as with {@link row}. */
  piece(text: string): void;
  /** A line for the user. */
  message(text: string): void;
  /** Tells of a display of progress, which messages and rows must not be written over; undefined when it has ended. */
  showBeside(display: Display | undefined): void;
  /** Asks the user yes or no; undefined where nobody can be asked. */
  confirm(question: string): Promise<boolean | undefined>;
  /** Whether results are JSON. */
  readonly json: boolean;
  /** Where every step's loss is written, if anywhere. */
  readonly metrics: string | undefined;
  /** CPU threads of an engine, if not its default. */
  readonly threads: number | undefined;
  /** Where models run, and how precisely. */
  readonly device: Device;
  readonly precision: Precision;
  /** The form that the matrices of models are held in; undefined for what their folders have. */
  readonly weights: WeightsName | undefined;
  /** Whether digests of models are computed from their bytes, whatever is recorded of them. */
  readonly verify: boolean;
  /** Where progress is shown. */
  readonly stderr: Sink;
}

/** What shows progress. */
export interface Display {
  /** Shows a line that stays. */
  note(text: string): void;
  /** Clears what would be in the way of a line on the same terminal. */
  makeRoom(): void;
}

/** The options that all commands have. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly metrics?: string;
  readonly threads?: number;
  readonly device?: Device;
  readonly precision?: "fp32" | "fp16";
  readonly weights?: WeightsName;
  readonly verify?: boolean;
}

/** @param options asked at every use, since they are parsed after this is made */
export function createIo(stdout: Sink, stderr: Sink, options: () => CommonOptions): Io {
  let display: Display | undefined;
  const shown = (text: string) => (stdout.isTTY ? printable(text) : text);
  return {
    result: (value, text) => stdout.write(`${options().json ? shown(JSON.stringify(value)) : printable(text)}\n`),
    row(line) {
      if (stdout.isTTY) display?.makeRoom();
      stdout.write(`${shown(line)}\n`);
    },
    message: (text) => (display ? display.note(printable(text)) : stderr.write(`${printable(text)}\n`)),
    showBeside(next) {
      display = next;
    },
    confirm: (question) => askYesOrNo(question, stderr),
    piece: (text) => stdout.write(shown(text)),
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
    get weights() {
      return options().weights;
    },
    get verify() {
      return options().verify === true;
    },
    stderr,
  };
}

/** Texts for people may quote names from files of others, or what a provider says: control characters are written as escapes, so they can't act. */
function printable(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is replaced
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** A command was stopped by its user, after what could be kept was. Its message says what is kept and how to go on. */
export class StoppedError extends Error {
  override readonly name = "StoppedError";
}

/**
 * Tells the user why a command failed: a problem with every fault, or that it is a bug.
 *
 * @returns the exit code
 */
export function reportFailure(error: unknown, io: Io): number {
  if (error instanceof StoppedError) {
    io.message(error.message);
    return 130;
  }
  const problem = error instanceof ProblemError ? error : diskProblem(error);
  if (problem) {
    const { title, detail } = problem;
    const faults = problem.faults.map(asCommandFault);
    if (io.json) io.result({ error: { title, detail, faults } }, "");
    // A detail that only strings the faults together would say them twice.
    const twice =
      faults.length > 0 && problem.faults.every(({ message }) => detail.includes(message.replace(/\.$/, "")));
    const [first] = faults;
    if (twice && faults.length === 1) io.message(`${title}: ${first!.at}: ${first!.message}`);
    else {
      io.message(twice ? `${title}:` : `${title}: ${detail}`);
      for (const { at, message } of faults) io.message(`  ${at}: ${message}`);
    }
    return 1;
  }
  io.message(`This is a bug in softpost; please report it with what you did.\n${(error as Error)?.stack ?? error}`);
  return 1;
}

/** What the page and the thread that tunes say to each other. */
import type { LabelCounts } from "../../../shared/data/jsonl.ts";
import type { CheckedText, CheckedWord } from "../../../shared/operations/check-task.ts";
import type { TaskEvaluation } from "../../../shared/operations/evaluate.ts";
import type { Schedule } from "../../../shared/operations/tune-defaults.ts";
import type { PrivacyPlan } from "../../../shared/privacy/plan.ts";
import type { AttackFigure } from "../../../shared/privacy/statement.ts";
import type { FileRecord } from "../../../shared/protocol/catalogue.ts";
import type { Fault } from "../../../shared/protocol/errors.ts";
import type { Manifest } from "../../../shared/protocol/manifest.ts";
import type { ClassificationTask, Task } from "../../../shared/protocol/task.ts";
import type { TrainingEvent } from "../../../shared/training/events.ts";

/** The student of a catalogue that is tuned on. */
export interface StudentFiles {
  readonly id: string;
  readonly digest: string;
  readonly files: readonly FileRecord[];
}

/** What the columns of the data are called. */
export interface ColumnNames {
  readonly text: string;
  readonly label?: string | undefined;
  readonly target?: string | undefined;
}

/** The beginning of a data file. */
export interface Preview {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly columns: readonly string[];
  readonly rows: readonly Readonly<Record<string, string>>[];
}

/** What is chosen for a run; what is left out is chosen by the number of rows, as on the command line. */
export interface Settings {
  readonly task: Task;
  readonly columns: ColumnNames;
  /** Undefined for a run that guarantees nothing. */
  readonly privacy?:
    | {
        readonly epsilon: number;
        readonly delta?: number | undefined;
        /** The column that says whose a row is, where somebody may have several; without it, a row is what is protected. */
        readonly unit?: string | undefined;
        /** Most rows of a unit in a step. */
        readonly rowsPerUnit?: number | undefined;
      }
    | undefined;
  /** Most ε of all runs on the data. */
  readonly budgetEpsilon?: number | undefined;
  /** Under which runs on data that grow count together. */
  readonly dataset?: string | undefined;
  readonly promptTokens: number;
  readonly steps?: number | undefined;
  readonly batchSize?: number | undefined;
  readonly learningRate?: number | undefined;
  readonly averagedSteps?: number | undefined;
  readonly optimizer: "adam" | "sgd";
  readonly order: { readonly kind: "shuffled"; readonly seed: number } | { readonly kind: "file" };
  /** The share of rows that are kept back to measure on, 0 for none, and what decides which. */
  readonly heldOut: { readonly share: number; readonly key: string };
}

/** What a run would be. */
export interface Planned {
  readonly rows: number;
  /** Units of privacy that they are of: rows, if there is no unit. */
  readonly records: number;
  readonly heldOut: number;
  readonly schedule: Schedule;
  readonly plan: PrivacyPlan | null;
  /** What the guarantee leaves to somebody who wants to know whose rows were used; empty without one. */
  readonly attacks: readonly AttackFigure[];
  /** What the user should know of the data. */
  readonly notes: readonly string[];
}

/** What a run gave. */
export interface Finished {
  /** The files of the prompt's folder. */
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array<ArrayBuffer> }[];
  readonly manifest: Manifest;
  readonly loss: number;
  readonly measured: TaskEvaluation | null;
  /** All runs on the data together; null for a run without privacy. */
  readonly total: {
    readonly runs: number;
    readonly epsilon: number;
    readonly delta: number;
    readonly unit: string;
  } | null;
}

/** A run that was stopped or cut off. */
export interface Unfinished {
  readonly id: string;
  readonly student: StudentFiles;
  readonly settings: Settings;
  /** The file that it is on has to be given again: nothing of it is kept. */
  readonly data: { readonly name: string; readonly sha256: string };
  /** When it began, ISO 8601. */
  readonly began: string;
  /** Steps that are saved. */
  readonly saved: number;
  /** Whether a ledger has it: then its privacy is spent. */
  readonly charged: boolean;
}

/** What was charged on one data set. */
export interface ChargedSet {
  readonly name: string;
  readonly runs: readonly { readonly time: string; readonly task: string; readonly steps: number }[];
  readonly epsilon: number;
  readonly delta: number;
  /** Whose data it is about, in words. */
  readonly unit: string;
}

/** Requests with their answers. */
export interface Calls {
  openStudent(student: StudentFiles): { readonly positions: number; readonly notes: readonly string[] };
  /** Digests of the students whose files are in the browser's storage, and removing one of them. */
  keptStudents(): string[];
  dropStudent(digest: string): void;
  openData(file: File): Preview;
  readLabels(columns: ColumnNames): LabelCounts;
  proposeTask(name: string, columns: ColumnNames): { readonly task: ClassificationTask; readonly shortened: number };
  checkTask(json: string, texts: readonly string[]): { task: Task; words: CheckedWord[]; texts: CheckedText[] };
  plan(settings: Settings): Planned;
  /** Takes ONNX Runtime's program, which tuning needs. @param threads of WebAssembly */
  startRuntime(program: ArrayBuffer, threads: number): void;
  /** Takes ONNX Runtime's program for GPUs, which runs without privacy try. */
  startGpu(program: ArrayBuffer): void;
  /** @param resume the id of an unfinished run that goes on */
  tune(settings: Settings, resume?: string): Finished;
  /** Saves the state and ends the run: `tune` fails with `stopped`. */
  stop(): void;
  unfinished(): Unfinished[];
  forget(run: string): void;
  ledger(): ChargedSet[];
  /** The ledger's files, as the command line has them in `~/.softpost/ledger`. */
  exportLedger(): { readonly name: string; readonly bytes: Uint8Array<ArrayBuffer> }[];
}

export type Call = {
  [K in keyof Calls]: { readonly id: number; readonly call: K; readonly args: Parameters<Calls[K]> };
}[keyof Calls];

/** A problem, as it goes from one thread to another. */
export interface Problem {
  readonly title: string;
  readonly detail: string;
  readonly faults: readonly Fault[];
  /** Whether the run was stopped, after this many steps. */
  readonly stopped?: number | undefined;
}

/** A request as the platform has recorded it. */
export interface RequestRecord {
  readonly url: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly initiator: string;
  /** Bytes that came; 0 where the platform doesn't say. */
  readonly received: number;
  readonly thread: string;
}

/** What a thread says unasked, or for an answer. */
export type FromThread =
  | { readonly kind: "ready" }
  | { readonly kind: "answer"; readonly id: number; readonly value?: unknown; readonly problem?: Problem }
  | { readonly kind: "event"; readonly event: TrainingEvent }
  | { readonly kind: "requests"; readonly requests: readonly RequestRecord[] };

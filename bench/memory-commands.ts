/** Commands whose memory is measured, each in a process of its own (Linux only). */
import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { exists } from "../shared/data/files.ts";

const PEAK = fileURLToPath(new URL("./peak.ts", import.meta.url));
const PEAK_SERVING = fileURLToPath(new URL("./peak-serving.ts", import.meta.url));
/** Any prompt and student will do: the demo's model, whose tokenizer all random models have. */
const STUDENT = fileURLToPath(new URL("../demo/model", import.meta.url));
const ROWS = 16;
/** Of a text, in tokens. */
export const MAX_LENGTH = 64;
/** Answers that are served at once, each as long as the model can have it. */
const SLOTS = 2;
/** More tokens than a task takes. */
const WORDS = 80;

/** Memory of one run of a command, in bytes. */
export interface Compared {
  /** The most that it said; undefined where it says nothing. */
  readonly estimate: number | undefined;
  readonly peak: number;
}

/** Runs a command in a process of its own. @throws Error with its output if it fails */
export async function compared(args: readonly string[], home: string, program = PEAK): Promise<Compared> {
  const env = { ...process.env, SOFTPOST_HOME: home };
  const run = promisify(execFile)(process.execPath, [program, ...args], { env, maxBuffer: 2 ** 26 });
  const { stdout, stderr } = await run;
  const output = stdout + stderr;
  const said = [...output.matchAll(/^Needs (?:about|at most) ([\d.]+) GB/gm)].map(([, gb]) => 1e9 * Number(gb));
  const peak = Number(/^peak (\d+)$/m.exec(output)?.[1]);
  return { estimate: said.length > 0 ? Math.max(...said) : undefined, peak };
}

export type Form = "fp32" | "fp16" | "int8" | "int4";

export const COMMANDS = [
  "tune",
  "private",
  "answers",
  "transfer",
  "vocabulary",
  "evaluate",
  "predict",
  "generate",
  "serving",
  "distill",
] as const;
export type CommandName = (typeof COMMANDS)[number];
export interface Run {
  /** The model's folder, in the form that is wanted unless that is fp16; and as it was published. */
  readonly model: string;
  readonly published: string;
  readonly form: Form;
  readonly B: number;
  readonly P: number;
}

/** Writes files of a task into a folder. @returns what runs a command on them */
export async function commandsIn(scratch: string) {
  const home = join(scratch, "home");
  const file = (name: string) => join(scratch, name);
  const text = (row: number) => Array.from({ length: WORDS }, (_, i) => `w${(7 * row + i) % 97}`).join(" ");
  const rows = Array.from({ length: ROWS }, (_, row) => ({ text: text(row), label: row % 2 ? "good" : "bad" }));
  const lines = (all: readonly object[]) => all.map((row) => `${JSON.stringify(row)}\n`).join("");
  const common = { name: "memory", init: "Say which.", maxLength: MAX_LENGTH };
  const labels = ["good", "bad"].map((name) => ({ name, words: [` ${name}`] }));
  await writeFile(file("task.json"), JSON.stringify({ ...common, template: "{text} It was", labels }));
  const generation = {
    ...common,
    kind: "generation",
    template: "{text} Answer:",
    target: " {target}",
    maxNewTokens: 16,
  };
  await writeFile(file("answers.json"), JSON.stringify(generation));
  await writeFile(file("rows.jsonl"), lines(rows));
  await writeFile(file("targets.jsonl"), lines(rows.map(({ text }) => ({ text, target: "good or bad" }))));
  const task = ["--task", file("task.json")];
  const tune = ["tune", ...task, "--train", file("rows.jsonl"), "--steps", "2"];
  let count = 0;
  const out = () => ["--out", file(`out-${count++}`)];
  const plain = (args: readonly string[]) => compared(["--threads", "1", ...args], home);

  const transferred = (B: number) => ["--public", file("rows.jsonl"), "--steps", "1", "--batch-size", String(B)];
  const distill = (model: string, B: number, to: readonly string[]) => {
    const how = ["--steps", "2", "--batch-size", String(B), "--max-length", String(MAX_LENGTH)];
    return ["distill", "--target", model, "--public", file("rows.jsonl"), ...how, ...to];
  };

  const commands: Record<Exclude<CommandName, "serving">, (run: Run) => readonly string[]> = {
    tune: ({ model, B, P }) => [...tune, "--model", model, ...steps(B, P), ...out()],
    private: (run) => [...commands.tune(run), "--epsilon", "8", "--delta", "0.01"],
    answers: ({ model, B, P }) => {
      const data = ["--task", file("answers.json"), "--train", file("targets.jsonl")];
      return ["tune", ...data, "--model", model, "--steps", "2", ...steps(B, P), ...out()];
    },
    transfer: ({ model, B, P }) => {
      const from = ["--student", STUDENT, "--open", "--prompt", file(`prompt-${P}`)];
      return ["transfer", "--target", model, ...from, ...transferred(B), ...out()];
    },
    vocabulary: ({ model, B }) => {
      const from = ["--student", file("student"), "--prompt", file("student-prompt"), "--loss", "vocabulary"];
      return ["transfer", "--target", model, ...from, ...transferred(B), ...out()];
    },
    evaluate: ({ model }) => ["evaluate", "--model", model, ...task, "--data", file("rows.jsonl")],
    predict: ({ model }) => ["predict", "--model", model, "--prompt", file("tuned"), "--data", file("rows.jsonl")],
    generate: ({ model }) => {
      return ["evaluate", "--model", model, "--task", file("answers.json"), "--data", file("targets.jsonl")];
    },
    distill: ({ model, B }) => distill(model, B, out()),
  };
  /** What a command needs that others make. */
  const before: Partial<Record<CommandName, (run: Run) => Promise<void>>> = {
    transfer: async ({ P }) => {
      const prompt = file(`prompt-${P}`);
      if (!(await exists(prompt))) await plain([...tune, "--model", STUDENT, ...steps(4, P), "--out", prompt]);
    },
    // This loss is for students of the target only.
    vocabulary: async ({ published, P }) => {
      const student = file("student");
      if (await exists(student)) return;
      await plain(distill(published, 1, ["--out", student]));
      await plain([...tune, "--model", student, ...steps(4, P), "--out", file("student-prompt")]);
    },
    predict: async (run) => {
      await rm(file("tuned"), { recursive: true, force: true });
      await plain([...formOf(run), ...tune, "--model", run.model, ...steps(run.B, run.P), "--out", file("tuned")]);
    },
  };
  return async (command: CommandName, how: Run): Promise<Compared> => {
    await before[command]?.(how);
    if (command === "serving") return compared([how.model, how.form, String(SLOTS)], home, PEAK_SERVING);
    return plain([...formOf(how), ...commands[command](how)]);
  };
}

const formOf = ({ form }: Run) => (form === "fp16" ? ["--weights", "fp16"] : []);
const steps = (B: number, P: number) => ["--batch-size", String(B), "--prompt-tokens", String(P)];

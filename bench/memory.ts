/** What commands say that they need, against the most that their processes took (VmHWM: Linux only). */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { exists } from "../shared/data/files.ts";
import { gb } from "../shared/graph/memory.ts";
import { randomGpt2 } from "./models.ts";
import { quantised } from "./quantised.ts";
import { type LlamaSize, randomLlama } from "./random-llama.ts";
import type { Asked } from "./serving.ts";

const PEAK = fileURLToPath(new URL("./peak.ts", import.meta.url));
/** Any prompt and student will do: the demo's model, whose tokenizer all random models have. */
const STUDENT = fileURLToPath(new URL("../demo/model", import.meta.url));
const ROWS = 16;
const MAX_LENGTH = 64;
/** More tokens than a task takes. */
const WORDS = 80;

/** Memory of one run of a command, in bytes. */
export interface Compared {
  /** The most that it said; undefined where it says nothing. */
  readonly estimate: number | undefined;
  readonly peak: number;
}

/** Runs a command in a process of its own. @throws Error with its output if it fails */
export async function compared(args: readonly string[], home: string): Promise<Compared> {
  const env = { ...process.env, SOFTPOST_HOME: home };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [PEAK, ...args], { env, maxBuffer: 2 ** 26 });
  const output = stdout + stderr;
  const said = [...output.matchAll(/^Needs (?:about|at least) ([\d.]+) GB/gm)].map(([, gb]) => 1e9 * Number(gb));
  const peak = Number(/^peak (\d+)$/m.exec(output)?.[1]);
  return { estimate: said.length > 0 ? Math.max(...said) : undefined, peak };
}

type Form = "fp32" | "fp16" | "int8" | "int4";

interface Size {
  readonly name: string;
  readonly forms: readonly Form[];
  /** Rows at once and virtual tokens. */
  readonly B: number;
  readonly P: number;
  readonly commands: readonly CommandName[];
  make(folder: string): Promise<string>;
}

const ALL = ["tune", "private", "answers", "transfer", "vocabulary", "evaluate", "generate", "distill"] as const;
type CommandName = (typeof ALL)[number];
const llama = (name: LlamaSize, B: number, P: number): Size => ({
  name,
  forms: ["fp32", "fp16", "int8", "int4"],
  B,
  P,
  commands: ["tune", "transfer", "evaluate", "generate"],
  make: (folder) => randomLlama(folder, name),
});

const SIZES: readonly Size[] = [
  {
    name: "gpt2-12l",
    forms: ["fp32", "int8", "int4"],
    B: 8,
    P: 48,
    commands: ALL,
    make: async (folder) => (await randomGpt2(folder, 12)).folder,
  },
  llama("tinyllama-1.1b", 2, 20),
];
/** Only where it is asked for by its name: 13.5 GB on disk, and 11 for its other forms. */
const LARGE: Size = { ...llama("llama-2-7b", 2, 16), forms: ["int8", "int4"] };

/** Compares estimate and peak for a table of commands, sizes and forms of weights. */
export async function memory(models: string, only: readonly string[], { wanted, keep }: Asked): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), "bench-memory-"));
  const run = await runner(scratch);
  const sizes = [...SIZES, ...(only.includes(`memory, ${LARGE.name}`) ? [LARGE] : [])];
  for (const size of sizes.filter(({ name }) => wanted(`memory, ${name}`))) {
    const { B, P } = size;
    const published = await size.make(models);
    for (const form of size.forms) {
      const model = form === "fp32" || form === "fp16" ? published : await quantised(published, form);
      for (const command of size.commands) {
        if (command === "distill" && form !== "fp32") continue;
        const { estimate, peak } = await run(command, { model, form, B, P });
        const name = `memory, ${size.name}, ${form}, ${command}`;
        const said = estimate === undefined ? "nothing estimated" : `${gb(estimate)} estimated`;
        const ratio = estimate === undefined ? "" : `, ${(estimate / peak).toFixed(2)}`;
        console.log(`${name}, B${B} P${P}: ${said}, ${gb(peak)} GB taken${ratio}`);
        keep({ name, sizes: { B, P, T: MAX_LENGTH }, estimate, peak });
      }
    }
  }
  await rm(scratch, { recursive: true });
}

interface Run {
  readonly model: string;
  readonly form: Form;
  readonly B: number;
  readonly P: number;
}

/** Files of a task, and what runs commands on them. */
async function runner(scratch: string) {
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

  const commands: Record<CommandName, (run: Run) => readonly string[]> = {
    tune: ({ model, B, P }) => [...tune, "--model", model, ...steps(B, P), ...out()],
    private: (run) => [...commands.tune(run), "--epsilon", "8", "--delta", "0.01"],
    answers: ({ model, B, P }) => {
      const data = ["--task", file("answers.json"), "--train", file("targets.jsonl")];
      return ["tune", ...data, "--model", model, "--steps", "2", ...steps(B, P), ...out()];
    },
    transfer: ({ model, B, P }) => {
      const from = ["--student", STUDENT, "--open", "--prompt", file(`prompt-${P}`), "--public", file("rows.jsonl")];
      return ["transfer", "--target", model, ...from, "--steps", "1", "--batch-size", String(B), ...out()];
    },
    vocabulary: (run) => [...commands.transfer(run), "--loss", "vocabulary"],
    evaluate: ({ model }) => ["evaluate", "--model", model, ...task, "--data", file("rows.jsonl")],
    generate: ({ model }) => {
      return ["evaluate", "--model", model, "--task", file("answers.json"), "--data", file("targets.jsonl")];
    },
    distill: ({ model, B }) => {
      const how = ["--steps", "2", "--batch-size", String(B), "--max-length", String(MAX_LENGTH)];
      return ["distill", "--target", model, "--public", file("rows.jsonl"), ...how, ...out()];
    },
  };
  return async (command: CommandName, how: Run): Promise<Compared> => {
    const prompt = file(`prompt-${how.P}`);
    const needsPrompt = command === "transfer" || command === "vocabulary";
    if (needsPrompt && !(await exists(prompt))) {
      await plain([...tune, "--model", STUDENT, ...steps(4, how.P), "--out", prompt]);
    }
    const form = how.form === "fp16" ? ["--weights", "fp16"] : [];
    return plain([...form, ...commands[command](how)]);
  };
}

const steps = (B: number, P: number) => ["--batch-size", String(B), "--prompt-tokens", String(P)];

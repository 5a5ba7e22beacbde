/** What commands say that they need, against the most that their processes took (VmHWM: Linux only). */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gb } from "../shared/graph/memory.ts";
import { COMMANDS, type CommandName, commandsIn, type Form, MAX_LENGTH } from "./memory-commands.ts";
import { randomGpt2 } from "./models.ts";
import { quantised } from "./quantised.ts";
import { type LlamaSize, randomLlama } from "./random-llama.ts";
import type { Asked } from "./serving.ts";

interface Size {
  readonly name: string;
  readonly forms: readonly Form[];
  /** Rows at once and virtual tokens. */
  readonly B: number;
  readonly P: number;
  readonly commands: readonly CommandName[];
  make(folder: string): Promise<string>;
}

const llama = (name: LlamaSize, B: number, P: number): Size => ({
  name,
  forms: ["fp32", "fp16", "int8", "int4"],
  B,
  P,
  commands: ["tune", "transfer", "evaluate", "generate", "serving"],
  make: (folder) => randomLlama(folder, name),
});

const SIZES: readonly Size[] = [
  {
    name: "gpt2-12l",
    forms: ["fp32", "fp16", "int8", "int4"],
    B: 8,
    P: 48,
    commands: COMMANDS,
    make: async (folder) => (await randomGpt2(folder, 12)).folder,
  },
  llama("tinyllama-1.1b", 2, 20),
];
/** Only where it is asked for by its name: 13.5 GB on disk, and 11 for its other forms. */
const LARGE: Size = { ...llama("llama-2-7b", 2, 16), forms: ["int8", "int4"] };

/** Compares estimate and peak for a table of commands, sizes and forms of weights. */
export async function memory(models: string, only: readonly string[], { wanted, keep }: Asked): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), "bench-memory-"));
  const run = await commandsIn(scratch);
  const sizes = [...SIZES, ...(only.some((name) => name.startsWith(`memory, ${LARGE.name}`)) ? [LARGE] : [])];
  for (const size of sizes) {
    const { B, P } = size;
    for (const form of size.forms) {
      const named = (command: CommandName) => `memory, ${size.name}, ${form}, ${command}`;
      const commands = size.commands.filter((command) => wanted(named(command)));
      if (commands.length === 0) continue;
      const published = await size.make(models);
      const model = form === "fp32" || form === "fp16" ? published : await quantised(published, form);
      for (const command of commands) {
        const { estimate, peak } = await run(command, { model, published, form, B, P });
        const name = named(command);
        const said = estimate === undefined ? "nothing estimated" : `${gb(estimate)} estimated`;
        const ratio = estimate === undefined ? "" : `, ${(estimate / peak).toFixed(2)}`;
        console.log(`${name}, B${B} P${P}: ${said}, ${gb(peak)} GB taken${ratio}`);
        keep({ name, sizes: { B, P, T: MAX_LENGTH }, estimate, peak });
      }
    }
  }
  await rm(scratch, { recursive: true });
}

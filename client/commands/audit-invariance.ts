import { availableParallelism } from "node:os";
import type { Command } from "commander";
import { initialisationIds } from "../../shared/data/encode.ts";
import { readTask } from "../../shared/data/files.ts";
import { checkDevice } from "../../shared/graph/device.ts";
import { Engine } from "../../shared/graph/engine.ts";
import { requirePrivateRoom, requireRoom } from "../../shared/operations/checks.ts";
import { encodedRows } from "../../shared/operations/texts.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { cryptoRandom, Draws } from "../../shared/protocol/random.ts";
import { initialPrompt } from "../../shared/training/initial-prompt.ts";
import { examine, type Findings } from "../../shared/training/invariance-audit.ts";
import type { Examples } from "../../shared/training/objective.ts";
import { type ColumnOptions, dataFile, ROW_FORMATS, withColumns } from "../data-file.ts";
import { loadModel, loadVerbalizer } from "../inputs.ts";
import { longRun, nothingWritten } from "../long-run.ts";
import { positiveNumber, wholeNumber } from "../options.ts";
import type { Io } from "../output.ts";

interface Options extends ColumnOptions {
  readonly model: string;
  readonly task: string;
  readonly data: string;
  readonly promptTokens: number;
  readonly batchSize: number;
  readonly clip: number;
  readonly records: number;
}

const EXAMPLE = `
Example:
  softpost audit invariance --model student --task task.json --data private.jsonl

Next: softpost tune --epsilon …`;

/** `softpost audit invariance`: whether a record moves a private step's sum by at most the clip norm on this machine. */
export function registerInvariance(audit: Command, io: Io): void {
  const command = audit
    .command("invariance")
    .description("whether one record's gradient depends on others, and how far one record moves a private step's sum")
    .requiredOption("--model <dir>", "model folder, or hub id such as org/name or org/name@revision")
    .requiredOption("--task <file>", "task.json")
    .requiredOption("--data <file>", `labelled rows, private or not (${ROW_FORMATS})`)
    .option("--prompt-tokens <n>", "virtual tokens", wholeNumber(1), 100)
    .option("--batch-size <n>", "expected examples a step", wholeNumber(1), 32)
    .option("--clip <c>", "norm that a gradient is clipped to", positiveNumber, 1)
    .option("--records <n>", "rows that are looked at, and make up the sample", wholeNumber(1), 32)
    .addHelpText("after", EXAMPLE)
    .action((options: Options) => run(options, io));
  withColumns(command, ["text", "label", "target"]);
}

async function run(options: Options, io: Io): Promise<void> {
  const task = await readTask(options.task);
  const loaded = await loadModel(options.model, io);
  requireRoom(task, options.promptTokens, loaded);
  requirePrivateRoom(task, options.promptTokens, loaded);
  const rows = await encodedRows(await dataFile(options.data, options, io), task, loaded, io.message);
  const examples: Examples =
    rows.kind === "generation"
      ? { examples: rows.rows }
      : { classes: await loadVerbalizer(rows.task, loaded, io), examples: rows.rows };
  const ids = await initialisationIds(loaded.tokenizer, task.init, options.promptTokens);
  const { device } = io;
  const findings = await longRun(io, nothingWritten, async (watch) => {
    await checkDevice(device);
    const found: Findings[] = [];
    for (const threads of threadCounts(io.threads)) {
      const engine = new Engine({ threads, device });
      try {
        const start = await initialPrompt(engine, loaded.model, ids);
        const examined = { engine, model: loaded.model, ...examples, start, clip: options.clip };
        found.push(await examine(examined, options, found[0], new Draws(cryptoRandom), watch));
      } finally {
        await engine.close();
      }
    }
    return found;
  });
  reportInvariance(findings, threadCounts(io.threads), io);
}

/** One thread, two, four and so on up to all. */
function threadCounts(most = availableParallelism()): number[] {
  const powers = Array.from({ length: Math.floor(Math.log2(most)) + 1 }, (_, i) => 2 ** i);
  return [...new Set([...powers, most])];
}

/**
 * Prints what was found.
 * @throws ProblemError, so that the program ends with 1, if a record has more than one vector or moves the sum by more than the clip norm
 */
export function reportInvariance(findings: readonly Findings[], threads: readonly number[], io: Io): void {
  const largest = (of: (each: Findings) => number) => findings.map(of).reduce((a, b) => Math.max(a, b));
  const [shift, distance] = [largest((each) => each.shift), largest((each) => each.distance)];
  const { records, rows } = findings[0]!;
  const compositions = findings.reduce((sum, each) => sum + each.compositions, 0);
  const holds = shift === 0 && distance <= 1;
  io.result(
    { records, compositions, threads, rows, shift, distance, limit: 1, holds },
    `${records} records in ${compositions} compositions, with ${threads.join(", ")} threads: a record's gradient differs by at most ` +
      `${shift.toPrecision(4)} clip norms between them; leaving one out moves the sum by at most ${distance.toPrecision(9)} (limit 1)`,
  );
  if (holds) return;
  const detail = `The largest difference is ${shift.toPrecision(4)} clip norms, and the largest distance ${distance.toPrecision(9)}.`;
  throw new ProblemError("A record's influence is not bounded on this device", detail, { status: 500 });
}

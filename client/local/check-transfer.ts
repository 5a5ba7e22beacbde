/** Whether a transfer pays: asked of labelled public rows before it is paid for. */
import { type Data, type Example, pathOf, readExamples, refuseUnits } from "../shared/data/jsonl.ts";
import { requireClasses } from "../shared/operations/checks.ts";
import { evaluateTask } from "../shared/operations/evaluate.ts";
import { encodedExamples } from "../shared/operations/texts.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import type { ClassificationTask } from "../shared/protocol/task.ts";
import { InterruptedError } from "../shared/training/loop.ts";
import type { Api } from "./api/api.ts";
import { loadModel, telling } from "./inputs.ts";
import { loadPrompt } from "./local/prompt.ts";
import { requireManifest } from "./local/task.ts";
import { engineRun, longRun, nothingWritten } from "./long-run.ts";
import type { Io } from "./output.ts";
import { openLedger } from "./privacy-ledger.ts";
import { batchesOf } from "./text-batches.ts";
import { count, percent } from "./words.ts";

/** Accuracies on the same rows. */
export interface Worth {
  readonly examples: number;
  /** Of the student with the prompt. */
  readonly prompted: number;
  /** Of the target without one. */
  readonly target: number;
  /** Standard error of the difference of the two, were they of different rows. */
  readonly standardError: number;
}

/**
 * Measures a prompt on its student, on this machine, and the target without a prompt, at the provider, on labelled rows that the provider may see.
 * @throws ProblemError for a task whose answer is text, rows that aren't public as far as this machine knows, and a target that isn't served
 */
export async function checkWorth(
  api: Api,
  { prompt: folder, model, data }: { readonly prompt: string; readonly model: string; readonly data: Data },
  io: Io,
): Promise<Worth> {
  const student = await loadModel(model, io);
  const { value: prompt, manifest } = requireManifest(await loadPrompt(folder, student, {}, telling(io)));
  const task = requireClasses(manifest.task);
  const rows = await readExamples(data, task);
  if (manifest.privacy?.unit) await refuseUnits(data, manifest.privacy.unit.field);
  refusePrivateRows(rows, data);
  const target = await servedTarget(api, student.record.digest);
  const examples = await encodedExamples(data, task, student, io.message);
  const { accuracy } = await engineRun(io, nothingWritten, (engine, watch) =>
    evaluateTask({ model: student, task, prompt }, examples, engine, watch),
  );
  io.message(
    `Asking ${target} for the labels of ${count(rows.length, "row")} of ${pathOf(data)}, which the provider sees`,
  );
  const bare = await targetAccuracy(api, { target, task, rows }, io);
  const variance = (p: number) => (p * (1 - p)) / rows.length;
  const standardError = Math.sqrt(variance(accuracy) + variance(bare));
  return { examples: rows.length, prompted: accuracy, target: bare, standardError };
}

/** @throws ProblemError if a row is among those that prompts were tuned on privately */
function refusePrivateRows(rows: readonly Example[], data: Data): void {
  const ledger = openLedger({ texts: rows.map(({ text }) => text), fileDigests: [] });
  const known = ledger.entries().length > 0 ? ledger.rows : ledger.overlap().known;
  if (known === 0) return;
  const detail = `${count(known, "row")} of ${pathOf(data)} are private rows of this machine's privacy ledger. The provider would see them: check on public ones.`;
  throw new ProblemError("The rows are private", detail, { status: 422 });
}

/** @throws ProblemError if the student's target can't be asked */
async function servedTarget(api: Api, digest: string): Promise<string> {
  const student = (await api.students()).find((each) => each.digest === digest);
  if (!student) throw new ProblemError("The student is not known", "It is not in the provider's catalogue.");
  const { id } = student.target;
  if ((await api.models()).some((model) => model.id === id)) return id;
  const detail = `The provider does not serve ${id} by itself, so nobody can say beforehand what it does without a prompt.`;
  throw new ProblemError("The target can't be asked", detail, { status: 404 });
}

function targetAccuracy(
  api: Api,
  asked: { readonly target: string; readonly task: ClassificationTask; readonly rows: readonly Example[] },
  io: Io,
): Promise<number> {
  const { target, task, rows } = asked;
  return longRun(io, nothingWritten, async ({ signal, onEvent }) => {
    onEvent?.({ kind: "phase", name: "asking the target", total: rows.length, unit: "texts" });
    let [done, right] = [0, 0];
    for (const batch of batchesOf(rows.map(({ text }) => text))) {
      if (signal?.aborted) throw new InterruptedError(0);
      const answers = await api.classify(target, batch, { signal, task }).catch((error: unknown) => {
        throw signal?.aborted ? new InterruptedError(0) : error;
      });
      right += answers.filter(({ label }, i) => label === task.labels[rows[done + i]!.label]!.name).length;
      done += batch.length;
      onEvent?.({ kind: "progress", done });
    }
    return right / rows.length;
  });
}

/** What was measured, and what it says of a transfer. */
export function describeWorth({ examples, prompted, target, standardError }: Worth): string[] {
  const figures = `On ${count(examples, "row")}: your prompt on the student ${percent(prompted)}, the target without a prompt ${percent(target)} (± ${percent(standardError)})`;
  if (target < prompted - standardError) return [figures];
  return [
    figures,
    "WARNING: the target does as well without a prompt as your prompt does on the student. The transferred prompt may then be worse than none: it was, or gained a few points, where this was measured (docs/results.md).",
  ];
}

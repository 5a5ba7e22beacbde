/** Whether a transfer pays: asked of labelled public rows before it is paid for. */
import { type Data, type Example, pathOf, readExamples, refuseUnits } from "../../shared/data/jsonl.ts";
import { requireClasses } from "../../shared/operations/checks.ts";
import { evaluateTask } from "../../shared/operations/evaluate.ts";
import type { OpenModel } from "../../shared/operations/open-model.ts";
import type { SoftPrompt } from "../../shared/operations/soft-prompt.ts";
import { encodedExamples } from "../../shared/operations/texts.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { ClassificationTask } from "../../shared/protocol/task.ts";
import type { Watch } from "../../shared/training/events.ts";
import { InterruptedError } from "../../shared/training/loop.ts";
import type { Api } from "../api/api.ts";
import { requireNumbers } from "../number-rules.ts";
import { openLedger } from "../privacy-ledger.ts";
import { batchesOf } from "../text-batches.ts";
import { count } from "../words.ts";
import { requireManifest, sayTo } from "./task.ts";
import { type EngineOptions, withEngine } from "./with-engine.ts";

export interface TransferCheckOptions extends EngineOptions {
  /** The provider, which is asked for the target's labels: that costs the tokens of the rows' texts. */
  readonly client: Api;
  /** The student that the prompt was tuned on. */
  readonly model: OpenModel;
  readonly prompt: SoftPrompt;
  /** Rows with labels, which the provider sees. */
  readonly data: Data;
}

/** Accuracies on the same rows. */
export interface TransferCheck {
  readonly examples: number;
  /** Of the student with the prompt. */
  readonly prompted: number;
  /** Of the target without one. */
  readonly target: number;
  /** Standard error of the difference of the two, were they of different rows. */
  readonly standardError: number;
  /** False where the target does as well alone, within the standard error: the transferred prompt may then be worse than none. */
  readonly mayPay: boolean;
}

/**
 * Measures a prompt on its student, on this machine, and the target without a prompt, at the provider, on labelled rows that the provider may see.
 *
 * @throws ProblemError for a task whose answer is text, rows that aren't public as far as this machine knows, and a target that isn't served;
 * InterruptedError when stopped
 */
export async function checkTransfer(options: TransferCheckOptions, watch: Watch = {}): Promise<TransferCheck> {
  requireNumbers(options);
  const { client, model, data } = options;
  const { value: prompt, manifest } = requireManifest(options.prompt);
  const task = requireClasses(manifest.task);
  const rows = await readExamples(data, task);
  if (manifest.privacy?.unit) await refuseUnits(data, manifest.privacy.unit.field);
  await refusePrivateRows(rows, data);
  const target = await servedTarget(client, model.record.digest, watch);
  const say = sayTo(watch);
  const examples = await encodedExamples(data, task, model, say);
  const { accuracy } = await withEngine(options, (engine) =>
    evaluateTask({ model, task, prompt }, examples, engine, watch),
  );
  say(`Asking ${target} for the labels of ${count(rows.length, "row")} of ${pathOf(data)}, which the provider sees`);
  const bare = await targetAccuracy(client, { target, task, rows }, watch);
  const variance = (p: number) => (p * (1 - p)) / rows.length;
  const standardError = Math.sqrt(variance(accuracy) + variance(bare));
  const mayPay = bare < accuracy - standardError;
  return { examples: rows.length, prompted: accuracy, target: bare, standardError, mayPay };
}

/** @throws ProblemError if a row is among those that prompts were tuned on privately */
async function refusePrivateRows(rows: readonly Example[], data: Data): Promise<void> {
  const ledger = await openLedger({ texts: rows.map(({ text }) => text), fileDigests: [] });
  const known = ledger.entries().length > 0 ? ledger.rows : ledger.overlap().known;
  if (known === 0) return;
  const detail = `${count(known, "row")} of ${pathOf(data)} are private rows of this machine's privacy ledger. The provider would see them: check on public ones.`;
  throw new ProblemError("The rows are private", detail, { status: 422 });
}

/** @throws ProblemError if the student's target can't be asked */
async function servedTarget(client: Api, digest: string, watch: Watch): Promise<string> {
  const student = (await client.students(watch)).find((each) => each.digest === digest);
  if (!student) throw new ProblemError("The student is not known", "It is not in the provider's catalogue.");
  const { id } = student.target;
  if ((await client.models(watch)).some((model) => model.id === id)) return id;
  const detail = `The provider does not serve ${id} by itself, so nobody can say beforehand what it does without a prompt.`;
  throw new ProblemError("The target can't be asked", detail, { status: 404 });
}

async function targetAccuracy(
  client: Api,
  asked: { readonly target: string; readonly task: ClassificationTask; readonly rows: readonly Example[] },
  { signal, onEvent }: Watch,
): Promise<number> {
  const { target, task, rows } = asked;
  onEvent?.({ kind: "phase", name: "asking the target", total: rows.length, unit: "texts" });
  let [done, right] = [0, 0];
  for await (const batch of batchesOf(rows.map(({ text }) => text))) {
    if (signal?.aborted) throw new InterruptedError(0);
    const answers = await client.classify(target, batch, { signal, task }).catch((error: unknown) => {
      throw signal?.aborted ? new InterruptedError(0) : error;
    });
    right += answers.filter(({ label }, i) => label === task.labels[rows[done + i]!.label]!.name).length;
    done += batch.length;
    onEvent?.({ kind: "progress", done });
  }
  return right / rows.length;
}

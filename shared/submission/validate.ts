import { verifyRecord } from "../privacy/statement.ts";
import { parsePromptTensor, WEIGHTS_FILE } from "../prompt/adapter.ts";
import type { Catalogue, PublicSet, Student } from "../protocol/catalogue.ts";
import { type Fault, ProblemError } from "../protocol/errors.ts";
import { MAX_FAULTS, parseJson, validate } from "../protocol/json.ts";
import {
  MANIFEST_FILE,
  MAX_PUBLIC_SETS,
  type Manifest,
  type PrivacyRecord,
  parseManifest,
  sha256,
} from "../protocol/manifest.ts";
import { isGeneration } from "../protocol/task.ts";
import { misfits } from "../protocol/transfer-fit.ts";
import { AUTO, type Labels, labelsSchema, optionsSchema, type TransferOptions } from "../protocol/transfer-options.ts";
import { isUsual } from "../protocol/weights.ts";

/**
 * Rows of long-tuned prompts reach tens of times the norm of the longest embedding. A thousand times is no prompt any more, and
 * overflows 16-bit attention.
 */
const MAX_NORM_RATIO = 1000;

const TITLE = "The upload is not valid";

export interface Checked {
  readonly manifest: Manifest;
  readonly options: TransferOptions;
  readonly student: Student;
  /** The one to transfer on, or those of which the job takes one. */
  readonly publicSets: readonly [PublicSet, ...PublicSet[]];
}

/** An upload that is as it must be. */
export interface CheckedUpload extends Checked {
  readonly labels: Labels;
}

/**
 * Checks an upload completely.
 *
 * @throws ProblemError with every fault of the manifest, the options, the prompt and how they fit together
 */
export async function validateUpload(
  upload: { manifest: Uint8Array; options: Uint8Array; prompt: Uint8Array; labels?: Uint8Array },
  catalogue: Catalogue,
): Promise<CheckedUpload> {
  const faults: Fault[] = [];
  const manifest = attempt(faults, MANIFEST_FILE, () =>
    parseManifest(decode(upload.manifest, MANIFEST_FILE), MANIFEST_FILE),
  );
  const options = attempt(faults, "options", () => parseOptions(decode(upload.options, "options")));
  const labels = attempt(faults, "labels", () =>
    validate(
      labelsSchema,
      parseJson(upload.labels ? decode(upload.labels, "labels") : "{}", "labels", TITLE),
      "labels",
      TITLE,
    ),
  );
  const prompt = attempt(faults, WEIGHTS_FILE, () => parsePromptTensor(upload.prompt, WEIGHTS_FILE));
  if (manifest && prompt) {
    const digest = await sha256(upload.prompt);
    const { prompt: said } = manifest;
    const compare = (name: string, says: string | number, is: string | number) => {
      if (says !== is)
        faults.push({ at: `${MANIFEST_FILE}#/prompt/${name}`, message: `Says ${says}; the file has ${is}.` });
    };
    compare("digest", said.digest, digest);
    compare("virtualTokens", said.virtualTokens, prompt.virtualTokens);
    compare("dimension", said.dimension, prompt.dimension);
  }
  const fit =
    manifest && options ? attempt(faults, MANIFEST_FILE, () => checkFit(manifest, options, catalogue)) : undefined;
  if (fit && prompt) faults.push(...normFaults(prompt, fit.student));
  if (faults.length > 0 || !manifest || !options || !labels || !fit) {
    const detail = faults.length === 1 ? `${faults[0]!.at}: ${faults[0]!.message}` : `It has ${faults.length} faults.`;
    throw new ProblemError(TITLE, detail, { status: 422, faults: faults.slice(0, MAX_FAULTS) });
  }
  return { manifest, options, labels, ...fit };
}

/**
 * Checks that the manifest and the options fit what the provider offers, and that the privacy record is what it must be.
 *
 * @throws ProblemError with every fault
 */
export function checkFit(
  manifest: Manifest,
  options: TransferOptions,
  catalogue: Catalogue,
): Pick<Checked, "student" | "publicSets"> {
  const faults: Fault[] = [];
  const fault = (at: string, message: string) => faults.push({ at, message });
  const student = catalogue.students.find(({ digest }) => digest === manifest.model.digest);
  const [publicSet, ...others] = publicSetsOf(manifest, options, catalogue, fault);
  if (!student) {
    fault(`${MANIFEST_FILE}#/model/digest`, "Is no student of this provider; GET /v1/students lists them.");
  } else {
    const { dimension, virtualTokens } = manifest.prompt;
    if (student.retired)
      fault(`${MANIFEST_FILE}#/model`, `The student ${student.id} is retired; tune on a current one.`);
    if (student.architecture !== manifest.model.architecture) {
      fault(`${MANIFEST_FILE}#/model/architecture`, `The student is a ${student.architecture}.`);
    }
    const { quantisation } = manifest.model;
    // The job rounds its student as the client's was, and keeps what it made.
    if (quantisation && !isUsual(quantisation)) {
      fault(
        `${MANIFEST_FILE}#/model/quantisation`,
        "Is a form of weights of softpost quantise, which isn't taken; tune on the student as it is published, or with --weights fp16, int8 or int4.",
      );
    }
    if (dimension !== student.dimension) {
      fault(
        `${MANIFEST_FILE}#/prompt/dimension`,
        `Is ${dimension}; the student's embeddings have ${student.dimension}.`,
      );
    }
    const { task } = manifest;
    const answer = isGeneration(task) ? task.maxNewTokens : 0;
    if (virtualTokens + task.maxLength + answer > student.positions) {
      const room = student.positions - task.maxLength - answer;
      const beside = answer > 0 ? ` and answers of maxNewTokens ${answer}` : "";
      fault(
        `${MANIFEST_FILE}#/prompt/virtualTokens`,
        `Is ${virtualTokens}; beside texts of maxLength ${task.maxLength}${beside} the student has room for ${room}.`,
      );
    }
  }
  for (const { at, message } of misfits(manifest.task, options)) fault(`options#/${at}`, message);
  if (manifest.transfer)
    fault(`${MANIFEST_FILE}#/transfer`, "This prompt came out of a transfer; send one tuned on a student.");
  if (manifest.privacy) faults.push(...privacyFaults(manifest.privacy));
  if (faults.length > 0 || !student || !publicSet) {
    throw new ProblemError(TITLE, "The manifest doesn't fit.", { status: 422, faults });
  }
  return { student, publicSets: [publicSet, ...others] };
}

/** The public sets that are named; those without a fault. */
function publicSetsOf(
  { task }: Manifest,
  { publicSet, alternatives = [] }: TransferOptions,
  catalogue: Catalogue,
  fault: (at: string, message: string) => void,
): PublicSet[] {
  const named = [publicSet, ...alternatives];
  if (named.includes(AUTO)) {
    const all = catalogue.publicSets.filter(({ retired }) => !retired);
    if (named.length > 1) fault("options#/alternatives", `Must not be there beside ${AUTO}, which means all of them.`);
    if (isGeneration(task)) fault("options#/publicSet", RANKED_BY_LABELS);
    if (all.length === 0) fault("options#/publicSet", "The provider has no public set in service.");
    if (all.length > MAX_PUBLIC_SETS) {
      fault(
        "options#/publicSet",
        `Is of ${all.length} sets; name ${MAX_PUBLIC_SETS} at most, GET /v1/public-sets lists them.`,
      );
    }
    return all;
  }
  if (new Set(named).size < named.length) fault("options#/alternatives", "Names a public set twice.");
  if (named.length > 1 && isGeneration(task)) fault("options#/alternatives", RANKED_BY_LABELS);
  return named.flatMap((name, i) => {
    const at = i === 0 ? "options#/publicSet" : `options#/alternatives/${i - 1}`;
    const found = catalogue.publicSets.find(({ id }) => id === name);
    if (!found) fault(at, "Is no public set of this provider; GET /v1/public-sets lists them.");
    else if (found.retired) fault(at, "Is retired; GET /v1/public-sets lists those in service.");
    return found && !found.retired ? [found] : [];
  });
}

const RANKED_BY_LABELS =
  "Public sets are ranked by the labels that the student gives their texts; this prompt's answer is text.";

/** What is wrong with a privacy record: its parts contradict each other, or the epsilon is not what they give. */
function privacyFaults(record: PrivacyRecord): Fault[] {
  return verifyRecord(record).faults.map(({ at, message }) => ({ at: `${MANIFEST_FILE}#/privacy/${at}`, message }));
}

/** @throws ProblemError with every fault */
function parseOptions(text: string): TransferOptions {
  return validate(optionsSchema, parseJson(text, "options", TITLE), "options", TITLE);
}

function normFaults(
  prompt: { prompt: Float32Array; virtualTokens: number; dimension: number },
  student: Student,
): Fault[] {
  const limit = MAX_NORM_RATIO * student.embeddingNorms.max;
  const faults: Fault[] = [];
  for (let row = 0; row < prompt.virtualTokens; row++) {
    let square = 0;
    for (let i = row * prompt.dimension; i < (row + 1) * prompt.dimension; i++) square += prompt.prompt[i]! ** 2;
    if (Math.sqrt(square) <= limit) continue;
    const message = `Its norm is ${Math.sqrt(square).toPrecision(3)}; at most ${limit.toPrecision(3)}, ${MAX_NORM_RATIO} times that of the longest token embedding, is taken.`;
    faults.push({ at: `${WEIGHTS_FILE}, row ${row}`, message });
  }
  return faults;
}

/** Runs a check and keeps its faults, so that the next check still runs. */
function attempt<T>(faults: Fault[], at: string, check: () => T): T | undefined {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    faults.push(...(error.faults.length > 0 ? error.faults : [{ at, message: error.detail }]));
    return undefined;
  }
}

function decode(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new ProblemError(TITLE, `${name} is not UTF-8 text.`, { cause });
  }
}

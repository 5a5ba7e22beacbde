import type { Budget, ReleaseRecord } from "../../shared/protocol/budget.ts";
import type { FileRecord, PublicSet, Student } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_PATTERN } from "../../shared/protocol/ids.ts";
import { type Manifest, sha256 } from "../../shared/protocol/manifest.ts";
import type { Usage } from "../../shared/protocol/metering.ts";
import type { Quote } from "../../shared/protocol/quote.ts";
import type { ServedModel } from "../../shared/protocol/served-model.ts";
import type { ClassificationTask } from "../../shared/protocol/task.ts";
import { type Transfer, type TransferPage, transferSchema } from "../../shared/protocol/transfer.ts";
import type { TransferOptions } from "../../shared/protocol/transfer-options.ts";
import { publicManifest } from "../../shared/submission/outgoing.ts";
import { type Labels, type Submission, submissionOf } from "../../shared/submission/submission.ts";
import { changes, type Following } from "./events.ts";
import {
  type CompletionEvent,
  type CompletionOptions,
  classify,
  complete,
  type RemotePrediction,
} from "./inference.ts";
import { OPERATIONS } from "./operations.ts";
import { type Call, sending, Transport, wholeBody } from "./transport.ts";

/** A transferred prompt is megabytes at most. */
const MAX_PROMPT_FILE_BYTES = 1024 ** 3;

/** A tuned prompt as it may leave a machine: its manifest, and its safetensors file. */
export interface SentPrompt {
  readonly manifest: Manifest;
  readonly weights: Uint8Array;
}

/** A provider's API. Every method throws ProblemError, and what its signal says when it is aborted. */
export class Api extends Transport {
  async students({ signal }: Call = {}): Promise<Student[]> {
    return (await this.call(OPERATIONS.listStudents, { signal })).students;
  }

  student(id: string, { signal }: Call = {}): Promise<Student> {
    return this.call(OPERATIONS.getStudent, { id, signal });
  }

  async publicSets({ signal }: Call = {}): Promise<PublicSet[]> {
    return (await this.call(OPERATIONS.listPublicSets, { signal })).publicSets;
  }

  /** What a transfer would cost, and whether the budgets allow it. Only the manifest is sent. */
  quote(
    { manifest, options }: { readonly manifest: Manifest; readonly options: Partial<TransferOptions> },
    { signal }: Call = {},
  ): Promise<Quote> {
    return this.call(OPERATIONS.quoteTransfer, { sent: sending("POST", { manifest, options }), signal });
  }

  /**
   * What would be sent to have a prompt transferred, to the last byte. Nothing of it is sent; the provider is asked for its list of students, whose names
   * the manifest gets.
   *
   * @param labels the tenant's own name and pairs for the transfer; `idempotencyKey`, the same for every try of one submission
   */
  async submission(
    { manifest, weights }: SentPrompt,
    options: Partial<TransferOptions>,
    labels: Labels & Call & { readonly idempotencyKey?: string | undefined } = {},
  ): Promise<Submission> {
    const { idempotencyKey = crypto.randomUUID(), signal, ...own } = labels;
    const named = publicManifest(manifest, await this.students({ signal }));
    return submissionOf({ manifest: named, weights }, options, idempotencyKey, own);
  }

  submit({ headers, body }: Submission, { signal }: Call = {}): Promise<Transfer> {
    return this.call(OPERATIONS.submitTransfer, { sent: { headers, body }, signal });
  }

  /** A page of them, newest first. @param query as `GET /v1/transfers` takes it */
  transfers(query: Readonly<Record<string, string>> = {}, { signal }: Call = {}): Promise<TransferPage> {
    return this.call(OPERATIONS.listTransfers, { query, signal });
  }

  transfer(id: string, { signal }: Call = {}): Promise<Transfer> {
    return this.call(OPERATIONS.getTransfer, { id: transferId(id), signal });
  }

  /** The transfer at every change until it has finished, over lost connections too. */
  wait(id: string, how: Following = {}): AsyncGenerator<Transfer, void> {
    return changes(this, transferPath(id), transferSchema, how);
  }

  /** The files of the transferred prompt's PEFT folder by their names, their digests checked. */
  async download(id: string, { signal }: Call = {}): Promise<Record<string, Uint8Array>> {
    const { files, state } = await this.transfer(id, { signal });
    if (state !== "succeeded") {
      throw new ProblemError("There is nothing to download", `The transfer is ${state}.`, { status: 409 });
    }
    const read = async (file: FileRecord) => [file.name, await this.#promptFile(id, file, signal)] as const;
    return Object.fromEntries(await Promise.all(files.map(read)));
  }

  async #promptFile(id: string, { name, size, sha256: digest }: FileRecord, signal: AbortSignal | undefined) {
    if (size > MAX_PROMPT_FILE_BYTES) {
      throw new ProblemError("The download failed", `${name} is said to have ${size} bytes.`, { status: 502 });
    }
    const response = await this.request(`${transferPath(id)}/prompt/${name}`, signal ? { signal } : {});
    const bytes = await wholeBody(response);
    if ((await sha256(bytes)) === digest) return bytes;
    throw new ProblemError("The download failed", `${name}: its digest is not the one that was announced.`, {
      status: 502,
    });
  }

  cancel(id: string, { signal }: Call = {}): Promise<Transfer> {
    return this.call(OPERATIONS.cancelTransfer, { id: transferId(id), signal });
  }

  /** Deletes a finished transfer's prompt. */
  remove(id: string, { signal }: Call = {}): Promise<Transfer> {
    return this.call(OPERATIONS.deleteTransfer, { id: transferId(id), signal });
  }

  budget({ signal }: Call = {}): Promise<Budget> {
    return this.call(OPERATIONS.getBudget, { signal });
  }

  /** What was released from a data set, oldest first. */
  async releases(dataset: string, { signal }: Call = {}): Promise<ReleaseRecord[]> {
    return (await this.call(OPERATIONS.listReleases, { query: { dataset }, signal })).releases;
  }

  /** Tokens and what they cost, by day and model. @param days first and last day in UTC, such as 2026-11-30 */
  usage({ signal, ...days }: Call & { readonly from?: string; readonly to?: string } = {}): Promise<Usage> {
    return this.call(OPERATIONS.getUsage, { query: days, signal });
  }

  /** The models that the tenant can ask. */
  async models({ signal }: Call = {}): Promise<ServedModel[]> {
    return (await this.call(OPERATIONS.listModels, { signal })).data;
  }

  /** A model by any of its names. */
  model(name: string, { signal }: Call = {}): Promise<ServedModel> {
    return this.call(OPERATIONS.getModel, { id: name, signal });
  }

  /** A completion, piece by piece. Stopping it stops it at the provider too. */
  complete(options: CompletionOptions, { signal }: Call = {}): AsyncGenerator<CompletionEvent, void> {
    return complete(this, options, signal);
  }

  /**
   * Labels texts, in their order; what the provider has no room for is sent again for a while.
   *
   * @param how.task what is asked of a target by itself; a transferred prompt has its own
   */
  classify(
    model: string,
    texts: readonly string[],
    { signal, task }: Call & { readonly task?: ClassificationTask | undefined } = {},
  ): Promise<RemotePrediction[]> {
    return classify(this, { model, input: texts, task }, signal);
  }
}

/** @throws ProblemError if the id has another form: it becomes part of a path */
export function transferPath(id: string): string {
  return `/v1/transfers/${transferId(id)}`;
}

function transferId(id: string): string {
  if (ID_PATTERN.test(id)) return id;
  throw new ProblemError("There is no such transfer", `${JSON.stringify(id)} is no transfer's id.`, { status: 404 });
}

/** Where a file of a student's folder is. */
export function studentFilePath(student: Student, { name }: FileRecord): string {
  return `/v1/students/${student.id}/files/${name}`;
}

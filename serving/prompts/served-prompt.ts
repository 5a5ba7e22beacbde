import type { Bucket } from "../../batch/storage/bucket.ts";
import { isOutOfReach } from "../../batch/storage/bucket.ts";
import { readStoredPrompt } from "../../batch/storage/stored-prompt.ts";
import type { Value } from "../../shared/graph/graph.ts";
import type { OpenModel } from "../../shared/operations/open-model.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Manifest } from "../../shared/protocol/manifest.ts";
import type { Ticket } from "../../shared/protocol/ticket.ts";
import { log, whereOf } from "../log.ts";

export type PromptKey = NonNullable<Ticket["prompt"]>;

/** A transferred prompt as it lies in the bucket. */
export interface StoredPrompt {
  readonly manifest: Manifest;
  /** `[P, D]` */
  readonly value: Value;
}

/**
 * A transferred prompt, checked.
 * @throws ProblemError 503 if the bucket can't be reached; 500 if the prompt is missing, damaged, or for another model
 */
export async function fetchPrompt(store: Bucket, key: PromptKey, target: OpenModel): Promise<StoredPrompt> {
  const reading = readStoredPrompt(store, key, { weights: key.sha256, manifest: key.manifestSha256 });
  const prompt = await Promise.race([reading, tooLate()]).catch((error: unknown) => {
    if (isOutOfReach(error)) throw unavailable("The provider's storage can't be reached; try again.", 503);
    if (error instanceof ProblemError && error.status === 503) throw error;
    if (error instanceof ProblemError) {
      log("prompt damaged", { key: key.weights, problem: error.title });
      throw unavailable("Its file in the provider's storage is missing or damaged; tell the provider.", 500);
    }
    log("prompt not read", { error: whereOf(error) });
    throw unavailable("It can't be read from the provider's storage; tell the provider.", 500);
  });
  const { digest } = prompt.manifest.model;
  const { width, positions } = target.checkpoint.config;
  const [virtualTokens, dimension] = prompt.value.shape as readonly [number, number];
  if (digest !== target.record.digest || dimension !== width || virtualTokens >= positions) {
    throw unavailable("It was transferred to another model than the one that is served.", 500);
  }
  return prompt;
}

/** A storage that neither answers nor hangs up holds a request up no longer than this. */
const FETCH_MS = 30_000;

function tooLate(): Promise<never> {
  return new Promise((_, reject) => {
    const late = () => reject(unavailable("The provider's storage doesn't answer; try again.", 503));
    setTimeout(late, FETCH_MS).unref();
  });
}

function unavailable(detail: string, status: number): ProblemError {
  return new ProblemError("The prompt can't be used", detail, { status });
}

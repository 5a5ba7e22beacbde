import type { StudentPrompt } from "../../shared/operations/transfer-request.ts";
import { parsePromptTensor } from "../../shared/prompt/adapter.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { parseManifest, sha256 } from "../../shared/protocol/manifest.ts";
import type { Bucket } from "./bucket.ts";

/**
 * A soft prompt that lies in the bucket. The edge checked it when it came; it is checked again here.
 * @param files keys of its manifest and its tensor
 * @param digests of both files, where they are known
 * @throws ProblemError if one is missing, not valid, or not the other's
 */
export async function readStoredPrompt(
  store: Bucket,
  files: { readonly manifest: string; readonly weights: string },
  digests: { readonly manifest?: string; readonly weights?: string } = {},
): Promise<StudentPrompt> {
  const manifest = parseManifest(
    new TextDecoder().decode(await store.need(files.manifest, digests.manifest)),
    files.manifest,
  );
  const bytes = await store.need(files.weights, digests.weights);
  const digest = digests.weights ?? (await sha256(bytes));
  if (digest !== manifest.prompt.digest) {
    const detail = `${files.weights} has the digest ${digest}; its manifest says ${manifest.prompt.digest}.`;
    throw new ProblemError("An object is damaged", detail, { status: 422 });
  }
  const { prompt, virtualTokens, dimension } = parsePromptTensor(bytes, files.weights);
  return { manifest, digest, value: { shape: [virtualTokens, dimension], data: prompt } };
}

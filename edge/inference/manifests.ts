import { WEIGHTS_FILE } from "../../shared/prompt/adapter.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { jobId } from "../../shared/protocol/ids.ts";
import { MANIFEST_FILE, type Manifest, parseManifest, sha256 } from "../../shared/protocol/manifest.ts";
import type { Ticket } from "../../shared/protocol/ticket.ts";
import type { Env } from "../env.ts";
import type { TransferredPrompt } from "../ledger/prompts.ts";

/** Manifests that are remembered by their digests, some kilobytes each; the oldest are forgotten first. */
const MAX_REMEMBERED = 500;

const remembered = new Map<string, Manifest>();

/** Where a transferred prompt's files are in the bucket, and what they are. @throws ProblemError (500) if one is missing in the ledger */
export function storedFiles(
  tenant: string,
  { transfer, files, folder }: TransferredPrompt,
): NonNullable<Ticket["prompt"]> {
  const digestOf = (name: string) => files.find((file) => file.name === name)?.sha256;
  const [weights, manifest] = [digestOf(WEIGHTS_FILE), digestOf(MANIFEST_FILE)];
  if (weights === undefined || manifest === undefined) throw damaged(`the transfer ${transfer} has no such files`);
  const key = bucket.job(jobId(tenant, transfer)) + jobFiles.output + folder;
  return { weights: key + WEIGHTS_FILE, manifest: key + MANIFEST_FILE, sha256: weights, manifestSha256: manifest };
}

/**
 * A transferred prompt's manifest.
 *
 * @throws ProblemError (500) if it isn't there, or isn't what was written
 */
export async function readManifest(env: Env, tenant: string, prompt: TransferredPrompt): Promise<Manifest> {
  const { manifest: key, manifestSha256: digest } = storedFiles(tenant, prompt);
  const known = remembered.get(digest);
  if (known) return known;
  const object = await env.PROMPTS.get(key);
  const bytes = object && new Uint8Array(await new Response(object.body).arrayBuffer());
  if (!bytes || (await sha256(bytes)) !== digest)
    throw damaged(`the object ${key} is ${bytes ? "changed" : "missing"}`);
  const manifest = parseManifest(new TextDecoder().decode(bytes), MANIFEST_FILE);
  if (remembered.size >= MAX_REMEMBERED) remembered.delete(remembered.keys().next().value!);
  remembered.set(digest, manifest);
  return manifest;
}

function damaged(why: string): ProblemError {
  const detail = "A transferred prompt can't be read. It was logged; quote the instance when you report it.";
  return new ProblemError("The provider's storage is damaged", detail, { status: 500, cause: new Error(why) });
}

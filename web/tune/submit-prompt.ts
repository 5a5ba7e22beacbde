import { WEIGHTS_FILE } from "../../shared/prompt/adapter.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { MANIFEST_FILE } from "../../shared/protocol/manifest.ts";
import type { TuneApi } from "./api.ts";
import type { Finished } from "./worker/messages.ts";

/**
 * Submits a prompt's folder.
 *
 * @param idempotencyKey the same for every try
 * @returns the transfer's id
 * @throws ProblemError with the provider's reason
 */
export async function submitPrompt(
  { url, key }: TuneApi["connection"],
  files: Finished["files"],
  options: { readonly dataset: string; readonly publicSet: string },
  idempotencyKey: string,
): Promise<string> {
  const part = (name: string) => files.find((file) => file.name === name)!.bytes;
  const form = new FormData();
  form.append("manifest", new Blob([part(MANIFEST_FILE)], { type: "application/json" }), MANIFEST_FILE);
  form.append("prompt", new Blob([part(WEIGHTS_FILE)], { type: "application/octet-stream" }), WEIGHTS_FILE);
  form.append("options", new Blob([JSON.stringify(options)], { type: "application/json" }), "options.json");
  const headers = { authorization: `Bearer ${key}`, "idempotency-key": idempotencyKey };
  const response = await fetch(`${url}/v1/transfers`, { method: "POST", headers, body: form, redirect: "error" });
  const answer = (await response.json().catch(() => ({}))) as {
    readonly id?: string;
    readonly title?: string;
    readonly detail?: string;
    readonly faults?: readonly { readonly at: string; readonly message: string }[];
  };
  if (response.ok && answer.id !== undefined) return answer.id;
  const { title = "The provider failed", detail = `It answered with status ${response.status}.`, faults = [] } = answer;
  throw new ProblemError(title, detail, { status: response.status, faults });
}

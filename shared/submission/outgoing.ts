import { parseHeader } from "../prompt/safetensors.ts";
import type { Student } from "../protocol/catalogue.ts";
import { ProblemError } from "../protocol/errors.ts";
import { quote } from "../protocol/json.ts";
import type { Manifest } from "../protocol/manifest.ts";

/** An id that says nothing but which content is meant. Names of local files and folders may say more than others are to know. */
export function neutralId(kind: "model" | "public", digest: string): string {
  return `${kind}-${digest.slice(0, 12)}`;
}

/**
 * The manifest as it leaves this machine: models and public texts have the provider's names or none. What softpost 0.1.0 tuned has
 * the name of a local folder in it.
 *
 * @throws ProblemError if none of the provider's students is the model that the prompt was tuned on
 */
export function publicManifest(manifest: Manifest, students: readonly Student[]): Manifest {
  const { model, transfer } = manifest;
  const student = students.find(({ digest }) => digest === model.digest);
  if (!student) {
    const detail =
      `It was tuned on ${model.id}, which is none of this provider's students${students.length > 0 ? ` (${students.map(({ id }) => id).join(", ")})` : ""}. ` +
      "Download one to tune on: softpost students STUDENT --out DIR.";
    throw new ProblemError("The soft prompt is for another model", detail, { status: 422 });
  }
  const named = { ...manifest, model: { ...model, id: student.id } };
  if (!transfer) return named;
  const { student: from, publicSet, ranked } = transfer;
  return {
    ...named,
    transfer: {
      ...transfer,
      student: { ...from, id: neutralId("model", from.digest) },
      publicSet: { ...publicSet, id: neutralId("public", publicSet.digest) },
      ...(ranked && { ranked: ranked.map((set) => ({ ...set, id: neutralId("public", set.digest) })) }),
    },
  };
}

/**
 * Refuses a weight file that has something to say beside its numbers, which would be sent too.
 *
 * @param name of the file, for messages
 * @throws ProblemError
 */
export function refuseNotes(weights: Uint8Array, name: string): void {
  const { metadata } = parseHeader(weights, weights.length, name);
  const more = Object.entries(metadata).filter(([key, value]) => key !== "format" || value !== "pt");
  if (more.length === 0) return;
  const detail = `${name} holds notes of another program (${more.map(([key]) => quote(key)).join(", ")}), which would be sent too.`;
  throw new ProblemError("The soft prompt can't be sent", detail, { status: 422 });
}

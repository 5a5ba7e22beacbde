import { join } from "node:path";
import { readPart } from "../shared/data/files.ts";
import type { PromptFolder } from "../shared/data/prompt-folder.ts";
import type { Checkpoint } from "../shared/models/checkpoint.ts";
import { WEIGHTS_FILE } from "../shared/prompt/adapter.ts";
import { DTYPE_BYTES, type FloatDtype, isFloatDtype, toFloat32 } from "../shared/prompt/dtype.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { quote } from "../shared/protocol/json.ts";

/** Elements that are compared at once. */
const PIECE = 4 * 1024 * 1024;

/**
 * Compares the layers of a model that PEFT saved beside a prompt (`save_embedding_layers`) with the model's own. PEFT would compute
 * with those of the adapter.
 *
 * @param folder the prompt's
 * @throws ProblemError if one isn't the model's, or differs from it in any value
 */
export async function requireSameEmbeddings(
  { saved }: PromptFolder,
  folder: string,
  checkpoint: Checkpoint,
): Promise<void> {
  const path = join(folder, WEIGHTS_FILE);
  for (const [tensor, { dtype, shape, begin }] of saved) {
    const refuse = (what: string) => {
      const message = `${what} The prompt was tuned on another model, or on one that was changed; use that one, or save the adapter with save_embedding_layers=False.`;
      const at = `${path}, tensor ${quote(tensor)}`;
      return new ProblemError("The soft prompt is for another model", `${at}: ${message}`, {
        status: 422,
        faults: [{ at, message }],
      });
    };
    const own = checkpoint.weights.get(ownName(tensor, checkpoint));
    if (!own) throw refuse(`Is no embedding of ${checkpoint.folder}.`);
    if (own.shape.join() !== shape.join()) throw refuse(`Has shape [${shape}]; the model's has [${own.shape}].`);
    if (!isFloatDtype(dtype)) throw refuse(`Has dtype ${dtype}.`);
    const count = shape.reduce((a, b) => a * b, 1);
    for (let from = 0; from < count; from += PIECE) {
      const to = Math.min(count, from + PIECE);
      const read = async (file: string, start: number, type: FloatDtype) =>
        toFloat32(await readPart(file, start + from * DTYPE_BYTES[type]!, start + to * DTYPE_BYTES[type]!), type);
      const { file, offset } = own.location;
      const theirs = await read(path, begin, dtype);
      const ours = await read(file, offset, own.dtype as FloatDtype);
      if (!theirs.every((value, i) => value === ours[i])) throw refuse("Differs from the model's own.");
    }
  }
}

/** The checkpoint's name of a layer that PEFT calls `base_model.…`: a tied head is the embeddings, and a base model has no prefix. */
function ownName(tensor: string, { family, config }: Checkpoint): string {
  const name = tensor.replace(/^base_model\./, "");
  const embeddings = family.embeddings(config);
  if (name === family.head(config) && !embeddings.includes(name)) return embeddings[0]!;
  return embeddings.find((own) => own === name || own.endsWith(`.${name}`)) ?? name;
}

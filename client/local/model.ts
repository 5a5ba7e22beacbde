import { join } from "node:path";
import { DigestRecords } from "../../shared/data/digest-records.ts";
import { resolveModel } from "../../shared/data/hub.ts";
import { hubOf } from "../../shared/data/hub-address.ts";
import { hashModel } from "../../shared/data/model-files.ts";
import type { Precision } from "../../shared/models/model.ts";
import { publishedDigest } from "../../shared/operations/narrow-weights.ts";
import { type OpenModel, openModel as openFolder } from "../../shared/operations/open-model.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { WeightsName } from "../../shared/protocol/weights.ts";
import { neutralId } from "../../shared/submission/outgoing.ts";
import type { Watch } from "../../shared/training/events.ts";
import { softpostHome } from "../home.ts";
import { tooOld } from "../node-version.ts";
import { catalogueId } from "../public-names.ts";

/** How a model is opened. */
export interface ModelOptions {
  /** Of linear layers and attention on a GPU. */
  readonly precision?: Precision;
  /** Whether the digest is computed from all bytes, also of files that have not changed since it was. */
  readonly verify?: boolean;
  /** The form that its matrices are held in; as they lie in the folder unless told. */
  readonly weights?: WeightsName | undefined;
}

/**
 * Opens a model: a folder, or a hub id such as `org/name` or `org/name@revision`, which is downloaded once.
 *
 * @throws ProblemError if it can't be found, read or computed, or if this Node is too old for that
 */
export async function openModel(name: string, options: ModelOptions = {}, watch: Watch = {}): Promise<OpenModel> {
  const reason = tooOld(process.versions.node);
  if (reason !== undefined) throw new ProblemError("Node is too old", reason);
  const { precision = "float32", verify = false, weights } = options;
  const folder = await resolveModel(name, hubOf(process.env), watch);
  const { hash } = digestRecords({ verify });
  const digest = await publishedDigest(folder, await hashModel(folder, hash));
  // A folder's name stays here. The digest says which revision of a hub's model it is.
  const known = folder === name ? await catalogueId(folder, digest) : name.split("@")[0];
  const identity = { id: known ?? neutralId("model", digest), digest, name };
  const wanted = weights && { weights, cache: join(softpostHome(), "weights"), hash, watch };
  const model = await openFolder(folder, identity, { precision, wanted });
  for (const text of model.checkpoint.notes) watch.onEvent?.({ kind: "note", text });
  return model;
}

/** This machine's records of digests: `$SOFTPOST_HOME/digests`, or `~/.softpost/digests`. */
export function digestRecords({ verify }: { readonly verify: boolean }): DigestRecords {
  return new DigestRecords(join(softpostHome(), "digests"), { verify });
}

import { type HubRepo, isRevision } from "./hub-address.ts";

/** `organisation/name`, a config after a slash, a revision after an @, and a split after a colon. */
const DATASET_ID =
  /^([A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95})(?:\/(\w[\w.+-]{0,95}))?(?:@(\w[\w./-]{0,249}))?:(\w[\w.-]{0,95})$/;

/** A split of a data set on the hub. */
export interface HubSplit {
  readonly repo: HubRepo;
  readonly config: string | undefined;
  readonly split: string;
}

/** The split that an id names, undefined if it is none. */
export function parseDatasetId(id: string): HubSplit | undefined {
  const [, name, config, revision = "main", split] = DATASET_ID.exec(id) ?? [];
  if (name === undefined || split === undefined || !isRevision(revision)) return undefined;
  return { repo: { kind: "dataset", name, revision }, config, split };
}

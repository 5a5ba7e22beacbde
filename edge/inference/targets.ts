import { z } from "zod";
import type { Catalogue } from "../../shared/protocol/catalogue.ts";
import { nameSchema } from "../../shared/protocol/catalogue.ts";
import type { Env } from "../env.ts";
import { isRecent } from "../ledger/times.ts";
import { readCatalogue } from "../storage/catalogue.ts";

/** A target that a serving process has. */
export interface ServedTarget {
  readonly id: string;
  readonly digest: string;
  /** Of its serving process, without a slash at the end. */
  readonly url: string;
}

const urlsSchema = z.record(nameSchema, z.url());

/** A request needs no newer catalogue: publishing takes longer. */
const KEPT_MS = 5000;

let kept: { readonly catalogue: Catalogue; readonly at: number } | undefined;

/**
 * The targets that are served: those of the catalogue with a serving process. Where two have one name, that of a student which takes prompts counts.
 *
 * @throws Error if `SERVING_URLS` is not what it should be
 */
export async function servedTargets(env: Env): Promise<ServedTarget[]> {
  const urls = urlsSchema.parse(JSON.parse(env.SERVING_URLS));
  if (env.SERVING_SECRET === undefined || Object.keys(urls).length === 0) return [];
  const { students } = await recentCatalogue(env);
  const current = students.toSorted((a, b) => Number(a.retired) - Number(b.retired)).map(({ target }) => target);
  return Object.entries(urls).flatMap(([id, url]) => {
    const target = current.find((candidate) => candidate.id === id);
    return target ? [{ id, digest: target.digest, url: url.replace(/\/+$/, "") }] : [];
  });
}

async function recentCatalogue(env: Env): Promise<Catalogue> {
  if (!kept || !isRecent(kept.at, KEPT_MS, Date.now())) {
    kept = { catalogue: await readCatalogue(env.PROMPTS), at: Date.now() };
  }
  return kept.catalogue;
}

import { homedir } from "node:os";
import { join } from "node:path";

/** What the hub's kinds of repositories are called. */
export const NOUNS = { model: "model", dataset: "data set" } as const;
export const notFound = ({ kind }: Pick<HubRepo, "kind">): string => `The ${NOUNS[kind]} can't be found`;
export const HUB_TITLE = notFound({ kind: "model" });
/** `name` or `organisation/name`, as the hub allows them, and a revision after an @. */
const HUB_ID = /^([A-Za-z0-9][\w.-]{0,95}(?:\/[A-Za-z0-9][\w.-]{0,95})?)(?:@(\w[\w./-]{0,249}))?$/;
/** A commit's id. */
export const COMMIT = /^[0-9a-f]{40}$/;

/** Where models and data sets come from that are not on this machine. */
export interface Hub {
  readonly endpoint: string;
  /** The cache that Hugging Face's own libraries use too. */
  readonly cache: string;
  readonly offline: boolean;
  /** The access token, if the environment has it, else where it may be. */
  readonly token: string | undefined;
  readonly tokenFile: string;
}

/** A repository on the hub. */
export interface HubRepo {
  readonly kind: "model" | "dataset";
  /** `organisation/name`. */
  readonly name: string;
  /** A branch, tag or commit. */
  readonly revision: string;
}

/** What a download tells; the same as a training run's events. */
export type DownloadEvent =
  | { readonly kind: "phase"; readonly name: string; readonly total: number; readonly unit: "bytes" }
  | { readonly kind: "progress"; readonly done: number };

/** How a download is watched and stopped. */
export interface DownloadWatch {
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: DownloadEvent) => void) | undefined;
}

/** The hub as Hugging Face's environment variables say, with their defaults. */
export function hubOf(env: Readonly<Record<string, string | undefined>>): Hub {
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
  const offline = env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE || "";
  return {
    endpoint: (env.HF_ENDPOINT || "https://huggingface.co").replace(/\/$/, ""),
    cache: env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, "hub"),
    offline: ["1", "true", "yes", "on"].includes(offline.toLowerCase()),
    token: env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN || undefined,
    tokenFile: env.HF_TOKEN_PATH || join(home, "token"),
  };
}

/** The model that a hub id names, undefined if it is none. */
export function parseHubId(id: string): HubRepo | undefined {
  const [, name, revision = "main"] = HUB_ID.exec(id) ?? [];
  return name === undefined || !isRevision(revision) ? undefined : { kind: "model", name, revision };
}

/** Whether a revision can be a part of a path: it must not lead out of its folder. */
export const isRevision = (revision: string): boolean => !revision.includes("..") && !/\/(\/|$)/.test(revision);

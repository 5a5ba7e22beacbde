import type { PublicSet, Student } from "../../shared/protocol/catalogue.ts";

/** What the view needs of the console's connection to a provider. */
export interface TuneApi {
  readonly connection: { readonly url: string; readonly key: string };
  students(): Promise<Student[]>;
  publicSets(): Promise<PublicSet[]>;
}

/** Text of whatever was thrown: a problem's title and detail, and its faults. */
export interface Shown {
  readonly text: string;
  readonly faults: readonly string[];
}

/** What went wrong, for people. */
export function shownProblem(error: unknown): Shown {
  const {
    detail,
    title,
    faults = [],
  } = error as { detail?: string; title?: string; faults?: readonly { at: string; message: string }[] };
  const text = detail === undefined ? String((error as Error).message ?? error) : `${title}: ${detail}`;
  return { text: withoutFolders(text), faults: faults.map(({ at, message }) => withoutFolders(`${at}: ${message}`)) };
}

/** The thread keeps files in folders of its own, which mean nothing to people. */
export const withoutFolders = (text: string) => text.replaceAll(/\/(data|student|run)\//g, "");

/** Where this thread keeps what it is on, in its memory. */
export const STUDENT = "/student";
export const PROMPT = "/prompt";
export const RUN = "/run";
/** Of the files of rows that were opened, the one of this number. */
export const dataFolder = (number: number) => `/data-${number}`;

/** A message without these folders, which mean nothing to people. */
export function withoutFolders(text: string): string {
  return text.replaceAll(/\/(data-\d+|student|run)\//g, "");
}

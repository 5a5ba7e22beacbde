/** What is wrong with a line or row. */
export interface LineFault {
  /** Its kind, the same for every line that has it. */
  readonly fault: string;
  /** The character (where the line is no text, the byte) that it begins with, from 1. */
  readonly column?: number | undefined;
}

export type Fields = Readonly<Record<string, unknown>>;

/** A row of a data file, or what is wrong with it, and the line that it begins in, or its number where a file has no lines, from 1. */
export type Row =
  | {
      readonly at: number;
      readonly fields: Fields;
      /** Whether all values are text because the format has nothing else. */
      readonly textOnly?: boolean;
      /** The row as it stands in the file, where that is JSON. */
      readonly json?: string;
    }
  | { readonly at: number; readonly fields?: undefined; readonly fault: LineFault };

/** A text of a million characters is a book, not an example; without a limit a file without line ends fills the memory. */
export const MAX_ROW_BYTES = 1024 * 1024;

export const TITLE = "The data file is not valid";

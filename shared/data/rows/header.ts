import { quote } from "../../protocol/json.ts";

/** The name of a column, as programs write them; none where a spreadsheet's index has none. A text, an address, a number or a date isn't one. */
const NAME = /^(?:[\p{L}_][\p{L}\p{M}\p{N}_.-]{0,31})?$/u;

const SHOWN_COLUMNS = 12;

/** The columns of a table, quoted; undefined where one looks like content: without a header, the first line is a private row. */
export function shownColumns(names: readonly string[]): string | undefined {
  return names.every((name) => NAME.test(name)) ? names.slice(0, SHOWN_COLUMNS).map(quote).join(", ") : undefined;
}

/** How many fields the first line has, in words. */
export const countFields = (count: number) => (count === 1 ? "1 field" : `${count} fields`);

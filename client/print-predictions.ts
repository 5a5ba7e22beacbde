import type { TextRow } from "../shared/data/jsonl.ts";
import type { Io } from "./output.ts";

/** Prints predictions, each behind the other fields of its row. */
export function printPredictions(rows: readonly object[], fields: readonly TextRow["fields"][], io: Io): void {
  const taken = Object.keys(rows[0] ?? {}).filter((name) => fields.some((own) => Object.hasOwn(own, name)));
  if (taken.length > 0) {
    io.message(
      `The rows have fields of their own called ${taken.join(", ")}: what is printed there is the prediction.`,
    );
  }
  for (const [i, row] of rows.entries()) io.row(JSON.stringify({ ...fields[i], ...row }));
}

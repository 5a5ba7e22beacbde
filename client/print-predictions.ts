import type { TextRow } from "../shared/data/jsonl.ts";
import type { Io } from "./output.ts";

/** What prints predictions one by one, each behind the other fields of its row; says once of a name that a row has too, that the prediction is what stands there. */
export function predictionPrinter(io: Io): (prediction: object, fields: TextRow["fields"]) => void {
  const told = new Set<string>();
  return (prediction, fields) => {
    const taken = Object.keys(prediction).filter((name) => Object.hasOwn(fields, name) && !told.has(name));
    if (taken.length > 0) {
      io.message(
        `The rows have fields of their own called ${taken.join(", ")}: what is printed there is the prediction.`,
      );
    }
    for (const name of taken) told.add(name);
    io.row(JSON.stringify({ ...fields, ...prediction }));
  };
}

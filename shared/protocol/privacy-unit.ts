import { z } from "zod";

/**
 * Whose data a guarantee is about, where it isn't a single example: all rows that have one value of a field. A step that draws it takes the mean
 * gradient of at most `rowsPerUnit` of them, so that a unit counts once however many rows it has.
 */
export const privacyUnitSchema = z.strictObject({
  /** The field's name, as in the private rows. */
  field: z.string().min(1).max(64),
  rowsPerUnit: z.int().min(1),
});

export type PrivacyUnit = z.output<typeof privacyUnitSchema>;

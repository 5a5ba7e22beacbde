/** How many texts of a public set a transfer reads. */

/** Most texts that are held out: there the standard error of the agreement is 2 points at most. */
const MOST_HELD_OUT = 500;

/** How many of so many public texts are held out: one in ten, and no more than 500. */
export function heldOutTexts(texts: number): number {
  return Math.min(MOST_HELD_OUT, Math.floor(texts / 10));
}

/** Texts that are read of each public set to rank it by: then the standard error of a class's share is 2 points at most. */
export const RANKED_TEXTS = 500;

/** How many of a set's texts a transfer takes. */
export interface Taken {
  /** Whether the prompted student reads the whole set, so that they can be chosen by what it says. */
  readonly areChosen: boolean;
  /** Those that are chosen, at most; else all, but no more than the steps can see and 500 to hold some out of. */
  readonly texts: number;
  readonly heldOut: number;
}

/** @param examples of the set */
export function takenTexts(
  {
    steps,
    batchSize,
    selected,
  }: { readonly steps: number; readonly batchSize: number; readonly selected: number | null },
  examples: number,
): Taken {
  if (selected !== null && selected < examples) {
    return { areChosen: true, texts: selected, heldOut: heldOutTexts(selected) };
  }
  const texts = Math.min(examples, steps * batchSize + MOST_HELD_OUT);
  return { areChosen: false, texts, heldOut: heldOutTexts(examples) };
}

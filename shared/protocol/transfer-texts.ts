/** How many texts of a public set a transfer reads. */

/** Most texts that are held out: there the standard error of the agreement is 2 points at most. */
const MOST_HELD_OUT = 500;

/** How many of so many public texts are held out: one in ten, and no more than 500. */
export function heldOutTexts(texts: number): number {
  return Math.min(MOST_HELD_OUT, Math.floor(texts / 10));
}

/** Texts that are read of each public set to rank it by: then the standard error of a class's share is 2 points at most. */
export const RANKED_TEXTS = 500;

interface Choice {
  readonly steps: number;
  readonly batchSize: number;
  readonly selected: number | null;
}

/** Whether the prompted student has to read the whole set, so that texts can be chosen by what it says. */
export function choosesTexts({ selected }: Pick<Choice, "selected">, texts: number): boolean {
  return selected !== null && selected < texts;
}

/** How many of a set's texts are taken, at most: those that are chosen, else as many as the steps can see beside those that are held out. */
export function takenTexts(choice: Choice, texts: number): number {
  const { steps, batchSize, selected } = choice;
  return choosesTexts(choice, texts) ? selected! : Math.min(texts, steps * batchSize + MOST_HELD_OUT);
}

/** How well answers are those that were wanted. */

/** What is cut out of words: ASCII punctuation, as Python's string.punctuation has it. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;
/** An article that is a word of its own, in any script's company. */
const ARTICLES = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** The words of an answer: lower case, without punctuation and articles (Rajpurkar et al. 2016; SQuAD's evaluation script). */
function answerWords(text: string): string[] {
  const words = text.toLowerCase().replace(PUNCTUATION, "").replace(ARTICLES, " ").split(/\s+/);
  return words.filter((word) => word !== "");
}

/** Whether two answers have the same words in the same order. */
export function isExact(answer: string, target: string): boolean {
  return answerWords(answer).join(" ") === answerWords(target).join(" ");
}

/** The harmonic mean of the part of an answer's words that are the target's and the part of the target's that it has, 0 to 1. */
export function wordF1(answer: string, target: string): number {
  const [given, wanted] = [answerWords(answer), answerWords(target)];
  if (given.length === 0 || wanted.length === 0) return given.length === wanted.length ? 1 : 0;
  const left = new Map<string, number>();
  for (const word of wanted) left.set(word, (left.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of given) {
    const count = left.get(word) ?? 0;
    if (count > 0) common += 1;
    left.set(word, count - 1);
  }
  return (2 * common) / (given.length + wanted.length);
}

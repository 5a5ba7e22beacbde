import type { Row } from "../corpora/task-files.ts";

/** Passes over the rows, step size and weight decay: enough for texts of this kind, of no great influence. */
const EPOCHS = 20;
const STEP = 0.5;
const DECAY = 1e-5;

/**
 * The accuracy on `test` of a multinomial logistic regression over the words of `train`, fitted by stochastic gradient
 * descent in the order given: what a task asks of a classifier that has no language model and keeps the data.
 */
export function bagOfWordsAccuracy(train: readonly Row[], test: readonly Row[], labels: readonly string[]): number {
  const vocabulary = new Map<string, number>();
  for (const row of train)
    for (const word of words(row.text)) if (!vocabulary.has(word)) vocabulary.set(word, vocabulary.size);
  const weights = labels.map(() => new Float64Array(vocabulary.size + 1));
  const scores = (features: readonly number[]) =>
    weights.map((weight) => features.reduce((sum, feature) => sum + weight[feature]!, 0) / Math.sqrt(features.length));
  const featuresOf = (text: string) => [
    vocabulary.size, // the constant
    ...words(text).flatMap((word) => vocabulary.get(word) ?? []),
  ];
  const rows = train.map(({ text, label }) => ({ features: featuresOf(text), target: labels.indexOf(label) }));
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const step = STEP * (1 - epoch / EPOCHS);
    for (const { features, target } of rows) {
      const chances = softmax(scores(features));
      for (const [label, weight] of weights.entries()) {
        const push = ((label === target ? 1 : 0) - chances[label]!) / Math.sqrt(features.length);
        for (const feature of features) weight[feature]! += step * (push - DECAY * weight[feature]!);
      }
    }
  }
  const right = test.filter(({ text, label }) => {
    const found = scores(featuresOf(text));
    return labels[found.indexOf(Math.max(...found))] === label;
  });
  return right.length / test.length;
}

function words(text: string): string[] {
  return [...new Set(text.toLowerCase().match(/\p{L}+|\p{N}+|[!$%]/gu))];
}

function softmax(scores: readonly number[]): number[] {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

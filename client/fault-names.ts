import type { Fault } from "../shared/protocol/errors.ts";

/** The flags that stand for the parameters of a run and of a transfer. */
const FLAGS: Readonly<Record<string, string>> = {
  dataset: "--dataset",
  publicSet: "--public",
  alternatives: "--public",
  loss: "--loss",
  steps: "--steps",
  batchSize: "--batch-size",
  learningRate: "--lr",
  alpha: "--alpha",
  starts: "--start",
  selected: "--select",
  answers: "--answers",
  seed: "--seed",
  epsilon: "--epsilon",
  delta: "--delta",
  clip: "--clip",
  noiseMultiplier: "--noise-multiplier",
  sampleRate: "--sample-rate",
};

/** What a command's user would do about what the API tells a program to do. */
const INSTEAD: readonly (readonly [RegExp, string])[] = [
  [/GET \/v1\/(students|public-sets) lists them/g, "softpost students lists them"],
];

/** A fault in the words of the command line: flags for parameters, commands for requests. */
export function asCommandFault({ at, message }: Fault): Fault {
  const parameter = /^(?:options#\/)?(\w+)(?:\/.*)?$/.exec(at)?.[1];
  const flag = parameter !== undefined && Object.hasOwn(FLAGS, parameter) ? FLAGS[parameter]! : at;
  return { at: flag, message: INSTEAD.reduce((text, [request, command]) => text.replace(request, command), message) };
}

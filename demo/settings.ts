/** How the demo distills, tunes and transfers; README.md of the demo tells what the figures were chosen by. */
export interface TaskSettings {
  /** What the task is, for the report. */
  readonly about: string;
  readonly promptTokens: number;
  readonly tune: TuningSchedule;
  readonly privateTune: TuningSchedule & { readonly clip: number; readonly epsilon: number; readonly delta: number };
  readonly transfer: Schedule;
  /** Public texts that a transfer uses. */
  readonly publicTexts: number;
}

export interface Schedule {
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
}

export interface TuningSchedule extends Schedule {
  /** The prompt is the mean over this many last steps. */
  readonly averagedSteps: number;
}

export const DISTILLATION = {
  layers: "-2,-1",
  steps: 400,
  batchSize: 8,
  length: 64,
  learningRate: 1e-3,
  /** Public documents, of the sources that are most like what the student will be used for. */
  documents: 20_000,
  sources: ["wordnet", "mail"],
};

/** The task of a demo that isn't asked for everything. */
export const FIRST_TASK = "topic";

const TUNE: TuningSchedule = { steps: 400, averagedSteps: 200, batchSize: 32, learningRate: 5e-3 };
/** Of the comparison on the target, which is six layers deep. */
export const TUNE_ON_TARGET: TuningSchedule = { steps: 300, averagedSteps: 100, batchSize: 16, learningRate: 1e-2 };
const PRIVATE_TUNE = {
  steps: 200,
  averagedSteps: 67,
  batchSize: 192,
  learningRate: 5e-2,
  clip: 0.5,
  epsilon: 8,
};
const TRANSFER: Schedule = { steps: 400, batchSize: 16, learningRate: 1e-2 };

/** By the name of the task. */
export const TASKS: Readonly<Record<string, TaskSettings>> = {
  topic: {
    about:
      "Which of eight topics is a WordNet definition about? Private: 1 000 definitions a topic that the target has " +
      "never seen. Public: definitions of other words, without labels.",
    promptTokens: 20,
    tune: TUNE,
    privateTune: { ...PRIVATE_TUNE, delta: 1e-4 },
    transfer: TRANSFER,
    publicTexts: 2000,
  },
  kinds: {
    about:
      "Of which of eleven kinds of thing is a WordNet definition? Private: definitions of the topic task, and their kinds. Public: definitions " +
      "of other words of these kinds, without labels.",
    promptTokens: 20,
    tune: { steps: 600, averagedSteps: 150, batchSize: 32, learningRate: 3e-2 },
    privateTune: { ...PRIVATE_TUNE, delta: 1e-4 },
    transfer: { ...TRANSFER, learningRate: 3e-2 },
    publicTexts: 2000,
  },
};

import type { ClassificationTask } from "../../../shared/protocol/task.ts";

export const sentiment: ClassificationTask = {
  name: "sentiment",
  template: "{text} It was",
  labels: [
    { name: "negative", words: [" bad", " terrible"] },
    { name: "positive", words: [" good"] },
  ],
  init: "Say whether the film was good or bad.",
  maxLength: 24,
};

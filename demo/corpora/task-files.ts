import type { ClassificationTask } from "../../shared/protocol/task.ts";

/** What a demo task consists of, before it is written: the task itself, the client's rows and the provider's texts. */
export interface TaskFiles {
  readonly task: ClassificationTask;
  /** Private: the client tunes on these … */
  readonly train: readonly Row[];
  /** … and what comes out is measured on these. */
  readonly test: readonly Row[];
  /** Texts alone: the public set of a transfer has no labels. */
  readonly public: readonly string[];
}

export interface Row {
  readonly text: string;
  readonly label: string;
}

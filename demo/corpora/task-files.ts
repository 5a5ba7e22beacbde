/** What a demo task consists of, before it is written: the task itself, the client's rows and the provider's texts. */
export interface TaskFiles {
  readonly task: {
    readonly name: string;
    readonly template: string;
    readonly labels: readonly { readonly name: string; readonly words: readonly string[] }[];
    readonly init: string;
    readonly maxLength: number;
  };
  readonly train: readonly Row[];
  readonly test: readonly Row[];
  /** Texts alone: the public set of a transfer has no labels. */
  readonly public: readonly string[];
}

export interface Row {
  readonly text: string;
  readonly label: string;
}

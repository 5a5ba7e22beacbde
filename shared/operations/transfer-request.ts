import type { Data } from "../data/jsonl.ts";
import type { Rows } from "../data/packed-texts.ts";
import type { Engine } from "../graph/engine.ts";
import type { LossName, Manifest, RankedSet, StartName } from "../protocol/manifest.ts";
import type { Watch } from "../training/events.ts";
import type { LabelledText } from "../training/objective.ts";
import type { OpenModel } from "./open-model.ts";
import type { SoftPrompt } from "./soft-prompt.ts";

/** A prompt that was tuned on a student, with what its manifest says. */
export type StudentPrompt = SoftPrompt & { readonly manifest: Manifest };

export interface TransferRequest {
  readonly target: OpenModel;
  readonly student: OpenModel;
  /** Whether the student is a model of its own, with other embeddings and another tokenizer, instead of one cut from the target. */
  readonly open: boolean;
  readonly prompt: StudentPrompt;
  readonly publicSet: {
    readonly id: string;
    readonly digest: string;
    /** The rows. */
    readonly file: Data;
    /** How many there are. */
    readonly examples: number;
  };
  /** The sets that it was chosen from, best first; undefined if it was the only one. */
  readonly ranked?: readonly RankedSet[] | undefined;
  readonly loss: LossName;
  /** The weight of the movement term, or labelled public texts of a like task by which it is chosen. */
  readonly alpha: number | { readonly labelled: Rows<LabelledText> };
  /** Where the target's prompt starts; of several, the one whose prompt travels best is kept. */
  readonly starts: readonly StartName[];
  /** How many texts are chosen of the public set; null for all. */
  readonly selected: number | null;
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly seed: number;
  /** Where the run's state is kept, and whether it goes on from there. */
  readonly state: { readonly path: string; readonly resume: boolean };
}

/** What a transfer is carried out with. */
export interface TransferTools {
  /**
   * Runs something with an engine.
   * @param graphs what its graphs depend on: who keeps engines for later transfers keeps them under it
   */
  use<T>(graphs: string, run: (engine: Engine) => Promise<T>): Promise<T>;
  /**
   * Hidden states `[rows, width]` of a model without a prompt, which every transfer through these texts needs whose α isn't 0: from where
   * they were kept, or computed.
   * @param encoding what the texts' tokens depend on beside text and model
   */
  bareStates(
    of: { readonly model: string; readonly encoding: string; readonly shape: readonly [number, number] },
    compute: () => Promise<Float32Array>,
  ): Promise<Float32Array>;
  readonly watch: Watch;
}

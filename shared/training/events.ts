/** What a long function tells while it runs. Only the command line prints. */
export type TrainingEvent =
  /** A stretch of work of known size begins. */
  | {
      readonly kind: "phase";
      readonly name: string;
      readonly total: number;
      readonly unit: "steps" | "texts" | "bytes";
    }
  /** So much of the stretch is done; the loss is that of the newest step. */
  | { readonly kind: "progress"; readonly done: number; readonly loss?: number }
  | { readonly kind: "note"; readonly text: string }
  /** Everything up to this step is safe on disk. */
  | { readonly kind: "checkpoint"; readonly step: number };

/** How a long function is watched and stopped. */
export interface Watch {
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: TrainingEvent) => void) | undefined;
  /** Milliseconds between two savings of the state; a minute if it is left out. */
  readonly saveEvery?: number | undefined;
}

/** Watches the work on a group of texts as a part of that on all: one stretch of work, whose notes are told once. */
export function partOf({ signal, onEvent }: Watch, before: number, total: number): Watch {
  return {
    signal,
    onEvent(event) {
      if (event.kind === "progress") onEvent?.({ ...event, done: before + event.done });
      else if (before === 0) onEvent?.(event.kind === "phase" ? { ...event, total } : event);
    },
  };
}

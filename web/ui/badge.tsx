import type { State } from "../../shared/protocol/transfer.ts";

type Tone = "good" | "bad" | "busy" | "quiet";

/** A state in a word. */
export function Badge({ tone = "quiet", text }: { readonly tone?: Tone; readonly text: string }) {
  return <span class={`badge ${tone}`}>{text}</span>;
}

const TONES: Readonly<Record<State, Tone>> = {
  accepted: "busy",
  queued: "busy",
  running: "busy",
  cancelling: "busy",
  succeeded: "good",
  failed: "bad",
  cancelled: "quiet",
};

export function StateBadge({ state }: { readonly state: State }) {
  return <Badge tone={TONES[state]} text={state} />;
}

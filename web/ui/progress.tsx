import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

/** How far something is; without a total, only that it goes on. */
export function Progress({
  label,
  done,
  total,
  note,
}: {
  readonly label: string;
  readonly done?: number;
  readonly total?: number;
  /** Beside the label: a rate, or the time left. */
  readonly note?: ComponentChildren;
}) {
  const id = useId();
  return (
    <div class="progress">
      <div class="line">
        <label for={id}>{label}</label>
        <span class="quiet">{note}</span>
      </div>
      <progress id={id} value={total === undefined ? undefined : done} max={total ?? 1} />
    </div>
  );
}

/** Shares of one as bars, each with its name and figure. */
export function Bars({
  of,
  second = false,
}: {
  readonly of: readonly { readonly name: string; readonly share: number; readonly text: string }[];
  /** In the second colour, for what is compared. */
  readonly second?: boolean;
}) {
  return (
    <ul class="bars">
      {of.map(({ name, share, text }) => (
        <li key={name}>
          <span class="line">
            <span>{name}</span>
            <span>{text}</span>
          </span>
          <span class="track" aria-hidden="true">
            <span
              class={second ? "bar second" : "bar"}
              style={{ width: `${100 * Math.min(1, Math.max(0, share))}%` }}
            />
          </span>
        </li>
      ))}
    </ul>
  );
}

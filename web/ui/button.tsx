import type { ComponentChildren } from "preact";

/** A button; `busy` while what it started goes on. */
export function Button({
  children,
  onClick,
  kind,
  small = false,
  busy = false,
  disabled = false,
  type = "button",
}: {
  readonly children: ComponentChildren;
  readonly onClick?: () => unknown;
  /** `primary` for what a view is for, `danger` for what can't be undone. */
  readonly kind?: "primary" | "danger";
  readonly small?: boolean;
  readonly busy?: boolean;
  readonly disabled?: boolean;
  readonly type?: "button" | "submit";
}) {
  const names = ["button", kind, small && "small"].filter(Boolean).join(" ");
  return (
    <button type={type} class={names} disabled={disabled || busy} aria-busy={busy} onClick={() => void onClick?.()}>
      {children}
    </button>
  );
}

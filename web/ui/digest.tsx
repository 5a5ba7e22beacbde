/** The beginning of a SHA-256 digest; the whole of it by a click. */
export function Digest({ of }: { readonly of: string }) {
  return (
    <details class="digest">
      <summary>
        <code>{of.slice(0, 12)}…</code>
      </summary>
      <code class="wrap">{of}</code>
    </details>
  );
}

const [WIDTH, HEIGHT] = [640, 160];

/** The loss of every step, and the mean of the steps around it. */
export function LossCurve({
  losses,
  total,
}: {
  readonly losses: readonly (readonly [step: number, loss: number])[];
  readonly total: number;
}) {
  const finite = losses.filter(([, loss]) => Number.isFinite(loss));
  const top = Math.max(...finite.map(([, loss]) => loss), 1e-9);
  const x = (step: number) => (WIDTH * step) / Math.max(1, total);
  const y = (loss: number) => HEIGHT - (HEIGHT * loss) / top;
  const points = finite.map(([step, loss]) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`).join(" ");
  const [step, last] = finite.at(-1) ?? [0, 0];
  return (
    <figure class="tune-loss">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`Loss after step ${step}: ${last.toFixed(3)}`}>
        <polyline points={points} fill="none" stroke="currentColor" stroke-width="1.5" />
      </svg>
      <figcaption>
        Loss on your own rows, from 0 to {top.toFixed(2)}; {last.toFixed(3)} after step {step}
      </figcaption>
    </figure>
  );
}

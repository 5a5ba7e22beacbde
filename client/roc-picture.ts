import type { RocPoint } from "../shared/privacy/audit.ts";

const [SIZE, MARGIN] = [420, 50];
/** Rates below are drawn at the edge: an attack is judged by its few sure guesses, so both axes are logarithmic. */
const LOWEST = 1e-3;
const TICKS = [1e-3, 1e-2, 1e-1, 1];

/** A membership attack's curve as an SVG picture with logarithmic axes, and the diagonal of mere guessing. */
export function rocPicture(curve: readonly RocPoint[], title: string): string {
  const scale = (rate: number) => 1 - Math.log(Math.max(rate, LOWEST)) / Math.log(LOWEST);
  const x = (rate: number) => (MARGIN + scale(rate) * (SIZE - 2 * MARGIN)).toFixed(1);
  const y = (rate: number) => (SIZE - MARGIN - scale(rate) * (SIZE - 2 * MARGIN)).toFixed(1);
  const line = curve.map(({ falsePositiveRate: f, truePositiveRate: t }) => `${x(f)},${y(t)}`).join(" ");
  const ticks = TICKS.map(
    (rate) =>
      `<text x="${x(rate)}" y="${SIZE - MARGIN + 18}" text-anchor="middle">${rate}</text>` +
      `<text x="${MARGIN - 8}" y="${y(rate)}" text-anchor="end" dominant-baseline="middle">${rate}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE} ${SIZE}" font-family="sans-serif" font-size="12">`,
    `<rect width="${SIZE}" height="${SIZE}" fill="white"/>`,
    `<text x="${SIZE / 2}" y="24" text-anchor="middle" font-size="14">${title.replace(/[<&]/g, "")}</text>`,
    `<path d="M${x(LOWEST)} ${y(1)}V${y(LOWEST)}H${x(1)}" fill="none" stroke="black"/>`,
    `<path d="M${x(LOWEST)} ${y(LOWEST)}L${x(1)} ${y(1)}" stroke="gray" stroke-dasharray="4"/>`,
    `<polyline points="${line}" fill="none" stroke="#0a58ca" stroke-width="2"/>`,
    ...ticks,
    `<text x="${SIZE / 2}" y="${SIZE - 10}" text-anchor="middle">false-positive rate</text>`,
    `<text x="14" y="${SIZE / 2}" text-anchor="middle" transform="rotate(-90 14 ${SIZE / 2})">true-positive rate</text>`,
    "</svg>\n",
  ].join("\n");
}

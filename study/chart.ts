import type { MethodMeans } from "./means.ts";

const [WIDTH, ROW, LEFT, RIGHT, TOP] = [760, 26, 270, 60, 40];

/** Test accuracies as bars with their standard errors; returns an SVG. */
export function meansChart(title: string, rows: readonly MethodMeans[]): string {
  const height = TOP + ROW * rows.length + 10;
  const x = (share: number) => LEFT + share * (WIDTH - LEFT - RIGHT);
  const bars = rows.map(({ method, publicSet, test: { mean, error } }, row) => {
    const y = TOP + ROW * row;
    const colour = /POST/.test(method) ? "#d55e00" : "#0072b2";
    const name = publicSet === null ? method : `${method} (${publicSet})`;
    const whisker =
      error === null
        ? ""
        : `<path d="M${x(mean - error).toFixed(1)} ${y + 9}H${x(mean + error).toFixed(1)}" stroke="#222" stroke-width="1.5"/>`;
    return (
      `<text x="${LEFT - 8}" y="${y + 13}" text-anchor="end">${escapeXml(name)}</text>` +
      `<rect x="${LEFT}" y="${y}" width="${(x(mean) - LEFT).toFixed(1)}" height="18" fill="${colour}"/>${whisker}` +
      `<text x="${(x(mean + (error ?? 0)) + 6).toFixed(1)}" y="${y + 13}">${(100 * mean).toFixed(1)}</text>`
    );
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="system-ui, sans-serif" font-size="12" fill="#222">` +
    `<rect width="100%" height="100%" fill="#fff"/><text x="0" y="20" font-size="14" font-weight="bold">${escapeXml(title)}</text>${bars.join("")}</svg>\n`
  );
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

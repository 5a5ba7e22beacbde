/**
 * Rows of cells as lines with aligned columns, two spaces between them; columns in which every cell but the first is a number are aligned to the
 * right. The last column isn't filled up.
 */
export function tableLines(rows: readonly (readonly string[])[]): string[] {
  const columns = Math.max(...rows.map((row) => row.length));
  const shape = Array.from({ length: columns }, (_, column) => {
    const cells = rows.map((row) => row[column] ?? "");
    const width = Math.max(...cells.map((cell) => [...cell].length));
    const numbers = cells.length > 1 && cells.slice(1).every((cell) => /^[-+]?[\d.,]*( ?[%a-zA-Z]{1,2})?$/.test(cell));
    return { width, numbers };
  });
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const { width, numbers } = shape[column]!;
        const space = " ".repeat(width - [...cell].length);
        return numbers ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd(),
  );
}

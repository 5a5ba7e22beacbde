/**
 * Dimensions of symbolic tensors. A dimension is a number, or a polynomial in named sizes that are only known when
 * the graph runs, written in a canonical form ("B", "B*T", "20+B*T"), so that equal dimensions are equal strings.
 */
export type Dim = number | string;
export type Shape = readonly Dim[];

/**
 * The leading dimension of a prompt whose gradient is wanted for each example: 1 in the forward pass, the batch size
 * in the backward pass. No rule sums a gradient over it, so the shared forward pass yields gradients `[B, P, D]`.
 */
export const PER_EXAMPLE = "perExample";

/** Monomials of a dimension: factor names (sorted, "" for the constant term) → coefficient. */
function monomials(dim: Dim): Map<string, number> {
  const terms = new Map<string, number>();
  for (const term of String(dim).split("+")) {
    const factors = term.split("*");
    const coefficient = factors.filter((f) => /^\d+$/.test(f)).reduce((product, f) => product * Number(f), 1);
    const names = factors.filter((f) => !/^\d+$/.test(f)).sort();
    terms.set(names.join("*"), (terms.get(names.join("*")) ?? 0) + coefficient);
  }
  return terms;
}

function canonical(terms: Map<string, number>): Dim {
  const parts = [...terms]
    .filter(([, coefficient]) => coefficient !== 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([names, coefficient]) =>
      names === "" ? String(coefficient) : coefficient === 1 ? names : `${coefficient}*${names}`,
    );
  const text = parts.join("+") || "0";
  return /^\d+$/.test(text) ? Number(text) : text;
}

/** The product of dimensions; 1 for none. */
export function product(dims: Shape): Dim {
  return dims.reduce((left, right) => {
    if (typeof left === "number" && typeof right === "number") return left * right;
    const terms = new Map<string, number>();
    for (const [a, x] of monomials(left)) {
      for (const [b, y] of monomials(right)) {
        const names = [a, b].filter(Boolean).join("*").split("*").sort().join("*");
        terms.set(names, (terms.get(names) ?? 0) + x * y);
      }
    }
    return canonical(terms);
  }, 1);
}

/** The sum of dimensions; 0 for none. */
export function sum(dims: Shape): Dim {
  const terms = new Map<string, number>();
  for (const dim of dims) {
    for (const [names, coefficient] of monomials(dim)) terms.set(names, (terms.get(names) ?? 0) + coefficient);
  }
  return canonical(terms);
}

/** A dimension as a list of terms, each a coefficient and the names it is multiplied with. */
export function terms(dim: Dim): readonly { readonly coefficient: number; readonly names: readonly string[] }[] {
  return [...monomials(dim)].map(([names, coefficient]) => ({
    coefficient,
    names: names === "" ? [] : names.split("*"),
  }));
}

/**
 * The shape of an elementwise operation on two shapes (NumPy's broadcasting).
 * @throws Error naming both shapes when they do not fit
 */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x === y || y === 1 || (y === PER_EXAMPLE && x !== 1)) return x;
    if (x === 1 || x === PER_EXAMPLE) return y;
    throw new Error(`shapes [${a.join(", ")}] and [${b.join(", ")}] do not broadcast`);
  });
}

/** The axis counted from the front. */
export function positiveAxis(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

import type { Engine, Graph, Session } from "../graph/engine.ts";
import { estimateMemory, gb, machineMemory } from "../graph/memory.ts";
import type { Watch } from "./events.ts";

/** The most memory of its own that the process had with one of an engine's graphs: the allocator keeps what they give back, and the pages of a later graph's files come on top of it. */
const most = new WeakMap<Engine, number>();

/**
 * Loads a graph, and tells before what it will need; where that isn't there, what would fit.
 * @param sizes the largest sizes that its inputs' named dimensions will have
 * @param estimate `at most` where the sizes are the largest that there can ever be
 */
export function prepare(
  engine: Engine,
  graph: Graph,
  sizes: Readonly<Record<string, number>>,
  { onEvent }: Watch,
  estimate: "about" | "at most" = "about",
): Promise<Session> {
  const { packed, total: alone, mapped } = estimateMemory(graph, sizes);
  const own = Math.max(alone - mapped, most.get(engine) ?? 0);
  most.set(engine, own);
  const total = own + mapped;
  const machine = machineMemory();
  const unpacked = packed
    ? ""
    : " Weights are used as they lie, which is slower: packed for matrix products they would take too much of it.";
  const much = total > machine ? ` That is more than there is: ${whatFits(graph, sizes, machine)}` : "";
  onEvent?.({
    kind: "note",
    text: `Needs ${estimate} ${gb(total)} GB of memory; this machine has ${gb(machine)}.${unpacked}${much}`,
  });
  return engine.load(graph);
}

/** What of a graph would fit that doesn't. */
function whatFits(graph: Graph, sizes: Readonly<Record<string, number>>, machine: number): string {
  const { weights, mapped } = estimateMemory(graph, sizes);
  for (let rows = Math.floor((sizes.B ?? 1) / 2); rows >= 1; rows = Math.floor(rows / 2)) {
    const { total } = estimateMemory(graph, { ...sizes, B: rows });
    if (total <= machine) return `with ${rows} rows at a time instead of ${sizes.B} it would take ${gb(total)} GB.`;
  }
  const heavy = weights + mapped > machine / 2;
  return heavy
    ? `its weights alone take ${gb(weights + mapped)} GB; --weights int8 or int4 hold them in about a quarter of what float32 takes, or less.`
    : "shorter texts or fewer virtual tokens take less.";
}

/** The most tokens that one of the texts has, of the numbers of tokens of all. */
export function longest(lengths: Int32Array): number {
  return lengths.reduce((most, length) => Math.max(most, length), 0);
}

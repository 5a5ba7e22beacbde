import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { Table } from "./table.tsx";

const HEIGHT = 240;
/** Rows of the table that says the same; more would be no help. */
const MAX_ROWS = 200;

export interface Series {
  readonly name: string;
  /** A value for each x; null where there is none. */
  readonly values: readonly (number | null)[];
  /** A name of the look's colours, such as `accent` or `second`. */
  readonly colour: "accent" | "second" | "bad" | "good" | "quiet";
  readonly isDashed?: boolean;
}

/** Lines or bars over numbers or days, and the same as a table. */
export function Chart({
  title,
  x,
  series,
  bars = false,
  from,
  shown = (value) => String(Number(value.toPrecision(4))),
}: {
  readonly title: string;
  /** Numbers that rise, or names of which each has its place. */
  readonly x: { readonly name: string; readonly values: readonly (number | string)[] };
  readonly series: readonly Series[];
  readonly bars?: boolean;
  /** The least that the vertical axis shows; without it, the least value. */
  readonly from?: number;
  readonly shown?: (value: number) => string;
}) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const names = x.values.map(String);
  const numbers = x.values.map((value, index) => (typeof value === "number" ? value : index));
  const data = [numbers, ...series.map(({ values }) => values)] as uPlot.AlignedData;
  // What the drawing is made of, but for the values, which come more often.
  const shape = JSON.stringify([x.name, bars, from, series.map(({ values: _, ...rest }) => rest)]);
  // What is drawn anew, for another scheme, has the values of then.
  const latest = useRef({ names, data });
  latest.current = { names, data };
  useEffect(() => {
    const element = place.current!;
    const draw = () => {
      plot.current?.destroy();
      const colour = colourOf(element);
      const named = x.values.some((value) => typeof value === "string");
      const at = (value: number) => (named ? (latest.current.names[value] ?? "") : String(value));
      const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
      const options: uPlot.Options = {
        width: Math.max(element.clientWidth, 100),
        height: HEIGHT,
        scales: {
          x: { time: false, ...(bars && { range: () => [-0.6, latest.current.names.length - 0.4] }) },
          ...(from !== undefined && {
            y: { range: (_, _least, most) => [from, most > from ? most * 1.08 : from + 1] },
          }),
        },
        axes: [
          {
            ...axis,
            label: x.name,
            incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000],
            labelSize: 22,
            values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? at(tick) : "")),
          },
          { ...axis, size: 64, values: (_, ticks) => ticks.map(shown) },
        ],
        series: [
          { label: x.name, value: (_, value) => (value === null ? "–" : at(value)) },
          ...series.map(({ name, colour: which, isDashed }) => ({
            label: name,
            stroke: colour(which),
            width: 2,
            points: { show: !bars && numbers.length < 20 },
            value: (_: uPlot, value: number | null) => (value === null ? "–" : shown(value)),
            ...(isDashed && { dash: [6, 4] }),
            ...(bars && { fill: colour(which), paths: uPlot.paths.bars!({ size: [0.7, 60] }) }),
          })),
        ],
      };
      plot.current = new uPlot(options, latest.current.data, element);
    };
    draw();
    const size = new ResizeObserver(() =>
      plot.current?.setSize({ width: Math.max(element.clientWidth, 100), height: HEIGHT }),
    );
    size.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return () => {
      size.disconnect();
      scheme.removeEventListener("change", draw);
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data), [JSON.stringify(data)]);
  // While values come, a table that nobody sees would take most of the drawing's time.
  const [isOpen, setOpen] = useState(false);
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <div class="canvas" ref={place} aria-hidden="true" />
      <details onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
        <summary>As a table</summary>
        {isOpen && <ValueTable title={title} xName={x.name} names={names} series={series} shown={shown} />}
      </details>
    </figure>
  );
}

function ValueTable({
  title,
  xName,
  names,
  series,
  shown,
}: {
  readonly title: string;
  readonly xName: string;
  readonly names: readonly string[];
  readonly series: readonly Series[];
  readonly shown: (value: number) => string;
}) {
  const kept = Math.max(1, Math.ceil(names.length / MAX_ROWS));
  const rows = names
    .map((name, index) => ({ key: name, cells: [name, ...series.map(({ values }) => cell(values[index], shown))] }))
    .filter((_, index) => index % kept === 0);
  const columns = [{ title: xName }, ...series.map(({ name }) => ({ title: name, isNumber: true }))];
  return <Table caption={title} columns={columns} rows={rows} />;
}

const cell = (value: number | null | undefined, shown: (value: number) => string) =>
  value == null ? "–" : shown(value);

/** The look's colours as a canvas takes them: for the scheme that there is now. */
function colourOf(element: HTMLElement): (name: string) => string {
  return (name) => {
    element.style.color = `var(--${name})`;
    const { color } = getComputedStyle(element);
    element.style.color = "";
    return color;
  };
}

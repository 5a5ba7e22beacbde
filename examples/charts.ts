/** Charts as SVG, by ECharts. */
import * as echarts from "echarts";

const WIDTH = 760;
/** The console's first colours, which are Okabe and Ito's a little darker, and two more of these: told apart by readers who don't see all of them. */
const COLOURS = ["#00629a", "#b54a00", "#00704f", "#cc79a7", "#e69f00"];
/** More points than this can't be told apart at this width. */
const POINTS = 80;

/** A loss by step. */
export interface Curve {
  readonly name: string;
  readonly losses: readonly Point[];
}

export interface Point {
  readonly step: number;
  readonly loss: number;
}

/** What is drawn of the results of a task. */
export interface Measured {
  readonly name: string;
  readonly testExamples: number;
  /** `accuracy`: the share of the test examples that it gets right. */
  readonly methods: readonly { readonly method: string; readonly accuracy: number }[];
}

/** Accuracy of every method on one task as bars with their standard errors; returns an SVG. */
export function accuracyChart({ name, methods, testExamples }: Measured): string {
  const rows = [...methods].reverse();
  const bars = rows.map(({ accuracy }) => round(100 * accuracy));
  const errors = rows.map(({ accuracy }, row) => {
    const error = 100 * standardError(accuracy, testExamples);
    return [100 * accuracy - error, 100 * accuracy + error, row];
  });
  return draw(56 + 34 * rows.length, {
    title: { text: `${name}: accuracy on ${testExamples} test examples (bars: ± one standard error)` },
    grid: { left: 190, right: 50, top: 44, bottom: 28 },
    xAxis: { type: "value", min: 0, max: 100, axisLabel: { formatter: "{value} %" } },
    yAxis: { type: "category", data: rows.map(({ method }) => method), axisTick: { show: false } },
    series: [
      {
        type: "bar",
        barWidth: 18,
        data: bars.map((value, row) => ({
          value,
          itemStyle: { color: /POST/.test(rows[row]!.method) ? COLOURS[1]! : COLOURS[0]! },
        })),
        label: { show: true, position: "insideLeft", formatter: "{c}", color: "#fff" },
      },
      { type: "custom", renderItem: errorBar, encode: { x: [0, 1], y: 2 }, data: errors, z: 3 },
    ],
  });
}

const errorBar: echarts.CustomSeriesRenderItem = (_, api) => {
  const row = api.value(2);
  const [from, y] = api.coord([api.value(0), row]) as [number, number];
  const [to] = api.coord([api.value(1), row]) as [number, number];
  const line = (x1: number, y1: number, x2: number, y2: number) => ({
    type: "line" as const,
    shape: { x1, y1, x2, y2 },
    style: { stroke: "#222", lineWidth: 1.5 },
  });
  return {
    type: "group",
    children: [line(from, y, to, y), line(from, y - 4, from, y + 4), line(to, y - 4, to, y + 4)],
  };
};

/** Losses by step, each smoothed over stretches of steps; returns an SVG. */
export function lossChart(title: string, curves: readonly Curve[]): string {
  return draw(300, {
    title: { text: title },
    legend: { top: 28, left: 40, itemGap: 24, icon: "roundRect", itemHeight: 3, textStyle: { color: "#222" } },
    grid: { left: 56, right: 20, top: 64, bottom: 44 },
    xAxis: { type: "value", name: "step", nameLocation: "middle", nameGap: 26 },
    yAxis: { type: "value", scale: true },
    color: COLOURS,
    series: curves.map(({ name, losses }) => ({
      type: "line" as const,
      name,
      showSymbol: false,
      data: smooth(losses, POINTS).map(({ step, loss }) => [step, loss]),
    })),
  });
}

function draw(height: number, option: echarts.EChartsOption): string {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  chart.setOption({
    animation: false,
    backgroundColor: "#fff",
    textStyle: { fontFamily: "system-ui, sans-serif" },
    ...option,
    title: { left: 0, top: 0, textStyle: { fontSize: 14, color: "#222" }, ...option.title },
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function round(value: number): number {
  return Math.round(10 * value) / 10;
}

/** The standard error of an accuracy that was measured on `examples` independent examples: √(a(1−a)/n). */
export function standardError(accuracy: number, examples: number): number {
  return Math.sqrt((accuracy * (1 - accuracy)) / examples);
}

/** Means of `losses` over equally many of them: at most `points` means, each at its last step. */
export function smooth(losses: readonly Point[], points: number): Point[] {
  const stretch = Math.max(1, Math.ceil(losses.length / points));
  return Array.from({ length: Math.ceil(losses.length / stretch) }, (_, index) => {
    const part = losses.slice(index * stretch, (index + 1) * stretch);
    return { step: part.at(-1)!.step, loss: part.reduce((sum, { loss }) => sum + loss, 0) / part.length };
  });
}

import { useState } from "preact/hooks";
import { bytes } from "../../../client/words.ts";
import { type Shown, shownProblem } from "../api.ts";
import type { Threads } from "../use-threads.ts";
import type { ColumnNames, Preview } from "../worker/messages.ts";
import { Problem } from "./problem.tsx";

/** A file that was dropped, and which of its columns are taken. */
export interface OpenData {
  readonly preview: Preview;
  readonly columns: ColumnNames;
}

/** Takes a file of private rows, shows its beginning, and asks for its columns. */
export function DataDrop({
  threads,
  provider,
  data,
  onData,
}: {
  readonly threads: Threads;
  readonly provider: string;
  readonly data: OpenData | undefined;
  readonly onData: (data: OpenData | undefined) => void;
}) {
  const [problem, setProblem] = useState<Shown>();
  const [over, setOver] = useState(false);
  const open = async (file: File | undefined) => {
    if (!file) return;
    setProblem(undefined);
    try {
      const preview = await threads.tuning.call("openData", file);
      onData({ preview, columns: guessedColumns(preview.columns) });
    } catch (error) {
      onData(undefined);
      setProblem(shownProblem(error));
    }
  };
  return (
    <>
      <p class="tune-honest">
        The rows go to a thread of this page that sends nothing. But this page comes from {provider}, and whoever serves
        a page can change it. If that is the provider whom the rows are to be kept from, start the same page from your
        own installation: <code>softpost ui</code>.
      </p>
      <label
        class={over ? "tune-drop over" : "tune-drop"}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          open(event.dataTransfer?.files[0]);
        }}
      >
        Drop a file of private rows here, or choose one: JSONL, CSV, TSV, JSON or Parquet, also with .gz
        <input
          type="file"
          accept=".jsonl,.ndjson,.json,.csv,.tsv,.parquet,.gz"
          onChange={(event) => open(event.currentTarget.files?.[0])}
        />
      </label>
      <Problem problem={problem} />
      {data && <Rows data={data} onData={onData} />}
    </>
  );
}

function Rows({ data, onData }: { readonly data: OpenData; readonly onData: (data: OpenData) => void }) {
  const { preview, columns } = data;
  const pick = (change: Partial<ColumnNames>) => onData({ preview, columns: { ...columns, ...change } });
  const isAnswers = columns.target !== undefined;
  return (
    <>
      <div class="fields">
        <Column
          label="Column of the texts"
          columns={preview.columns}
          value={columns.text}
          onPick={(text) => pick({ text })}
        />
        <label>
          What is learned
          <select
            value={isAnswers ? "target" : "label"}
            onChange={(event) => {
              const column = columns.label ?? columns.target ?? preview.columns[0]!;
              const isTarget = event.currentTarget.value === "target";
              pick({ label: isTarget ? undefined : column, target: isTarget ? column : undefined });
            }}
          >
            <option value="label">one of some labels</option>
            <option value="target">an answer in words</option>
          </select>
        </label>
        <Column
          label={isAnswers ? "Column of the answers" : "Column of the labels"}
          columns={preview.columns}
          value={columns.target ?? columns.label ?? ""}
          onPick={(name) => pick(isAnswers ? { target: name } : { label: name })}
        />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard */}
      <section class="scroll" tabIndex={0} aria-label="The first rows">
        <table>
          <caption>
            {preview.name}, {bytes(preview.size)}: the first {preview.rows.length} rows
          </caption>
          <thead>
            <tr>
              {preview.columns.map((column) => (
                <th key={column} scope="col">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {preview.rows.map((row, i) => (
              <tr key={i}>
                {preview.columns.map((column) => (
                  <td key={column}>{row[column] ?? ""}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </>
  );
}

function Column({
  label,
  columns,
  value,
  onPick,
}: {
  readonly label: string;
  readonly columns: readonly string[];
  readonly value: string;
  readonly onPick: (name: string) => void;
}) {
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => onPick(event.currentTarget.value)}>
        {columns.map((column) => (
          <option key={column} value={column}>
            {column}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The usual names where they are there, else the first column for the texts and the last one for the labels. */
function guessedColumns(columns: readonly string[]): ColumnNames {
  const text = columns.includes("text") ? "text" : columns[0]!;
  if (!columns.includes("label") && columns.includes("target")) return { text, target: "target" };
  return { text, label: columns.includes("label") ? "label" : columns.at(-1)! };
}

import { useState } from "preact/hooks";
import { bytes } from "../../../client/words.ts";
import { DropZone } from "../../ui/drop-zone.tsx";
import { SelectField } from "../../ui/field.tsx";
import { Message, Problem } from "../../ui/message.tsx";
import { Table } from "../../ui/table.tsx";
import type { Threads } from "../use-threads.ts";
import type { ColumnNames, Preview } from "../worker/messages.ts";

/** A file that was dropped, and which of its columns are taken. */
export interface OpenData {
  readonly preview: Preview;
  readonly columns: ColumnNames;
}

const FORMATS = ".jsonl,.ndjson,.json,.csv,.tsv,.parquet,.gz";

/** Takes a file of private rows, shows its beginning, and asks for its columns. */
export function DataDrop({
  threads,
  isOwnPage,
  data,
  onOpening,
  onData,
}: {
  readonly threads: Threads;
  /** Whether the page is from the reader's own package, and not from the provider. */
  readonly isOwnPage: boolean;
  readonly data: OpenData | undefined;
  /** Called before the first byte of a file is read. */
  readonly onOpening: () => void;
  readonly onData: (data: OpenData | undefined) => void;
}) {
  const [error, setError] = useState<unknown>();
  const open = async (file: File | undefined) => {
    if (!file) return;
    onOpening();
    setError(undefined);
    try {
      const preview = await threads.tuning.call("openData", file);
      onData({ preview, columns: guessedColumns(preview.columns) });
    } catch (cause) {
      setError(cause);
    }
  };
  return (
    <>
      {isOwnPage ? (
        <Message kind="good" title="This page is from your own package of softpost">
          <p>
            The provider can't change it. The rows go to a thread of this page whose policy lets it reach no address at
            all.
          </p>
        </Message>
      ) : (
        <Message kind="warning" title="This page is from the provider, and whoever serves a page can change it">
          <p>
            As it is, the rows go to a thread of the page that can reach no address at all. But you have only the
            provider's word that this is the page that you were sent. If the rows are to be kept from the provider, open
            the same page from your own package: <code>softpost ui</code>.
          </p>
        </Message>
      )}
      <DropZone button="Choose a file" accept={FORMATS} onFiles={([file]) => open(file)}>
        <p>Drop a file of private rows here: JSONL, CSV, TSV, JSON or Parquet, also with .gz</p>
      </DropZone>
      {error !== undefined && <Problem error={error} />}
      {data && <Rows data={data} onData={onData} />}
    </>
  );
}

function Rows({ data, onData }: { readonly data: OpenData; readonly onData: (data: OpenData) => void }) {
  const { preview, columns } = data;
  const pick = (change: Partial<ColumnNames>) => onData({ preview, columns: { ...columns, ...change } });
  const isAnswers = columns.target !== undefined;
  const choices = preview.columns.map((column) => [column, column] as const);
  const learn = (what: string) => {
    const column = columns.label ?? columns.target ?? preview.columns[0]!;
    pick({ label: what === "label" ? column : undefined, target: what === "target" ? column : undefined });
  };
  return (
    <>
      <p>
        {preview.name}, {bytes(preview.size)}. The first {preview.rows.length} rows:
      </p>
      <Table
        caption="The first rows"
        columns={[{ title: "Row" }, ...preview.columns.map((title) => ({ title }))]}
        rows={preview.rows.map((row, i) => ({
          key: String(i),
          cells: [i + 1, ...preview.columns.map((column) => row[column] ?? "")],
        }))}
      />
      <div class="fields">
        <SelectField
          label="Column of the texts"
          value={columns.text}
          onValue={(text) => pick({ text })}
          choices={choices}
        />
        <SelectField
          label="What is learned"
          value={isAnswers ? "target" : "label"}
          onValue={learn}
          choices={[
            ["label", "one of some labels"],
            ["target", "an answer in words"],
          ]}
        />
        <SelectField
          label={isAnswers ? "Column of the answers" : "Column of the labels"}
          value={columns.target ?? columns.label ?? ""}
          onValue={(name) => pick(isAnswers ? { target: name } : { label: name })}
          choices={choices}
        />
      </div>
    </>
  );
}

/** The usual names where they are there, else the first column for the texts and the last one for the labels. */
function guessedColumns(columns: readonly string[]): ColumnNames {
  const text = columns.includes("text") ? "text" : columns[0]!;
  if (!columns.includes("label") && columns.includes("target")) return { text, target: "target" };
  return { text, label: columns.includes("label") ? "label" : columns.at(-1)! };
}

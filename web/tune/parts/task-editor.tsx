import { useEffect, useState } from "preact/hooks";
import type { CheckedText, CheckedWord } from "../../../shared/operations/check-task.ts";
import { isGeneration, type Task } from "../../../shared/protocol/task.ts";
import { type Shown, shownProblem } from "../api.ts";
import type { Threads } from "../use-threads.ts";
import type { OpenData } from "./data-drop.tsx";
import { Problem } from "./problem.tsx";

/** A pause in typing after which what was typed is checked. */
const PAUSE_MS = 300;
const SHOWN_TEXTS = 2;

/** What is being written: not yet a task, perhaps. */
type Draft = { readonly [K in keyof Task]: unknown } & Record<string, unknown>;

/** Proposes a task for the data, lets it be changed, and shows how the student reads it. */
export function TaskEditor({
  threads,
  data,
  onTask,
}: {
  readonly threads: Threads;
  readonly data: OpenData;
  /** Undefined while what is written is no task. */
  readonly onTask: (task: Task | undefined) => void;
}) {
  const [draft, setDraft] = useState<Draft>();
  const [checked, setChecked] = useState<{ words: readonly CheckedWord[]; texts: readonly CheckedText[] }>();
  const [problem, setProblem] = useState<Shown>();
  const { columns, preview } = data;

  useEffect(() => {
    const propose = async (): Promise<Draft> => {
      if (columns.target !== undefined) return ANSWERS;
      return (await threads.tuning.call("proposeTask", "task", columns)).task;
    };
    onTask(undefined);
    setDraft(undefined);
    setProblem(undefined);
    propose().then(setDraft, (error) => setProblem(shownProblem(error)));
  }, [columns.text, columns.label, columns.target, preview]);

  useEffect(() => {
    if (!draft) return;
    onTask(undefined);
    const texts = preview.rows.slice(0, SHOWN_TEXTS).map((row) => row[columns.text] ?? "");
    const timer = setTimeout(async () => {
      try {
        const { task, words, texts: filled } = await threads.tuning.call("checkTask", JSON.stringify(draft), texts);
        setChecked({ words, texts: filled });
        setProblem(undefined);
        onTask(task);
      } catch (error) {
        setChecked(undefined);
        setProblem(shownProblem(error));
      }
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [draft]);

  if (!draft) return <>{problem ? <Problem problem={problem} /> : <p aria-busy="true">Reading the labels …</p>}</>;
  const set = (change: Partial<Draft>) => setDraft({ ...draft, ...change } as Draft);
  return (
    <>
      <div class="fields">
        <TextField label="Name" value={draft.name as string} onText={(name) => set({ name })} />
        <TextField
          label="Words that the prompt starts from"
          value={draft.init as string}
          onText={(init) => set({ init })}
        />
        <NumberField
          label="Most tokens of a text"
          value={draft.maxLength as number}
          onNumber={(maxLength) => set({ maxLength })}
        />
        {draft.kind === "generation" && (
          <NumberField
            label="Most tokens of an answer"
            value={draft.maxNewTokens as number}
            onNumber={(maxNewTokens) => set({ maxNewTokens })}
          />
        )}
      </div>
      <label>
        Template: how a text is put to the model, with <code>{"{text}"}</code> where it goes
        <textarea
          rows={3}
          value={draft.template as string}
          onInput={(event) => set({ template: event.currentTarget.value })}
        />
      </label>
      {!isGeneration(draft as Task) && <Words draft={draft} onWords={(labels) => set({ labels })} />}
      <Problem problem={problem} />
      {checked && <Reading words={checked.words} texts={checked.texts} />}
    </>
  );
}

type Labels = readonly { readonly name: string; readonly words: readonly string[] }[];

/** The words that stand for a label: the first token of each counts, a space before it included. */
function Words({ draft, onWords }: { readonly draft: Draft; readonly onWords: (labels: Labels) => void }) {
  const labels = draft.labels as Labels;
  return (
    <fieldset>
      <legend>What the model says for a label; several words with | between them</legend>
      <div class="fields">
        {labels.map(({ name, words }, i) => (
          <TextField
            key={name}
            label={name}
            value={words.join("|")}
            onText={(text) => onWords(labels.with(i, { name, words: text.split("|") }))}
          />
        ))}
      </div>
    </fieldset>
  );
}

/** The student's view of the task: tokens with thin lines between them. */
function Reading({ words, texts }: { readonly words: readonly CheckedWord[]; readonly texts: readonly CheckedText[] }) {
  return (
    <div class="tune-reading" aria-live="polite">
      <h4>As the student reads it</h4>
      {texts.map(({ filled, tokens, shortened }, i) => (
        <p key={i}>
          <Tokens tokens={tokens} />{" "}
          <small>
            {tokens.length} tokens{shortened && ", the text's end is left out"}
          </small>
          <span class="visually-hidden">{filled}</span>
        </p>
      ))}
      {words.map(({ label, word, tokens }) => (
        <p key={`${label} ${word}`}>
          {label}: <Tokens tokens={tokens} />
          {tokens.length > 1 && <small> by the first of its {tokens.length} tokens</small>}
        </p>
      ))}
    </div>
  );
}

function Tokens({ tokens }: { readonly tokens: readonly string[] }) {
  return (
    <span class="tokens" aria-hidden="true">
      {tokens.map((token, i) => (
        <span key={i}>{token.replaceAll("\n", "⏎").replaceAll(" ", "·")}</span>
      ))}
    </span>
  );
}

export function TextField({
  label,
  value,
  onText,
}: {
  readonly label: string;
  readonly value: string;
  readonly onText: (text: string) => void;
}) {
  return (
    <label>
      {label}
      <input type="text" value={value} onInput={(event) => onText(event.currentTarget.value)} />
    </label>
  );
}

/** A field for a number; what is no number is given as NaN, and an empty field as undefined if nothing has to be there. */
export function NumberField({
  label,
  value,
  placeholder,
  onNumber,
}: {
  readonly label: string;
  readonly value: number | undefined;
  readonly placeholder?: string;
  readonly onNumber: (value: number) => void;
}) {
  return (
    <label>
      {label}
      <input
        type="text"
        inputMode="decimal"
        placeholder={placeholder ?? ""}
        value={value === undefined || Number.isNaN(value) ? "" : String(value)}
        onChange={(event) => onNumber(Number.parseFloat(event.currentTarget.value))}
      />
    </label>
  );
}

/** Where a task of answers begins. */
const ANSWERS: Draft = {
  name: "task",
  kind: "generation",
  template: "{text}\n",
  target: "{target}",
  stop: [],
  init: "Answer the text.",
  maxLength: 64,
  maxNewTokens: 32,
};

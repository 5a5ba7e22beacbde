import { useEffect, useState } from "preact/hooks";
import type { CheckedText, CheckedWord } from "../../../shared/operations/check-task.ts";
import { isGeneration, type Task } from "../../../shared/protocol/task.ts";
import { TextArea, TextField } from "../../ui/field.tsx";
import { Problem } from "../../ui/message.tsx";
import type { Threads } from "../use-threads.ts";
import type { OpenData } from "./data-drop.tsx";

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
  const [error, setError] = useState<unknown>();
  const { columns, preview } = data;

  useEffect(() => {
    const propose = async (): Promise<Draft> => {
      if (columns.target !== undefined) return ANSWERS;
      return (await threads.tuning.call("proposeTask", "task", columns)).task;
    };
    onTask(undefined);
    setDraft(undefined);
    setError(undefined);
    propose().then(setDraft, setError);
  }, [columns.text, columns.label, columns.target, preview]);

  useEffect(() => {
    if (!draft) return;
    onTask(undefined);
    const texts = preview.rows.slice(0, SHOWN_TEXTS).map((row) => row[columns.text] ?? "");
    const timer = setTimeout(async () => {
      try {
        const { task, words, texts: filled } = await threads.tuning.call("checkTask", JSON.stringify(draft), texts);
        setChecked({ words, texts: filled });
        setError(undefined);
        onTask(task);
      } catch (cause) {
        setChecked(undefined);
        setError(cause);
      }
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [draft]);

  if (!draft) return error === undefined ? <p role="status">Reading the labels …</p> : <Problem error={error} />;
  const set = (change: Partial<Draft>) => setDraft({ ...draft, ...change } as Draft);
  return (
    <>
      <div class="fields">
        <TextField label="Name" value={draft.name as string} onValue={(name) => set({ name })} />
        <TextField
          label="Words that the prompt starts from"
          value={draft.init as string}
          onValue={(init) => set({ init })}
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
      <TextArea
        label="Template: how a text is put to the model"
        hint="{text} is where the text goes."
        value={draft.template as string}
        onValue={(template) => set({ template })}
      />
      {!isGeneration(draft as Task) && <Words draft={draft} onWords={(labels) => set({ labels })} />}
      {error !== undefined && <Problem error={error} />}
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
            onValue={(text) => onWords(labels.with(i, { name, words: text.split("|") }))}
          />
        ))}
      </div>
    </fieldset>
  );
}

/** The student's view of the task: tokens with thin lines between them. */
function Reading({ words, texts }: { readonly words: readonly CheckedWord[]; readonly texts: readonly CheckedText[] }) {
  return (
    <div aria-live="polite">
      <h3>As the student reads it</h3>
      {texts.map(({ filled, tokens, shortened }, i) => (
        <p key={i}>
          <Tokens tokens={tokens} />{" "}
          <span class="quiet small">
            {tokens.length} tokens{shortened && ", the text's end is left out"}
          </span>
          <span class="hidden">{filled}</span>
        </p>
      ))}
      {words.map(({ label, word, tokens }) => (
        <p key={`${label} ${word}`}>
          {label}: <Tokens tokens={tokens} />
          {tokens.length > 1 && <span class="quiet small"> by the first of its {tokens.length} tokens</span>}
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

/** A field for a number; what isn't one is given as NaN. */
export function NumberField({
  label,
  hint,
  value,
  onNumber,
}: {
  readonly label: string;
  readonly hint?: string;
  readonly value: number | undefined;
  readonly onNumber: (value: number) => void;
}) {
  const [text, setText] = useState(value === undefined ? "" : String(value));
  return (
    <TextField
      label={label}
      hint={hint}
      isNumber
      value={text}
      onValue={(typed) => {
        setText(typed);
        onNumber(/^\s*\d/.test(typed) ? Number(typed) : Number.NaN);
      }}
    />
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

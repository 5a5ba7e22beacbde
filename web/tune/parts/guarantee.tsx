import { useEffect, useState } from "preact/hooks";
import { count, short, shortUp } from "../../../client/words.ts";
import { PROMPT_TOKENS, ROWS_PER_UNIT } from "../../../shared/operations/tune-defaults.ts";
import { unitText } from "../../../shared/privacy/unit.ts";
import type { Task } from "../../../shared/protocol/task.ts";
import { CheckField, SelectField, TextField } from "../../ui/field.tsx";
import { Problem } from "../../ui/message.tsx";
import type { Threads } from "../use-threads.ts";
import type { Planned, Settings } from "../worker/messages.ts";
import type { OpenData } from "./data-drop.tsx";
import { NumberField } from "./task-editor.tsx";

const EPSILON = 8;
const HELD_OUT = 0.2;

/** What is chosen beside the task. */
type Choice = Omit<Settings, "task" | "columns">;

/** Asks how private the prompt is to be, and says what that takes and means. */
export function Guarantee({
  threads,
  data,
  task,
  positions,
  onPlanned,
}: {
  readonly threads: Threads;
  readonly data: OpenData;
  readonly task: Task;
  readonly positions: number;
  readonly onPlanned: (planned: { readonly settings: Settings; readonly planned: Planned } | undefined) => void;
}) {
  const [choice, setChoice] = useState<Choice>(() => ({
    privacy: { epsilon: EPSILON },
    // A private run pads to a multiple of 4.
    promptTokens: Math.max(4, Math.min(PROMPT_TOKENS, Math.floor((positions - task.maxLength - 4) / 4) * 4)),
    optimizer: "adam",
    order: { kind: "shuffled", seed: 0 },
    heldOut: { share: HELD_OUT, key: crypto.randomUUID() },
  }));
  const [planned, setPlanned] = useState<Planned>();
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    const settings: Settings = { ...choice, task, columns: data.columns };
    let current = true;
    onPlanned(undefined);
    setPlanned(undefined);
    threads.tuning.call("plan", settings).then(
      (result) => {
        if (!current) return;
        setPlanned(result);
        setError(undefined);
        onPlanned({ settings, planned: result });
      },
      (cause) => current && setError(cause),
    );
    return () => {
      current = false;
    };
  }, [choice, task, data]);
  const set = (change: Partial<Choice>) => setChoice({ ...choice, ...change });
  const given = (value: number) => (Number.isNaN(value) ? undefined : value);
  const { privacy } = choice;
  return (
    <>
      <CheckField
        checked={privacy !== undefined}
        onChecked={(isPrivate) => set({ privacy: isPrivate ? { epsilon: EPSILON } : undefined })}
      >
        Differential privacy, so that the prompt can be given away. Without it, the prompt may tell who is in the rows,
        and stays with you.
      </CheckField>
      {privacy && (
        <div class="fields">
          <NumberField
            label="ε, smaller is more private"
            value={privacy.epsilon}
            onNumber={(epsilon) => set({ privacy: { ...privacy, epsilon } })}
          />
          <NumberField
            label="δ"
            value={privacy.delta}
            hint={planned?.plan ? `${short(planned.plan.delta)}, unless told` : "by the rows, unless told"}
            onNumber={(delta) => set({ privacy: { ...privacy, delta: given(delta) } })}
          />
          <SelectField
            label="What is protected"
            value={privacy.unit ?? ""}
            hint="A person with several rows is protected only by the column that says whose they are."
            onValue={(column) =>
              set({
                privacy: {
                  epsilon: privacy.epsilon,
                  delta: privacy.delta,
                  ...(column !== "" && { unit: column, rowsPerUnit: privacy.rowsPerUnit }),
                },
              })
            }
            choices={[
              ["", "one row"],
              ...data.preview.columns.map((column) => [column, `all rows with one ${column}`] as const),
            ]}
          />
          {privacy.unit !== undefined && (
            <NumberField
              label={`Most rows of one ${privacy.unit} in a step`}
              value={privacy.rowsPerUnit}
              hint={`${ROWS_PER_UNIT}, unless told`}
              onNumber={(rows) => set({ privacy: { ...privacy, rowsPerUnit: given(rows) } })}
            />
          )}
          <NumberField
            label="Most ε of all runs on these rows"
            value={choice.budgetEpsilon}
            hint="No limit, unless told."
            onNumber={(epsilon) => set({ budgetEpsilon: given(epsilon) })}
          />
          <TextField
            label="Name of the data, if they grow or shrink"
            value={choice.dataset ?? ""}
            onValue={(name) => set({ dataset: name === "" ? undefined : name })}
          />
        </div>
      )}
      <div class="fields">
        <NumberField
          label="Virtual tokens"
          value={choice.promptTokens}
          onNumber={(promptTokens) => set({ promptTokens: given(promptTokens) ?? PROMPT_TOKENS })}
        />
        <NumberField
          label="Steps"
          value={choice.steps}
          hint={planned ? `${planned.schedule.steps}, unless told` : "by the rows, unless told"}
          onNumber={(steps) => set({ steps: given(steps) })}
        />
        <NumberField
          label="Rows kept back to measure on, in %"
          value={100 * choice.heldOut.share}
          onNumber={(percent) =>
            set({ heldOut: { ...choice.heldOut, share: Math.min(0.9, (given(percent) ?? 0) / 100) } })
          }
        />
      </div>
      {error !== undefined && <Problem error={error} />}
      {!planned && error === undefined && <p role="status">Computing the noise …</p>}
      {planned && <Meaning planned={planned} />}
    </>
  );
}

function Meaning({
  planned: { rows, records, heldOut, schedule, plan, attacks, notes },
}: {
  readonly planned: Planned;
}) {
  const unit = plan?.unit;
  const attack = attacks.find(({ falsePositives }) => falsePositives === 0.01);
  return (
    <div aria-live="polite">
      <p>
        {rows} rows{unit && `, of ${records} different values of “${unit.field}”,`} are learned from
        {heldOut > 0 && `, ${heldOut} are kept back`}: {schedule.steps} steps of {plan ? "about " : ""}
        {unit
          ? `${schedule.batchSize} values, each with at most ${count(unit.rowsPerUnit, "row")}`
          : `${schedule.batchSize} rows`}
        .
      </p>
      {plan && (
        <p>
          ε {shortUp(plan.epsilon)} at δ {short(plan.delta)}, for {unitText(unit)}: in every step, noise of{" "}
          {short(plan.noiseMultiplier, 3)} times the most that {unit ? `the rows of one ${unit.field}` : "a row"} can
          move it is added to the sum.{" "}
          {attack &&
            `Of 100 people whose ${unit ? "rows are" : "row is"} used, somebody who has the prompt, knows all other rows and wrongly names 1 of 100 others finds at most ${Math.ceil(100 * attack.truePositives)}; blind guessing finds 1. `}
          {unit
            ? `Rows belong together if “${unit.field}” says so: somebody with two values of it is two.`
            : "If a person has several rows, say above which column tells whose they are."}
        </p>
      )}
      {plan && heldOut > 0 && (
        <p>The accuracy on the rows that are kept back is not part of the guarantee: keep it to yourself.</p>
      )}
      <p>
        What to expect was measured on few tasks. Eight topics, 7 000 rows, three seeds: 27.0 % without a prompt, 38.1 %
        (± 1.5) tuned without privacy, 38.0 % (± 0.4) at ε 8. Film reviews, two classes, 300 rows: 66.0 % (± 2.5) at ε
        8. Fewer rows and a smaller ε give less; nothing below ε 8 was measured.
      </p>
      {notes.map((note) => (
        <p key={note}>{note}</p>
      ))}
    </div>
  );
}

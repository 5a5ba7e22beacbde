import type { PublicSet } from "../../../shared/protocol/catalogue.ts";
import { TRANSFER_DEFAULTS } from "../../../shared/protocol/transfer-options.ts";
import type { Labels } from "../../../shared/submission/submission.ts";
import { SelectField, TextField } from "../../ui/field.tsx";

/** What was typed. */
export interface Typed {
  readonly dataset: string;
  readonly publicSet: string;
  readonly steps: string;
  readonly batchSize: string;
  readonly learningRate: string;
  readonly name: string;
}

export const START: Typed = { dataset: "", publicSet: "", steps: "", batchSize: "", learningRate: "", name: "" };

/** The options as the provider takes them: what was left empty is its default. Numbers that are none are found by the check. */
export function optionsOf({ dataset, publicSet, ...numbers }: Typed): object {
  const given = (["steps", "batchSize", "learningRate"] as const).flatMap((name) => {
    const text = numbers[name].trim();
    return text === "" ? [] : [[name, Number.isNaN(Number(text)) ? text : Number(text)] as const];
  });
  return { dataset: dataset.trim(), publicSet, ...Object.fromEntries(given) };
}

/** The client's own name for the transfer. */
export const labelsOf = ({ name }: Typed): Labels => (name.trim() === "" ? {} : { name: name.trim() });

/** What a transfer is told, field by field. */
export function OptionFields({
  typed,
  onTyped,
  publicSets,
}: {
  readonly typed: Typed;
  readonly onTyped: (typed: Typed) => void;
  readonly publicSets: readonly PublicSet[];
}) {
  const set = (name: keyof Typed) => (value: string) => onTyped({ ...typed, [name]: value });
  const number = (name: "steps" | "batchSize" | "learningRate", label: string, hint: string) => (
    <TextField label={label} value={typed[name]} onValue={set(name)} isNumber hint={hint} />
  );
  return (
    <>
      <TextField
        label="Data set"
        value={typed.dataset}
        onValue={set("dataset")}
        required
        hint="A name that says nothing by itself. Every prompt tuned on the same rows must name the same one: the privacy budget is kept by it."
      />
      <SelectField
        label="Public texts"
        value={typed.publicSet}
        onValue={set("publicSet")}
        choices={[
          ["", "choose …"],
          ...publicSets
            .filter(({ retired }) => !retired)
            .map(({ id, examples }) => [id, `${id} (${examples} texts)`] as const),
        ]}
        hint="Public texts like your private ones carry a prompt best."
      />
      <details>
        <summary>Steps, batch, learning rate, a name of your own</summary>
        <div class="fields">
          {number("steps", "Steps", `${TRANSFER_DEFAULTS.steps} unless you say otherwise.`)}
          {number("batchSize", "Texts a step", `${TRANSFER_DEFAULTS.batchSize} unless you say otherwise.`)}
          {number("learningRate", "Learning rate", `${TRANSFER_DEFAULTS.learningRate} unless you say otherwise.`)}
          <TextField
            label="Name"
            value={typed.name}
            onValue={set("name")}
            hint="The provider sees it, the jobs don't."
          />
        </div>
      </details>
    </>
  );
}

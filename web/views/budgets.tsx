import { duration, money } from "../../client/words.ts";
import type { Budget } from "../../shared/protocol/budget.ts";
import { useApi } from "../shell/session.ts";
import { Button } from "../ui/button.tsx";
import { Loaded, useLoading } from "../ui/loaded.tsx";
import { Panel } from "../ui/panel.tsx";
import { Bars } from "../ui/progress.tsx";
import { Table } from "../ui/table.tsx";
import { PrivacyBudgets } from "./budgets/privacy.tsx";
import { UsageByDay } from "./budgets/usage.tsx";

interface Row {
  readonly name: string;
  readonly used: number;
  readonly reserved: number;
  /** Null: not limited. */
  readonly limit: number | null;
  readonly shown: (value: number) => string;
}

/** What is spent, set aside and left: money, time, tokens, and the privacy of each data set. */
export default function Budgets() {
  const api = useApi();
  const loading = useLoading(() => api.budget(), [api]);
  return (
    <>
      <div class="buttons">
        <Button onClick={loading.reload}>Load again</Button>
      </div>
      <Loaded of={loading}>
        {(budget) => (
          <>
            <Amounts of={rowsOf(budget)} />
            <PrivacyBudgets of={budget.privacy} />
            <UsageByDay />
          </>
        )}
      </Loaded>
    </>
  );
}

const number = (value: number) => value.toLocaleString("en");

function rowsOf({ currency, inference, ...budget }: Budget): Row[] {
  return [
    { name: "Money", ...budget.money, shown: (value) => money(value, currency) },
    { name: "Device time", ...budget.deviceSeconds, shown: duration },
    { name: "Virtual tokens", ...budget.virtualTokens, shown: number },
    { name: "Transfers at one time", ...budget.concurrent, reserved: 0, shown: number },
    { name: "Transfers today", ...budget.daily, reserved: 0, shown: number },
    ...(inference
      ? [
          { name: "Tokens of models", ...inference.tokens, shown: number },
          { name: "Tokens of models today", ...inference.daily, shown: number },
        ]
      : []),
  ];
}

function Amounts({ of: rows }: { readonly of: readonly Row[] }) {
  return (
    <Panel title="Spent, set aside and left">
      <Bars
        of={rows.map(({ name, used, reserved, limit, shown }) => ({
          name,
          share: limit === null || limit === 0 ? 0 : (used + reserved) / limit,
          text:
            limit === null ? `${shown(used + reserved)}, not limited` : `${shown(used + reserved)} of ${shown(limit)}`,
        }))}
      />
      <details>
        <summary>As a table</summary>
        <Table
          caption="Budgets"
          columns={[
            { title: "Budget" },
            { title: "Spent", isNumber: true },
            { title: "Set aside", isNumber: true },
            { title: "Left", isNumber: true },
          ]}
          rows={rows.map(({ name, used, reserved, limit, shown }) => ({
            key: name,
            cells: [
              name,
              shown(used),
              shown(reserved),
              limit === null ? "not limited" : shown(Math.max(0, limit - used - reserved)),
            ],
          }))}
        />
      </details>
    </Panel>
  );
}

import { useState } from "preact/hooks";
import { usageCsv } from "../../../client/admin/usage-csv.ts";
import type { Api } from "../../../client/api/api.ts";
import { money } from "../../../client/words.ts";
import { type UsageRow, usageSchema } from "../../../shared/protocol/administration.ts";
import { Button } from "../../ui/button.tsx";
import { Chart } from "../../ui/chart.tsx";
import { SelectField } from "../../ui/field.tsx";
import { Loaded, useLoading } from "../../ui/loaded.tsx";
import { Nothing } from "../../ui/message.tsx";
import { Panel } from "../../ui/panel.tsx";
import { save } from "../../ui/save.ts";
import { Table } from "../../ui/table.tsx";
import { lastMonths } from "./months.ts";

/** What was paid for transfers in a month, by tenant, key and student. */
export function BillPanel({ desk, path }: { readonly desk: Api; readonly path: string }) {
  const months = lastMonths();
  const [month, setMonth] = useState(months[0]!);
  const loading = useLoading(() => desk.json(`${path}?month=${month}`, usageSchema), [desk, path, month]);
  const { value } = loading;
  return (
    <Panel
      title="Usage of transfers"
      actions={
        value && (
          <Button small onClick={() => save(`usage-${month}.csv`, `${usageCsv(value).join("\n")}\n`, "text/csv")}>
            Save as CSV
          </Button>
        )
      }
    >
      <SelectField label="Month (UTC)" value={month} onValue={setMonth} choices={months.map((each) => [each, each])} />
      <Loaded of={loading}>
        {({ usage, currency }) =>
          usage.length === 0 ? (
            <Nothing>
              <p>Nothing was paid for in {month}.</p>
            </Nothing>
          ) : (
            <Bill usage={usage} currency={currency} month={month} />
          )
        }
      </Loaded>
    </Panel>
  );
}

function Bill({
  usage,
  currency,
  month,
}: {
  readonly usage: readonly UsageRow[];
  readonly currency: string;
  readonly month: string;
}) {
  const named = usage.map((row) => ({ ...row, who: row.tenantName ?? row.tenant }));
  const sums = [...Map.groupBy(named, ({ who }) => who)].map(([who, rows]) => ({
    who,
    micros: rows.reduce((total, { micros }) => total + micros, 0),
  }));
  return (
    <>
      <Chart
        title={`Paid in ${month}, ${currency}`}
        x={{ name: "tenant", values: sums.map(({ who }) => who) }}
        bars
        from={0}
        series={[{ name: currency, values: sums.map(({ micros }) => micros / 1e6), colour: "accent" }]}
      />
      <Table
        caption={`Usage in ${month}`}
        columns={[
          { title: "Tenant" },
          { title: "Key" },
          { title: "Student" },
          { title: "Transfers", isNumber: true },
          { title: "Device seconds", isNumber: true },
          { title: "Paid", isNumber: true },
        ]}
        rows={named.map(({ who, tenant, key, keyName, model, count, deviceSeconds, micros }) => ({
          key: `${tenant} ${key} ${model}`,
          cells: [who, keyName ?? key ?? "–", model, String(count), String(deviceSeconds), money(micros, currency)],
        }))}
      />
    </>
  );
}

import { useState } from "preact/hooks";
import type { Api } from "../../../client/api/api.ts";
import { money } from "../../../client/words.ts";
import { type DailyUsage, dailyUsageSchema, MICROS } from "../../../shared/protocol/administration.ts";
import { Button } from "../../ui/button.tsx";
import { Chart } from "../../ui/chart.tsx";
import { SelectField } from "../../ui/field.tsx";
import { Loaded, useLoading } from "../../ui/loaded.tsx";
import { Nothing } from "../../ui/message.tsx";
import { Panel } from "../../ui/panel.tsx";
import { save } from "../../ui/save.ts";
import { Table } from "../../ui/table.tsx";
import { lastMonths } from "./months.ts";

/** What a tenant used on each day of a month, transfers and models. */
export function DaysPanel({ desk, path }: { readonly desk: Api; readonly path: string }) {
  const months = lastMonths();
  const [month, setMonth] = useState(months[0]!);
  const loading = useLoading(() => desk.json(`${path}?month=${month}`, dailyUsageSchema), [desk, path, month]);
  const { value } = loading;
  return (
    <Panel
      title="Usage by day"
      actions={
        value && (
          <Button small onClick={() => save(`usage-by-day-${month}.csv`, csvOf(value), "text/csv")}>
            Save the days as CSV
          </Button>
        )
      }
    >
      <SelectField
        label="Month of the days (UTC)"
        value={month}
        onValue={setMonth}
        choices={months.map((each) => [each, each])}
      />
      <Loaded of={loading}>
        {(usage) =>
          usage.days.length === 0 ? (
            <Nothing>
              <p>Nothing was used in {month}.</p>
            </Nothing>
          ) : (
            <Days of={usage} />
          )
        }
      </Loaded>
    </Panel>
  );
}

function Days({ of: { days, currency, month } }: { readonly of: DailyUsage }) {
  return (
    <>
      <Chart
        title={`Paid by day in ${month}, ${currency}`}
        x={{ name: "day", values: days.map(({ day }) => day) }}
        bars
        from={0}
        series={[{ name: currency, values: days.map(({ micros }) => micros / MICROS), colour: "accent" }]}
      />
      <Table
        caption={`Usage by day in ${month}`}
        columns={[
          { title: "Day" },
          { title: "Transfers", isNumber: true },
          { title: "Device seconds", isNumber: true },
          { title: "Requests to models", isNumber: true },
          { title: "Tokens", isNumber: true },
          { title: "Paid", isNumber: true },
        ]}
        rows={days.map(({ day, transfers, deviceSeconds, requests, tokens, micros }) => ({
          key: day,
          cells: [day, transfers, deviceSeconds, requests, tokens, money(micros, currency)].map(String),
        }))}
      />
    </>
  );
}

/** RFC 4180; no field has a character that needs quotes. */
function csvOf({ days, currency }: DailyUsage): string {
  const lines = days.map(({ day, transfers, deviceSeconds, requests, tokens, micros }) =>
    [day, transfers, deviceSeconds, requests, tokens, (micros / MICROS).toFixed(6)].join(","),
  );
  return [`day,transfers,device_seconds,requests,tokens,${currency.toLowerCase()}`, ...lines, ""].join("\n");
}

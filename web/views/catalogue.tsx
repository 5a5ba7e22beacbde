import { bytes, count, money } from "../../client/words.ts";
import type { Budget } from "../../shared/protocol/budget.ts";
import { type FileRecord, type PublicSet, type Student, totalBytes } from "../../shared/protocol/catalogue.ts";
import { useApi } from "../shell/session.ts";
import { Badge } from "../ui/badge.tsx";
import { Digest } from "../ui/digest.tsx";
import { Loaded, useLoading } from "../ui/loaded.tsx";
import { Nothing } from "../ui/message.tsx";
import { Facts, Panel } from "../ui/panel.tsx";
import { Table } from "../ui/table.tsx";

const sizeOf = (files: readonly FileRecord[]) => bytes(totalBytes(files));

const NOT_SAID = "not said";

/** What the provider offers: targets with their students, public texts, prices. */
export default function Catalogue() {
  const api = useApi();
  const loading = useLoading(async () => {
    const [students, publicSets, budget] = await Promise.all([api.students(), api.publicSets(), api.budget()]);
    return { students, publicSets, budget };
  }, [api]);
  return (
    <Loaded of={loading}>
      {({ students, publicSets, budget }) => (
        <>
          <Prices of={budget} />
          <Students of={students} />
          <PublicSets of={publicSets} />
        </>
      )}
    </Loaded>
  );
}

function Prices({ of: { rate, currency, inference } }: { readonly of: Budget }) {
  const facts: (readonly [string, string])[] = [
    ...(rate ? [["Transfers", `${money(rate.microsPerHour, currency)} an hour, on ${rate.device}`] as const] : []),
    ...(inference
      ? [
          ["Texts to a model", `${money(inference.prices.promptMicros, currency)} a million tokens`] as const,
          ["Answers of a model", `${money(inference.prices.completionMicros, currency)} a million tokens`] as const,
        ]
      : []),
  ];
  return facts.length === 0 ? null : (
    <Panel title="Prices">
      <Facts of={facts} />
    </Panel>
  );
}

function Students({ of: students }: { readonly of: readonly Student[] }) {
  const targets = Map.groupBy(students, ({ target }) => target.digest);
  if (students.length === 0) {
    return (
      <Nothing>
        <p>No student is published yet. The provider publishes one with softpost serve, or softpost admin catalogue.</p>
      </Nothing>
    );
  }
  return [...targets.values()].map((own) => {
    const { target } = own[0]!;
    return (
      <Panel key={target.digest} title={`Target ${target.id}`}>
        <Facts
          of={[
            ["Layers", String(target.layers)],
            ["Size", `${sizeOf(target.files)} (it stays with the provider)`],
            ["Computed in", target.precision],
            ["Licence", target.licence ?? NOT_SAID],
            ["Digest", <Digest key="digest" of={target.digest} />],
          ]}
        />
        <h3>Students to tune on</h3>
        <Table
          caption={`Students of ${target.id}`}
          columns={[
            { title: "Student" },
            { title: "Kind" },
            { title: "Family" },
            { title: "Licence" },
            { title: "Width", isNumber: true },
            { title: "Positions", isNumber: true },
            { title: "Download", isNumber: true },
            { title: "Digest" },
          ]}
          rows={own.map((student) => ({
            key: student.digest,
            cells: [
              <>
                {student.id} {student.retired && <Badge text="retired" />}
              </>,
              student.kind === "distilled" ? "distilled from it" : "a model of its own",
              student.architecture,
              student.licence ?? NOT_SAID,
              String(student.dimension),
              String(student.positions),
              sizeOf(student.files),
              <Digest key="digest" of={student.digest} />,
            ],
          }))}
        />
        <p class="quiet small">
          A student may be as large as the provider says, and its digest says only that it arrives as it is listed here.
          A licence is what the model's card names; only its holder's own text tells what you may.
        </p>
      </Panel>
    );
  });
}

function PublicSets({ of: sets }: { readonly of: readonly PublicSet[] }) {
  return (
    <Panel title="Public texts for transfers">
      {sets.length === 0 ? (
        <p class="quiet">There are none yet, so nothing can be transferred.</p>
      ) : (
        <Table
          caption="Public texts for transfers"
          columns={[
            { title: "Name" },
            { title: "Texts", isNumber: true },
            { title: "Size", isNumber: true },
            { title: "About" },
            { title: "Digest" },
          ]}
          rows={sets.map(({ id, examples, size, description, digest, retired }) => ({
            key: digest,
            cells: [
              <>
                {id} {retired && <Badge text="retired" />}
              </>,
              count(examples, "text"),
              bytes(size),
              description || "–",
              <Digest key="digest" of={digest} />,
            ],
          }))}
        />
      )}
    </Panel>
  );
}

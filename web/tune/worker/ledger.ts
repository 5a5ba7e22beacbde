/** The ledger of private runs in the browser's storage: the command line's own, with its rules and its files. */
import { fs } from "memfs";
import { type Charge, chargeRun, finishCharged, type Total } from "../../../client/charge-run.ts";
import { chargedData, ledgerFolder } from "../../../client/privacy-ledger.ts";
import type { Say } from "../../../shared/operations/texts.ts";
import { composeEntries } from "../../../shared/privacy/ledger.ts";
import { unitText } from "../../../shared/privacy/unit.ts";
import type { ChargedSet } from "./messages.ts";
import { bringFolder, store, storeFolder } from "./storage.ts";

const STORED = "ledger";

/** Charges a run as `softpost tune` does. Two tabs take turns; when the promise is kept, the charge is stored. */
export function charge(run: Charge, say: Say): Promise<Total> {
  return withLedger(async () => {
    const total = await chargeRun(run, say);
    await storeLedger();
    return total;
  });
}

/** Writes down that a run is finished, as `softpost tune` does; when the promise is kept, that is stored. */
export function finishStored(statePath: string): Promise<void> {
  return withLedger(async () => {
    await finishCharged(statePath);
    await storeLedger();
  });
}

/** The key is stored first: without it nothing that it names can be read. */
async function storeLedger(): Promise<void> {
  await store(`${STORED}/key`, new Uint8Array(fs.readFileSync(`${ledgerFolder()}/key`) as Uint8Array));
  await storeFolder(ledgerFolder(), STORED);
}

/** Everything that was charged in this browser, at this address. */
export function charged(): Promise<ChargedSet[]> {
  return withLedger(async () =>
    chargedData().map(({ name, entries }) => {
      const delta = Math.min(...entries.map((entry) => entry.delta));
      const runs = entries.map(({ time, note, steps }) => ({ time, task: note?.task ?? "", steps }));
      const { upper: epsilon, unit } = composeEntries(entries, delta);
      return { name, runs, delta, epsilon, unit: unitText(unit) };
    }),
  );
}

/** Whether a run was charged. */
export function wasCharged(runId: string): Promise<boolean> {
  return withLedger(async () => chargedData().some(({ entries }) => entries.some((entry) => entry.runId === runId)));
}

/** The ledger's files. */
export function ledgerFiles(): Promise<{ name: string; bytes: Uint8Array<ArrayBuffer> }[]> {
  return withLedger(async () =>
    (fs.readdirSync(ledgerFolder()) as string[]).map((name) => ({
      name,
      bytes: new Uint8Array(fs.readFileSync(`${ledgerFolder()}/${name}`) as Uint8Array),
    })),
  );
}

function withLedger<T>(action: () => Promise<T>): Promise<T> {
  return navigator.locks.request("softpost-ledger", async () => {
    await bringFolder(STORED, ledgerFolder());
    return action();
  }) as Promise<T>;
}

/** Runs that aren't finished, in the browser's storage: what they are, and where they stand. No row of the data is kept. */
import { fs } from "memfs";
import { parseHeader } from "../../../shared/prompt/safetensors.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { RUN } from "./folders.ts";
import { wasCharged } from "./ledger.ts";
import type { Settings, StudentFiles, Unfinished } from "./messages.ts";
import { bringFolder, listStored, readStored, removeStored, store } from "./storage.ts";

/** Where a run's state is in this thread's memory, as `tunePrompt` and `chargeRun` take it. */
export const STATE = `${RUN}/state`;
const RUN_ID = "state.run-id";
const REQUEST = "request.json";

/** What makes a run. */
export type RunRequest = Pick<Unfinished, "student" | "settings" | "data" | "began">;

/** An open run, which no other tab has. */
export interface OpenRun {
  readonly id: string;
  /** Stores the state and the name that it is charged under. */
  save(): Promise<void>;
  /** Forgets the run, which is finished. */
  finish(): Promise<void>;
}

/**
 * Begins a run, or opens one that goes on; holds it for this tab while `action` runs.
 *
 * @throws ProblemError if another tab has it, or it goes on with other data or settings
 */
export async function withRun<T>(
  request: RunRequest,
  resume: string | undefined,
  action: (run: OpenRun) => Promise<T>,
): Promise<T> {
  const id = resume ?? crypto.randomUUID();
  const open = async (lock: Lock | null) => {
    if (!lock) throw new ProblemError("The run is open in another tab", "Go on there, or close it.", { status: 409 });
    await bringFolder(`runs/${id}`, RUN);
    if (resume === undefined) await store(`runs/${id}/${REQUEST}`, new TextEncoder().encode(JSON.stringify(request)));
    else await requireSame(id, request);
    return action({
      id,
      save: async () => {
        for (const name of ["state", RUN_ID]) {
          if (fs.existsSync(`${RUN}/${name}`))
            await store(`runs/${id}/${name}`, new Uint8Array(fs.readFileSync(`${RUN}/${name}`) as Uint8Array));
        }
      },
      finish: () => removeStored(`runs/${id}`),
    });
  };
  return navigator.locks.request(`softpost-run-${id}`, { ifAvailable: true }, open) as Promise<T>;
}

async function requireSame(id: string, { settings, student, data }: RunRequest): Promise<void> {
  const before = await readRequest(id);
  if (!before) throw new ProblemError("There is no such run", "It was finished or forgotten.", { status: 404 });
  if (before.data.sha256 !== data.sha256) {
    const detail = `The run is on ${before.data.name}, and this file (${data.name}) has another content. Drop the same file, or begin anew.`;
    throw new ProblemError("The run can't be resumed", detail, { status: 409 });
  }
  const same = before.student.digest === student.digest && JSON.stringify(before.settings) === JSON.stringify(settings);
  if (!same) throw new ProblemError("The run can't be resumed", "It had other settings.", { status: 409 });
}

/** The runs that aren't finished, but for those that a tab has open. */
export async function unfinishedRuns(): Promise<Unfinished[]> {
  const held = new Set((await navigator.locks.query()).held?.map(({ name }) => name));
  const ids = (await listStored("runs")).filter((id) => !held.has(`softpost-run-${id}`));
  const runs: Unfinished[] = [];
  for (const id of ids) {
    const request = await readRequest(id);
    if (request) runs.push({ id, ...request, saved: await savedSteps(id), charged: await isCharged(id) });
  }
  return runs.sort((a, b) => (a.began < b.began ? 1 : -1));
}

export const forgetRun = (id: string): Promise<void> => removeStored(`runs/${id}`);

async function readRequest(id: string): Promise<RunRequest | undefined> {
  const bytes = await readStored(`runs/${id}/${REQUEST}`);
  return (
    bytes && (JSON.parse(new TextDecoder().decode(bytes)) as { student: StudentFiles; settings: Settings } & RunRequest)
  );
}

async function savedSteps(id: string): Promise<number> {
  const bytes = await readStored(`runs/${id}/state`);
  return bytes ? Number(parseHeader(bytes, bytes.length, "state").metadata.step) : 0;
}

async function isCharged(id: string): Promise<boolean> {
  const bytes = await readStored(`runs/${id}/${RUN_ID}`);
  return bytes !== undefined && wasCharged(new TextDecoder().decode(bytes));
}

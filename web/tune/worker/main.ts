/** The thread that holds the private rows and tunes on them. */
import { z } from "zod";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { InterruptedError } from "../../../shared/training/loop.ts";
import { withoutFolders } from "./folders.ts";
import { charged, ledgerFiles } from "./ledger.ts";
import type { Call, FromThread, Problem } from "./messages.ts";
import { tellRequests } from "./requests.ts";
import { forgetRun, unfinishedRuns } from "./runs.ts";
import { listStored, removeStored } from "./storage.ts";
import { Tuner } from "./tuner.ts";

// Its faster parsers are made of generated code, which the policy of the page forbids.
z.config({ jitless: true });

const tell = (message: FromThread) => postMessage(message);
const tuner = new Tuner((event) =>
  tell({ kind: "event", event: event.kind === "note" ? { ...event, text: withoutFolders(event.text) } : event }),
);

addEventListener("message", async ({ data }: MessageEvent<Call>) => {
  const { id } = data;
  try {
    tell({ kind: "answer", id, value: await answer(data) });
  } catch (error) {
    tell({ kind: "answer", id, problem: problemOf(error) });
  }
});

async function answer({ call, args }: Call): Promise<unknown> {
  switch (call) {
    case "openStudent":
      return tuner.openStudent(...args);
    case "keptStudents":
      return listStored("students");
    case "dropStudent":
      return removeStored(`students/${args[0]}`);
    case "openData":
      return tuner.openData(...args);
    case "readLabels":
      return tuner.readLabels(...args);
    case "proposeTask":
      return tuner.proposeTask(...args);
    case "checkTask":
      return tuner.checkTask(...args);
    case "plan":
      return tuner.plan(...args);
    case "startRuntime":
      return tuner.startRuntime(...args);
    case "startGpu":
      return tuner.startGpu(...args);
    case "tune":
      return tuner.tune(...args);
    case "stop":
      return tuner.stop();
    case "unfinished":
      return unfinishedRuns();
    case "forget":
      return forgetRun(...args);
    case "ledger":
      return charged();
    case "exportLedger":
      return ledgerFiles();
  }
}

function problemOf(error: unknown): Problem {
  if (error instanceof InterruptedError) {
    const detail = `Stopped after step ${error.step}, which is saved.`;
    return { title: "Stopped", detail, faults: [], stopped: error.step };
  }
  if (!(error instanceof ProblemError)) {
    return { title: "Something went wrong in this tab", detail: String(error), faults: [] };
  }
  const faults = error.faults.map(({ at, message }) => ({ at: withoutFolders(at), message: withoutFolders(message) }));
  return { title: error.title, detail: withoutFolders(error.detail), faults };
}

tellRequests("tuning", tell);
tell({ kind: "ready" });

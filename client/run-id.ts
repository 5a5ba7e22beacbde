import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { z } from "zod";
import { writeProblem } from "../shared/data/write-problem.ts";
import { placeWhole } from "./whole-file.ts";

/**
 * The name under which a private run is charged. It is kept beside the run's state, so a resumed run has the name that it began
 * with, and is random, so that a run that starts anew is another one.
 */
export function runIdOf(statePath: string, resume: boolean): string {
  return (resume ? keptRunId(statePath) : undefined) ?? newRunId(statePath);
}

/** The name that is kept beside a state; undefined if there is none, or a damaged one: to be charged anew is the safe side. */
export function keptRunId(statePath: string): string | undefined {
  const path = idPath(statePath);
  return existsSync(path) ? z.uuid().safeParse(readFileSync(path, "utf8")).data : undefined;
}

/** Keeps a new name beside a state. @throws ProblemError if it can't be written */
export function newRunId(statePath: string): string {
  const id = randomUUID();
  const path = idPath(statePath);
  try {
    placeWhole(path, Buffer.from(id));
  } catch (error) {
    throw writeProblem(error, path, "The run's name can't be kept");
  }
  return id;
}

/** To be called when the run is finished. */
export function forgetRunId(statePath: string): void {
  rmSync(idPath(statePath), { force: true });
}

/** Whether a run was given a name, so that its resumption is not charged. */
export function isCharged(statePath: string): boolean {
  return existsSync(idPath(statePath));
}

const idPath = (statePath: string) => `${statePath}.run-id`;

import { z } from "zod";

/** Where AWS's events about jobs are sent, and the header with the secret that they carry. */
export const BATCH_EVENTS = { path: "/internal/batch/events", header: "x-softpost-events" } as const;

/** What is sent of an event: the job's name, as the edge submitted it. */
export const batchEventSchema = z.strictObject({ job: z.string() }).meta({ id: "BatchEvent" });

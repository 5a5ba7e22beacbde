import { createHash } from "node:crypto";
import { expect } from "vitest";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { Manifest } from "../../shared/protocol/manifest.ts";
import { catalogue, OPTIONS, type Provider, promptOf, type TenantClient, uploadOf } from "./provider.ts";

const hex = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** A transfer of a tenant's that has succeeded, without the work: its result is written as a job would. @returns its id and where its files are */
export async function transferred(
  provider: Provider,
  tenant: TenantClient,
  seed: number,
  { task }: { task?: Manifest["task"] } = {},
): Promise<{ id: string; folder: string }> {
  await provider.define(["true"]);
  const { weights, manifest } = promptOf(seed);
  const mine = { ...manifest, ...(task && { task }) };
  const { body } = await tenant.submit(uploadOf({ weights, manifest: mine }, { ...OPTIONS, steps: 1 }));
  const job = `${tenant.id}-${body.id}`;
  const folder = bucket.job(job) + jobFiles.output;
  const target = { ...mine, model: { ...mine.model, id: "large", digest: catalogue.students[0]!.target.digest } };
  const files = [
    { name: "adapter_model.safetensors", bytes: weights },
    { name: "softpost.json", bytes: new TextEncoder().encode(JSON.stringify(target)) },
  ];
  for (const { name, bytes } of files) await provider.store.write(folder + name, bytes);
  const records = files.map(({ name, bytes }) => ({ name, size: bytes.length, sha256: hex(bytes) }));
  await provider.store.write(
    bucket.job(job) + jobFiles.result,
    JSON.stringify({ files: records, folder: "", deviceSeconds: 1 }),
  );
  while ((await provider.batchStatus(job)) !== "SUCCEEDED") await new Promise((resolve) => setTimeout(resolve, 50));
  await provider.worker.reconcile();
  expect((await tenant.get(`/v1/transfers/${body.id}`)).body.state).toBe("succeeded");
  return { id: body.id, folder };
}

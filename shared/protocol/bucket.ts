/**
 * The bucket's layout, for its two doors: the Worker's R2 binding and the jobs' S3 client. A folder ends in `/`.
 * Everything but the catalogue, calibrations, checkpoints and leases is written once and never changed.
 */
export const bucket = {
  /** The students and public sets on offer: `catalogueSchema`. */
  catalogue: "catalogue.json",
  model: (digest: string) => `models/${digest}/`,
  publicSet: (digest: string) => `public-sets/${digest}.jsonl`,
  /** Unprompted hidden states of a model on a public set at a read position's settings. */
  states: (modelDigest: string, publicDigest: string, settings: string) =>
    `states/${modelDigest}/${publicDigest}/${settings}.safetensors`,
  /** Lists every tenant: the ledgers are spread over Durable Objects, which can't be enumerated. */
  tenants: "tenants/",
  tenant: (tenant: string) => `tenants/${tenant}.json`,
  /** A mark for every tenant whose data was deleted. */
  closed: (tenant: string) => `closed/${tenant}`,
  /** Lists the tenants among them whose jobs may still write: when they were closed. */
  sweep: "sweep/",
  /** Encrypted copies of ledgers (edge/tenants/backup.ts), by name. */
  backups: "backups/",
  backup: (name: string, tenant: string) => `backups/${name}/${tenant}/`,
  /** What is there of a large file whose upload was interrupted (batch/storage/multipart.ts). */
  upload: (sha256: string) => `uploads/${sha256}.json`,
  /** A job's own folder: its spec, inputs, checkpoints and results. */
  job: (job: string) => `jobs/${job}/`,
  /** What the keys of all jobs of a tenant start with (`jobId`). */
  jobsOf: (tenant: string) => `jobs/${tenant}-`,
  /** An empty object, named after its job, for every transfer to a target that nobody has begun yet (batch/README.md). */
  waiting: (targetDigest: string) => `waiting/${targetDigest}/`,
  /** Device seconds of finished transfers to a target. */
  calibration: (targetDigest: string) => `calibration/${targetDigest}.json`,
} as const;

/** Files in a job's folder. `result.json` is written last: when it is there, the job is done. */
export const jobFiles = {
  spec: "spec.json",
  manifest: "prompt/softpost.json",
  weights: "prompt/adapter_model.safetensors",
  /** Texts that predictions are made of; they go when the job has ended. */
  texts: "texts.jsonl",
  lease: "lease.json",
  checkpoint: "checkpoint/",
  /** Each attempt writes into a folder of its own in it; the result names the one that counts. */
  output: "output/",
  /** How often the job crashed (batch/lifecycle/crashes.ts). */
  crashes: "crashes.json",
  result: "result.json",
} as const;

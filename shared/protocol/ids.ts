/** RFC 4648 base 32 in lower case: safe in URLs, file names, Batch job names and bucket keys. */
const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

/** A random id of `length` characters with 5 bits of entropy each. */
export function randomId(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => ALPHABET[byte & 31]).join("");
}

/** 80 bits: tenants and transfers never meet, and can't be guessed. */
export const ID_LENGTH = 16;
export const ID_PATTERN = /^[a-z2-7]{16}$/;

/** What Batch and the bucket call a tenant's transfer: the same at every attempt, so that it is submitted once. */
export function jobId(tenant: string, transfer: string): string {
  return `${tenant}-${transfer}`;
}

/** The tenant and transfer of a job id, or undefined for anything else. */
export function parseJobId(job: string): { tenant: string; transfer: string } | undefined {
  const [tenant = "", transfer = "", ...rest] = job.split("-");
  if (rest.length > 0 || !ID_PATTERN.test(tenant) || !ID_PATTERN.test(transfer)) return undefined;
  return { tenant, transfer };
}

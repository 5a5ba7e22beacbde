import type { WranglerConfig } from "./wrangler-config.ts";

/** Top-level names that RFC 2606 keeps for examples: nobody of ours is there, and one day a stranger's resolver may say otherwise. */
const RESERVED = /\.(example|test|invalid|localhost)$|(^|\.)example\.(com|net|org)$/;

/**
 * What keeps a stage of `wrangler.toml` from being deployed: its jobs would report to, and its clients trust, somebody else's address.
 *
 * @param stage `dev` for the top level
 * @returns sentences; none if it can be deployed
 */
export function deployFaults(config: WranglerConfig, stage: string): string[] {
  const environment = stage === "dev" ? config : config.env[stage];
  if (!environment) return [`there is no such stage; it has dev, ${Object.keys(config.env).join(", ")}.`];
  const url = URL.parse(environment.vars.PUBLIC_URL ?? "");
  if (!url) return ["PUBLIC_URL is no address."];
  const faults: string[] = [];
  if (RESERVED.test(url.hostname))
    faults.push(`PUBLIC_URL is ${url.href}, an example: jobs would report there. Name the Worker's own.`);
  if (url.protocol !== "https:") faults.push("PUBLIC_URL must begin with https://.");
  if (url.pathname !== "/" || url.search || url.hash || environment.vars.PUBLIC_URL!.endsWith("/")) {
    faults.push("PUBLIC_URL must end with the host's name: paths are added to it.");
  }
  if (environment.r2_buckets.length === 0 && !environment.vars.S3_URL) {
    faults.push("it has neither a bucket of R2 nor S3_URL.");
  }
  return faults;
}

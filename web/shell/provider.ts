import { z } from "zod";
import { ProblemError } from "../../shared/protocol/errors.ts";

const providerSchema = z.object({ url: z.url({ protocol: /^https?$/ }), servedBy: z.enum(["provider", "client"]) });

/** Whose console this is, and who serves the page. */
export interface Provider {
  readonly url: URL;
  /** `client`: by `softpost ui`, from the reader's own package. `provider`: it can change the page as it likes. */
  readonly servedBy: "provider" | "client";
}

/** @throws ProblemError if whoever serves the page doesn't answer */
export async function findProvider(): Promise<Provider> {
  try {
    const response = await fetch("provider.json", { redirect: "error" });
    const { url, servedBy } = providerSchema.parse(await response.json());
    return { url: new URL(url), servedBy };
  } catch (cause) {
    const detail = "What serves this page doesn't answer. Is softpost ui, or the provider, still running?";
    throw new ProblemError("The console can't start", detail, { status: 503, cause });
  }
}

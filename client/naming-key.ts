import { ProblemError } from "../shared/protocol/errors.ts";

/**
 * For `catch`, where something was sent that must not be sent twice: a problem then names the idempotency key, unless the provider refused what was sent.
 *
 * @param arrived whether it is known to have arrived: then every problem names it
 */
export const namingKey =
  (key: string, { arrived = false } = {}) =>
  (error: unknown): never => {
    if (!(error instanceof ProblemError) || (!arrived && isRefusal(error))) throw error;
    const { title, detail, status, faults, retryAfter, cause } = error;
    const again = `${detail} To send it again, never twice: --idempotency-key ${key}`;
    throw new ProblemError(title, again, { status, faults, retryAfter, cause });
  };

/** Of a request that timed out (408) nobody knows what became. */
const isRefusal = ({ status }: ProblemError) => status >= 400 && status < 500 && status !== 408;

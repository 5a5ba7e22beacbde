/** What an API key looks like: it says whose it is, so that one look at that tenant's own ledger is all it takes. */

const KEY = /^sp_([a-z2-7]{16})_([a-z2-7]{16})_[A-Za-z0-9_-]{43}$/;

/** What a key says of itself. */
interface KeyParts {
  readonly tenant: string;
  /** The key's own id. */
  readonly id: string;
}

/** @param secret 43 characters of base64url */
export function formatApiKey({ tenant, id }: KeyParts, secret: string): string {
  return `sp_${tenant}_${id}_${secret}`;
}

/** Whose a key is, undefined for what has not its form. */
export function parseApiKey(key: string): KeyParts | undefined {
  const [, tenant, id] = KEY.exec(key) ?? [];
  return tenant === undefined || id === undefined ? undefined : { tenant, id };
}

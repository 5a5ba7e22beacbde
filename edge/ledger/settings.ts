/** What a provider or tenant has chosen, beside the limits. */
export interface Chosen {
  /** The tenant's keys open nothing. */
  readonly suspended: boolean;
  /** Days after which the files of a finished transfer or prediction go. */
  readonly retentionDays: number | null;
}

/** What isn't named stays. */
export type Change = { readonly [K in keyof Chosen]?: Chosen[K] | undefined };

const NONE: Chosen = { suspended: false, retentionDays: null };

/** A tenant's settings, as JSON by their names. */
export class Settings {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  all(): Chosen {
    const rows = this.sql.exec<{ name: string; value: string }>("SELECT name, value FROM settings").toArray();
    return { ...NONE, ...Object.fromEntries(rows.map(({ name, value }) => [name, JSON.parse(value)])) };
  }

  set(change: Change): void {
    for (const [name, value] of Object.entries(change)) {
      if (value !== undefined)
        this.sql.exec("INSERT OR REPLACE INTO settings VALUES (?, ?)", name, JSON.stringify(value));
    }
  }
}

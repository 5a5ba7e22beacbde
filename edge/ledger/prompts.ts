import type { FileRecord } from "../../shared/protocol/catalogue.ts";
import type { Alias } from "../../shared/protocol/served-model.ts";

/** A transfer that succeeded, as a model that can be asked. */
export interface TransferredPrompt {
  readonly transfer: string;
  readonly targetDigest: string;
  /** When it was transferred, in milliseconds since 1970. */
  readonly created: number;
  readonly files: readonly FileRecord[];
  /** Where they are, below the job's output. */
  readonly folder: string;
}

type PromptRow = { id: string; target_digest: string; updated: number; files: string; folder: string };

/** A tenant has as many names of its own at most. */
const MAX_ALIASES = 1000;

const COLUMNS = "id, target_digest, updated, files, folder";
/** Which transfers can be asked: a deleted one's files are gone, and those of an account that was closed. */
const THERE = "state = 'succeeded' AND kind = 'transfer' AND deleted IS NULL AND files <> '[]'";

/** A tenant's transferred prompts, and its own names for them. */
export class PromptList {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  /** Newest first. */
  list(limit: number): TransferredPrompt[] {
    const query = `SELECT ${COLUMNS} FROM transfers WHERE ${THERE} ORDER BY created DESC, id DESC LIMIT ?`;
    return this.sql.exec<PromptRow>(query, limit).toArray().map(toPrompt);
  }

  find(transfer: string): TransferredPrompt | undefined {
    const query = `SELECT ${COLUMNS} FROM transfers WHERE id = ? AND ${THERE}`;
    return this.sql.exec<PromptRow>(query, transfer).toArray().map(toPrompt)[0];
  }

  findByAlias(alias: string): TransferredPrompt | undefined {
    const [row] = this.sql.exec<{ transfer: string }>("SELECT transfer FROM aliases WHERE name = ?", alias).toArray();
    return row && this.find(row.transfer);
  }

  aliases(): Alias[] {
    const there = `SELECT id FROM transfers WHERE ${THERE}`;
    const query = `SELECT name AS alias, transfer FROM aliases WHERE transfer IN (${there}) ORDER BY name`;
    return this.sql.exec<Alias>(query).toArray();
  }

  /** Gives a prompt a name, which it takes from another one that had it. @returns false if the tenant has too many names */
  setAlias({ alias, transfer }: Alias, now: number): boolean {
    const others = this.sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM aliases WHERE name <> ?", alias).one().n;
    if (others >= MAX_ALIASES) return false;
    this.sql.exec("INSERT OR REPLACE INTO aliases VALUES (?, ?, ?)", alias, transfer, now);
    return true;
  }

  /** @returns whether there was one */
  removeAlias(alias: string): boolean {
    return this.sql.exec("DELETE FROM aliases WHERE name = ?", alias).rowsWritten > 0;
  }
}

function toPrompt({ id, target_digest, updated, files, folder }: PromptRow): TransferredPrompt {
  return { transfer: id, targetDigest: target_digest, created: updated, files: JSON.parse(files), folder };
}

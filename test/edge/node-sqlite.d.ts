/** What tests of the ledger use of Node's SQLite: the Worker's types have no Node. */
declare module "node:sqlite" {
  export class DatabaseSync {
    constructor(path: string);
    exec(sql: string): void;
    prepare(sql: string): { all(...values: (string | number)[]): Record<string, string | number>[] };
  }
}

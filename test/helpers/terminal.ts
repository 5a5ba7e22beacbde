import { fileURLToPath } from "node:url";
import { spawn } from "@lydell/node-pty";
import { Screen } from "./screen.ts";

const MAIN = fileURLToPath(new URL("../../client/main.ts", import.meta.url));
const ROWS = 40;

interface Options {
  readonly folder: string;
  readonly columns?: number;
  readonly environment?: Readonly<Record<string, string>>;
}

/** The command line on a pseudo-terminal, as somebody sees it who sits before one. */
export class Terminal {
  private readonly process: ReturnType<typeof spawn>;
  private readonly screen: Screen;
  /** All that the program wrote, as it came. */
  raw = "";
  private heard = () => {};
  /** The exit code. */
  readonly ended: Promise<number>;

  constructor(args: readonly string[], { folder, columns = 100, environment = {} }: Options) {
    this.screen = new Screen(columns, ROWS);
    this.process = spawn(process.execPath, [MAIN, ...args], {
      cwd: folder,
      cols: columns,
      rows: ROWS,
      name: environment.TERM ?? "xterm-256color",
      env: { ...process.env, NO_COLOR: "", ...environment },
    });
    this.process.onData((data) => {
      this.raw += data;
      this.screen.write(data);
      this.heard();
    });
    this.ended = new Promise((resolve) => this.process.onExit(({ exitCode }) => resolve(exitCode)));
  }

  /** Waits until what was written so far has this. @throws Error if the program ends before */
  async sees(pattern: RegExp): Promise<void> {
    const seen = new Promise<void>((resolve) => {
      this.heard = () => pattern.test(this.raw) && resolve();
      this.heard();
    });
    await Promise.race([
      seen,
      this.ended.then((code) => {
        if (!pattern.test(this.raw)) throw new Error(`ended with ${code}:\n${this.raw}`);
      }),
    ]);
  }

  type(text: string): void {
    this.process.write(text);
  }

  async resize(columns: number): Promise<void> {
    await this.screen.resize(columns);
    this.process.resize(columns, ROWS);
  }

  /** What the terminal shows now. */
  lines(): Promise<string[]> {
    return this.screen.lines();
  }
}

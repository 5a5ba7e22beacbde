import xterm from "@xterm/headless";

/** What a terminal shows of what is written to it, as a terminal emulator has it. */
export class Screen {
  private readonly terminal: xterm.Terminal;
  private written: Promise<void> = Promise.resolve();

  constructor(columns: number, rows: number) {
    this.terminal = new xterm.Terminal({ cols: columns, rows, scrollback: 10_000, allowProposedApi: true });
  }

  /** A line feed alone goes to the next line's beginning, as a terminal's driver has it. */
  write(text: string): void {
    this.written = new Promise((resolve) => this.terminal.write(text.replaceAll(/\r?\n/g, "\r\n"), resolve));
  }

  async resize(columns: number): Promise<void> {
    await this.written;
    this.terminal.resize(columns, this.terminal.rows);
  }

  /** Every line that has something on it, those that were scrolled away too; a line that the terminal broke is one. */
  async lines(): Promise<string[]> {
    await this.written;
    const { active } = this.terminal.buffer;
    const lines: string[] = [];
    for (let i = 0; i < active.length; i++) {
      const line = active.getLine(i)!;
      const text = line.translateToString(true);
      if (line.isWrapped) lines[lines.length - 1] += text;
      else lines.push(text);
    }
    return lines.filter((line) => line !== "");
  }
}

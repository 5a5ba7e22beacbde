/** The documentation site as it is built: whole, without a dead link, and without a request to anywhere else. */
import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { commandsOf, softpostProgram } from "../../client/described-commands.ts";
import { manPage } from "../../client/man-page.ts";
import { ROOT } from "./fences.ts";

const HTML = join(ROOT, "site-output/html");
const read = (file: string) => readFileSync(join(HTML, file), "utf8");
let pages: string[] = [];

beforeAll(() => {
  execFileSync(process.execPath, [join(ROOT, "site/build.ts")], { cwd: ROOT, stdio: "pipe" });
  pages = globSync("**/*.html", { cwd: HTML });
});

test("all pages are there, and so is what is searched", () => {
  const names = [
    "index",
    "start-client",
    "concepts",
    "data",
    "json",
    "reference/commands",
    "reference/api",
    "security",
  ];
  expect(pages).toEqual(expect.arrayContaining(names.map((name) => `${name}.html`)));
  const [index] = globSync("assets/chunks/@localSearchIndex*.js", { cwd: HTML });
  expect(read(index!)).toContain("How it works");
});

test("the page of the API has the fields of bodies and answers, also of those in a list", () => {
  const page = read("reference/api.html");
  for (const field of ["messages[].role", "choices[].message.content", "data[].label", "transfers[].state"]) {
    expect(page).toContain(`<code>${field}</code>`);
  }
});

test("every link within it leads to a page, and to a heading of it", () => {
  const ids = new Map(
    pages.map((page) => [page, new Set([...read(page).matchAll(/ id="([^"]+)"/g)].map(([, id]) => id))]),
  );
  for (const page of pages) {
    for (const [, target] of read(page).matchAll(/<a [^>]*?href="([^"]+)"/g)) {
      if (/^https?:/.test(target!)) continue;
      const [path = "", anchor] = target!.split("#");
      const file = path === "" ? page : path === "/" ? "index.html" : path.slice(1).replace(/(\.html)?$/, ".html");
      expect(existsSync(join(HTML, file)), `${page}: ${target}`).toBe(true);
      if (anchor) expect(ids.get(file), `${page}: ${target}`).toContain(decodeURIComponent(anchor));
    }
  }
});

test("nothing is loaded from anywhere else", () => {
  for (const page of pages) {
    const loaded = [...read(page).matchAll(/<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)="([^"]+)"/g)];
    for (const [, target] of loaded) expect(target, page).toMatch(/^(\/(?!\/)|data:)/);
  }
  for (const style of globSync("**/*.css", { cwd: HTML })) {
    expect(read(style)).not.toMatch(/url\(\s*["']?(https?:)?\/\/|@import/);
  }
  for (const script of globSync("**/*.js", { cwd: HTML })) {
    const text = read(script);
    expect(text, script).not.toMatch(
      /(?:import\(|from|fetch\(|new (?:Worker|WebSocket|EventSource)\()\s*["'`](?:https?:|wss?:)?\/\//,
    );
    expect(text, script).not.toMatch(/\.src\s*=\s*["'`](?:https?:)?\/\//);
  }
});

test("the man page and the page of commands have every command and option", () => {
  const man = manPage();
  const page = read("reference/commands.html")
    .replace(/<[^>]+>/g, "")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">");
  for (const { path, command } of commandsOf(softpostProgram())) {
    expect(page).toContain(path);
    if (path !== "softpost") expect(man).toContain(`.SH ${path.toUpperCase().replaceAll("-", "\\-")}`);
    for (const { flags, hidden } of command.options) {
      if (hidden) continue;
      expect(page).toContain(flags);
      expect(man).toContain(`.B ${flags.replaceAll("-", "\\-")}`);
    }
  }
  for (const line of man.split("\n")) if (/^[.']/.test(line)) expect(line).toMatch(/^\.(TH|SH|B|TP|PP|nf|fi)\b/);
});

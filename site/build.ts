/** `npm run docs`: the documentation site, from the repository's pages and the program's own definitions, into `site-output/html`. */
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vitepress";
import { apiPage } from "./api.ts";
import { commandsPage } from "./commands.ts";
import { apiDescription } from "./description.ts";
import { pageOf, SECTIONS } from "./pages.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PAGES = join(ROOT, "site-output/pages");

const made: Readonly<Record<string, () => string | Promise<string>>> = {
  "reference/commands.md": commandsPage,
  "reference/api.md": async () => apiPage(await apiDescription(ROOT)),
};

const sections = SECTIONS.map(({ text, pages }) => ({
  text,
  pages: pages.filter(([, file]) => file in made || existsSync(join(ROOT, file))),
}));
const files = new Set(sections.flatMap(({ pages }) => pages.map(([, file]) => file)));

/** A page whose links lead to pages; what the site doesn't have is named, not linked. */
function withLinks(markdown: string, file: string): string {
  return markdown.replace(/(?<!!)\[([^\]]*)\]\(([^)\s]+)\)/g, (link, text: string, target: string) => {
    if (/^(https?:|mailto:|#)/.test(target)) return link;
    const [path = "", anchor] = target.split("#");
    const named = posix.join(posix.dirname(file), path);
    if (named === "README.md") return `[${text}](/)`;
    return files.has(named) ? `[${text}](/${pageOf(named)}${anchor ? `#${anchor}` : ""})` : text;
  });
}

function write(path: string, text: string): void {
  mkdirSync(dirname(join(PAGES, path)), { recursive: true });
  writeFileSync(join(PAGES, path), text);
}

rmSync(join(ROOT, "site-output"), { recursive: true, force: true });
for (const file of files) {
  const text = await (made[file]?.() ?? readFileSync(join(ROOT, file), "utf8"));
  write(`${pageOf(file)}.md`, withLinks(text, file));
}
cpSync(join(ROOT, "docs/pictures"), join(PAGES, "pictures"), { recursive: true });
copyFileSync(join(ROOT, "site/index.md"), join(PAGES, "index.md"));
const sidebar = sections.map(({ text, pages }) => ({
  text,
  items: pages.map(([title, file]) => ({ text: title, link: `/${pageOf(file)}` })),
}));
// Vite would take the repository's, whose target its esbuild is too old for.
write("tsconfig.json", "{}\n");
write(
  ".vitepress/config.ts",
  `import { config } from "../../../site/config.ts";\n\nexport default config(${JSON.stringify(sidebar)});\n`,
);
cpSync(join(ROOT, "site/theme"), join(PAGES, ".vitepress/theme"), { recursive: true });
await build(PAGES, { outDir: join(ROOT, "site-output/html") });

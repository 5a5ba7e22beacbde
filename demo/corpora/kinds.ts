import type { TaskFiles } from "./task-files.ts";
import { hashOrder } from "./text.ts";
import { SHORTEST, type TopicSplit } from "./topic.ts";
import type { Synset } from "./wordnet.ts";

/** Kinds of things, each by the noun synset that everything of the kind is below in WordNet: such of which there are more than a hundred private definitions. */
const KINDS: Readonly<Record<string, string>> = {
  mammal: "n01864419",
  bird: "n01505702",
  genus: "n08125938",
  tree: "n13123895", // with shrubs: woody plants
  machine: "n03187746", // devices
  city: "n08693705", // with towns: urban areas
  message: "n06611268",
  writing: "n06360590",
  vein: "n05404676", // with arteries: vessels of the body
  tissue: "n05274844",
  food: "n07586285",
};
const NAMES = Object.keys(KINDS);
const TEST_SHARE = 0.25;
const PUBLIC_TEXTS = 2000;

/**
 * The kinds task: which of eleven kinds of thing a definition is of, among the topic task's private definitions; kinds are as
 * frequent as they are there. The target has read definitions with their topics, never with their kinds. Public texts: other synsets of these kinds.
 *
 * @param synsets all of WordNet, in which the private and the public ones hang together
 */
export function kindsTask(synsets: readonly Synset[], split: TopicSplit): TaskFiles {
  const kindOf = kinds(synsets);
  const labelled = (from: readonly Synset[]) =>
    hashOrder(
      from.flatMap((synset) => {
        const label = kindOf(synset);
        return label === null ? [] : [{ text: synset.definition, label }];
      }),
      // The order in which eleven and 25 kinds were tried out: the rows that chose between them are none of the test's.
      ({ text }) => `large${text}`,
    );
  const mine = labelled(split.private);
  const tests = Math.round(mine.length * TEST_SHARE);
  const open = labelled(split.public).map(({ text }) => text);
  return {
    task: {
      name: "kinds",
      template: "{text}. This is a kind of",
      labels: NAMES.map((name) => ({ name, words: [` ${name}`] })),
      init: "Read the definition and say what kind of thing it is.",
      maxLength: 48,
    },
    train: mine.slice(tests),
    test: mine.slice(0, tests),
    public: [...new Set(open)].filter((text) => text.length >= SHORTEST).slice(0, PUBLIC_TEXTS),
  };
}

/** Tells a synset's kind; null for one that is of none, or of two. */
function kinds(synsets: readonly Synset[]): (synset: Synset) => string | null {
  const byId = new Map(synsets.map((synset) => [synset.id, synset]));
  const found = new Map<string, ReadonlySet<string>>();
  const kindsOf = (id: string): ReadonlySet<string> => {
    const known = found.get(id);
    if (known !== undefined) return known;
    const own = NAMES.filter((name) => KINDS[name] === id);
    const all = new Set([...own, ...(byId.get(id)?.hypernyms ?? []).flatMap((above) => [...kindsOf(above)])]);
    found.set(id, all);
    return all;
  };
  return ({ id }) => {
    const [kind, ...others] = kindsOf(id);
    return kind === undefined || others.length > 0 ? null : kind;
  };
}

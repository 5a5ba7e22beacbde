/**
 * The tokenizer library takes JavaScript's white space in two places where transformers takes Unicode's (which has U+0085 and hasn't
 * U+FEFF): where text is split at white space, and where a token such as RoBERTa's mask takes the white space before it along.
 */

type Json = Readonly<Record<string, unknown>>;

const SPACE = "\\p{White_Space}";

/**
 * @param definition the object of `tokenizer.json`
 * @returns a definition for the library, and what is to be done with a text before the library encodes it
 */
export function withUnicodeSpace(definition: Json): { definition: Json; prepare(text: string): string } {
  const added = (definition.added_tokens ?? []) as readonly Json[];
  const greedy = added
    .filter(({ lstrip }) => lstrip === true)
    .map(({ content }) => String(content).replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  // The look-behind keeps this linear in the length of a long run of spaces.
  const before = new RegExp(`(?<!${SPACE})${SPACE}+(?=${greedy.join("|")})`, "gu");
  return {
    definition: {
      ...definition,
      added_tokens: added.map((token) => ({ ...token, lstrip: false })),
      pre_tokenizer: splitAtUnicodeSpace(definition.pre_tokenizer as Json | null),
    },
    prepare: (text) => (greedy.length === 0 ? text : text.replace(before, "")),
  };
}

function splitAtUnicodeSpace(step: Json | null): Json | null {
  if (step?.type === "WhitespaceSplit") {
    return { type: "Split", pattern: { Regex: `${SPACE}+` }, behavior: "Removed", invert: false };
  }
  if (step?.type !== "Sequence") return step;
  return { ...step, pretokenizers: (step.pretokenizers as Json[]).map(splitAtUnicodeSpace) };
}

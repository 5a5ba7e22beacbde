/**
 * Byte-pair encoding over bytes (Sennrich, Haddow and Birch 2016; bytes as in GPT-2, Radford et al. 2019): start from
 * the 256 bytes and join, again and again, the two neighbours that occur together most often.
 */

/** GPT-2's pre-tokenisation: contractions, words and numbers with the space before them, marks, white space. */
const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** A pair must occur this often to become a token. */
const RAREST = 2;

/** What a byte-level BPE tokenizer is: the special token has id 0, the 256 bytes follow, then one token a merge. */
export interface Bpe {
  readonly special: string;
  /** Each token's text, its bytes written as the characters of `BYTE_CHARACTERS`, by id. */
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
  /** How many tokens the texts it was learned from have, special ones not counted. */
  readonly tokensLearnedFrom: number;
}

/**
 * GPT-2's printable stand-in for each byte: itself where Latin-1 has a visible character, else the next unused one
 * from U+0100 on. `Ġ` is the space.
 */
const BYTE_CHARACTERS: readonly string[] = byteCharacters();

function byteCharacters(): string[] {
  let unused = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const visible = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(visible ? byte : unused++);
  });
}

interface Word {
  readonly count: number;
  pieces: number[];
}

/**
 * Learns a tokenizer of `size` tokens (the special one, 256 bytes, size − 257 merges; fewer if the texts run out of
 * pairs). Of equally frequent pairs the one with the lower ids is joined first, as in Hugging Face's trainer.
 */
export function trainBpe(texts: Iterable<string>, size: number, special = "<|endoftext|>"): Bpe {
  const tokens = [special, ...[...BYTE_CHARACTERS].sort()];
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const words = countWords(texts, ids);
  const pairs = new PairTable(words);
  const merges: [string, string][] = [];
  while (tokens.length < size) {
    const best = pairs.mostFrequent();
    if (best === null) break;
    const [left, right] = best;
    merges.push([tokens[left]!, tokens[right]!]);
    pairs.join(left, right, tokens.length);
    tokens.push(tokens[left]! + tokens[right]!);
  }
  const tokensLearnedFrom = words.reduce((sum, { count, pieces }) => sum + count * pieces.length, 0);
  return { special, tokens, merges, tokensLearnedFrom };
}

function countWords(texts: Iterable<string>, ids: ReadonlyMap<string, number>): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) for (const [word] of text.matchAll(WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return Array.from(counts, ([word, count]) => ({
    count,
    pieces: Array.from(Buffer.from(word), (byte) => ids.get(BYTE_CHARACTERS[byte]!)!),
  }));
}

/** Ids fit in 20 bits, so that two of them make one exact number. */
const BASE = 2 ** 20;

/** How often each pair of neighbours occurs, and in which words; kept up to date while pairs are joined. */
class PairTable {
  readonly #words: readonly Word[];
  readonly #counts = new Map<number, number>();
  readonly #wordsWith = new Map<number, Set<number>>();

  constructor(words: readonly Word[]) {
    this.#words = words;
    words.forEach((_, index) => {
      this.#count(index, 1);
    });
  }

  mostFrequent(): readonly [number, number] | null {
    let best = -1;
    let most = RAREST - 1;
    for (const [pair, count] of this.#counts) {
      if (count > most || (count === most && pair < best)) {
        best = pair;
        most = count;
      }
    }
    return best < 0 ? null : [Math.floor(best / BASE), best % BASE];
  }

  join(left: number, right: number, joined: number): void {
    for (const index of this.#wordsWith.get(left * BASE + right) ?? []) {
      const word = this.#words[index]!;
      this.#count(index, -1);
      word.pieces = replacePair(word.pieces, left, right, joined);
      this.#count(index, 1);
    }
  }

  /** Adds (or, with −1, takes away) what one word has of each pair. */
  #count(index: number, sign: 1 | -1): void {
    const { pieces, count } = this.#words[index]!;
    for (let at = 1; at < pieces.length; at++) {
      const pair = pieces[at - 1]! * BASE + pieces[at]!;
      const total = (this.#counts.get(pair) ?? 0) + sign * count;
      if (total > 0) this.#counts.set(pair, total);
      else this.#counts.delete(pair);
      if (sign > 0) (this.#wordsWith.get(pair) ?? this.#newSet(pair)).add(index);
    }
  }

  #newSet(pair: number): Set<number> {
    const words = new Set<number>();
    this.#wordsWith.set(pair, words);
    return words;
  }
}

function replacePair(pieces: readonly number[], left: number, right: number, joined: number): number[] {
  const replaced: number[] = [];
  for (let at = 0; at < pieces.length; at++) {
    if (pieces[at] === left && pieces[at + 1] === right) {
      replaced.push(joined);
      at++;
    } else replaced.push(pieces[at]!);
  }
  return replaced;
}

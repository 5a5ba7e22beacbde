import { describe, expect, it } from "vitest";
import { kindsTask } from "../../demo/corpora/kinds.ts";
import { parseMail } from "../../demo/corpora/mail.ts";
import { NearDuplicates } from "../../demo/corpora/near-duplicates.ts";
import { pretraining, tasks } from "../../demo/corpora/prepare.ts";
import { untag } from "../../demo/corpora/prose.ts";
import { fingerprint, passages } from "../../demo/corpora/text.ts";
import { dictionaryEntry } from "../../demo/corpora/topic.ts";
import { parseSynset, type Synset } from "../../demo/corpora/wordnet.ts";

describe("the private data", () => {
  const made = tasks();

  it("is as many examples of one class as of any other, but for kinds; none of them twice", () => {
    for (const { task, train, test } of made) {
      const counts = [train, test].map((rows) =>
        task.labels.map(({ name }) => rows.filter(({ label }) => label === name).length),
      );
      const mixed = task.name === "kinds";
      for (const count of counts) expect(new Set(count).size === 1).toBe(!mixed);
      for (const count of counts) expect(Math.min(...count)).toBeGreaterThanOrEqual(20);
      const prints = [...train, ...test].map(({ text }) => fingerprint(text));
      expect(new Set(prints).size).toBe(prints.length);
    }
  });

  it("is in no pre-training document and in no public text", () => {
    // Shorter texts ("terrestrial orchids of North America") are phrases that any dictionary repeats.
    const SHORTEST = 40;
    const documents = [...pretraining().values()].flat();
    const open = fingerprint([...documents, ...made.flatMap((files) => files.public)].join(" "));
    const byStart = Map.groupBy(
      made
        .flatMap(({ train, test }) => [...train, ...test])
        .map(({ text }) => fingerprint(text))
        .filter((print) => print.length >= SHORTEST),
      (print) => print.slice(0, SHORTEST),
    );
    expect(byStart.size).toBeGreaterThan(6000);
    const found: string[] = [];
    for (let at = 0; at + SHORTEST <= open.length; at++) {
      const candidates = byStart.get(open.slice(at, at + SHORTEST)) ?? [];
      found.push(...candidates.filter((print) => open.startsWith(print, at)));
    }
    expect(found).toEqual([]);
  });
});

describe("untag", () => {
  it("puts marks and quotes where a typist would", () => {
    const tagged =
      "``/`` Is/bez it/pps (/( really/rb )/) so/rb ''/'' ,/, he/pps asked/vbd ;/. ;/.\nhe'd/pps+md 1/2/cd ?/. ?/.";
    expect(untag(tagged)).toBe('"Is it (really) so", he asked; he\'d 1/2?');
  });
});

describe("passages", () => {
  it("cuts at sentences, and sentences that are too long at spaces", () => {
    expect(passages("One two. Three four. Five.", 20)).toEqual(["One two. Three four.", "Five."]);
    expect(passages("aaaa bbbb cccc dddd", 9)).toEqual(["aaaa bbbb", "cccc dddd"]);
  });
});

describe("parseMail", () => {
  it("takes the first readable part, decodes it and drops quotes, markup and addresses", () => {
    const raw = [
      "From someone Thu Aug 22 12:36:23 2002",
      "Subject: =?iso-8859-1?Q?Caf=E9?=",
      "  again",
      'Content-Type: multipart/alternative; boundary="XX"',
      "",
      "preamble",
      "--XX",
      "Content-Type: image/png",
      "",
      "iVBOR",
      "--XX",
      "Content-Type: text/html; charset=utf-8",
      "Content-Transfer-Encoding: quoted-printable",
      "",
      "<style>p {}</style><p>Dear <b>f</b>riend =C3=A9t=",
      "=C3=A9, see http://example.org/x or mail me@example.org &amp; be &#34;well&#34;</p>",
      "--XX--",
    ].join("\r\n");
    expect(parseMail(raw, "spam-1")).toEqual({
      group: "spam-1",
      label: "spam",
      subject: "Café again",
      body: 'Dear friend été, see or mail & be "well"',
    });
  });

  it("keeps a reply's own words", () => {
    const raw = "Subject: Re: x\n\nOn Monday 3 May, Jo Doe wrote:\n> old words\nnew words\n-- \nJo\nThe list";
    expect(parseMail(raw, "easy-ham-1").body).toBe("new words");
  });
});

describe("wordnet", () => {
  const line =
    '02087384 05 n 02 hunting_dog 0 Hound(a) 0 001 @ 02086723 n 0000 | a dog used in hunting; a breed; "the hounds barked"; "a good one"  ';

  it("reads a line of the database", () => {
    expect(parseSynset(line)).toEqual({
      id: "n02087384",
      topic: "animal",
      words: ["hunting dog", "Hound"],
      definition: "a dog used in hunting; a breed",
      examples: ["the hounds barked", "a good one"],
      hypernyms: ["n02086723"],
    });
  });

  it("makes an entry that says everything once", () => {
    const entry = dictionaryEntry(parseSynset(line));
    for (const part of ["hunting dog, Hound", "a dog used in hunting; a breed", "Topic: animal.", '"a good one"']) {
      expect(entry.split(part)).toHaveLength(2);
    }
  });
});

describe("kindsTask", () => {
  const synset = (id: string, definition: string, ...hypernyms: string[]): Synset => ({
    ...{ id, definition, hypernyms },
    ...{ topic: "animal", words: [], examples: [] },
  });
  const above = [synset("n01505702", "bird"), synset("n1", "wader", "n01505702"), synset("n01864419", "mammal")];
  const mine = Array.from({ length: 8 }, (_, i) => synset(`m${i}`, `one of the waders, the ${i}th of them`, "n1"));
  const both = synset("m8", "what is a bird and is a mammal as well", "n1", "n01864419");
  const none = synset("m9", "something that is of no kind at all");
  const open = synset("o1", "a wader of whom everybody may read", "n1");
  const all = [...above, ...mine, both, none, open];

  it("takes what is below one kind, at whatever depth, a quarter of it to test", () => {
    const made = kindsTask(all, { private: [...mine, both, none], public: [open, none] });
    expect(made.test).toHaveLength(2);
    expect(new Set([...made.train, ...made.test].map(({ text }) => text))).toEqual(
      new Set(mine.map(({ definition }) => definition)),
    );
    expect(new Set([...made.train, ...made.test].map(({ label }) => label))).toEqual(new Set(["bird"]));
    expect(made.public).toEqual([open.definition]);
  });
});

describe("NearDuplicates", () => {
  const near = new NearDuplicates(["the quick brown fox jumps over the lazy dog", "short text"], (text) => text);

  it("finds a text with other numbers, other ends or more around it, and an equal short one", () => {
    expect(near.of("Hello 12! The quick, brown fox jumps over the lazy cat")).toEqual([
      "the quick brown fox jumps over the lazy dog",
    ]);
    expect(near.of("SHORT text!")).toEqual(["short text"]);
  });

  it("doesn't find one that shares a few words", () => {
    expect(near.of("the quick brown fox sleeps beside the lazy dog")).toEqual([]);
  });
});

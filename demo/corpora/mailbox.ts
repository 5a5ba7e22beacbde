import { GROUPS_OF_2002, GROUPS_OF_2003, type Mail, mails } from "./mail.ts";
import { NearDuplicates } from "./near-duplicates.ts";
import type { TaskFiles } from "./task-files.ts";
import { fingerprint, hashOrder, passages } from "./text.ts";

/** A task reads the beginning of a mail, in characters: more than its maxLength can hold. */
const KEPT = 500;
const TEST_PER_CLASS = 300;
const LABELS = ["ham", "spam"] as const;

/** How mails of either kind are filed in the public passages that the target learns from. */
const FOLDERS = { ham: "inbox", spam: "junk" } as const;
/** A passage of a public mail, in characters, and how many of one mail are used. */
const PASSAGE = 320;
const PASSAGES = 10;
/** Texts in the public set by group, and how many of one mail are used. */
const PUBLIC_TEXTS = { "easy-ham-1": 700, "hard-ham-1": 300, "spam-1": 1000 } as const;
const TEXTS_OF_ONE = 4;

/** The public mails (groups of 2002) as passages of which each says in which folder it was filed. */
export function publicMailPassages(): string[] {
  return mails(GROUPS_OF_2002).flatMap((mail) =>
    mailPassages(mail).map((passage) => `${passage}\nFolder: ${FOLDERS[mail.label]}.`),
  );
}

function mailPassages({ subject, body }: Mail): string[] {
  return passages(`${subject}. ${body}`, PASSAGE).slice(0, PASSAGES);
}

/**
 * The mailbox task: spam or ham among the groups of 2003, as many of one as of the other; public texts: the groups
 * of 2002. No private mail is a near-duplicate of a public one. `test` has only mails without a near-duplicate
 * anywhere; `train` keeps the variants of a mail that a mailbox gets, but nothing twice.
 */
export function mailboxTask(): TaskFiles {
  const publicMails = mails(GROUPS_OF_2002);
  const open = new NearDuplicates(publicMails, ({ body }) => body.slice(0, PASSAGE * PASSAGES));
  const mine = unique(hashOrder(mails(GROUPS_OF_2003), beginning)).filter(
    (mail) => open.of(opening(mail)).length === 0,
  );
  const among = new NearDuplicates(mine, opening);
  const test = perClass(
    mine.filter((mail) => among.of(opening(mail)).every((other) => other === mail)),
    TEST_PER_CLASS,
  );
  const rest = mine.filter((mail) => !test.includes(mail));
  const size = Math.min(...LABELS.map((label) => rest.filter((mail) => mail.label === label).length));
  return {
    task: {
      name: "mailbox",
      template: "{text}. This goes into the",
      labels: [
        { name: "ham", words: [" inbox"] },
        { name: "spam", words: [" junk"] },
      ],
      init: "Read the mail and say in which folder it belongs.",
      maxLength: 56,
    },
    train: rows(perClass(rest, size)),
    test: rows(test),
    public: publicTexts(),
  };
}

/**
 * Texts for a transfer, without labels: passages after their mail's subject, as a mail of the task begins. As much spam
 * as ham, so that neither is a rarity among them.
 */
function publicTexts(): string[] {
  const texts = GROUPS_OF_2002.flatMap((group) => {
    const all = mails([group]).flatMap(({ subject, body }) =>
      passages(body, PASSAGE)
        .slice(0, TEXTS_OF_ONE)
        .map((passage) => beginning({ subject, body: passage })),
    );
    return hashOrder([...new Set(all)], (text) => text).slice(0, PUBLIC_TEXTS[group]);
  });
  return hashOrder(texts, (text) => text);
}

/** The beginning of a mail, as the tasks see it. */
function beginning({ subject, body }: Pick<Mail, "subject" | "body">): string {
  return `${subject}. ${body}`.slice(0, KEPT);
}

/** What two mails are compared by: subjects are as often shared by strangers as changed in a copy. */
function opening(mail: Mail): string {
  return mail.body.slice(0, KEPT);
}

function unique(from: readonly Mail[]): Mail[] {
  return [...new Map(from.map((mail) => [fingerprint(beginning(mail)), mail])).values()];
}

function perClass(from: readonly Mail[], count: number): Mail[] {
  return LABELS.flatMap((label) => from.filter((mail) => mail.label === label).slice(0, count));
}

function rows(from: readonly Mail[]): TaskFiles["train"] {
  const all = from.map((mail) => ({ text: beginning(mail), label: mail.label }));
  return hashOrder(all, (row) => row.text);
}

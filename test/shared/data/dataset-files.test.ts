/** Which files of a data set on the hub are a split's, as `datasets` would find them. */
import { describe, expect, test } from "vitest";
import { filesOfSplit } from "../../../shared/data/dataset-files.ts";
import { parseDatasetId } from "../../../shared/data/dataset-id.ts";

const files = (id: string, paths: readonly string[], card = "") => filesOfSplit(card, paths, parseDatasetId(id)!);
const card = (yaml: string) => `---\nlicense: mit\n${yaml}\n---\n# A data set\n`;

test("an id names a config, a revision and a split", () => {
  const repo = { kind: "dataset", name: "org/name", revision: "main" };
  expect(parseDatasetId("org/name:train")).toEqual({ repo, config: undefined, split: "train" });
  expect(parseDatasetId("org/name/20220301.en:test")).toEqual({ repo, config: "20220301.en", split: "test" });
  expect(parseDatasetId("org/name/default@refs/convert/parquet:train")).toEqual({
    repo: { ...repo, revision: "refs/convert/parquet" },
    config: "default",
    split: "train",
  });
  for (const none of [
    "rows.jsonl",
    "org/name",
    "name:train",
    "C:\\rows.csv",
    "org/name@../x:train",
    "/a/b:c",
    "a/../b:c",
  ]) {
    expect(parseDatasetId(none), none).toBeUndefined();
  }
});

describe("without a card", () => {
  test.each([
    ["data/train-00000-of-00002.parquet", "train"],
    ["train/0000.parquet", "train"],
    ["my_train_file.jsonl", "train"],
    ["data/dev.jsonl", "validation"],
    ["valid/a.csv", "validation"],
    ["test/train.jsonl", "train"],
  ])("%s is of %s", (path, split) => expect(files(`o/n:${split}`, [path, "README.md", "x.py"])).toEqual([path]));

  test("files that no split is named in are train's", () => {
    expect(files("o/n:train", ["b.jsonl", "a.jsonl", ".x.jsonl", "dataset_infos.json"])).toEqual([
      "a.jsonl",
      "b.jsonl",
    ]);
    expect(files("o/n:train", ["trainee.jsonl"])).toEqual(["trainee.jsonl"]);
  });

  test("a config is a folder, and what is there twice is read once", () => {
    const paths = ["de/train.csv", "de/train.parquet", "en/train.csv", "en/test.csv"];
    expect(files("o/n/de:train", paths)).toEqual(["de/train.parquet"]);
    expect(files("o/n/en:train", paths)).toEqual(["en/train.csv"]);
  });

  test.each([
    [
      "o/n:test",
      ["train.csv", "dev.csv"],
      /no split "test": it has "validation", "train"|it has "train", "validation"/,
    ],
    ["o/n:train", ["n.py", "data.zip"], /none of its files is Parquet.*o\/n\/default@refs\/convert\/parquet:train/],
  ])("what is missing is named (%s)", (id, paths, message) => {
    expect(() => files(id, paths)).toThrow(message);
  });
});

describe("with a card", () => {
  const paths = ["a/1.parquet", "a/2.parquet", "b/1.parquet", "b/deep/2.parquet", "c.jsonl"];
  const two = card(`configs:
- config_name: first
  data_files:
  - split: train
    path: a/*
  - split: extra.held-out
    path:
    - "b/**/*.parquet"
- config_name: second
  default: true
  data_files: c.jsonl`);

  test("the files are those that it lists", () => {
    expect(files("o/n/first:train", paths, two)).toEqual(["a/1.parquet", "a/2.parquet"]);
    expect(files("o/n/first:extra.held-out", paths, two)).toEqual(["b/1.parquet", "b/deep/2.parquet"]);
    expect(files("o/n:train", paths, two)).toEqual(["c.jsonl"]);
    expect(files("o/n:train", ["en/x.csv", "de/x.csv"], card("configs:\n- data_dir: ./en/"))).toEqual(["en/x.csv"]);
  });

  test("what it doesn't list is refused with what it does", () => {
    expect(() => files("o/n/third:train", paths, two)).toThrow(/no config "third": it has "first", "second"/);
    expect(() => files("o/n/first:test", paths, two)).toThrow(/no split "test": it has "train", "extra.held-out"/);
  });

  test("that is broken, or made to take long, is none", () => {
    for (const yaml of [
      "configs: [",
      "configs: 5",
      'configs:\n- "x"',
      "a: &a [1]\nb: [*a, *a]\nconfigs: !!js/function x",
    ]) {
      expect(files("o/n:train", paths, card(yaml))).toEqual(paths.slice(0, 4));
    }
    const slow = card(`configs:\n- data_files: "${"*a".repeat(50)}"`);
    expect(() => files("o/n:train", [`${"a".repeat(5000)}.csv`], slow)).toThrow(/no split "train"/);
    const bomb = Array.from({ length: 30 }, (_, i) => `x${i + 1}: &x${i + 1} [*x${i}, *x${i}]`).join("\n");
    expect(files("o/n:train", paths, card(`x0: &x0 [1]\n${bomb}`))).toEqual(paths.slice(0, 4));
  });
});

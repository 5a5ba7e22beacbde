"""Makes the Parquet files of golden/parquet: the same rows, written in several ways.

    python make-parquet.py FOLDER      (pyarrow 25)
"""
import sys

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 50
table = pa.table(
    {
        "id": pa.array(range(ROWS), pa.int64()),
        "review": [None if i == 40 else f"größer, \"quoted\"\nsecond line 🤖 {i}" for i in range(ROWS)],
        "label": pa.array([i % 2 for i in range(ROWS)], pa.int64()),
        "name": [["negative", "positive"][i % 2] for i in range(ROWS)],
        "tags": [[f"t{i}", "x"] for i in range(ROWS)],
    }
)
for name, options in {
    "snappy": {"compression": "snappy", "row_group_size": 7},
    "zstd": {"compression": "zstd", "use_dictionary": False},
    "gzip": {"compression": "gzip", "data_page_version": "2.0"},
    "plain": {"compression": "none", "use_dictionary": False},
}.items():
    pq.write_table(table, f"{sys.argv[1]}/{name}.parquet", **options)

# Numbers within lists, structs and maps, some of which a double can't hold.
BIG = 2**53 + 1
nested = pa.table(
    {
        "text": ["a", "b"],
        "ids": pa.array([[1, BIG], None], pa.list_(pa.int64())),
        "who": pa.array([{"id": 7, "more": [{"n": BIG}]}, {"id": None, "more": []}]),
        "counts": pa.array([[("x", 2)], []], pa.map_(pa.string(), pa.int64())),
    }
)
pq.write_table(nested, f"{sys.argv[1]}/nested.parquet", compression="none")

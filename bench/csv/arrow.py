"""The driver of pyarrow, on one thread; drive.h says what a driver does.

    arrow.py FILE PASSES

It gives columns, not rows, so its cells are not hashed in the order of the others but counted and summed.
"""

import json
import sys
import time

import pyarrow
import pyarrow.compute
import pyarrow.csv

READ = pyarrow.csv.ReadOptions(use_threads=False, autogenerate_column_names=True)
PARSE = pyarrow.csv.ParseOptions(newlines_in_values=True)


def parse(data, columns):
    texts = {f"f{number}": pyarrow.string() for number in range(columns)}
    convert = pyarrow.csv.ConvertOptions(column_types=texts, strings_can_be_null=False)
    return pyarrow.csv.read_csv(pyarrow.BufferReader(data), READ, PARSE, convert)


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    columns = len(pyarrow.csv.open_csv(sys.argv[1], READ, PARSE).schema)
    table = parse(data, columns)
    size = sum(pyarrow.compute.sum(pyarrow.compute.binary_length(column)).as_py() or 0
               for column in table.columns)
    spent = []
    for _ in range(int(sys.argv[2])):
        begin = time.process_time()
        parse(data, columns)
        spent.append(time.process_time() - begin)
    print(json.dumps({"rows": table.num_rows, "cells": table.num_rows * columns, "bytes": size,
                      "hash": None, "cpu_s": spent}))


if __name__ == "__main__":
    main()

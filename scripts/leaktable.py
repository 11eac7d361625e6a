#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""leaktable.py: puts what the suite leakcheck has seen into docs/memory.md.

    leaktable.py [KERNEL]...    runs the suite on the kernels that the tables have a
                                column for, or on those, and writes their columns
    leaktable.py FILE.ktap...   writes those that a run has told, whose test.ktap that is
    leaktable.py check [KTAP]   whether each way to leak has its row and each column
                                its kernel; and whether the columns of the kernels in
                                KTAP, which run.py has written, tell the same methods

A table follows a line "<!-- table: KERNEL... -->". Where a count differs from one run
to the next that is no difference; a method that does or does not see is one, but for
kmemleak and the log beside another: what they see depends on what else there is.
"""

import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCUMENT = os.path.join(ROOT, "docs", "memory.md")
LEAKY = os.path.join(ROOT, "tests", "leaky", "leaky.c")
TABLE = re.compile(r"(<!-- table: ([^>]*) -->\n)((?:\|.*\n)*)")
TITLES = {
    "kmalloc": "kmalloc()",
    "cache": "a cache of its own",
    "merged": "a cache that is merged",
    "mempool": "an object of a mempool",
    "kstrdup": "kstrdup()",
    "vmalloc": "vmalloc()",
    "init": "vmalloc() in init",
    "pages": "alloc_pages()",
    "percpu": "per-CPU memory",
    "kref": "a kref never put",
    "pid": "a reference to a pid",
    "batch": "15 of 16 of a batch",
    "slow": "1 object in 1,000 uses",
    "all": "found, of 13",
    "twins": "the innocent twins of all",
}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def ways():
    return re.findall(r'^\t\{ "(\w+)", ', read(LEAKY), re.MULTILINE)


def columns(ktap):
    """{kernel: {row: cell}} of what run.py has written."""
    found = {}
    kernel = None
    for line in ktap.splitlines():
        subtest = re.match(r" *# Subtest: (\S+) leakcheck$", line)
        told = re.match(r" *# column (\w+)\| ?(.*)$", line)
        if subtest:
            kernel = subtest.group(1)
        elif told and kernel:
            found.setdefault(kernel, {})[told.group(1)] = told.group(2).strip()
    for column in found.values():
        column["all"] = summary(column)
    return found


def methods(cell):
    """The methods that a cell names, with something that each has seen."""
    return set(re.findall(r"\b([a-z_]+) [1-9]", cell))


def told_by(cell):
    """What two cells must have in common."""
    seen = methods(cell)
    return bool(seen), seen - {"kmemleak", "log"}


def summary(column):
    """How many ways were found, and by which method."""
    seen = [methods(column.get(way, "")) for way in ways()]
    each = {}
    for names in seen:
        for name in names:
            each[name] = each.get(name, 0) + 1
    best = sorted(each, key=lambda name: (-each[name], name))
    return f"**{sum(map(bool, seen))}**: " + \
        ", ".join(f"{name} {each[name]}" for name in best)


def parse(body):
    """{title: [cell]} of the rows of a table; the head is not one of them."""
    rows = {}
    for line in body.splitlines()[2:]:
        title, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[title] = cells
    return rows


def table(kernels, columns_):
    lines = ["| what is lost | " + " | ".join(kernels) + " |",
             "|---|" + "---|" * len(kernels)]
    for row, title in TITLES.items():
        cells = [columns_.get(kernel, {}).get(row, "") for kernel in kernels]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def documented(text):
    """{kernel: {row: cell}} of the document."""
    names = {title: row for row, title in TITLES.items()}
    found = {}
    for _, kernels, body in TABLE.findall(text):
        for number, kernel in enumerate(kernels.split()):
            found[kernel] = {names.get(title, title): cells[number]
                             for title, cells in parse(body).items()
                             if number < len(cells)}
    return found


def run(kernels):
    with tempfile.TemporaryDirectory() as out:
        words = [word for kernel in kernels for word in ("-k", kernel)]
        subprocess.run([os.path.join(ROOT, "tests", "run.py"), *words, "-s", "leakcheck",
                        "-j", "1", "-o", out], check=True)
        return columns(read(os.path.join(out, "test.ktap")))


def write(arguments):
    known = documented(read(DOCUMENT))
    if arguments and all(argument.endswith(".ktap") for argument in arguments):
        seen = columns("".join(map(read, arguments)))
        kernels = list(seen)
    else:
        kernels = arguments or list(known)
        seen = {}
    for kernel in kernels:
        if kernel not in known:
            sys.exit(f"leaktable.py: no table has a column for {kernel}")
    seen = seen or run(kernels)
    for kernel in kernels:
        lacking = set(TITLES) - set(seen.get(kernel, {}))
        if lacking:
            sys.exit(f"leaktable.py: {kernel} did not tell {' '.join(sorted(lacking))}")
    known.update(seen)
    text = TABLE.sub(lambda match: match.group(1) + table(match.group(2).split(), known),
                     read(DOCUMENT))
    with open(DOCUMENT, "w", encoding="utf-8") as file:
        file.write(text)


def check(ktap=None):
    """Prints what is not so."""
    known = documented(read(DOCUMENT))
    rows = ways() + ["all", "twins"]
    if rows != list(TITLES):
        print("scripts/leaktable.py: its titles are not the ways of tests/leaky")
    for kernel, column in known.items():
        for row in rows:
            if not column.get(row):
                print(f"docs/memory.md: {kernel}: no figure of {row}: "
                      f"run scripts/leaktable.py {kernel}")
        if column.get("all") != summary(column):
            print(f"docs/memory.md: {kernel}: the sum is not that of the rows")
    if not ktap:
        return
    seen = columns(read(ktap))
    if not seen:
        print(f"{ktap}: nothing of the suite leakcheck")
    for kernel in sorted(set(seen) & set(known)):
        for row in rows:
            old, new = known[kernel].get(row, ""), seen[kernel].get(row, "")
            if row == "twins":
                same = old == new
            else:
                same = row == "all" or told_by(old) == told_by(new)
            if not same:
                print(f"docs/memory.md: {kernel}: {row}: the document says '{old}', "
                      f"seen was '{new}'")


if __name__ == "__main__":
    if sys.argv[1:2] == ["check"]:
        check(*sys.argv[2:])
    elif sys.argv[1:2] in (["-h"], ["--help"]):
        print(__doc__)
    else:
        write(sys.argv[1:])

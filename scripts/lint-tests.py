#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""lint-tests.py: whether the map of the tests is true.

Every lab question and trap that a title cites is in the legend of
tests/README.md, and the legend names, for each, the suites whose titles cite it;
every suite, KUnit suite and mutant is one that `make test` runs; and every mutant
is in docs/mutants.md. Prints what is not so.
"""

import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.dont_write_bytecode = True

from runner import mutants, suites  # noqa: E402
from runner.common import Failure  # noqa: E402

TITLE = re.compile(r"^t '((?:[^']|'\\'')*)'", re.MULTILINE)
CITED = re.compile(r"\bT[1-9]Q[1-9]\b|\btraps? [0-9]+(?:, [0-9]+)*")
# | trap 7 | what it is | `figures`, `stress` |
ROW = re.compile(r"^\| (T[1-9]Q[1-9]|trap [0-9]+) \|.*\| ([^|]*) \|$", re.MULTILINE)


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def citations(text):
    for words in CITED.findall(text):
        if words.startswith("T"):
            yield words
        else:
            yield from (f"trap {number}" for number in re.findall("[0-9]+", words))


def cited(known):
    """{question or trap: the suites that cite it}"""
    found = {}
    for name, suite in known.items():
        for title in TITLE.findall(read("tests", "suites", os.path.basename(suite.path))):
            for what in citations(title):
                found.setdefault(what, set()).add(name)
    return found


def check_legend(known):
    legend = dict(ROW.findall(read("tests", "README.md")))
    tests = cited(known)
    for what in sorted(set(tests) - set(legend)):
        yield f"tests/README.md: {what} is cited by {', '.join(tests[what])} and is not in the legend"
    kunit = "".join(read("tests", "kunit", os.path.basename(path)) for path in
                    glob.glob(os.path.join(ROOT, "tests", "kunit", "*.h")))
    for what, column in legend.items():
        named = set(re.findall(r"`([a-z_]+)`", column))
        cases = {name for name in named if name.startswith("tm_test_")}
        wanted = tests.get(what, set())
        if named - cases != wanted:
            names = ", ".join(f"`{name}`" for name in sorted(wanted)) or "no suite"
            yield f"tests/README.md: {what}: the titles that cite it are those of {names}"
        for case in cases:
            if f"KUNIT_CASE({case})" not in kunit:
                yield f"tests/README.md: {what}: there is no KUnit case {case}"
        if not named and column.strip() in ("", "-"):
            yield f"tests/README.md: {what}: neither a test nor a reason"


def check_mutants(known):
    yield from mutants.orphans(known)
    table = set(re.findall(r"^\| ([a-z0-9-]+) \| (?!mistake)", read("docs", "mutants.md"),
                           re.MULTILINE))
    patches = mutants.all_mutants()
    for name in sorted(table ^ set(patches)):
        yield f"docs/mutants.md: {name} is not there, or has no patch"


def check_cases(known):
    """A case that would never run, a title that is not looked up, a wait in vain."""
    for name, suite in known.items():
        text = read("tests", "suites", os.path.basename(suite.path))
        behind = re.search(r"^run_tests\n(.*)", text, re.DOTALL | re.MULTILINE)
        if behind and behind.group(1).strip():
            yield f"{name}: what stands behind run_tests never runs"
        for line in re.findall(r"^\s*t (?!').*$", text, re.MULTILINE):
            yield f"{name}: a title stands in single quotes: {line.strip()}"
        # An unnoticed end of the wait shows later, as something else.
        for line in re.findall(r"^\s*wait_for .*$", text.replace("\\\n", ""), re.MULTILINE):
            if "||" not in line and "&&" not in line:
                yield f"{name}: a wait may end unnoticed: {line.strip()}"


def check_suites(known):
    table = set(re.findall(r"`([a-z]+)`", "".join(
        re.findall(r"^\| (`[a-z]+`.*?) \|", read("tests", "README.md"), re.MULTILINE))))
    for name in sorted(set(known) - table):
        yield f"tests/README.md: the suite {name} is not in the table of suites"


def main():
    try:
        known = suites.all_suites()
        suites.kunit_suites()
        found = [*check_suites(known), *check_cases(known), *check_legend(known), *check_mutants(known)]
    except Failure as failure:
        found = [str(failure)]
    print("\n".join(found), end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: GPL-2.0
"""Mutants: proves that the tests can fail.

Each patch in tests/mutants is one mistake that people make in such a module; it
is applied to a copy of the sources, and the suite that it names must fail there.
That suite has to pass on the unchanged sources first.
"""

import argparse
import glob
import os
import re
import shutil
import subprocess
import tempfile

from . import jobs, suites
from .common import ROOT, TESTS, Failure, say

MUTANTS = os.path.join(TESTS, "mutants")

# A report of the kernel's that says what was wrong.
EVIDENCE = re.compile(r"BUG:|WARNING:|KASAN|Objects remaining|possible |INFO: |buggy ")


class Mutant:
    """One patch: its first line, and where it is caught."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.splitext(os.path.basename(path))[0]
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.mistake = text.partition("\n")[0]
        caught = re.search(r"^Caught-by: (\S+) (\S+)$", text, re.MULTILINE)
        if not caught:
            raise Failure(f"{path}: no line 'Caught-by: KERNEL SUITE'")
        self.kernel, self.suite = caught.groups()


def all_mutants():
    paths = sorted(glob.glob(os.path.join(MUTANTS, "*.patch")))
    return {mutant.name: mutant for mutant in map(Mutant, paths)}


def orphans(known):
    """The mutants that no run of `make test` would notice."""
    for mutant in all_mutants().values():
        suite = known.get(mutant.suite)
        if not suite or mutant.kernel not in suite.kernels:
            yield (f"{mutant.name}: make test does not run {mutant.suite} on "
                   f"{mutant.kernel}")


def evidence(report):
    """Detected by: a report of the kernel's, or the first test that failed."""
    notes = list(report.notes)
    for result in report.results:
        notes += result.notes
    for note in notes:
        if EVIDENCE.search(note):
            note = re.sub(r"^\[[^]]*\] *(\[[^]]*\])* *", "", note)
            return re.sub(r" at \S*/", " at ", note)
    for result in report.results:
        if result.verdict == "failed":
            return result.title
    return "the VM gave no verdict"


class Judge:
    """Runs mutants; the guests are packed one for each."""

    def __init__(self, lab, known):
        self.lab = lab
        self.known = known
        self.files = list(lab.guest_files())

    def guest(self, name, kernel, suite, source=None):
        out = os.path.join(self.lab.work, f"{name}.cpio")
        return self.lab.pack(kernel.partition("+")[0], self.files, out, source,
                             self.known[suite].needs)

    def unchanged(self, kernel, suite):
        """Does the suite pass without a mutant?"""
        name = f"{kernel}-{suite}"
        report = self.lab.run(kernel, self.known[suite],
                              self.guest(name, kernel, suite), name)
        failed = report.count("failed")
        if failed:
            jobs.show(report)
        say(f"unchanged, kernel {kernel}, {suite}: "
            f"{'FAILS, so it proves nothing' if failed else 'passes'}")
        return not failed

    def judge(self, mutant):
        """What became of it, and whether it was caught."""
        tree = os.path.join(self.lab.work, "tree", mutant.name)
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git"))
        try:
            if subprocess.run(["git", "apply", mutant.path], cwd=tree,
                              check=False).returncode:
                return mutant, "DOES NOT APPLY", False
            try:
                cpio = self.guest(mutant.name, mutant.kernel, mutant.suite, tree)
            except Failure:
                return mutant, "DOES NOT BUILD", False
            report = self.lab.run(mutant.kernel, self.known[mutant.suite], cpio,
                                  mutant.name)
            os.remove(cpio)
            if not report.count("failed"):
                return mutant, "SURVIVED", False
            return mutant, evidence(report), True
        finally:
            shutil.rmtree(tree)


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def main(arguments):
    parser = argparse.ArgumentParser(prog="run.py mutants", description=__doc__)
    parser.add_argument("-t", dest="table", help="writes the table to that file")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args(arguments)
    known = suites.all_suites()
    every = all_mutants()
    for name in options.names:
        if name not in every:
            raise Failure(f"no mutant '{name}'")
    chosen = [every[name] for name in options.names or every]
    jobs.require("test")
    rows = []
    survivors = 0
    with tempfile.TemporaryDirectory() as work:
        lab = jobs.Lab(work)
        missing = [mutant for mutant in chosen if not lab.has(mutant.kernel)]
        for mutant in missing:
            chosen.remove(mutant)
            say(f"not run: {mutant.name}, for kernel {mutant.kernel} cannot be had here")
        judge = Judge(lab, known)
        pairs = sorted({(mutant.kernel, mutant.suite) for mutant in chosen})
        say(f"{len(pairs)} suites on the unchanged sources")
        if not all(list(jobs.in_parallel(judge.unchanged, pairs))):
            raise Failure("the tests fail without any mutant")
        say(f"{len(chosen)} mutants")
        for mutant, found, caught in jobs.in_parallel(judge.judge,
                                                      [(m,) for m in chosen]):
            survivors += not caught
            rows.append(row(mutant.name, mutant.mistake, mutant.kernel,
                            mutant.suite, found))
            print(rows[-1], flush=True)
    if options.table:
        with open(options.table, "w", encoding="utf-8") as file:
            print(row("mutant", "mistake", "kernel", "suite", "detected by"), file=file)
            print("|---|---|---|---|---|", file=file)
            print("\n".join(sorted(rows)), file=file)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants caught"
          + (f", {len(missing)} not run" if missing else ""))
    return int(survivors > 0 or not chosen)

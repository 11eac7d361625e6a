# SPDX-License-Identifier: GPL-2.0
"""Grades the grader: submissions of ours, whose scores are known.

tests/submissions/expected names each with what it loses. A submission is
    stage-N     stages.c after task N of the lab
    traps/NAME  stages.c after task 7 with a patch: exactly that mistake
    forms/NAME  likewise, with nothing wrong: an answer given in another form
    hostile/NAME  likewise, with a module that wants to end the grading
    taskmonitor this project's own module
"""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass

from runner import jobs
from runner.common import Failure, ROOT, TESTS, say

from . import grading, stages
from .judge import Grade

SUBMISSIONS = os.path.join(TESTS, "submissions")
EXPECTED = os.path.join(SUBMISSIONS, "expected")


@dataclass
class Expected:
    """A submission of ours: the kernels that it is asked on, and what it loses."""

    name: str
    kernels: list[str]
    losses: dict[str, tuple[str, int]]      # question: verdict and trap
    questions: list[str]                    # none: all


def table(path: str = EXPECTED) -> list[Expected]:
    """Lines of NAME KERNEL,... LOSS..., where a loss is QUESTION:VERDICT[:TRAP]."""
    rows = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = line.partition("#")[0].split()
            if not words:
                continue
            name, kernels, *rest = words
            losses = {}
            for word in rest:
                match = re.fullmatch(r"(T\dQ\d):(fail|partly|unseen)(?::(\d+))?", word)
                if not match:
                    raise Failure(f"{path}: {name}: '{word}' is no loss")
                losses[match.group(1)] = (match.group(2), int(match.group(3) or 0))
            rows.append(Expected(name, kernels.split(","), losses, []))
    named = {row.name for row in rows}
    for kind in ("traps", "forms", "hostile"):
        directory = os.path.join(SUBMISSIONS, kind)
        for file in sorted(os.listdir(directory)):
            name = f"{kind}/{file.removesuffix('.patch')}"
            if name not in named:
                raise Failure(f"{name} has no line in {path}, so it would never run")
    return rows


def make(name: str, directory: str) -> str:
    """Writes a submission into a directory; returns what is to be graded."""
    if name == "taskmonitor":
        return ROOT
    number = re.fullmatch(r"stage-([1-7])", name)
    stages.write(int(number.group(1)) if number else 7,
                 os.path.join(directory, "taskmonitor.c"))
    if not number:
        patch = os.path.join(SUBMISSIONS, name + ".patch")
        done = subprocess.run(["patch", "-s", "-p1", "-d", directory, "-i", patch],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failure(f"{name} does not apply: {done.stdout.strip()}")
    return directory


def differences(row: Expected, grade: Grade) -> list[str]:
    """Where the grade is not what it should be."""
    found = []
    for score in grade.scores:
        verdict, trap = row.losses.get(score.question.name, ("pass", 0))
        if score.verdict == "words" or (score.verdict == "unseen" and verdict == "pass"):
            continue
        if score.verdict != verdict or (verdict != "pass" and score.trap != trap):
            wanted = f"{verdict}{f' trap {trap}' if trap else ''}"
            found.append(f"{score.line()}; expected: {wanted}")
    return found


def judge(row: Expected) -> tuple[Expected, list[str], float]:
    with tempfile.TemporaryDirectory(dir=grading.scratch()) as work:
        directory = os.path.join(work, "submission")
        os.mkdir(directory)
        grade = grading.grade(make(row.name, directory),
                              grading.Choice(row.kernels, row.questions))
    return row, differences(row, grade), grade.seconds


def choose(names: list[str]) -> list[Expected]:
    """Those that are named, or all. A name is NAME[@KERNEL][=QUESTION,...]."""
    rows = {row.name: row for row in table()}
    if not names:
        return list(rows.values())
    chosen = []
    for word in names:
        before, _, asked = word.partition("=")
        name, _, kernel = before.partition("@")
        if name not in rows:
            raise Failure(f"'{name}' is not in {EXPECTED}")
        row = rows[name]
        chosen.append(Expected(name, [kernel] if kernel else row.kernels, row.losses,
                               [question for question in asked.split(",") if question]))
    return chosen


def run(names: list[str], vms: int) -> int:
    """Grades submissions of ours; the last line counts those that are as expected."""
    chosen = choose(names)
    wrong = 0
    for row, found, seconds in jobs.in_parallel(judge, [(row,) for row in chosen], vms):
        wrong += bool(found)
        say(f"{row.name}: {'as expected' if not found else 'NOT as expected'} "
            f"({seconds:.0f} s)")
        for line in found:
            print(f"{row.name}: {line}", flush=True)
    print(f"{len(chosen) - wrong} of {len(chosen)} submissions graded as expected")
    return int(wrong > 0)

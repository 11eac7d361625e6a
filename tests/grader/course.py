# SPDX-License-Identifier: GPL-2.0
"""A class: every submission of a directory, some at a time. What becomes of one is
of no effect on the others."""

import os
import traceback

from runner import jobs
from runner.common import Failure, say

from . import grading, report
from .judge import Grade


def write(directory: str, name: str, text: str) -> None:
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        file.write(text)


def keep(grade: Grade, directory: str, prefix: str = "") -> None:
    name = grade.submission.name
    write(directory, prefix + "results.json", report.results(grade))
    write(directory, name + ".html", report.page(grade))
    write(directory, name + ".txt", report.text(grade))


def grade_one(path: str, choice: grading.Choice) -> tuple[str, Grade | str]:
    """A grade, or why there is none."""
    name = os.path.basename(path)
    try:
        return name, grading.grade(path, choice)
    except Failure as failure:
        return name, str(failure)
    except Exception:                               # of ours, on input of theirs
        return name, "the grader failed: " + traceback.format_exc().splitlines()[-1]


def grade(directory: str, out: str, vms: int, choice: grading.Choice) -> int:
    """All of them; a line each as they end, and a table in index.html."""
    paths = sorted(entry.path for entry in os.scandir(directory)
                   if not entry.name.startswith("."))
    if not paths:
        raise Failure(f"there is nothing in '{directory}'")
    grades: list[tuple[str, Grade | str]] = []
    for name, result in jobs.in_parallel(grade_one, [(path, choice) for path in paths],
                                         vms):
        grades.append((name, result))
        if isinstance(result, Grade):
            keep(result, out, f"{result.submission.name}.")
            outcome = f"{result.points}/{result.most} ({result.seconds:.0f} s)"
        else:
            outcome = result
        say(f"{len(grades)} of {len(paths)}: {name}: {outcome}")
    grades.sort(key=lambda pair: pair[0])
    write(out, "index.html", report.index(grades))
    for name, result in grades:
        if isinstance(result, Grade):
            print(f"{name} {result.points}/{result.most}")
        else:
            print(f"{name} -: {result}")
    print(os.path.join(out, "index.html"))
    return 0

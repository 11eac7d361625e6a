#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""grade.py: grades solutions of the lab.

    grade.py [-k KERNEL]... [-q QUESTION]... [-w WEIGHTS] [-o DIRECTORY] M
    grade.py class [-j VMS] [-w WEIGHTS] [-o DIRECTORY] DIRECTORY
    grade.py check [NAME]...        grades tests/submissions, whose scores are known
    grade.py stage N FILE.c         the plain solution after task N of the lab

M is a directory, a .c, a .tar.gz, or a built .ko. It is built against each kernel
in a sandbox, and asked the lab's questions in VMs: tests/README.md. The exit
status is 0 when the grading came to its end, also for a grade of 0.
"""

import argparse
import os
import sys

from grader import check, course, grading, report, stages
from grader.questions import WEIGHTS, weights
from runner import jobs
from runner.common import Failure, cache_dir, children, end_on_signals, say


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="grade.py", usage=__doc__)
    add = parser.add_argument
    add("-k", dest="kernels", metavar="KERNEL", action="append", default=[])
    add("-q", dest="questions", metavar="QUESTION", action="append", default=[])
    add("-w", dest="weights", default=WEIGHTS)
    add("-j", dest="vms", type=int, default=jobs.WORKERS)
    add("-o", dest="out", metavar="DIRECTORY",
        default=os.path.join(cache_dir(), "grades"))
    add("words", nargs="+", metavar="M")
    return parser.parse_args(arguments)


def one(options: argparse.Namespace) -> int:
    if len(options.words) != 1:
        raise Failure("one submission at a time; see grade.py class")
    grade = grading.grade(options.words[0], grading.Choice(
        options.kernels, options.questions, weights(options.weights)))
    course.keep(grade, options.out)
    sys.stdout.write(report.text(grade))
    say(f"results.json and {grade.submission.name}.html: {options.out}")
    return 0


def main() -> int:
    end_on_signals()
    options = parse(sys.argv[1:])
    word, *rest = options.words
    if word == "stage" and len(rest) == 2:
        stages.write(int(rest[0]), rest[1])
        return 0
    jobs.require("grade")
    if word == "class" and len(rest) == 1:
        return course.grade(rest[0], options.out, options.vms, grading.Choice(
            options.kernels, options.questions, weights(options.weights)))
    if word == "check":
        return check.run(rest, options.vms)
    return one(options)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        say(f"grade.py: {failure}")
        sys.exit(2)
    except KeyboardInterrupt:
        children.end()
        sys.exit(130)

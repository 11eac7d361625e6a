# SPDX-License-Identifier: GPL-2.0
"""Grades one submission: source, builds, VMs, points."""

import os
import tempfile
import time
from dataclasses import dataclass, field

from runner.common import CannotBeHad, Failure, cache_dir, script

from . import build, judge, questions as lab, vm
from .questions import weights
from .source import Source
from .submission import Submission, take
from .vm import Finding

STOCK = ["6.1", "6.12"]
# The debug kernel that a module is asked on: the first that it builds for.
DEBUG = ["6.1-debug", "newest-debug", "6.12-debug"]
OBSERVED = [question.name for question in lab.table() if "O" in question.kinds]


@dataclass
class Choice:
    """What a teacher asks for: kernels and questions, or all of them."""

    kernels: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    points: dict[str, int] = field(default_factory=weights)

    def __post_init__(self) -> None:
        for name in self.questions:
            if name not in self.points:
                raise Failure(f"'{name}' is no question of the lab")

    def observed(self) -> list[str]:
        return [name for name in OBSERVED if not self.questions or name in self.questions]


class Grading:
    """One submission on its way."""

    def __init__(self, submission: Submission, choice: Choice, work: str) -> None:
        self.submission = submission
        self.choice = choice
        self.work = work
        self.findings: list[Finding] = []
        self.assumed = list(submission.assumed)
        self.failed: list[build.Built] = []

    def assume(self, *texts: str) -> None:
        self.assumed += [text for text in texts if text and text not in self.assumed]

    def built_for(self, kernel: str) -> str:
        """The .ko for a kernel; nothing where there is no such kernel, or no .ko."""
        try:
            script("kernel.sh", kernel)
        except CannotBeHad:
            self.assume(f"kernel {kernel} cannot be had on this machine")
            return ""
        directory = os.path.join(self.work, f"build-{kernel}")
        built = build.build(self.submission, kernel, directory)
        self.assume(built.assumed)
        if not built.ko:
            self.failed.append(built)
        elif built.warnings:
            self.assume(f"{built.warnings} warnings of the compiler")
        return built.ko

    def modules(self) -> list[tuple[str, str]]:
        """Pairs (kernel, .ko) to ask."""
        if self.submission.built:
            return [(built_kernel(self.submission.built), self.submission.built)]
        if self.choice.kernels:
            pairs = [(kernel, self.built_for(kernel)) for kernel in self.choice.kernels]
            return [(kernel, ko) for kernel, ko in pairs if ko]
        found = [(kernel, ko) for kernel in STOCK if (ko := self.built_for(kernel))]
        if found:
            for kernel in DEBUG if found[0][0] == "6.1" else DEBUG[1:]:
                if ko := self.built_for(kernel):
                    found.append((kernel, ko))
                    break
        return found

    def watch(self, source: Source) -> None:
        pairs = self.modules()
        names = self.choice.observed()
        if not pairs:
            error = self.failed[0].first_error if self.failed else "no kernel to try it on"
            self.findings += [Finding(name, "bad", 0, f"it does not build: {error}",
                                      "every kernel") for name in names]
        for built in self.failed if pairs else []:
            self.assume(f"it does not build for {built.kernel}, which takes no points: "
                        + built.first_error)
        for kernel, ko in pairs:
            directory = os.path.join(self.work, f"vm-{kernel}")
            os.makedirs(directory)
            guest = vm.Guest(kernel, ko, self.submission.module_name, directory, source)
            watched = guest.ask(names)
            self.findings += watched.findings
            self.assume(*watched.assumed)
            if watched.hung:
                self.assume(f"it hangs {kernel}: no further kernel was tried")
                break
            if watched.logged:
                self.findings.append(judge.judge_sizes(watched, kernel))
            if watched.prints and not source.has(r"\bkref\b"):
                self.findings.append(Finding("T1Q2", "part", 0, watched.prints +
                                             ": the samples were to be stored instead",
                                             kernel))


def built_kernel(ko: str) -> str:
    """Which of the kernels a .ko was built for."""
    with open(ko, "rb") as file:
        data = file.read()
    start = data.find(b"vermagic=")
    release = data[start + 9:start + 80].split(b" ")[0].split(b"\0")[0].decode("ascii",
                                                                             "replace")
    for kernel in STOCK + DEBUG:
        try:
            if build.kernel_values(kernel).get("KERNEL_RELEASE") == release:
                return kernel
        except CannotBeHad:
            continue
    raise Failure(f"it was built for {release or 'no kernel'}, which is none of "
                  + ", ".join(STOCK + DEBUG))


def grade(path: str, choice: Choice) -> judge.Grade:
    """The grade of what lies at a path."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=scratch()) as work:
        submission = take(path, work)
        source = Source(submission.text())
        grading = Grading(submission, choice, work)
        if submission.broken:
            grading.findings = [Finding(name, "bad", 0, submission.broken, "source")
                                for name in weights()]
        else:
            if submission.module:
                grading.findings += judge.read_source(source)
            grading.watch(source)
        result = judge.grade(submission, grading.findings, grading.assumed, choice.points)
        if choice.questions:
            result.scores = [score for score in result.scores
                             if score.question.name in choice.questions]
    result.seconds = time.monotonic() - began
    return result


def scratch() -> str:
    path = os.path.join(cache_dir(), "tmp")
    os.makedirs(path, exist_ok=True)
    return path

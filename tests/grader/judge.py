# SPDX-License-Identifier: GPL-2.0
"""From what was seen to points: each question's, the worst of all kernels."""

import re
from dataclasses import dataclass, field

from . import questions, traps
from .source import QUESTIONS, Source
from .submission import Submission
from .vm import Finding, Watched


@dataclass
class Score:
    """One question: how it ended, its points, and why."""

    question: questions.Question
    verdict: str                    # pass, partly, fail, words or unseen
    points: int
    most: int
    trap: int = 0
    why: Finding | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def counts(self) -> bool:
        """A question that nothing here can show takes no points, and gives none."""
        return self.verdict not in ("words", "unseen")

    def line(self) -> str:
        """The line that stands for the question in every report."""
        points = str(self.points) if self.counts else "-"
        text = f"{self.question.name} {self.verdict} {points}/{self.most}"
        if self.why:
            trap = f"trap {self.trap}: " if self.trap else ""
            text += f" {trap}{self.why.text} ({self.why.where})"
        return text


@dataclass
class Grade:
    """A graded submission."""

    submission: Submission
    scores: list[Score]
    assumed: list[str]
    seconds: float = 0.0

    @property
    def points(self) -> int:
        return sum(score.points for score in self.scores if score.counts)

    @property
    def most(self) -> int:
        return sum(score.most for score in self.scores if score.counts)


WORST = {"bad": 0, "part": 1, "ok": 2, "none": 3}
VERDICTS = {"bad": "fail", "part": "partly", "ok": "pass"}


def read_source(source: Source) -> list[Finding]:
    """What the source alone says."""
    findings = []
    for name, function in QUESTIONS.items():
        answer = function(source)
        findings.append(Finding(name, answer.word, answer.trap, answer.text, "source"))
    return findings


def judge_sizes(watched: Watched, kernel: str) -> Finding:
    """T3Q1: two numbers in the log, the second of them a kmalloc size."""
    sizes = [8, 16, 32, 64, 96, 128, 192] + [1 << n for n in range(8, 14)]
    line = watched.logged.split("] ", 1)[-1]
    numbers = [int(word) for word in re.findall(r"\b\d+\b", line)]
    for first, second in zip(numbers, numbers[1:]):
        if second >= first > 7 and (second in sizes or first in sizes):
            return Finding("T3Q1", "ok", 0, f"logged: {line}", kernel)
    return Finding("T3Q1", "none", 0, "nothing in the log tells both sizes", kernel)


def merge(name: str, findings: list[Finding]) -> list[Finding]:
    """Those that count. What the log shows of T3Q1 makes the source's word idle."""
    own = [finding for finding in findings if finding.question == name]
    if name == "T3Q1" and any(f.word == "ok" for f in own):
        own = [f for f in own if f.word == "ok"]
    return own


def score(question: questions.Question, most: int, findings: list[Finding]) -> Score:
    """The worst that was seen decides; what could not be shown does not."""
    if question.kinds == "W":
        return Score(question, "words", 0, most)
    own = merge(question.name, findings)
    shown = sorted((f for f in own if f.word != "none"), key=lambda f: WORST[f.word])
    if not shown:
        return Score(question, "unseen", 0, most, findings=own)
    # Where only the source was read, an observable question was not shown.
    if "O" in question.kinds and all(f.where == "source" for f in shown) and \
            shown[0].word == "ok" and question.name != "T3Q1":
        return Score(question, "unseen", 0, most, findings=own)
    worst = shown[0]
    verdict = VERDICTS[worst.word]
    points = {"pass": most, "partly": most // 2, "fail": 0}[verdict]
    why = worst if verdict != "pass" else None
    return Score(question, verdict, points, most, worst.trap if why else 0, why, own)


def causes(finding: Finding) -> set[str]:
    """What makes two findings the same mistake: the trap, or the kernel's report."""
    if finding.word not in ("bad", "part"):
        return set()
    found = {f"trap {finding.trap}"} if finding.trap else set()
    report = finding.text.partition("the kernel reports: ")[2]
    if report:
        found.add(re.sub(r"0x[0-9a-f]+|[0-9a-f]{8,}|\d+", "", report))
    return found


def grade(submission: Submission, findings: list[Finding], assumed: list[str],
          points: dict[str, int]) -> Grade:
    """A mistake costs the first question that shows it, and no other one; but where it
    is in the way of a first look, on each kernel, all that nothing shows."""
    scores = []
    charged: dict[str, str] = {}
    for question in questions.table():
        own = []
        seen = [finding for finding in findings if finding.question == question.name]
        shown = any(finding.word != "none" and finding.where != "source" and
                    not finding.at_survey for finding in seen)
        for finding in seen:
            first = [charged[cause] for cause in sorted(causes(finding))
                     if cause in charged]
            if first and (shown or not finding.at_survey):
                finding = Finding(finding.question, "none", finding.trap,
                                  f"as in {first[0]}: {finding.text}", finding.where)
            own.append(finding)
        scores.append(score(question, points[question.name], own))
        for finding in own:
            for cause in causes(finding):
                charged.setdefault(cause, question.name)
    return Grade(submission, scores, assumed)


def hint(number: int) -> list[str]:
    """A trap in two lines, for the student."""
    return [f"trap {number}, {traps.name(number)}:"] + traps.why(number).splitlines() \
        if traps.name(number) else []

# SPDX-License-Identifier: GPL-2.0
"""What a grade looks like: text for people, JSON as Gradescope reads it, HTML."""

import html
import json

from . import judge
from .judge import Grade, Score


def details(score: Score) -> list[str]:
    """The evidence of a question, and what a student can learn from it."""
    question = score.question
    if score.verdict == "words":
        return [f"asked:    {question.asked}: a question to be answered in words"]
    lines = [f"asked:    {question.asked}", f"expected: {question.expected}",
             f"shown by: {question.command}"]
    for finding in score.findings:
        mark = {"ok": "seen", "part": "mistake", "bad": "wrong",
                "none": "not shown"}[finding.word]
        trap = f" (trap {finding.trap})" if finding.trap and finding.word != "ok" else ""
        lines.append(f"{mark} on {finding.where}{trap}: {finding.text}")
    for number in dict.fromkeys(f.trap for f in score.findings
                                if f.trap and f.word in ("bad", "part")):
        lines += judge.hint(number)
    return lines


def text(grade: Grade, brief: bool = False) -> str:
    """One line for each question, its details indented below it."""
    lines = []
    for score in grade.scores:
        lines.append(score.line())
        if not brief:
            lines += ["    " + line for line in details(score)]
    lines.append(f"total {grade.points}/{grade.most}")
    if not brief and grade.assumed:
        lines.append("assumed:")
        lines += ["    " + line for line in grade.assumed]
    return "\n".join(lines) + "\n"


def results(grade: Grade) -> str:
    """results.json, as Gradescope reads it."""
    tests = []
    for score in grade.scores:
        test = {"name": f"{score.question.name} {score.question.asked}",
                "score": score.points, "max_score": score.most if score.counts else 0,
                "output": score.line() + "\n" + "\n".join(details(score))}
        if score.counts:
            test["status"] = "passed" if score.verdict == "pass" else "failed"
        tests.append(test)
    return json.dumps({"score": grade.points, "execution_time": round(grade.seconds),
                       "output": "\n".join(grade.assumed), "tests": tests},
                      indent=1) + "\n"


STYLE = """body{font:16px/1.5 sans-serif;margin:2em auto;max-width:60em;padding:0 1em}
table{border-collapse:collapse;width:100%}td,th{padding:.3em .6em;text-align:left;
border-bottom:1px solid #ccc;vertical-align:top}.pass{background:#dfd}
.partly{background:#ffd}.fail{background:#fdd}pre{white-space:pre-wrap;margin:.3em 0}"""


def document(title: str, body: str) -> str:
    return ("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
            f"<title>{html.escape(title)}</title><style>{STYLE}</style>"
            f"<h1>{html.escape(title)}</h1>{body}</html>\n")


def page(grade: Grade) -> str:
    """One submission, on a page that needs nothing else."""
    rows = []
    for score in grade.scores:
        points = f"{score.points}/{score.most}" if score.counts else "-"
        rows.append(
            f"<tr class=\"{score.verdict}\"><td>{score.question.name}<td>{points}"
            f"<td>{html.escape(score.line())}<details><summary>details</summary>"
            f"<pre>{html.escape(chr(10).join(details(score)))}</pre></details>")
    assumed = "".join(f"<li>{html.escape(line)}" for line in grade.assumed)
    return document(f"{grade.submission.name}: {grade.points} of {grade.most}",
                    f"<table>{''.join(rows)}</table>"
                    + (f"<h2>Assumed</h2><ul>{assumed}</ul>" if assumed else ""))


def index(grades: list[tuple[str, Grade | str]]) -> str:
    """A class: a row each, with a link to its page; or why there is none."""
    names = [score.question.name for _, grade in grades if isinstance(grade, Grade)
             for score in grade.scores if score.verdict != "words"]
    columns = list(dict.fromkeys(names))
    rows = ["<tr><th>submission<th>points" +
            "".join(f"<th>{name}" for name in columns)]
    for name, grade in grades:
        link = html.escape(name)
        if isinstance(grade, str):
            rows.append(f"<tr class=\"fail\"><td>{link}<td colspan=\"{len(columns) + 1}\">"
                        + html.escape(grade))
            continue
        cells = {score.question.name: f"<td class=\"{score.verdict}\">{score.points}"
                 if score.counts else "<td>-" for score in grade.scores}
        rows.append(f"<tr><td><a href=\"{link}.html\">{link}</a>"
                    f"<td>{grade.points}/{grade.most}" +
                    "".join(cells.get(column, "<td>") for column in columns))
    return document("Grades", f"<table>{''.join(rows)}</table>")

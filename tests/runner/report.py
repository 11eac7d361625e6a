# SPDX-License-Identifier: GPL-2.0
"""Results: read from a guest's KTAP; written as one KTAP document and JUnit XML."""

import re
import xml.etree.ElementTree as xml

RESULT = re.compile(r"(ok|not ok) ([0-9]+)(?: - | )?(.*)$")


class Result:
    """One test: its title, how it ended, and the lines that say why."""

    def __init__(self, verdict, title, notes=()):
        self.verdict = verdict      # passed, failed or skipped
        self.title = title
        self.notes = list(notes)
        self.reason = ""            # why it was skipped


class Report:
    """What one VM, or the host, has to tell."""

    def __init__(self, name, kernel, suite):
        self.name = name
        self.kernel = kernel
        self.suite = suite
        self.results = []
        self.notes = []             # after the last result
        self.wall = 0.0
        self.cpu = 0.0
        self.skipped = ""           # why nothing of it was run
        self.logs = ""

    def read(self, ktap, status):
        """Takes the results of KTAP lines, and what is wrong with the whole.

        A test that was planned and gave no result has failed, and so has a run
        with no plan; a VM that ended badly is a failure of its own, unless one
        of its tests says so.
        """
        planned = None
        notes = []
        for line in ktap.splitlines():
            plan = re.match(r"1\.\.([0-9]+)$", line)
            match = RESULT.match(line)
            if plan:
                planned = int(plan.group(1))
            elif match:
                self.add(match, notes)
                notes = []
            elif line.startswith("#"):
                notes.append(line[1:].strip())
        self.notes = notes
        seen = len(self.results)
        if planned is None:
            self.fail(f"{self.name}: {seen} results, and no plan")
        elif seen > planned:
            self.fail(f"{self.name}: {seen} results where {planned} were planned")
        for number in range(seen + 1, (planned or 0) + 1):
            self.fail(f"{self.name}: test {number} of {planned} gave no result")
        if status and not self.count("failed"):
            self.fail(f"{self.name}: the VM ended with status {status}")

    def add(self, match, notes):
        title, _, reason = match.group(3).partition(" # SKIP")
        verdict = "passed" if match.group(1) == "ok" else "failed"
        if verdict == "passed" and match.group(3) != title:
            verdict = "skipped"
        result = Result(verdict, title, notes)
        result.reason = reason.strip()
        self.results.append(result)

    def fail(self, title):
        self.results.append(Result("failed", title))

    def count(self, verdict):
        if self.skipped:
            return int(verdict == "skipped")
        return sum(result.verdict == verdict for result in self.results)

    def ktap_lines(self):
        """Its results as KTAP, with no indentation."""
        yield "KTAP version 1"
        yield f"# Subtest: {self.name}"
        yield f"1..{len(self.results)}"
        for number, result in enumerate(self.results, 1):
            for note in result.notes:
                yield f"# {note}"
            word = "not ok" if result.verdict == "failed" else "ok"
            skip = f" # SKIP {result.reason}" if result.verdict == "skipped" else ""
            yield f"{word} {number} - {result.title}{skip}"
        for note in self.notes:
            yield f"# {note}"


def totals(reports):
    return {verdict: sum(report.count(verdict) for report in reports)
            for verdict in ("passed", "failed", "skipped")}


def summary(reports):
    count = totals(reports)
    return (f"{count['passed']} passed, {count['failed']} failed, "
            f"{count['skipped']} skipped")


def ktap(reports):
    """One document: a subtest for each VM."""
    lines = ["KTAP version 1", f"1..{len(reports)}"]
    for number, report in enumerate(reports, 1):
        if report.skipped:
            lines.append(f"ok {number} - {report.name} # SKIP {report.skipped}")
            continue
        lines += [f"    {line}" for line in report.ktap_lines()]
        word = "not ok" if report.count("failed") else "ok"
        lines.append(f"{word} {number} - {report.name}")
    return "\n".join(lines) + "\n"


def clean(text):
    """XML has no control characters, however a console looks."""
    return re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffd]", "?", text)


def junit(reports):
    """JUnit XML: a test suite for each VM."""
    count = totals(reports)
    root = xml.Element("testsuites", name="taskmonitor",
                       tests=str(sum(count.values())),
                       failures=str(count["failed"]), skipped=str(count["skipped"]))
    for report in reports:
        suite = xml.SubElement(
            root, "testsuite", name=report.name, time=f"{report.wall:.1f}",
            tests=str(sum(report.count(v) for v in count)),
            failures=str(report.count("failed")), skipped=str(report.count("skipped")))
        whole = Result("skipped", f"{report.name} was not run")
        whole.reason = report.skipped
        for result in [whole] if report.skipped else report.results:
            case = xml.SubElement(suite, "testcase", name=clean(result.title),
                                  classname=f"{report.kernel}.{report.suite}")
            text = clean("\n".join(result.notes))
            if result.verdict == "failed":
                xml.SubElement(case, "failure",
                               message=clean((result.notes or ["failed"])[-1])).text = text
            elif result.verdict == "skipped":
                xml.SubElement(case, "skipped", message=clean(result.reason))
        if report.notes:
            xml.SubElement(suite, "system-err").text = clean("\n".join(report.notes))
    tree = xml.ElementTree(root)
    xml.indent(tree)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + \
        xml.tostring(root, encoding="unicode") + "\n"

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# The runner tests itself: what it plans, what it makes of a VM's results, that the
# kernel's own parser and prove read the same in what it writes, and that it notices
# what would never run. Prints KTAP.
#
# Suite:
#   kernels  host
#   seconds  5
"""Each function named test_* is a test; its docstring is the title."""

import contextlib
import glob
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)

import run as command  # noqa: E402
from runner import bench, hosttests, mutants, suites  # noqa: E402
from runner import report as reports  # noqa: E402
from runner.common import Failure, ROOT  # noqa: E402

GOOD = "KTAP version 1\n1..2\nok 1 - first\nok 2 - second # SKIP no such thing\n"


def report(ktap, status=0, name="6.1 lab"):
    made = reports.Report(name, *name.split())
    made.read(ktap, status)
    return made


def counts(made):
    return tuple(made.count(v) for v in ("passed", "failed", "skipped"))


def failing_run():
    """Three VMs, of which the second fails in one test, and a missing kernel."""
    missing = reports.Report("9.9", "9.9", "-")
    missing.skipped = "kernel 9.9 cannot be had here"
    bad = "1..3\nok 1 - a\n# got '1', expected '2'\nnot ok 2 - planted\nok 3 - b\n"
    return [report(GOOD), report(bad, 1, "6.12+full reader"), missing,
            report(GOOD, 0, "6.12 lab")]


class FakeLab:
    """A lab that boots nothing: a guest is what was asked for."""

    def __init__(self):
        self.missing = {}

    def has(self, base):
        self.missing[base] = ""
        return True

    def guest(self, base, needs, _name):
        return base, needs

    def run(self, kernel, suite, cpio):
        made = report(GOOD, name=f"{kernel} {suite.name}")
        made.logs = cpio
        return made


def suite_file(directory, head):
    path = os.path.join(directory, "some.sh")
    with open(path, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n# Suite:\n" + head)
    os.chmod(path, 0o755)
    return path


def refused(function, *arguments):
    """The message with which it ends the run."""
    try:
        function(*arguments)
    except Failure as failure:
        return str(failure)
    return "nothing was refused"


def test_results():
    """passed, failed and skipped are counted, with the reason"""
    made = report(GOOD)
    assert counts(made) == (1, 0, 1), counts(made)
    assert made.results[1].reason == "no such thing"


def test_planned():
    """a test that was planned and gave no result has failed"""
    assert counts(report("1..4\nok 1 - a\n")) == (1, 3, 0)


def test_unplanned():
    """a result that was not planned is a failure"""
    assert counts(report("1..1\nok 1 - a\nok 2 - b\n")) == (2, 1, 0)


def test_no_plan():
    """a run with no plan has failed, and so has one with no word"""
    assert counts(report("ok 1 - a\n")) == (1, 1, 0)
    assert counts(report("")) == (0, 1, 0)


def test_bad_end():
    """a VM that ends badly has failed, however good its tests"""
    assert counts(report(GOOD, 5)) == (1, 1, 1)
    assert counts(report("1..1\nnot ok 1 - a\n", 1)) == (0, 1, 0)


def test_kunit():
    """kunit.py reads one document, with a failure in a later subtest"""
    parser = os.path.join(checkers(), "tools", "testing", "kunit", "kunit.py")
    out = subprocess.run([sys.executable, parser, "parse"], check=False, text=True,
                         input=reports.ktap(failing_run()), capture_output=True)
    assert re.search(r"Ran 8 tests: passed: 4, failed: 1, skipped: 3", out.stdout), \
        out.stdout + out.stderr
    assert out.returncode, "kunit.py reports success"
    out = subprocess.run([sys.executable, parser, "parse"], check=False, text=True,
                         input=reports.ktap([report(GOOD)] * 3), capture_output=True)
    assert not out.returncode and "Ran 6 tests" in out.stdout, out.stdout


def checkers():
    """The directory that scripts/lib.sh takes out of the kernel's source."""
    command = f'cd "{ROOT}/scripts" && . ./lib.sh && kernel_checkers'
    return subprocess.run(["sh", "-c", command, f"{ROOT}/scripts/lib.sh"], check=True,
                          text=True, stdout=subprocess.PIPE).stdout.strip()


def test_prove():
    """prove reads the same document"""
    for run, status in ((failing_run(), 1), ([report(GOOD)] * 3, 0)):
        with tempfile.NamedTemporaryFile("w", suffix=".ktap") as file:
            file.write(reports.ktap(run))
            file.flush()
            out = subprocess.run(["prove", "-e", "cat", file.name], check=False,
                                 text=True, capture_output=True)
        assert out.returncode == status, out.stdout + out.stderr
        assert "Parse errors" not in out.stdout, out.stdout
        assert not status or "Failed test:  2" in out.stdout, out.stdout


def test_junit():
    """JUnit XML shows the one planted failure, and why"""
    root = xml.fromstring(reports.junit(failing_run()))
    failures = root.findall(".//testcase[failure]")
    assert [case.get("name") for case in failures] == ["planted"]
    assert failures[0].get("classname") == "6.12+full.reader"
    assert failures[0].find("failure").text == "got '1', expected '2'"
    assert [root.get(k) for k in ("tests", "failures", "skipped")] == ["8", "1", "3"]


def test_control_characters():
    """what a console prints stays XML"""
    made = report(GOOD, 5)
    made.notes = ["\x1b[1m\x00 bold"]
    xml.fromstring(reports.junit([made]))


def test_summary():
    """the closing line counts a kernel that cannot be had as skipped"""
    assert reports.summary(failing_run()) == "4 passed, 1 failed, 3 skipped"


def test_orphan_suite():
    """a suite that names no kernel ends the run"""
    with tempfile.TemporaryDirectory() as directory:
        path = suite_file(directory, "#   seconds  5\n")
        assert "would never run" in refused(suites.Suite, path)


def test_bad_head():
    """a head that says what cannot be ends the run"""
    good = "#   kernels  6.1\n"
    with tempfile.TemporaryDirectory() as directory:
        for head, said in (("#   kernel  6.1\n", "'kernel' is not one of"),
                           ("#   by-name  *-rt\n", "would never run"),
                           ("#   kernels  -\n", "neither in make test nor by name"),
                           ("#   kernels  6.12+fulll\n", "variants are"),
                           ("#   kernels  old\n", "'old' is no kernel"),
                           (good + "#   needs  luck\n", "no VM has 'luck'"),
                           (good + "#\n#   memory  1M\n", "is not in the head"),
                           (good + "#   memory  lots\n", "'lots' is not"),
                           (good + "#   seconds  two\n", "'two' is not")):
            found = refused(suites.Suite, suite_file(directory, head))
            assert said in found, (head, found)
        path = suite_file(directory, good)
        assert suites.Suite(path).kernels == ["6.1"]
        os.chmod(path, 0o644)
        assert "cannot be executed" in refused(suites.Suite, path)
        os.rename(suite_file(directory, good), os.path.join(directory, "A2.sh"))
        path = os.path.join(directory, "A2.sh")
        assert "small letters only" in refused(suites.Suite, path)


def test_orphan_kunit():
    """a file of KUnit tests that no source includes ends the run"""
    assert len(suites.kunit_suites()) >= 4
    with tempfile.TemporaryDirectory() as root:
        path = os.path.join(root, "tests", "kunit", "none_kunit.h")
        os.makedirs(os.path.dirname(path))
        with open(path, "w", encoding="ascii") as file:
            file.write('.name = "taskmonitor_none"\n')
        assert "no source file includes it" in refused(suites.kunit_suites, root)
        with open(os.path.join(root, "some.c"), "w", encoding="ascii") as file:
            file.write('#include "tests/kunit/none_kunit.h"\n')
        assert suites.kunit_suites(root) == ["none"]


def test_orphan_mutant():
    """a mutant that make test would not notice is told"""
    known = suites.all_suites()
    assert not list(mutants.orphans(known)), list(mutants.orphans(known))
    del known["unit"]
    assert any("does not run unit" in line for line in mutants.orphans(known))


def test_plan():
    """what is run follows from the suites' heads and from what is named"""
    known = suites.all_suites()
    whole = {(kernel, suite.name) for kernel, suite in suites.plan(known)}
    for suite in known.values():
        assert {(kernel, suite.name) for kernel in suite.kernels} <= whole
    one = suites.plan(known, ["6.12-rt"], ["fuzz"])
    assert [(kernel, suite.name) for kernel, suite in one] == [("6.12-rt", "fuzz")]
    alone = {suite.name for _, suite in suites.plan(known, ["6.12-kcsan"])}
    assert "stress" in alone and "lab" not in alone, alone
    assert "no suite 'none'" in refused(suites.plan, known, [], ["none"])
    assert "no variant 'none'" in refused(suites.plan, known, ["6.12+none"])
    assert "no suite runs on" in refused(suites.plan, known, ["5.0"])


def test_options():
    """memory, disk, clock, nodes and the command line come from the head"""
    known = suites.all_suites()
    assert suites.vm_options("6.1", known["pressure"], lambda: "/disk") == \
        ["-m", "128M", "-d", "/disk"]
    assert "-I" in suites.vm_options("6.1", known["linear"], None)
    assert suites.vm_options("6.1-debug", known["leak"], None) == \
        ["-m", "256M", "-c", "1"]
    assert suites.vm_options("6.12+numa", known["lab"], None) == ["-m", "512M", "-n"]
    assert "preempt=full" in suites.command_line("6.12+full", known["lab"], "")
    line = suites.command_line("6.1-debug", known["stress"], "7,300")
    assert "tm.run=/tests/stress.sh tm.args=7,300 slub_debug=A," in line, line


def map_with(path, old, new):
    """What lint says of the map of the tests when a file differs."""
    with tempfile.TemporaryDirectory() as tree:
        for part in ("tests", "scripts", "docs"):
            shutil.copytree(os.path.join(ROOT, part), os.path.join(tree, part))
        for source in glob.glob(os.path.join(ROOT, "*.c")):
            shutil.copy(source, tree)
        path = os.path.join(tree, path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        assert old in text, f"{path}: no {old}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new, 1))
        return subprocess.run([os.path.join(tree, "scripts", "lint-tests.py")],
                              check=False, text=True, capture_output=True).stdout


def test_map():
    """lint knows the map of the tests, and what is not on it"""
    jiffies = "tests/suites/jiffies.sh"
    assert map_with(jiffies, "t '", "t '") == ""
    for path, old, new, said in (
            (jiffies, "t '", "t 'trap 99 ", "trap 99 is cited by jiffies"),
            (jiffies, "t '", "t 'trap 8 ", "trap 8: the titles that cite it"),
            (jiffies, "#   kernels", "#   kernel ", "is not one of"),
            (jiffies, "\nrun_tests", "\nrun_tests\nt 'late' late", "behind run_tests"),
            (jiffies, "t '", 't "', "in single quotes"),
            ("tests/suites/suspend.sh", " || fail 'no ten samples'", "", "end unnoticed"),
            ("tests/README.md", "`jiffies`", "", "the suite jiffies is not in"),
            ("tests/mutants/digit-lost.patch", "unit", "none", "make test does not run"),
            ("docs/mutants.md", "| digit-lost |", "| none |", "digit-lost is not there"),
            ("tests/README.md", "`tm_test_ref", "`tm_test_no_ref", "no KUnit case")):
        found = map_with(path, old, new)
        assert said in found, (said, found)


BUDGET = {("K", "Q", "sample_500"): "500.0", ("K", "Q", "slab"): "98.5",
          ("K", "Q", "missed"): "0"}


def judged(kernel, qemu, name, value):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        worse = bench.check(bench.read_table(), {(kernel, qemu, name): value}, BUDGET)
    return worse, out.getvalue()


def test_budget():
    """a figure within the budget passes, a worse one fails, either way round"""
    assert judged("K", "Q", "sample_500", "510") == (0, "")
    worse, said = judged("K", "Q", "sample_500", "510.1")
    assert worse and said.startswith("WORSE: kernel K, sample_500: 510.1"), said
    assert judged("K", "Q", "slab", "96")[0]
    assert judged("K", "Q", "missed", "1")[0]


def test_kept():
    """what -o kept is judged by -c, from files"""
    with tempfile.TemporaryDirectory() as directory:
        names = [os.path.join(directory, name) for name in ("measured", "budget")]
        for name, value in zip(names, ("520.0", "500.0")):
            with open(name, "w", encoding="ascii") as file:
                file.write(f"# a comment\nK Q sample_500 {value}\n")
        with contextlib.redirect_stdout(io.StringIO()):
            assert bench.main(["-c", names[0], "-b", names[1]]) == 1
            assert bench.main(["-c", names[1], "-b", names[1]]) == 0


def test_no_budget():
    """for another kernel or QEMU there is no budget, and it says so"""
    for key in (("L", "Q"), ("K", "R")):
        worse, said = judged(*key, "sample_500", "9999")
        assert not worse and said.startswith("no budget for kernel"), said


def test_table():
    """ratios follow from the figures, and what misses its target is marked"""
    results = {("K", "Q", name): value for name, value in (
        ("sample_500", "600.0"), ("giveback_100000", "200.0"),
        ("proc_statm", "16000"))}
    text = bench.markdown(bench.read_table(), bench.derive(results), aims=True)
    assert "| 600.0 (missed) |" in text and "| 200.0 |" in text, text
    assert re.search(r"statm.* 20\.0 \|", text), text


def test_guests():
    """what a suite needs in its guest is there, and in no other suite's"""
    known = suites.all_suites()
    pairs = [("6.1", known["lab"]), ("6.1+traces", known["modmem"]),
             ("6.1+numa", known["reader"])]
    with contextlib.redirect_stdout(io.StringIO()):
        got = {made.kernel: made.logs for made in command.run_all(FakeLab(), pairs, 1)}
    assert got["6.1"] == got["6.1+numa"] == ("6.1", frozenset()), got
    assert got["6.1+traces"] == ("6.1", {"leaky", "drivers"}), got


if __name__ == "__main__":
    sys.exit(hosttests.run(globals()))

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# The grader without a VM: what it takes a submission to be, what it reads in the
# source, what it makes of a verdict, also of one that the module has forged, and
# what it reports. Prints KTAP.
#
# Suite:
#   kernels  host
#   seconds  5
"""Each function named test_* is a test; its docstring is the title."""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)

from grader import build, check, grading, judge, questions, report  # noqa: E402
from grader import stages, submission, traps, vm  # noqa: E402
from grader.source import QUESTIONS, Source  # noqa: E402
from grader.vm import Finding  # noqa: E402
from runner import hosttests  # noqa: E402
from runner.common import Failure, ROOT  # noqa: E402

INIT = "#include <linux/module.h>\nstatic int __init i(void)\n{\n\treturn 0;\n}\nmodule_init(i);\n"


def tree(files):
    """A directory with these files."""
    directory = tempfile.mkdtemp(dir=WORK)
    for name, text in files.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text.encode())
    return directory


def take(path):
    return submission.take(path, tempfile.mkdtemp(dir=WORK))


def refused(function, *arguments):
    try:
        function(*arguments)
    except Failure as failure:
        return str(failure)
    raise AssertionError("it was not refused")


def patched(name):
    """The text of one of our submissions."""
    directory = tempfile.mkdtemp(dir=WORK)
    return take(check.make(name, directory)).text()


def scores(findings):
    grade = judge.grade(submission.Submission("s"), findings, [], questions.weights())
    return grade, {score.question.name: score for score in grade.scores}


def test_own_module():
    """the project's own Kbuild is understood, its renamed object too"""
    module = take(ROOT).module
    assert module.name == "taskmonitor", module
    assert module.renamed == {"core": "taskmonitor"}, module
    assert any(flag.startswith("-Dpr_fmt") for flag in module.flags), module


def test_makefile_not_run():
    """a Makefile is read and never run, also where it calls the shell"""
    mark = os.path.join(WORK, "executed")
    made = take(tree({"Makefile": f"X := $(shell touch {mark})\nobj-m += $(NAME).o\n"
                                  f"NAME = mon$(shell touch {mark})\n"
                                  "ccflags-y := -DA=1 -DB=`id` -I/etc -I$(src)/x $(shell id)\n"
                                  "all:\n\ttouch executed\n", "mon.c": INIT}))
    assert made.module.name == "mon", made
    assert not os.path.exists(mark)
    assert made.module.flags == ["-DA=1", "-I/etc", "-I./x"], made.module.flags


def test_no_makefile():
    """without a Makefile the file with an init function is the module"""
    made = take(tree({"lab06/a.c": INIT, "lab06/b.c": "int b;\n",
                      "test.c": "int main(void) { return 0; }\n"}))
    assert made.module.name == "a" and made.module.objects == ["a", "b"], made
    assert any("no Makefile" in text for text in made.assumed), made


def test_most_of_the_lab():
    """of several modules the one that answers most of the lab is graded"""
    made = take(tree({"Makefile": "obj-m := hello.o lab06.o\n", "hello.c": INIT,
                      "lab06.c": stages.text(3)}))
    assert made.module.name == "lab06", made
    assert any("2 modules" in text for text in made.assumed), made


def test_line_ends():
    """lines that end in CR are taken as lines"""
    made = take(tree({"m.c": INIT.replace("\n", "\r\n")}))
    with open(made.module.sources()[0], "rb") as file:
        assert b"\r" not in file.read()
    assert any("CR" in text for text in made.assumed), made


def test_archive():
    """an archive is unpacked below our directory, without links and devices"""
    path = os.path.join(WORK, "a.tar.gz")
    with tarfile.open(path, "w:gz") as tar:
        for name in ("x/m.c", "../../outside.c", "/etc/absolute.c"):
            entry = tarfile.TarInfo(name)
            entry.size = len(INIT)
            tar.addfile(entry, io.BytesIO(INIT.encode()))
        link = tarfile.TarInfo("x/secret.h")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    made = take(path)
    names = sorted(os.path.relpath(os.path.join(base, name), made.directory)
                   for base, _, files in os.walk(made.directory) for name in files)
    assert names == ["etc/absolute.c", "outside.c", "x/m.c"], names


def test_nothing():
    """what is no submission is refused, or says why it is broken"""
    assert "no directory" in refused(take, __file__)
    assert take(tree({"readme.txt": "hello\n"})).broken
    odd = os.path.join(WORK, "odd.tar.gz")
    with open(odd, "wb") as file:
        file.write(b"\x1f\x8b" + b"x" * 100)
    assert refused(take, odd)


def test_stages():
    """the source of each stage answers what it has, and no more"""
    first = {"T1Q1": 1, "T2Q2": 2, "T3Q1": 3, "T3Q2": 3, "T4Q2": 4, "T5Q2": 5,
             "T5Q3": 5, "T7Q1": 7}
    for number in range(1, 8):
        source = Source(stages.text(number))
        for name, since in first.items():
            word = QUESTIONS[name](source).word
            assert (word == "ok") == (number >= since), (number, name, word)


def test_traps_in_the_source():
    """traps 1, 2, 3, 5, 6, 18 are read in the source, each in the one that has it"""
    wanted = {"traps/01-row-under-lock": ("T2Q3", 1), "traps/02-scan-gives-up": ("T2Q3", 2),
              "traps/03-tells-what-was-asked": ("T2Q3", 3),
              "traps/05-removed-without-lock": ("T7Q1", 5),
              "traps/06-pool-not-used": ("T4Q2", 6),
              "traps/18-unlinked-in-release": ("T5Q2", 18)}
    for row in check.table():
        if not row.name.startswith("traps/"):
            continue
        source = Source(patched(row.name))
        seen = [(name, answer.trap) for name, function in QUESTIONS.items()
                if (answer := function(source)).word != "ok"]
        want = [wanted[row.name]] if row.name in wanted else []
        assert seen == want, (row.name, seen, want)


def test_words_are_no_answer():
    """a word in a comment or a string answers nothing"""
    text = stages.text(1) + '\n/* mempool_create( mempool_alloc( mempool_free( kref_init(' \
        ' register_shrinker( unregister_shrinker( */\nchar *x = "KMEM_CACHE( ksize(";\n'
    source = Source(text)
    for name in ("T2Q2", "T3Q1", "T3Q2", "T4Q2", "T5Q2"):
        assert QUESTIONS[name](source).word == "bad", name


def test_traps_have_words():
    """each trap of tests/submissions has a name and two lines of why"""
    for row in check.table():
        for _, trap in row.losses.values():
            if trap:
                assert traps.name(trap), trap
                assert 2 <= len(traps.why(trap).splitlines()) <= 3, trap


def guest():
    return vm.Guest("6.1", "", "m", WORK, Source(""))


def words(text):
    return [line.split(" ", 3) for line in text.strip().splitlines()]


def test_crash():
    """a crash costs the question that was asked, by the trap of the last step"""
    made = guest()
    asked, survey = made.read(words(
        "survey begin - -\nsurvey ok - it loads\nsurvey end - -\nT1Q2 begin - -\n"
        "T1Q2 ok - rows\nT1Q2 end - -\nT1Q4 begin - -\nT1Q4 step 21 stop\n"),
        "[    1.0] BUG: kernel NULL pointer dereference\n[    1.0] Kernel panic", 5)
    assert asked == {"T1Q2", "T1Q4"} and not survey
    last = made.result.findings[-1]
    assert (last.question, last.word, last.trap) == ("T1Q4", "bad", 21), last
    assert "NULL pointer" in last.text, last


def test_report_at_survey():
    """a report before the first question costs one, and the others are asked"""
    first = "survey begin - -\nsurvey known - period='500'\nsurvey ok - it loads\n" \
            "survey step 19 rmmod, as the question ends\n"
    second = "T1Q2 begin - -\nT1Q2 ok - rows\nT1Q2 end - -\nall over - -\n"
    for warning, panics, costs in (
            ("WARNING: bad unlock balance detected!", False, ("T6Q3", 15)),
            ("BUG task_sample: Objects remaining in task_sample", False, ("T1Q4", 19)),
            ("BUG task_sample: Objects remaining in task_sample", True, ("T1Q4", 19))):
        made = guest()
        plans = []
        told = [(first, warning, 5) if panics else
                (f"{first}survey report - {warning}\nsurvey reboot - -\n", "", 0),
                (second, "", 0)]

        def boot(todo):
            plans.append((todo, list(made.known)))
            text, said, status = told.pop(0)
            return words(text), said, status
        made.boot = boot
        findings = made.ask(["T1Q2"]).findings
        assert plans == [(["T1Q2"], []), (["T1Q2"], ["period='500'"])], plans
        assert [(f.question, f.word, f.trap) for f in findings] == \
            [(costs[0], "bad", costs[1]), ("T1Q2", "ok", 0)], findings


def test_report_in_passing():
    """after a report that leaves nothing behind the same boot asks on"""
    made = guest()
    asked, survey = made.read(words(
        "survey begin - -\nsurvey ok - it loads\nsurvey step 19 rmmod\n"
        "survey report - WARNING: bad unlock balance detected!\nsurvey end - -\n"
        "T1Q2 begin - -\nT1Q2 ok - rows\nT1Q2 end - -\nall over - -\n"), "", 0)
    assert asked == {"T1Q2"} and not survey
    assert [(f.question, f.word, f.trap) for f in made.result.findings] == \
        [("T6Q3", "bad", 15), ("T1Q2", "ok", 0)], made.result.findings


def found(lines, said="", status=0):
    made = guest()
    made.read(words(lines), said, status)
    return [(f.question, f.word, f.trap) for f in made.result.findings]


def test_shown_by_any():
    """what any read or rmmod shows costs one question, and not those that showed it"""
    begun = "survey ok - x\nT2Q2 begin - -\nT2Q2 ok - rows\nT2Q2 step 19 rmmod\n"
    lock = "WARNING: bad unlock balance detected!"
    assert found(begun, "[    1.0] BUG task_sample: Objects remaining in task_sample", 5) == \
        [("T2Q2", "ok", 0), ("T1Q4", "bad", 19)]
    assert found(begun + f"T2Q2 report - [    1.0] {lock}\nT2Q2 reboot - -\n",
                 f"[    1.0] {lock}") == [("T2Q2", "ok", 0), ("T6Q3", "bad", 15)]
    # A write may have left it held.
    assert found("survey ok - x\nT7Q3 begin - -\nT7Q3 step 11 input\nT7Q3 report - WARNING: "
                 "lock held when returning to user space!\nT7Q3 reboot - -\n") == \
        [("T7Q3", "bad", 15)]


def test_crash_behind_a_report():
    """a crash behind a report costs the question that was asked"""
    null = "[    9.0] BUG: kernel NULL pointer dereference\n[    9.0] Kernel panic"
    assert found("survey ok - x\nT1Q2 begin - -\nT1Q2 step 7 end\n",
                 "[    1.0] seq_file: buggy .next function\n" + null, 5)[0][0] == "T1Q2"
    made = guest()
    warning = "[    1.0] WARNING: bad unlock balance detected!"
    made.read(words("survey begin - -\nsurvey ok - x\n"
                    f"survey report - {warning}\nsurvey end - -\n"
                    "T7Q3 begin - -\nT7Q3 step 5 many\n"), f"{warning}\n{null}", 5)
    last = made.result.findings[-1]
    assert (last.question, last.trap) == ("T7Q3", 5) and "NULL" in last.text, last


def hangs(*boots):
    """What a grading on two kernels makes of these boots: the kernels that were booted,
    the questions that lost, and what was assumed."""
    told = list(boots)
    booted = []

    class Hanging(vm.Guest):
        def boot(self, questions):
            booted.append(self.kernel)
            return words(told.pop(0)), "", vm.HUNG
    made = grading.Grading(submission.Submission("s"), grading.Choice(questions=["T1Q2"]),
                           tempfile.mkdtemp(dir=WORK))
    made.modules = lambda: [("6.1", ""), ("6.12", "")]
    real, vm.Guest = vm.Guest, Hanging
    try:
        made.watch(Source(""))
    finally:
        vm.Guest = real
    return booted, [f.question for f in made.findings if f.word == "bad"], made.assumed


def test_hang_at_load():
    """a module that hangs at the first look hangs one kernel only"""
    load = "survey begin - -\nsurvey step - insmod\n"
    for lines in (load, load + "survey known - period='1'\nsurvey ok - x\n"
                               "survey step 19 rmmod, as the question ends\n"):
        booted, lost, assumed = hangs(lines)
        assert booted == ["6.1"] and "T1Q2" in lost, (booted, lost)
        assert "no further kernel was tried" in assumed[-1], assumed
    # On a busy machine a VM may not even begin.
    booted, lost, assumed = hangs("", "")
    assert booted == ["6.1", "6.12"] and not assumed, (booted, assumed)


def test_half_a_survey():
    """what a survey finds counts when it came to its end"""
    made = guest()
    made.read(words("survey begin - -\nsurvey known - map='1'\n"), "Kernel panic", 5)
    assert not made.known
    made.known = ["period='500'"]
    asked, survey = made.read([], "Kernel panic", 5)
    assert not asked and not survey and not made.result.findings


def test_no_answer():
    """a boot in which no question is asked is the last one"""
    made = guest()
    boots = []
    made.boot = lambda todo: (boots.append(todo), ([], "panic", 3))[1]
    findings = made.ask(["T1Q2", "T1Q3"]).findings
    assert len(boots) == 1 and [f.word for f in findings] == ["bad", "bad"], findings


def test_forged_verdict():
    """what a module prints passes for no verdict"""
    made = guest()
    real = vm.jobs.execute

    def execute(directory, command):
        os.makedirs(directory)
        plan = os.path.join(WORK, "plan-0")
        with open(plan, encoding="ascii") as file:
            key = [line.split()[1] for line in file if line.startswith("key ")][0]
        out = (f"{key} survey begin - -\n{key} survey ok - x\n{key} survey end - -\n"
               f"{key} T1Q2 begin - -\nT1Q2 ok - forged\n0123456789abcdef T1Q2 ok - forged\n"
               f" {key} T1Q2 ok - forged\nTM-EXIT 0\n")
        return 4, 0.0, out, "HUNG: no verdict after 400 seconds"
    vm.jobs.execute = execute
    made.pack = lambda todo, key: (open(os.path.join(WORK, "plan-0"), "w", encoding="ascii")
                                   .write(f"key {key}\n"), "")[1]
    vm.script, saved = (lambda *_: "disk"), vm.script
    try:
        findings = made.ask(["T1Q2"]).findings
    finally:
        vm.jobs.execute, vm.script = real, saved
    assert [f.word for f in findings] == ["bad"], findings
    assert "hangs" in findings[0].text, findings


def test_charged_once():
    """a mistake costs the first question that shows it, and no other one"""
    _, by = scores([Finding("T1Q2", "bad", 7, "crash", "6.1"),
                    Finding("T7Q3", "ok", 0, "added", "6.1"),
                    Finding("T7Q3", "bad", 7, "crash", "6.1")])
    assert by["T1Q2"].verdict == "fail" and by["T7Q3"].verdict == "pass"
    same = "at this step: x: the kernel reports: BUG: unable to handle 0xffff12"
    _, by = scores([Finding("T1Q4", "bad", 0, same, "6.1"),
                    Finding("T2Q2", "bad", 0, same.replace("12", "99"), "6.1")])
    assert by["T1Q4"].verdict == "fail" and by["T2Q2"].verdict == "unseen"


def test_never_seen():
    """a module that no kernel lets look at has none of the points that are to be seen"""
    text = "at this step: insmod: the kernel reports: Kernel panic - not syncing: gone"
    lost = [Finding(name, "bad", 0, text, kernel, True)
            for name in ("T1Q2", "T7Q3") for kernel in ("6.1", "6.1-debug")]
    _, by = scores(lost)
    assert by["T1Q2"].verdict == by["T7Q3"].verdict == "fail"
    _, by = scores([f for f in lost if f.where != "6.1"] +
                   [Finding(name, "ok", 0, "added", "6.1") for name in ("T1Q2", "T7Q3")])
    assert by["T1Q2"].verdict == "fail" and by["T7Q3"].verdict == "pass"


def test_points():
    """pass, partly, fail; words only; what no kernel here shows takes no points"""
    grade, by = scores([
        Finding("T1Q2", "ok", 0, "a", "6.1"), Finding("T1Q2", "part", 30, "b", "6.12"),
        Finding("T1Q3", "ok", 0, "c", "6.1"), Finding("T1Q5", "bad", 8, "d", "6.12"),
        Finding("T4Q2", "ok", 0, "e", "source"), Finding("T4Q2", "none", 0, "f", "6.1")])
    lines = {name: score.line() for name, score in by.items()}
    assert lines["T1Q2"] == "T1Q2 partly 2/5 trap 30: b (6.12)", lines
    assert lines["T1Q3"] == "T1Q3 pass 5/5", lines
    assert lines["T1Q5"] == "T1Q5 fail 0/5 trap 8: d (6.12)", lines
    assert lines["T2Q1"] == "T2Q1 words -/5", lines
    assert lines["T4Q2"] == "T4Q2 unseen -/5", lines
    assert (grade.points, grade.most) == (7, 15), grade.points
    assert report.text(grade).rstrip().splitlines()[-1] == "total 7/15"


def test_machines_read_it():
    """results.json is as Gradescope reads it, and the page shows text as text"""
    grade, _ = scores([Finding("T1Q2", "bad", 7, "<script>alert(1)</script>", "6.1")])
    data = json.loads(report.results(grade))
    assert data["score"] == 0 and data["tests"][1]["max_score"] == 5, data
    assert data["tests"][1]["status"] == "failed", data
    page = report.page(grade)
    assert "<script>" not in page and "&lt;script&gt;" in page
    table = report.index([("a", grade), ("b", "it <b>broke</b>")])
    assert "<b>" not in table and "a.html" in table


def test_weights():
    """a file of weights that misses a question, or has one too many, is refused"""
    path = os.path.join(WORK, "weights")
    with open(questions.WEIGHTS, encoding="utf-8") as file:
        text = file.read()
    for bad in (text.replace("T1Q3 5\n", ""), text + "T9Q9 5\n", text + "T1Q1 many\n"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(bad)
        refused(questions.weights, path)


def test_rows():
    """rows in other words, order and units are the same rows"""
    def awk(text, **values):
        arguments = [word for name, value in values.items()
                     for word in ("-v", f"{name}={value}")]
        return subprocess.run(["busybox", "awk", *arguments, "-f",
                               os.path.join(TESTS, "grader", "rows.awk")], input=text,
                              capture_output=True, text=True, check=True).stdout
    truth = {"target": 131, "cputime": 3000000000, "vmsize": 8192}
    for text in ("pid 131 usr 1000000000 sys 2000000000 total 8192 stack 132 data 1024\n",
                 "Task 131: stime=2000 utime=1000 ms, vm 2048 data 256 stack 33 pages\n",
                 "131,1000000,2000000,8388608,135168,1048576\n"):
        found = dict(line.split("=") for line in
                     awk(text, survey=1, **truth).splitlines())
        row = awk(text, target=131, map=found["map"].strip('"'), cpu=found["cpu"],
                  memory=found["memory"])
        assert row == ("pid 131 usr 1000000000 sys 2000000000 total 8192 stack 132 "
                       "data 1024\n"), (text, found, row)


def test_sandbox():
    """what is built sees no file of this machine but the kernel's and the compiler's"""
    values = {"KERNEL_BUILD": "/usr"}
    directory = tempfile.mkdtemp(dir=WORK)
    done = subprocess.run(build.sandbox(directory, values) + ["sh", "-c",
                          "cat /etc/passwd /root/.profile; ls -A /home /tmp; echo x >/usr/x; "
                          "echo kept >/build/kept"],
                          capture_output=True, text=True, check=False)
    assert done.stdout == "/tmp:\n", done
    assert os.listdir(directory) == ["kept"], done


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as WORK:
        sys.exit(hosttests.run(globals()))

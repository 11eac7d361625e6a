# SPDX-License-Identifier: GPL-2.0
"""Asks a module the questions in VMs: a boot for all of them, and another one after
each that leaves the VM damaged. What counts as verdict carries a key of that boot,
so nothing that the module prints passes for one.
"""

import glob
import os
import re
import secrets
from dataclasses import dataclass

from runner import jobs
from runner.common import SCRIPTS, TESTS, build_tools, script

from .source import Source

# What a log may grow to; an endless one must not fill this machine's disk.
LOG_BYTES = 32 << 20
# vm.sh ends a boot that takes longer, with this exit status.
BOOT_SECONDS = 600
HUNG = 4

# The kernel's report names the trap where the step alone does not, and the question
# that a report costs before any question was asked.
REPORTS = (
    (r"fs_reclaim", 1, "T2Q3"),
    (r"WARNING: [^\n]*kthread_stop|RIP: \w+:kthread_stop", 21, "T1Q2"),
    (r"(?s)(?:refcount_t:|use-after-free|NULL pointer).{0,4000}kthread_stop", 21, "T1Q2"),
    (r"bad unlock balance|lock held when returning to user space|"
     r"mutex_unlock.*not locked", 15, "T6Q3"),
    (r"seq_file: buggy", 13, "T6Q3"),
    (r"list_(?:add|del) corruption", 18, "T5Q2"),
    (r"Objects remaining|still has objects", 19, "T1Q4"),
)
# What any read shows, and what any rmmod shows, costs that question, whichever one is
# being asked. A write may leave a lock held as well: then it costs its own.
BY_ANY_READ = (13, 15)
BY_ANY_RMMOD = 19
WRITES = ("T1Q3", "T7Q3")


@dataclass
class Finding:
    """One thing that was seen: on which kernel, of which question."""

    question: str
    word: str           # ok, part, bad or none
    trap: int
    text: str
    where: str
    at_survey: bool = False     # so this kernel shows nothing of the module


@dataclass
class Watched:
    """What a run in VMs has to tell."""

    findings: list[Finding]
    assumed: list[str]
    logged: str = ""        # what the module logs at load, about sizes
    prints: str = ""        # how much it logs while it samples
    boots: int = 0
    hung: bool = False      # as it was loaded or unloaded for the first time


def parameters_of(ko: str) -> list[str]:
    """Of a module without source: the names that modinfo -p would print."""
    if not ko:
        return []
    with open(ko, "rb") as file:
        data = file.read()
    names = [item[9:].split(b":")[0].decode("ascii", "replace")
             for item in data.split(b"\0") if item.startswith(b"parmtype=")]
    return [name for name in names if any(word in name for word in
                                          ("target", "pid", "process", "task"))]


class Guest:
    """The VMs of one module on one kernel."""

    def __init__(self, kernel: str, ko: str, name: str, work: str,
                 source: Source) -> None:
        self.kernel = kernel
        self.ko = ko
        self.name = name
        self.work = work
        # Before 6.12 that is the only way to have a cache fail on demand.
        self.failing = ",".join(["slub_debug=A"] + source.caches()) if self.debug else ""
        several = not source.functions or source.t7q1().word != "fail"
        parameters = source.parameters() or parameters_of(ko)
        self.plan = {"module": name, "parameters": " ".join(parameters),
                     "settable": " ".join(source.settable()),
                     "several": "yes" if several else "",
                     "pressure": "1" if self.debug else "2"}
        self.known: list[str] = []      # what the survey found, for later boots
        self.result = Watched([], [])

    @property
    def debug(self) -> bool:
        return self.kernel.endswith("-debug")

    def pack(self, questions: list[str], key: str) -> str:
        """The initramfs of a boot."""
        plan = os.path.join(self.work, f"plan-{self.result.boots}")
        with open(plan, "w", encoding="ascii") as file:
            for name, value in {**self.plan, "key": key,
                                "questions": " ".join(questions)}.items():
                file.write(f"{name} {value}\n")
            file.writelines(f"known {line}\n" for line in self.known)
        tools = os.path.join(self.work, "tools")
        if not os.path.exists(os.path.join(tools, "tmtool")):
            build_tools(tools, "tmtool")
        files = {self.ko: "/module.ko", plan: "/grade/plan",
                 os.path.join(tools, "tmtool"): "/bin/tmtool"}
        for path in glob.glob(os.path.join(TESTS, "guest", "*.sh")):
            files[path] = "/tests/" + os.path.basename(path)
        for name in ("guest.sh", "questions.sh", "rows.awk"):
            files[os.path.join(TESTS, "grader", name)] = "/grade/" + name
        out = os.path.join(self.work, "guest.cpio")
        arguments = ["-o", out, "-k", self.kernel]
        for path, place in files.items():
            arguments += ["-f", f"{path}:{place}"]
        script("initramfs.sh", *arguments)
        return out

    def boot(self, questions: list[str]) -> tuple[list[list[str]], str, int]:
        """One VM: the lines of its verdict as words, its console, its status."""
        key = secrets.token_hex(8)
        cpio = self.pack(questions, key)
        directory = os.path.join(self.work, f"boot-{self.result.boots}")
        self.result.boots += 1
        status, _, out, err = jobs.execute(directory, [
            "prlimit", f"--fsize={LOG_BYTES}", "--",
            os.path.join(SCRIPTS, "vm.sh"), "-k", self.kernel, "-i", cpio,
            "-l", directory, "-t", str(BOOT_SECONDS), "-I",
            "-m", "512M" if self.debug else "128M", "-d", script("disk.sh"), "-a",
            "tm.run=/grade/guest.sh slab_nomerge loglevel=5 softlockup_panic=1 "
            f"printk.devkmsg=off {self.failing}"])
        lines = [line.split(" ", 4)[1:] for line in out.splitlines()
                 if line.startswith(key + " ")]
        console = os.path.join(directory, "console.log")
        text = ""
        if os.path.exists(console):
            with open(console, encoding="utf-8", errors="replace") as file:
                text = file.read(LOG_BYTES)
        return [line for line in lines if len(line) >= 3], err + "\n" + text, status

    def ask(self, questions: list[str]) -> Watched:
        """All questions; a crash costs the one that was asked, and no other."""
        todo = list(questions)
        while todo:
            surveyed = bool(self.known)
            lines, said, status = self.boot(todo)
            asked, at_survey = self.read(lines, said, status)
            # On a busy machine a VM may not even have begun.
            if status == HUNG and not asked and any(word == "step" for _, word, *_ in lines):
                self.result.hung = True
            if at_survey:
                for name in todo:
                    self.add(name, "bad", at_survey.trap, at_survey.text).at_survey = True
                break
            todo = [name for name in todo if name not in asked]
            # Without an answer there would be none the next time either.
            if not asked and (self.result.hung or surveyed == bool(self.known)):
                for name in todo:
                    self.add(name, "bad", 0, "the VM gave no answer: " + first_report(said))
                break
        return self.result

    def add(self, question: str, word: str, trap: int, text: str) -> Finding:
        finding = Finding(question, word, trap, text.strip(), self.kernel)
        self.result.findings.append(finding)
        return finding

    def read(self, lines: list[list[str]], said: str,
             status: int) -> tuple[set[str], Finding | None]:
        """Takes the lines of one boot. Which questions were asked; what went wrong
        before the first of them, so that none was."""
        asked: set[str] = set()
        current, trap, doing = "" if self.known else "survey", 0, "boot"
        known: list[str] = []
        ended = False
        survey: Finding | None = None
        for question, word, number, *rest in lines:
            text = rest[0] if rest else ""
            value = int(number) if number.isdigit() else 0
            if word == "begin":
                current, trap, doing = question, 0, "the question itself"
                if question != "survey":
                    asked.add(question)
            elif word == "step":
                trap, doing = value, text
            elif word == "assume":
                if text not in self.result.assumed:
                    self.result.assumed.append(text)
            elif word == "known":
                known.append(text)
            elif word == "logged":
                self.result.logged = text
            elif word == "prints":
                self.result.prints = text
            elif word == "end":
                current = ""
            elif word in ("over", "reboot"):
                ended = True
            elif word == "report":
                finding = self.crash(question, trap, doing, text, 0)
                if finding not in self.result.findings:
                    self.result.findings.append(finding)
                # The console has it, too; what is behind it is news.
                said = said.rpartition(text.partition("] ")[2] or text)[2]
            elif word in ("ok", "part", "bad", "none"):
                if question != "survey":
                    self.add(question, word, value, text)
                elif word == "ok":
                    self.known = known
                elif word == "part":
                    self.add("T1Q4", word, value, text)
                elif word == "bad":
                    survey = Finding(question, word, value, text, self.kernel)
        if not ended and current and not survey:
            finding = self.crash(current, trap, doing, said, status)
            if current == "survey" and not self.known:
                survey = finding
            else:
                self.result.findings.append(finding)
                asked.add(current)
        return asked - {"survey"}, survey

    def crash(self, question: str, trap: int, doing: str, said: str,
              status: int) -> Finding:
        """What a report of the kernel costs; with status 0 it goes on after it."""
        report = first_report(said)
        costs = "T1Q4"
        for pattern, number, its_own in REPORTS:
            # Objects that remain follow from much else; then the step knows better.
            if re.search(pattern, said) and not (number == 19 and trap in (17, 20)):
                trap, costs = number, its_own
                if number == BY_ANY_RMMOD or \
                        (number in BY_ANY_READ and not status and question not in WRITES):
                    question = costs
                break
        if question == "survey":
            question = costs
        how = {3: "the VM went off", HUNG: "the VM hangs"}.get(status, "the kernel reports")
        return Finding(question, "bad", trap, f"at this step: {doing}: {how}: {report}",
                       self.kernel)


def first_report(said: str) -> str:
    """The line of a console that says what happened."""
    lines = [re.sub(r"^\[[^\]]*\](\[[^\]]*\])?\s*", "", line.strip())
             for line in said.splitlines()]
    for pattern in (r"BUG:|WARNING:|INFO: task|general protection|Oops|UBSAN|"
                    r"list_\w+ corruption|refcount_t:|ODEBUG|Objects remaining|"
                    r"watchdog: BUG|INFO: possible|rcu: INFO",
                    r"Kernel panic|HUNG|LOST"):
        for line in lines:
            if re.search(pattern, line):
                place = re.search(r"\bRIP: \w+:(\w+)\+", said)
                return line[:200] + (f", in {place.group(1)}()" if place else "")
    return (lines or [""])[-1][:200]

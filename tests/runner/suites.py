# SPDX-License-Identifier: GPL-2.0
"""What there is to run: each suite says in its head what it wants.

A head is a comment in the first lines of a suite:

    # Suite:
    #   kernels  6.1 6.12+full     what `make test` runs it on; -: nowhere
    #   by-name  *-rt              what else it can run on
    #   memory   128M              of the VM
    #   cpus     1                 of the VM
    #   needs    disk icount numa kunit leaky drivers tracers
    #   cmdline  preempt=full      for the guest's kernel
    #   seconds  77                of CPU, about: the longest are started first
"""

import fnmatch
import glob
import os
import re

from .common import ROOT, TESTS, Failure

# kernel+variant: the same kernel, booted otherwise.
VARIANTS = {
    "full": {"cmdline": "preempt=full"},
    "large": {"memory": "512M"},
    "numa": {"needs": ["numa"], "memory": "512M"},
    "traces": {"cmdline": "slub_debug=U"},
}

# What scripts/vm.sh takes for a need; the disk's name comes behind -d. The others are
# in the guest: kunit is a second module, with the unit tests in it, leaky that of
# tests/leaky, drivers some of the kernel's own, tracers programs of this machine.
NEEDS = {"disk": "-d", "icount": "-I", "numa": "-n", "kunit": None, "leaky": None,
         "drivers": None, "tracers": None}

IN_GUEST = [need for need, option in NEEDS.items() if option is None]

KEYS = ("kernels", "by-name", "memory", "cpus", "needs", "cmdline", "seconds")


KERNEL = re.compile(r"host|(newest|[0-9]+\.[0-9]+)(-rt|-debug|-kcsan)?")
HEAD_LINE = re.compile(r"#   ([a-z-]+) +(\S.*)$")


class Suite:
    """One file of tests/suites."""

    def __init__(self, path):
        self.path = path
        self.name, extension = os.path.splitext(os.path.basename(path))
        if not re.fullmatch("[a-z]+", self.name) or extension not in (".sh", ".py"):
            self.refuse("a suite is NAME.sh or NAME.py, in small letters only")
        if not os.access(path, os.X_OK):
            self.refuse("it cannot be executed")
        head = self.read_head()
        # "-" says that it is left out of `make test` on purpose.
        self.kernels = head.get("kernels", "").split()
        self.by_name = head.get("by-name", "").split()
        self.memory = head.get("memory")
        self.cpus = head.get("cpus")
        self.needs = head.get("needs", "").split()
        self.cmdline = head.get("cmdline", "")
        self.seconds = head.get("seconds", "60")
        self.check()
        self.kernels = [] if self.kernels == ["-"] else self.kernels
        self.seconds = int(self.seconds)

    def refuse(self, why):
        raise Failure(f"{os.path.relpath(self.path, ROOT)}: {why}; see tests/README.md")

    def read_head(self):
        """{key: value} of the lines behind "# Suite:"."""
        head = {}
        state = "before"
        with open(self.path, encoding="utf-8") as lines:
            for line in lines:
                match = HEAD_LINE.match(line)
                if not line.startswith("#"):
                    break
                if line.rstrip() == "# Suite:":
                    state = "inside"
                elif state == "inside" and not match:
                    state = "behind"
                elif state == "inside" and match.group(1) not in KEYS:
                    self.refuse(f"'{match.group(1)}' is not one of {', '.join(KEYS)}")
                elif state == "inside":
                    head[match.group(1)] = match.group(2).strip()
                elif match and match.group(1) in KEYS:
                    self.refuse(f"'{match.group(1)}' is not in the head, which ends "
                                "with the first other line")
        return head

    def check(self):
        if not self.kernels:
            self.refuse("no kernel is named in its head, so it would never run")
        if self.kernels == ["-"] and not self.by_name:
            self.refuse("it runs neither in make test nor by name")
        for kernel in self.kernels if self.kernels != ["-"] else []:
            base, plus, variant = kernel.partition("+")
            if not KERNEL.fullmatch(base):
                self.refuse(f"'{base}' is no kernel")
            if plus and variant not in VARIANTS:
                self.refuse(f"'{kernel}': variants are {', '.join(VARIANTS)}")
        for need in self.needs:
            if need not in NEEDS:
                self.refuse(f"no VM has '{need}'")
        for key, value, pattern in (("memory", self.memory, "[0-9]+M"),
                                    ("cpus", self.cpus, "[0-9]+"),
                                    ("seconds", self.seconds, "[0-9]+")):
            if value is not None and not re.fullmatch(pattern, value):
                self.refuse(f"{key}: '{value}' is not {pattern}")

    def runs_on(self, kernel):
        """Can it run on that kernel, if it is named?"""
        base = kernel.partition("+")[0]
        plain = [k.partition("+")[0] for k in self.kernels]
        return base in plain or any(fnmatch.fnmatchcase(base, pattern)
                                    for pattern in self.by_name)


def all_suites():
    paths = sorted(path for path in glob.glob(os.path.join(TESTS, "suites", "*"))
                   if not path.endswith("__pycache__"))
    return {suite.name: suite for suite in map(Suite, paths)}


def plan(suites, kernels=(), names=()):
    """Pairs (kernel, suite) to run, the longest first.

    Without kernels and names: what `make test` runs. A kernel alone runs all
    that it can; a suite alone runs where `make test` runs it; both together
    run, also where the suite's head does not name the kernel.
    """
    for name in names:
        if name not in suites:
            raise Failure(f"no suite '{name}'; there are: {' '.join(suites)}")
    chosen = [suites[name] for name in names] or list(suites.values())
    for kernel in kernels:
        variant = kernel.partition("+")[2]
        if variant and variant not in VARIANTS:
            raise Failure(f"no variant '{variant}'; there are: {' '.join(VARIANTS)}")
    if kernels and names:
        pairs = [(kernel, suite) for kernel in kernels for suite in chosen]
    elif kernels:
        pairs = [(kernel, suite) for kernel in kernels for suite in chosen
                 if suite.runs_on(kernel)]
    else:
        pairs = [(kernel, suite) for suite in chosen for kernel in suite.kernels]
    if not pairs and not kernels:
        raise Failure(f"{' '.join(names)}: by name only, with -k; see run.py list")
    if not pairs:
        raise Failure("no suite runs on " + " ".join(kernels))
    return sorted(pairs, key=lambda pair: -pair[1].seconds)


def vm_options(kernel, suite, disk):
    """What scripts/vm.sh is told for a suite on a kernel."""
    variant = VARIANTS.get(kernel.partition("+")[2], {})
    options = []
    memory = suite.memory or variant.get("memory")
    if memory:
        options += ["-m", memory]
    if suite.cpus:
        options += ["-c", suite.cpus]
    for need in dict.fromkeys(suite.needs + variant.get("needs", [])):
        if NEEDS[need]:
            options += [NEEDS[need]] + ([disk()] if need == "disk" else [])
    return options


def command_line(kernel, suite, arguments):
    """What the guest's kernel is told."""
    base, _, variant = kernel.partition("+")
    words = [f"tm.run=/tests/{suite.name}.sh", f"tm.args={arguments}"]
    if base.endswith("-debug"):
        # Before 6.12 that is the only way to have a cache fail on demand.
        words.append("slub_debug=A,task_sample")
    words.append(VARIANTS.get(variant, {}).get("cmdline", ""))
    words.append(suite.cmdline)
    return " ".join(filter(None, words))


def kunit_suites(root=ROOT):
    """The KUnit suites' names, after a check that each file of them is used."""
    sources = ""
    for path in glob.glob(os.path.join(root, "*.c")):
        with open(path, encoding="utf-8") as source:
            sources += source.read()
    names = []
    for path in sorted(glob.glob(os.path.join(root, "tests", "kunit", "*_kunit.h"))):
        relative = os.path.relpath(path, root)
        if f'#include "{relative}"' not in sources:
            raise Failure(f"{relative}: no source file includes it, so it "
                          "would never run")
        with open(path, encoding="utf-8") as source:
            found = re.findall(r'\.name = "taskmonitor_(\w+)"', source.read())
        if not found:
            raise Failure(f"{relative}: no KUnit suite named taskmonitor_*")
        names += found
    return names

# SPDX-License-Identifier: GPL-2.0
"""What there is to run: each suite says in its head what it wants.

A head is a comment in the first lines of a suite:

    # Suite:
    #   kernels  6.1 6.12+full     what `make test` runs it on
    #   by-name  *-rt              what else it can run on
    #   memory   128M              of the VM
    #   cpus     1                 of the VM
    #   needs    disk icount numa kunit
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
    "numa": {"needs": ["numa"], "memory": "512M"},
}

# What scripts/vm.sh takes for a need; the disk's name comes behind -d. kunit is a
# second module in the guest, with the unit tests in it.
NEEDS = {"disk": "-d", "icount": "-I", "numa": "-n", "kunit": None}

KEYS = ("kernels", "by-name", "memory", "cpus", "needs", "cmdline", "seconds")


class Suite:
    """One file of tests/suites."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.splitext(os.path.basename(path))[0]
        head = self.read_head()
        self.kernels = head.get("kernels", "").split()
        self.by_name = head.get("by-name", "").split()
        self.memory = head.get("memory")
        self.cpus = head.get("cpus")
        self.needs = head.get("needs", "").split()
        self.cmdline = head.get("cmdline", "")
        self.seconds = int(head.get("seconds", 60))
        for need in self.needs:
            if need not in NEEDS:
                raise Failure(f"{path}: no VM has '{need}'")
        if not self.kernels and not self.by_name:
            raise Failure(f"{path}: no kernel is named in its head, so it "
                          "would never run; see tests/README.md")

    def read_head(self):
        head = {}
        inside = False
        with open(self.path, encoding="utf-8") as lines:
            for line in lines:
                if line.rstrip() == "# Suite:":
                    inside = True
                    continue
                match = re.match(r"#   ([a-z-]+) +(\S.*)$", line)
                if inside and not match:
                    break
                if inside and match.group(1) not in KEYS:
                    raise Failure(f"{self.path}: '{match.group(1)}' is not one "
                                  f"of {', '.join(KEYS)}")
                if inside:
                    head[match.group(1)] = match.group(2).strip()
        return head

    def runs_on(self, kernel):
        """Can it run on that kernel, if it is named?"""
        base = kernel.partition("+")[0]
        plain = [k.partition("+")[0] for k in self.kernels]
        return base in plain or any(fnmatch.fnmatchcase(base, pattern)
                                    for pattern in self.by_name)


def all_suites():
    paths = sorted(glob.glob(os.path.join(TESTS, "suites", "*.*")))
    return {suite.name: suite for suite in map(Suite, paths)}


def plan(suites, kernels=(), names=()):
    """Pairs (kernel, suite) to run, the longest first.

    Without kernels and names: what `make test` runs. A kernel alone runs all
    that it can; a suite alone runs where `make test` runs it; both together
    run, whatever the suite's head says.
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

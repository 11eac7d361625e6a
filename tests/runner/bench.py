# SPDX-License-Identifier: GPL-2.0
"""Measures what the module costs, and what others take for the same, in VMs
where a nanosecond is an instruction (QEMU -icount): the figures repeat, also
on a busy host. Prints a table. Fails when a figure of ours is more than 2 %
worse than in the budget, which holds for one kernel package and one QEMU only;
for others it says so."""

import argparse
import os
import re
import subprocess
import sys
import tempfile

from . import jobs
from .common import ROOT, TESTS, Failure, build_tools, say, with_libraries

BENCH = os.path.join(TESTS, "bench")
TOLERANCE = 0.02
KERNELS = ("6.1", "6.12")

# The console takes instructions; every address decides where things lie; and
# 6.12 tests its ciphers for a second, in the background.
CMDLINE = "loglevel=3 nokaslr norandmaps cryptomgr.notests=1"

# What follows from other figures: name, dividend, and the sum that divides it.
RATIOS = (
    ("ratio_proc", "proc_statm", ("sample_500", "giveback_100000")),
    ("ratio_status", "proc_status", ("sample_500", "giveback_100000")),
    ("ratio_pidstat", "pidstat", ("sample_500", "giveback_100000")),
    ("ratio_bpf", "bpf", ("sample_500", "row_1000")),
)


class Figure:
    """A line of tests/bench/table."""

    def __init__(self, line):
        self.name, self.group, self.kind, target, self.text = line.split("|")
        self.target = None if target == "-" else (target[:2], float(target[2:]))
        self.more_is_worse = not target.startswith(">=")

    def met(self, value):
        if not self.target:
            return True
        operator, bound = self.target
        return float(value) <= bound if operator == "<=" else float(value) >= bound

    def target_text(self):
        if not self.target:
            return ""
        sign = "≤" if self.target[0] == "<=" else "≥"
        return f" {sign} {self.target[1]:g}"


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file
                if line.strip() and not line.startswith("#")]


def read_table():
    return [Figure(line) for line in read_lines(os.path.join(BENCH, "table"))]


def read_results(path):
    """{(kernel, qemu, figure): value}, as -o and the budget have it."""
    return {tuple(line.split()[:3]): line.split()[3] for line in read_lines(path)}


class Bench:
    """VMs that measure a group of figures each."""

    def __init__(self, lab, table):
        self.lab = lab
        self.table = table
        version = subprocess.run(["qemu-system-x86_64", "--version"], check=True,
                                 capture_output=True, text=True).stdout
        self.qemu = re.match(r"QEMU emulator version (\S+)", version).group(1)

    def pack(self, kernel):
        work = self.lab.work
        build_tools(work, "tmtool", "tmbench", "taskiter")
        files = [(os.path.join(BENCH, "guest.sh"), "/tests/bench.sh"),
                 (os.path.join(TESTS, "guest", "lib.sh"), "/tests/lib.sh")]
        files += [(os.path.join(work, tool), f"/bin/{tool}")
                  for tool in ("tmtool", "tmbench", "taskiter")]
        files += with_libraries("pidstat")
        return self.lab.pack(kernel, files, os.path.join(work, f"{kernel}.cpio"))

    def measure(self, kernel, group, cpio):
        """The figures of one group, as read_results() has them."""
        directory = os.path.join(self.lab.work, f"{kernel}-{group}")
        status, cpu, told, err = jobs.boot(
            directory, kernel, cpio, 900,
            ["-I", "-m", "2G" if group == "scale" else "512M"],
            f"{CMDLINE} tm.run=/tests/bench.sh tm.args={group}")
        if status:
            raise Failure(f"{told}{err}no figures of kernel {kernel}, {group}")
        pairs = dict(re.findall(r"^(\S+) (-?[0-9]+(?:\.[0-9]+)?)$", told, re.MULTILINE))
        version = re.search(r"^kernel (.*)$", told, re.MULTILINE).group(1)
        say("\n".join(re.findall(r"^#.*$", told, re.MULTILINE) +
                      [f"kernel {kernel}, {group}: {cpu:.0f} s of CPU"]))
        lacking = [f.name for f in self.table
                   if f.group == group and f.name not in pairs]
        if lacking:
            raise Failure(f"{told}kernel {kernel}: no figure {' '.join(lacking)}")
        return {(version, self.qemu, f.name): pairs[f.name]
                for f in self.table if f.group == group}


def derive(results):
    """Adds the ratios."""
    for version, qemu in dict.fromkeys(key[:2] for key in results):
        for name, dividend, parts in RATIOS:
            wanted = [results.get((version, qemu, part)) for part in (dividend, *parts)]
            if all(wanted):
                values = [float(value) for value in wanted]
                results[version, qemu, name] = f"{values[0] / sum(values[1:]):.1f}"
    return results


def markdown(table, results, aims=False):
    """One column for each kernel; of all figures, or of those with a target."""
    kernels = list(dict.fromkeys(key[0] for key in results))
    values = {(key[0], key[2]): value for key, value in results.items()}
    lines = ["| instructions, if nothing else is said | target |" +
             "".join(f" {kernel} |" for kernel in kernels),
             "|---|---|" + "---:|" * len(kernels)]
    for figure in table:
        if aims and not figure.target or \
           not any((kernel, figure.name) in values for kernel in kernels):
            continue
        line = f"| {figure.text} |{figure.target_text()} |"
        for kernel in kernels:
            value = values.get((kernel, figure.name), "")
            missed = value and not figure.met(value)
            line += f" {value}{' (missed)' if missed else ''} |"
        lines.append(line)
    return "\n".join(lines)


def check(table, results, budget):
    """Says what is worse than it may be; how many figures are."""
    ours = {figure.name: figure for figure in table if figure.kind == "ours"}
    keys = {key[:2] for key in budget}
    said = set()
    worse = 0
    for key, value in results.items():
        if key[2] not in ours:
            continue
        if key[:2] not in keys:
            if key[:2] not in said:
                print(f"no budget for kernel {key[0]} on QEMU {key[1]}: measured "
                      "anew, compared with nothing")
            said.add(key[:2])
        elif key not in budget:
            print(f"no budget for the figure {key[2]} of kernel {key[0]}")
        else:
            was = float(budget[key])
            by = float(value) - was
            by = by if ours[key[2]].more_is_worse else -by
            allowed = was * TOLERANCE + 1e-9
            worse += by > allowed
            if abs(by) > allowed:
                print(f"{'WORSE' if by > 0 else 'better'}: kernel {key[0]}, "
                      f"{key[2]}: {value}, and the budget is {budget[key]}")
    return worse


def fill(path, table):
    """The table of a document is that one from now on."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(re.sub(r"(<!-- figures -->\n).*?(\n<!-- end -->)",
                          lambda m: f"{m.group(1)}\n{table}\n{m.group(2)}",
                          text, flags=re.DOTALL))


def update(table, results, budget):
    """The budget, and the tables in the documentation."""
    ours = {figure.name for figure in table if figure.kind == "ours"}
    with open(budget, "w", encoding="utf-8") as file:
        print("# What tests/run.py bench -u measured: kernel package, QEMU, figure, "
              "value.", file=file)
        for key, value in results.items():
            if key[2] in ours:
                print(*key, value, file=file)
    fill(os.path.join(ROOT, "docs", "benchmarks.md"), markdown(table, results))
    fill(os.path.join(ROOT, "README.md"), markdown(table, results, aims=True))
    say("written: the budget, and the tables in docs/benchmarks.md and README.md")


def parse(arguments, groups):
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__)
    add = parser.add_argument
    add("-k", dest="kernels", action="append", help="6.1 and 6.12 if not given")
    add("-f", dest="groups", default="", help="groups of figures, with commas: the "
        "second column of tests/bench/table")
    add("-j", dest="vms", type=int, default=jobs.WORKERS,
        help="how many VMs at a time")
    add("-o", dest="keep", help="keeps the figures in that file")
    add("-b", dest="budget", default=os.path.join(BENCH, "budget"),
        help="the budget (tests/bench/budget); what -o kept will do")
    add("-u", dest="update", action="store_true", help="all that is measured becomes "
        "the budget, also what got worse; the tables in the documents are written")
    add("-c", dest="results", help="measures nothing and judges what -o kept")
    options = parser.parse_args(arguments)
    options.groups = [g for g in options.groups.split(",") if g]
    if options.update and (options.kernels or options.groups):
        raise Failure("-u takes all figures and both kernels")
    for group in options.groups:
        if group not in groups:
            raise Failure(f"no group '{group}'; there are: {' '.join(groups)}")
    return options


def main(arguments):
    table = read_table()
    groups = list(dict.fromkeys(f.group for f in table if f.group != "-"))
    options = parse(arguments, groups)
    budget = {}
    if os.path.exists(options.budget):
        budget = read_results(options.budget)
    else:
        say(f"no budget: '{options.budget}'")
    if options.results:
        return int(check(table, read_results(options.results), budget) > 0)
    jobs.require("bench")
    results = {}
    with tempfile.TemporaryDirectory() as work:
        lab = jobs.Lab(work)
        bench = Bench(lab, table)
        items = []
        for kernel in options.kernels or KERNELS:
            if not lab.has(kernel):
                say(f"skipped: {lab.missing[kernel]}")
                continue
            cpio = bench.pack(kernel)
            items += [(kernel, group, cpio) for group in options.groups or groups]
        say(f"running {len(items)} VMs, {options.vms} at a time")
        measured = list(jobs.in_parallel(bench.measure, items, options.vms))
    order = {figure.name: number for number, figure in enumerate(table)}
    for key, value in sorted(((k, v) for part in measured for k, v in part.items()),
                             key=lambda pair: (pair[0][0], order[pair[0][2]])):
        results[key] = value
    derive(results)
    if options.keep:
        with open(options.keep, "w", encoding="utf-8") as file:
            for key, value in results.items():
                print(*key, value, file=file)
    print(markdown(table, results))
    worse = check(table, results, budget)
    if options.update:
        update(table, results, options.budget)
        return 0
    sys.stdout.flush()
    return int(worse > 0)

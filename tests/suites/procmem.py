#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# scripts/procmem: its figures against those that smem makes of smaps, and its judgement
# of histories of known programs, by busybox, beside what first-and-last would say.
#
# Suite:
#   kernels  host
#   seconds  15
"""Prints KTAP, and the table of programs as notes."""

import math
import os
import random
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROCMEM = os.path.join(ROOT, "scripts", "procmem")
SAMPLES = 480
SEEDS = 10
HOURS = 8

# A program: what it holds in KiB at a time from 0 to 1, and what chance it has.


def slow_leak(at, _):
    return 20000 + 4 * int(300 * at)


def leak_in_arenas(at, _):
    """malloc asks for 132 KiB at a time."""
    return 30000 + 132 * int(25 * at + 0.5)


def leak_below_cycles(at, chance):
    return 40000 + int(6000 * at) + 4 * int(3000 * (at * 37 % 1)) + chance.randrange(0, 64)


def leak_after_warm_up(at, _):
    return 20000 + int(60000 * (1 - math.exp(-30 * at))) + 4 * int(1000 * at)


def leak_in_noise(at, chance):
    return 50000 + int(2000 * at) + 4 * chance.randrange(0, 500)


def constant(_, __):
    return 12345


def noise(_, chance):
    return 50000 + 4 * chance.randrange(0, 500)


def saw_teeth(at, _):
    return 30000 + 4 * int(4000 * (at * 41.7 % 1))


def slow_cycle(at, chance):
    return 60000 + int(20000 * math.sin(at * 40)) + chance.randrange(0, 200)


def warm_up(at, _):
    return 20000 + int(80000 * (1 - math.exp(-12 * at)))


def capped_cache(at, chance):
    return 20000 + min(int(200000 * at), 100000) - 4 * chance.randrange(0, 20)


def steps_then_none(at, _):
    return 10000 * (1 + (at > 0.1) + (at > 0.3) + (at > 0.5))


def late_step(at, _):
    return 20000 + 40000 * (at > 0.8)


def daily_load(at, chance):
    """Up in the morning, down at night, three times."""
    return 40000 + 30000 * (at * 3 % 1 > 0.4) + 4 * chance.randrange(0, 50)


LEAKS = (slow_leak, leak_in_arenas, leak_below_cycles, leak_after_warm_up, leak_in_noise)
INNOCENT = (constant, noise, saw_teeth, slow_cycle, warm_up, capped_cache, steps_then_none,
            late_step, daily_load)


def history(program, seed):
    chance = random.Random(seed)
    offset = chance.random() / 50
    rows = []
    for i in range(SAMPLES):
        at = min(1, i / SAMPLES + offset)
        data = program(at, chance)
        rows.append(f"pid 131 usr 0 sys 0 total {data + 9000} stack 132 data {data} "
                    f"rss {data // 2} threads 1 state S "
                    f"time {int(i * HOURS * 3600e9 / SAMPLES)} comm x\n")
    return rows


def judge(rows, script=PROCMEM):
    with tempfile.NamedTemporaryFile("w", suffix=".rows") as file:
        file.writelines(rows)
        file.flush()
        done = subprocess.run(["busybox", "sh", script, "--record", "131", file.name],
                              capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def first_and_last(rows):
    """What a reader of two figures would say: more than a twentieth is growth."""
    data = [int(re.search(r"data (\d+)", row).group(1)) for row in (rows[0], rows[-1])]
    return data[1] > data[0] * 1.05


class Case:
    """Counts, and prints a line of KTAP for each."""
    number = 0
    failed = 0

    def __call__(self, title, wrong):
        self.number += 1
        for line in wrong:
            print("\n".join(f"# {part}" for part in str(line).splitlines()))
        print(f"{'not ' if wrong else ''}ok {self.number} - {title}", flush=True)
        self.failed += bool(wrong)


def table(script=PROCMEM):
    """{program: (grows, cannot tell, first-and-last)}, of SEEDS each."""
    found = {}
    for program in LEAKS + INNOCENT:
        statuses, naive = [], 0
        for seed in range(SEEDS):
            rows = history(program, seed)
            statuses.append(judge(rows, script)[0])
            naive += first_and_last(rows)
        found[program] = (statuses.count(1), statuses.count(2), naive)
    return found


def judgement(case):
    found = table()
    print(f"# | of {SEEDS} histories | grows | cannot tell yet | first and last |")
    for program, (grows, unsure, naive) in found.items():
        name = program.__name__.replace("_", " ")
        print(f"# | {name}{' (a leak)' if program in LEAKS else ''} | {grows} | {unsure} "
              f"| {naive} |")
    case("programs that leak: none is said not to grow, and nine of ten are found",
         [f"{p.__name__}: {found[p]}" for p in LEAKS
          if sum(found[p][:2]) < SEEDS or found[p][0] < 0.9 * SEEDS])
    case("programs that do not: none is said to grow",
         [f"{p.__name__}: {found[p]}" for p in INNOCENT if found[p][0]])
    case("first and last is fooled by these programs, so they prove something",
         [] if sum(found[p][2] for p in INNOCENT) >= 2 * SEEDS else ["it is not"])


def slope(case):
    wrong = []
    _, said = judge(history(slow_leak, 1))
    rate = re.search(r"data +grows by (\d+) bytes an hour \(between (\d+) and (\d+)\)", said)
    true = 4 * 300 * 1024 / HOURS
    if not rate or abs(int(rate.group(1)) - true) > true / 100 or \
       not int(rate.group(2)) <= int(rate.group(1)) <= int(rate.group(3)):
        wrong.append(f"{true:.0f} bytes an hour are lost: {said}")
    case("the slope is that of the leak within 1 %, and between its bounds", wrong)
    status, said = judge(history(slow_leak, 1)[:40])
    case("forty samples are not enough",
         [] if status == 2 and said.startswith("pid 131: cannot tell yet") else [said])


def broken(case, title, old, new):
    """With a mistake in it, the table of programs must not come out right."""
    with open(PROCMEM, encoding="utf-8") as file:
        text = file.read()
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(text.replace(old, new))
        file.flush()
        wrong = [] if old in text else [f"there is no '{old}' in procmem"]
        fooled = any(judge(history(program, seed), file.name)[0] == 1
                     for program in INNOCENT for seed in range(3))
        missed = any(judge(history(program, seed), file.name)[0] != 1
                     for program in LEAKS for seed in range(3))
    case(title, wrong or ([] if fooled or missed else ["nothing of it is noticed"]))


def by_smaps(pid):
    """PSS, USS and RSS as smem adds them up."""
    sums = {"Pss": 0, "Private_Clean": 0, "Private_Dirty": 0, "Rss": 0}
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as lines:
        for line in lines:
            name, _, rest = line.partition(":")
            if name in sums:
                sums[name] += int(rest.split()[0])
    return sums["Rss"], sums["Pss"], sums["Private_Clean"] + sums["Private_Dirty"]


def figures(case):
    wrong = []
    with subprocess.Popen([sys.executable, "-c",
                           "x = bytearray(8 << 20); print(flush=True); input()"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        before = by_smaps(child.pid)
        said = subprocess.run(["busybox", "sh", PROCMEM, str(child.pid)],
                              capture_output=True, text=True, check=False).stdout
        expected = by_smaps(child.pid)
        child.communicate(b"\n")
    row = said.splitlines()[1].split()
    got = tuple(int(x) for x in row[2:5])
    # smaps rounds the PSS of each mapping down, smaps_rollup that of all: there are
    # some dozens. Other programs of this machine share its libraries, and come and go.
    # The others are sums of pages.
    if abs(got[0] - expected[0]) > 4 or abs(got[2] - expected[2]) > 4 or \
       not min(before[1], expected[1]) <= got[1] <= max(before[1], expected[1]) + 64:
        wrong.append(f"RSS, PSS, USS: {got}, by smaps {before}, {expected}\n{said}")
    total = said.splitlines()[-1].split()
    if total[1:4] != [row[3], row[4], row[5]]:
        wrong.append(f"the totals of one process are its figures: {said}")
    case("RSS, PSS and USS are those of smaps", wrong)
    wrong = []
    for arguments in (["0"], ["x"], ["4194305"], ["--record"], ["--record", "1", "/none"], ["-z"]):
        done = subprocess.run(["busybox", "sh", PROCMEM, *arguments],
                              capture_output=True, text=True, check=False)
        if done.returncode != 2 or not done.stderr.startswith("procmem: "):
            wrong.append(f"{arguments}: {done.returncode} {done.stderr}")
    case("a wrong call is refused with a reason", wrong)


def main():
    case = Case()
    print("KTAP version 1\n1..9")
    figures(case)
    judgement(case)
    slope(case)
    broken(case, "control: without the look at how it grows, innocents are accused",
           "last > 0 && jump <= grown / 2 && rises >= 4 &&\n\t\t    late >= early / 3 && "
           "last >= late / 4", "1")
    broken(case, "control: with the last figure of a window for the least, it errs",
           "y[k] < 0 || value[what, i] < y[k]", "1")
    return int(case.failed > 0)


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: GPL-2.0
"""The lab's questions: what is asked, what is expected, what shows it."""

import os
from dataclasses import dataclass

from runner.common import TESTS, Failure

WEIGHTS = os.path.join(TESTS, "grader", "weights")


@dataclass(frozen=True)
class Question:
    """kinds: O observed in a VM, S read in the source, W answered in words."""

    name: str
    kinds: str
    asked: str
    expected: str
    command: str


def table() -> list[Question]:
    return [Question(*row) for row in (
        ("T1Q1", "S", "a sample list, a count and a mutex in struct task_monitor",
         "the three in one struct, and no access to the list without the lock",
         "read the struct, and each list_add() and list_del()"),
        ("T1Q2", "O", "the kthread stores a sample a period",
         "one row more each period, with the process's CPU time; no log",
         "insmod M.ko target=PID; cat FILE; sleep 5; cat FILE; dmesg"),
        ("T1Q3", "O", "sysfs shows the newest samples, within a page",
         "4096 bytes at most, whole rows, newest first; stop and start",
         "dd if=/sys/kernel/taskmonitor bs=65536 | tee page | wc -c"),
        ("T1Q4", "O", "the exit function frees everything",
         "no memory, cache, file or thread left; rmmod returns at once",
         "insmod and rmmod in a loop; kmemleak; /proc/slabinfo; /proc/meminfo"),
        ("T1Q5", "O", "samples record the mapped memory",
         "equal to VmSize, VmStk and VmData",
         "cat FILE; grep -E 'Vm(Size|Stk|Data)' /proc/PID/status"),
        ("T2Q1", "W", "the functions of the shrinker API", "", ""),
        ("T2Q2", "OS", "a shrinker, registered and unregistered",
         "reclaim asks it, and no more after rmmod",
         "trace vmscan:mm_shrink_slab_start; echo 2 > /proc/sys/vm/drop_caches"),
        ("T2Q3", "OS", "the shrinker works",
         "the oldest samples go, no OOM kill, sampling goes on",
         "echo 2 > /proc/sys/vm/drop_caches; a process that takes all memory"),
        ("T3Q1", "OS", "sizeof and ksize of a sample",
         "both in the log, and ksize is a kmalloc size",
         "insmod M.ko; dmesg | grep -i size"),
        ("T3Q2", "OS", "a slab cache of our own",
         "its name in /proc/slabinfo, with an object for each sample",
         "grep task_sample /proc/slabinfo"),
        ("T4Q1", "W", "the types and functions of the mempool API", "", ""),
        ("T4Q2", "OS", "a mempool on top of the slab cache",
         "samples go on while each slab allocation fails, and rmmod returns",
         "failslab for the module's code, probability 100; cat FILE"),
        ("T5Q1", "W", "what kref needs", "", ""),
        ("T5Q2", "OS", "samples are reference counted",
         "a kref in the sample, a release function, the print without the lock",
         "read save_sample() and its caller; drop_caches in a loop"),
        ("T5Q3", "S", "the references just before the print",
         "two: the list's and the kthread's",
         "count kref_init() and kref_get() before the sample is linked"),
        ("T6Q1", "W", "debugfs against procfs and sysfs", "", ""),
        ("T6Q2", "W", "the structures and operations of seq_file", "", ""),
        ("T6Q3", "O", "debugfs shows the whole history",
         "more than a page, complete and in order, however it is read",
         "cat FILE; dd if=FILE bs=1; two readers; rmmod while it is open"),
        ("T7Q1", "S", "monitors chained in a global list",
         "a list head of the module, and a link in each monitor",
         "read the struct, and the list_add() of a monitor"),
        ("T7Q2", "O", "every monitored process is recorded",
         "three processes, one sample each a period",
         "echo PID > FILE, three times; cat FILE"),
        ("T7Q3", "O", "writing PID adds, -PID removes",
         "both work, and input that makes no sense is refused",
         "echo PID > FILE; echo -PID > FILE; echo abc > FILE"),
    )]


def weights(path: str = WEIGHTS) -> dict[str, int]:
    """{question: points}, from the file that a teacher edits."""
    points = {}
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if len(words) != 2 or not words[1].isdigit():
                raise Failure(f"{path}:{number}: a line is QUESTION POINTS")
            points[words[0]] = int(words[1])
    known = {question.name for question in table()}
    if set(points) != known:
        odd = ", ".join(sorted(set(points) ^ known))
        raise Failure(f"{path}: each question has one line; look at {odd}")
    return points

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# scripts/taskmonitor without the module: rows in, known text out; `run` beside a file
# that behaves as the module's; each with busybox alone and with Debian's sh and awk.
#
# Suite:
#   kernels  host
#   seconds  25
"""Prints KTAP. TASKMONITOR_ROOT is a made-up / for each case."""

import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMMAND = os.path.join(ROOT, "scripts", "taskmonitor")

# A process that ends, one that lives and has an odd name, and one that got the number
# of the first; the second's rows stand between those of the first, as a pipe has them.
ROWS = r"""
pid 131 usr 100000000 sys 0 total 8192 stack 132 data 1024 rss 3072 threads 1 state S time 2000000000 comm sh
pid 140 usr 5000000000123 sys 10 total 8192 stack 132 data 1024 rss 4294967296 threads 2 state R time 3000000000 comm a\040"b\134
pid 131 usr 600000000 sys 100000000 total 8192 stack 132 data 1024 rss 4608 threads 1 state R time 3000000000 comm sh
pid 140 usr 5000250000123 sys 10 total 8192 stack 132 data 1024 rss 1024 threads 2 state R time 4000000000 comm a\040"b\134
pid 131 usr 700000000 sys 100000000 total 0 stack 0 data 0 rss 0 threads 0 state X time 3500000000 exit 256 peak 5120 comm sh
pid 131 usr 1000000 sys 0 total 8192 stack 132 data 1024 rss 100 threads 1 state S time 4000000000 comm \000
""".lstrip()

STATS = """\
monitors 3
samples 6
bytes 4096
taken 3000000007
reclaimed 3000000001
recycled 0
capped 0
removed 0
dropped 0
late 2
tick_ns 4200
tick_ns_max 1000000000
ended 1
followed 0
refused 0
missed 0
"""

CSV = r"""
pid,usr,sys,total,stack,data,rss,threads,state,time,exit,peak,comm
131,100000000,0,8192,132,1024,3072,1,S,2000000000,,,sh
140,5000000000123,10,8192,132,1024,4294967296,2,R,3000000000,,,"a ""b\"
131,600000000,100000000,8192,132,1024,4608,1,R,3000000000,,,sh
140,5000250000123,10,8192,132,1024,1024,2,R,4000000000,,,"a ""b\"
131,700000000,100000000,0,0,0,0,0,X,3500000000,256,5120,sh
131,1000000,0,8192,132,1024,100,1,S,4000000000,,,
""".lstrip()

TABLE = r"""
    PID S   CPU %      CPU s    RSS MiB  THREADS  NAME
    140 R    25.0    5000.25        1.0        2  a "b\
    131 S     0.0       0.00        0.1        1  -
    131 X     0.0       0.80        0.0        0  sh
""".lstrip("\n")

METRICS = r"""
# HELP taskmonitor_process_cpu_seconds_total CPU time that a recorded process has used.
# TYPE taskmonitor_process_cpu_seconds_total counter
taskmonitor_process_cpu_seconds_total{pid="131",comm="",mode="system"} 0.000000000
taskmonitor_process_cpu_seconds_total{pid="131",comm="",mode="user"} 0.001000000
taskmonitor_process_cpu_seconds_total{pid="140",comm="a \"b\\",mode="system"} 0.000000010
taskmonitor_process_cpu_seconds_total{pid="140",comm="a \"b\\",mode="user"} 5000.250000123
# HELP taskmonitor_process_resident_memory_bytes Resident memory of a recorded process.
# TYPE taskmonitor_process_resident_memory_bytes gauge
taskmonitor_process_resident_memory_bytes{pid="131",comm=""} 102400
taskmonitor_process_resident_memory_bytes{pid="140",comm="a \"b\\"} 1048576
""".lstrip()

STATISTICS = """\
# HELP taskmonitor_samples_taken_total Samples ever taken.
# TYPE taskmonitor_samples_taken_total counter
taskmonitor_samples_taken_total 3000000007
# HELP taskmonitor_samples_reclaimed_total Samples given back under memory pressure.
# TYPE taskmonitor_samples_reclaimed_total counter
taskmonitor_samples_reclaimed_total 3000000001
"""

# Seconds, CPU %, MiB: of 131, then of 140; the third has one row.
LINES = """\
0.000 nan 3.000
1.000 60.000 4.500
1.500 20.000 4.500


1.000 nan 4194304.000
2.000 25.000 1.000


"""

# What `run` says of a command that failed, and of its child that was killed: each has
# its first row a second before its last, but for the third, which has that one only.
SUMMARY = """\
    PID    SECONDS      CPU s   CPU %   PEAK MiB  EXIT     NAME
    PID      1.500      0.800    46.7        5.0  1        make
   9001      1.000      1.500   100.0       20.0  SIGKILL  cc 1
   9002          -      0.250       -        1.0  0        as
    all      1.500      2.550   170.0       20.0           3 processes
"""

FINISH = r"""
pid {pid} usr 100000000 sys 0 total 8192 stack 132 data 1024 rss 3072 threads 1 state S time 2000000000 comm sh
pid {pid} usr 700000000 sys 100000000 total 0 stack 0 data 0 rss 0 threads 0 state X time 3500000000 exit 256 peak 5120 comm make
pid 9001 usr 500000000 sys 0 total 8192 stack 132 data 1024 rss 3072 threads 1 state S time 2000000000 comm cc\0401
pid 9001 usr 1500000000 sys 0 total 0 stack 0 data 0 rss 0 threads 0 state X time 3000000000 exit 9 peak 20480 comm cc\0401
pid 9002 usr 250000000 sys 0 total 0 stack 0 data 0 rss 0 threads 0 state X time 3100000000 exit 0 peak 1024 comm as
""".lstrip()


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Lab:
    """A shell with its awk, a made-up /, and the command, perhaps with a mistake in it."""

    def __init__(self, work, name, shell, tools, script=COMMAND):
        self.work, self.name, self.shell, self.script = work, name, shell, script
        self.bin = os.path.join(work, f"bin-{name}")
        if not os.path.isdir(self.bin):
            os.makedirs(self.bin)
            for tool, path in tools.items():
                os.symlink(path, os.path.join(self.bin, tool))
        self.root = tempfile.mkdtemp(dir=work)

    def path(self, *names):
        return os.path.join(self.root, *names)

    def module(self, rows=ROWS):
        """The module is loaded, and has these rows."""
        write(self.path("sys/kernel/debug/taskmonitor"), rows)
        write(self.path("sys/kernel/debug/taskmonitor_stats"), STATS)
        write(self.path("sys/kernel/taskmonitor"), "")
        write(self.path("sys/module/taskmonitor/parameters/follow"), "0\n")
        write(self.path("sys/module/taskmonitor/parameters/period_ms"), "1000\n")
        write(self.path("proc/131/comm"), "sh\n")
        write(self.path("proc/140/comm"), 'a "b\\\n')
        write(self.path("sys/fs/cgroup/web/cgroup.procs"), "0\n140\n")
        write(self.path("sys/fs/cgroup/web/sub/cgroup.procs"), "131\n")

    def command(self, *arguments):
        return [*self.shell, self.script, *arguments]

    def environment(self):
        # What stands first hides the machine's own; the rest is coreutils.
        path = self.bin if self.name == "busybox" else self.bin + ":/usr/bin:/bin"
        return {"PATH": path, "TASKMONITOR_ROOT": self.root, "TMPDIR": self.work}

    def start(self, *arguments, **more):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "text": True, "cwd": self.root,
                   "env": self.environment()}
        # Who starts the tests in the background has SIGINT ignored, and so would we.
        options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(self.command(*arguments),
                                **{**options, **more})

    def call(self, *arguments, text=None, **more):
        """Exit status, stdout, stderr."""
        if text is not None:
            more["stdin"] = subprocess.PIPE
        with self.start(*arguments, **more) as process:
            try:
                out, err = process.communicate(text, timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                err += "HUNG"
        return process.returncode, out, err

    def expect(self, arguments, status, out, err="", **more):
        """What is not so. A string of err is looked for, of out is all there is."""
        got = self.call(*arguments, **more)
        if got[0] != status or (out is not None and got[1] != out) or \
           (err not in got[2] if err else got[2]):
            return [f"{arguments}: {status} {out!r} {err!r} is expected,\ngot {got}"]
        return []


# A write to the module returns when the PID is recorded; these, when Module has it.
WAIT = """
n=0
while grep -q '^[0-9]' "{file}" && [ $n -lt 500 ]; do
	sleep 0.01
	n=$((n + 1))
done
"""
SLOW = """#!/bin/sh
[ "$1" = echo ] || exec /usr/bin/env "$@"
/usr/bin/env "$@" || exit
""" + WAIT
# The shell of busybox takes its own env before that of PATH, but not before this.
SLOW_FUNCTION = "env() {{ busybox env \"$@\" || return\n" + WAIT + "}}\n. \"$0\"\n"


def name_at_rest(pid):
    """What the process is called when it waits for something, or has ended: where it stops."""
    limit = time.monotonic() + 10
    while True:
        comm, state = re.search(r"\((.*)\) (.)", read(f"/proc/{pid}/stat"), re.DOTALL).groups()
        if state in "SZ" or time.monotonic() > limit:
            return comm
        time.sleep(0.001)


class Module:
    """A file that takes a PID as the module does, and has its last row when it ends."""

    def __init__(self, lab, finish=FINISH):
        lab.module(rows="")
        file = lab.path("sys/kernel/debug/taskmonitor")
        if lab.name == "busybox":
            lab.shell = [*lab.shell, "-c", SLOW_FUNCTION.format(file=file)]
        else:
            write(os.path.join(lab.bin, "env"), SLOW.format(file=file))
            os.chmod(os.path.join(lab.bin, "env"), 0o755)
        self.file = lab.path("sys/kernel/debug/taskmonitor")
        self.finish = finish
        self.follow = lab.path("sys/module/taskmonitor/parameters/follow")
        self.added = []
        self.followed = []
        self.over = False
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()

    def replace(self, text):
        write(self.file + ".new", text)
        os.rename(self.file + ".new", self.file)

    def serve(self):
        try:
            self.record()
        except OSError as error:
            self.added.append(("-", str(error)))

    def record(self):
        living = {}
        rows = ""
        while not self.over:
            asked = re.fullmatch(r"(\d+)\n", read(self.file))
            if asked:
                pid = asked.group(1)
                self.added.append((pid, name_at_rest(pid)))
                self.followed.append(read(self.follow).strip())
                living[pid] = True
                self.replace(rows + f"pid {pid} usr 0 sys 0 total 0 stack 0 data 0 rss 0 "
                             "threads 1 state S time 1000000000 comm sh\n")
            for pid in list(living):
                try:
                    ended = " Z " in read(f"/proc/{pid}/stat")
                except (FileNotFoundError, ProcessLookupError):
                    ended = True
                if ended:
                    del living[pid]
                    rows += self.finish.format(pid=pid)
                    self.replace(rows)
            time.sleep(0.01)


def saved(lab):
    path = lab.path("saved")
    write(path, ROWS)
    return path


def case_show(lab):
    """show: the rows, those of some processes, the last ones of each"""
    row = ROWS.splitlines(keepends=True)
    file = saved(lab)
    wrong = lab.expect(["show", "-i", file], 0, ROWS)
    wrong += lab.expect(["show", "140", "-i", file], 0, row[1] + row[3])
    wrong += lab.expect(["show", "-i", file, "--last", "1"], 0, row[4] + row[3] + row[5])
    wrong += lab.expect(["show", "-i", file, "--last", "2", "131"], 0, row[2] + row[4] + row[5])
    wrong += lab.expect(["show", "7", "140", "-i", file], 1, row[1] + row[3],
                        "taskmonitor: 7 is not recorded\n")
    lab.module()
    return wrong + lab.expect(["show"], 0, ROWS)


def case_csv(lab):
    """show --csv: a column for each field, names quoted where they must be"""
    return lab.expect(["show", "-i", saved(lab), "--csv"], 0, CSV)


def case_table(lab):
    """show --top without a terminal: one table, the busiest first"""
    return lab.expect(["show", "-i", saved(lab), "--top"], 0, TABLE)


def next_table(terminal):
    """What --top has drawn when it begins to wait for a key."""
    drawn = b""
    limit = time.monotonic() + 20
    while not drawn.endswith(b"(q ends)\r\n"):
        if not select.select([terminal], [], [], limit - time.monotonic())[0]:
            return f"{drawn!r} and no more"
        drawn += os.read(terminal, 4096)
    return drawn.decode().replace("\r\n", "\n")


def drawn_until(lab, finish, status):
    """What is wrong with --top on a terminal of five lines; finish() ends it."""
    wrong = []
    file = saved(lab)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 80, 0, 0))
    before = termios.tcgetattr(theirs)
    lines = TABLE.splitlines(keepends=True)
    with lab.start("show", "-i", file, "--top", stdin=theirs, stdout=theirs) as process:
        for shown in lines[1:3], lines[1:2]:
            expected = f"\033[H\033[J{lines[0]}{''.join(shown)}(q ends)\n"
            table = next_table(ours)
            if table != expected:
                wrong.append(f"it draws {table!r}, not {expected!r}")
            write(file, "".join(row for row in ROWS.splitlines(keepends=True)
                                if row.split()[1] == lines[1].split()[0]))
        finish(process, ours)
        complaint = end(process, 1)
    if complaint or process.returncode != status:
        wrong.append(f"it ends with {process.returncode} and says {complaint!r}")
    if termios.tcgetattr(theirs) != before:
        wrong.append("the terminal is not as it was")
    os.close(ours)
    os.close(theirs)
    return wrong


def case_top(lab):
    """show --top: refreshed until q or a signal, and the terminal as it was"""
    return drawn_until(lab, lambda process, terminal: os.write(terminal, b"q"), 0) + \
        drawn_until(lab, lambda process, terminal: process.terminate(), 128 + 15)


def case_metrics(lab):
    """metrics: the living by their last rows, and the statistics, for the collector"""
    lab.module()
    wrong = []
    status, out, err = lab.call("metrics")
    if status or err or not out.startswith(METRICS) or STATISTICS not in out or \
       not out.endswith("# EOF\n") or \
       "taskmonitor_round_seconds 0.000004200\n" not in out:
        wrong.append(f"metrics: {status} {err}\n{out}")
    place = lab.path("out.prom")
    wrong += lab.expect(["metrics", "-o", place], 0, "")
    if not wrong and (read(place) != out or [n for n in os.listdir(lab.root) if ".prom." in n]):
        wrong.append(f"-o has written {read(place)}, {os.listdir(lab.root)}")
    wrong += lab.expect(["metrics", "-o", "/none/out.prom"], 1, "", "cannot write")
    opened = re.sub(r"^(# (?:HELP|TYPE) \S+)_total ", r"\1 ", out, flags=re.MULTILINE)
    wrong += lab.expect(["metrics", "--openmetrics"], 0, opened)
    os.unlink(lab.path("sys/kernel/debug/taskmonitor_stats"))
    write(lab.path("ended"), "".join(ROWS.splitlines(keepends=True)[0:5:2]))
    if "pid=" in lab.call("metrics", "-i", lab.path("ended"))[1]:
        wrong.append("a process that has ended has figures")
    return wrong + lab.expect(["metrics"], 0, out[:out.index("# HELP taskmonitor_processes ")] +
                              "# EOF\n")


STUB = """#!/bin/sh
lines=$(sed -n "s/.*plot '\\([^']*\\)'.*/\\1/p" "$1" | head -n 1)
out=$(sed -n "s/^set output '\\(.*\\)'/\\1/p" "$1")
cat "$lines" "${lines%lines}ends" "${lines%lines}titles" >"$out"
grep '^set terminal' "$1" >>"$out"
"""


def case_plot(lab):
    """plot: the figures and titles that gnuplot is given; its absence is said"""
    file = saved(lab)
    wrong = []
    if lab.name == "busybox":
        wrong += lab.expect(["plot", "-i", file], 1, "", "there is no gnuplot here")
    stub = os.path.join(lab.bin, "gnuplot")
    write(stub, STUB)
    os.chmod(stub, 0o755)
    place = lab.path("out.png")
    wrong += lab.expect(["plot", "-i", file, "-o", place], 0, place + "\n",
                        "taskmonitor: 1 processes have one row only")
    expected = LINES + '1.500 20.000 4.500\n131 sh\n140 a "b\\\n' \
        "set terminal pngcairo size 1000,640 noenhanced\n"
    if not wrong and read(place) != expected:
        wrong.append(f"gnuplot is given:\n{read(place)}")
    wrong += lab.expect(["plot", "140", "-i", file], 0, "taskmonitor.svg\n")
    # 100 ms of CPU in one: the time of a round is not that of its figures.
    write(file, "".join(ROWS.splitlines(keepends=True)[0:5:2]).replace("3500", "3001"))
    lab.call("plot", "-i", file, "-o", place)
    if "\n1.001 69.930 4.500\n" not in read(place):
        wrong.append(f"the last row just behind another:\n{read(place)}")
    many = "".join(row.replace("pid 131", f"pid {pid}").replace("usr 6", f"usr {pid}")
                   for pid in range(200, 212) for row in ROWS.splitlines(keepends=True)[0:3:2])
    write(file, many)
    wrong += lab.expect(["plot", "-i", file, "-o", place], 0, place + "\n",
                        "taskmonitor: 2 more processes")
    titles = re.findall(r"^(\d+) sh$", read(place), re.MULTILINE)
    if titles != [str(pid) for pid in range(202, 212)]:
        wrong.append(f"not the ten that used the CPU most: {titles}")
    os.unlink(stub)
    return wrong


def case_add(lab):
    """add, remove: what is written for PIDs, names and cgroups"""
    lab.module()
    file = lab.path("sys/kernel/debug/taskmonitor")
    wrong = []

    def expect(arguments, out, written):
        wrong.extend(lab.expect(arguments, 0, out))
        if read(file) != written:
            wrong.append(f"{arguments}: {read(file)!r} was written, not {written!r}")
        write(file, ROWS)
    expect(["add", "312"], "", "312\n")
    expect(["remove", "312"], "", "-312\n")
    expect(["add", "--name", "a *b?"], "1 added, 0 recorded already\n", "140\n")
    expect(["add", "--name", "*"], "2 added, 0 recorded already\n", "140\n")
    expect(["remove", "--name", "a *"], "1 removed\n", "-140\n")
    expect(["add", "--cgroup", "web"], "2 added, 0 recorded already\n", "140\n")
    expect(["remove", "--cgroup", lab.path("sys/fs/cgroup/web/sub")], "1 removed\n", "-131\n")
    wrong += lab.expect(["add", "--name", "nginx"], 1, "", "there is no process for --name nginx")
    wrong += lab.expect(["add", "--cgroup", "db"], 1, "", "there is no cgroup 'db'")
    if read(file) != ROWS:
        wrong.append("what matched nothing was written")
    # The device comes first, and its refusal is told.
    os.makedirs(lab.path("dev"))
    os.symlink("/dev/full", lab.path("dev/taskmonitor"))
    return wrong + lab.expect(["add", "312", "313"], 1, "", "taskmonitor: 312: max_monitors "
                              "processes are recorded already\ntaskmonitor: 313: max_monitors")


BAD = ([], ["fly"], ["add"], ["add", "x"], ["add", "0"], ["add", "312", "-5"], ["add", "--name"],
       ["add", "--cgroup", "a", "b"], ["remove", "99999999999"], ["show", "--last", "0"],
       ["show", "--last"], ["show", "-x"], ["show", "x"], ["show", "--top", "--csv"],
       ["plot", "-o", "x.jpg"], ["plot", "-o"], ["plot", "--name"], ["metrics", "5"],
       ["run"], ["run", "--"], ["run", "-p", "0", "--", "true"],
       ["run", "-p", "3600001", "--", "true"], ["run", "-z", "true"], ["run", "-o"])


def case_misuse(lab):
    """bad use: exit status 2, one line, and nothing done"""
    wrong = []
    lab.module()
    for arguments in BAD:
        status, out, err = lab.call(*arguments)
        if status != 2 or out or err.count("\n") != 1 or not err.startswith("taskmonitor: "):
            wrong.append(f"{arguments}: {status} {out!r} {err!r}")
    if read(lab.path("sys/kernel/debug/taskmonitor")) != ROWS:
        wrong.append("something was written")
    status, out, err = lab.call("--help")
    if status or err or not out.startswith("usage: taskmonitor "):
        wrong.append(f"--help: {status} {out} {err}")
    version = re.search(r'^MODULE_VERSION\("(.*)"\);', read(os.path.join(ROOT, "taskmonitor.c")),
                        re.MULTILINE).group(1)
    return wrong + lab.expect(["--version"], 0, f"taskmonitor {version}\n")


def case_shut(lab):
    """not loaded, not mounted, not permitted: each is said"""
    wrong = lab.expect(["show"], 1, "", "the module is not loaded; try: modprobe taskmonitor\n")
    os.makedirs(lab.path("sys/module/taskmonitor"))
    wrong += lab.expect(["show"], 1, "", "debugfs is not mounted, and there is no /dev/taskm")
    # A directory is what root cannot open for writing either.
    os.makedirs(lab.path("sys/kernel/debug/taskmonitor"))
    wrong += lab.expect(["add", "1"], 1, "", "debugfs is locked (Secure Boot)")
    if os.getuid() == 0:
        os.rmdir(lab.path("sys/kernel/debug/taskmonitor"))
        lab.module()
        for path in (lab.work, lab.root):
            os.chmod(path, 0o755)
        os.chmod(lab.path("sys/kernel/debug/taskmonitor"), 0o600)
        wrong += lab.expect(["show"], 1, "", "not permitted: only root and the group", user=65534)
        os.chmod(lab.path("sys/kernel/debug/taskmonitor"), 0o644)
        wrong += lab.expect(["add", "1"], 1, "", "not permitted: only root may say", user=65534)
        wrong += lab.expect(["show", "131"], 0, "".join(
            row for row in ROWS.splitlines(keepends=True) if "pid 131" in row), user=65534,
            env={**lab.environment(), "TMPDIR": "/tmp"})
    return wrong


def case_run(lab):
    """run: recorded before it begins, its exit status, a summary, the parameters restored"""
    wrong = []
    with Module(lab) as module:
        kept = lab.path("kept")
        status, out, err = lab.call("run", "-p", "50", "-o", kept, "--", "sh", "-c",
                                    'read -r x; echo "$x $$"; exit 3', text="hello\n")
        pid = module.added[0][0] if module.added else "-"
        said = err.replace(f"{pid:>7}", "    PID", 1)
        if status != 3 or out != f"hello {pid}\n" or said != SUMMARY:
            wrong.append(f"run: {status} {out!r} {module.added}\n{err}")
        if module.followed != ["1"]:
            wrong.append(f"follow was {module.followed}")
        if not wrong and read(kept) != FINISH.format(pid=pid):
            wrong.append(f"-o has {read(kept)}")
        lab.call("run", "--", "sleep", "0.2")
        if len(module.added) < 2 or module.added[1][1] == "sleep":
            wrong.append(f"the command ran before it was recorded: {module.added}")
        wrong += lab.expect(["run", "--", "/none"], 127, "", "/none: there is no such command\n")
    for name, value in (("follow", "0\n"), ("period_ms", "1000\n")):
        if read(lab.path("sys/module/taskmonitor/parameters", name)) != value:
            wrong.append(f"{name} is not restored")
    if os.listdir(lab.path("run/taskmonitor")):
        wrong.append(f"left: {os.listdir(lab.path('run/taskmonitor'))}")
    return wrong


def case_unrecorded(lab):
    """run: says how many children could not be recorded"""
    stats = lab.path("sys/kernel/debug/taskmonitor_stats")
    lab.module()
    more = f"sed -i 's/^missed .*/missed 5/; s/^refused .*/refused 2/' {stats}"
    with Module(lab):
        wrong = lab.expect(["run", "--", "sh", "-c", more], 0, "",
                           "taskmonitor: 7 children could not be recorded: see refused and "
                           f"missed in {stats}\n")
        _, _, said = lab.call("run", "--", "true")
    if "could not" in said:
        wrong.append(f"nothing was missed, and it says {said}")
    return wrong


def case_refused(lab):
    """run: what cannot be recorded is not run"""
    lab.module()
    os.unlink(lab.path("sys/kernel/debug/taskmonitor"))
    os.symlink("/dev/full", lab.path("sys/kernel/debug/taskmonitor"))
    wrong = lab.expect(["run", "--", "touch", "ran"], 125, "", "max_monitors")
    if os.path.exists(lab.path("ran")):
        wrong.append("what could not be recorded was run")
    return wrong


def end(process, stream=0):
    """What it says until its end, which does not take long; 1: what it complains of."""
    try:
        return process.communicate(timeout=10)[stream]
    except subprocess.TimeoutExpired:
        process.kill()
        return "HUNG"


def case_signals(lab):
    """run: SIGTERM is handed on, Ctrl-C ends the command, a status above 128 is kept"""
    wrong = []
    with Module(lab):
        with lab.start("run", "--", "sh", "-c", "kill -9 $$") as process:
            end(process)
        if process.returncode != 128 + 9:
            wrong.append(f"a command that is killed ends with {process.returncode}")
        with lab.start("run", "--", "sh", "-c", "echo begun; exec sleep 12") as process:
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            end(process)
        if process.returncode != 128 + 15:
            wrong.append(f"SIGTERM: {process.returncode}")
        # As a terminal does it: to all in the foreground.
        with lab.start("run", "--", "sh", "-c", "echo begun; exec sleep 12",
                       start_new_session=True) as process:
            process.stdout.readline()
            os.killpg(process.pid, signal.SIGINT)
            end(process)
        if process.returncode != 128 + (15 if lab.name == "busybox" else 2):
            wrong.append(f"SIGINT: {process.returncode}")
        # Its own business, and its own status.
        with lab.start("run", "--", "sh", "-c", "trap 'echo got; exit 7' TERM; echo begun; "
                       "while :; do sleep 0.1; done", start_new_session=True) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            out = end(process)
            # A command that was not told goes on.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode != 7 or out != "got\n":
            wrong.append(f"a handler's status: {process.returncode} {out!r}")
    return wrong


def case_two_runs(lab):
    """two runs at once: the last restores what the first has found"""
    wrong = []
    with Module(lab, "pid {pid} usr 0 sys 0 total 0 stack 0 data 0 rss 0 threads 0 state X "
                "time 2000000000 exit 0 peak 0 comm x\n") as module, contextlib.ExitStack() as stack:
        first = stack.enter_context(lab.start("run", "--", "sh", "-c", "echo begun; read -r x",
                                              stdin=subprocess.PIPE))
        first.stdout.readline()
        status, _, _ = lab.call("run", "-p", "20", "--", "true")
        if status or read(module.follow) != "1\n":
            wrong.append("the second run has ended, and follow is off in the first")
        first.communicate("\n", timeout=20)
        if read(module.follow) != "0\n" or \
           read(lab.path("sys/module/taskmonitor/parameters/period_ms")) != "1000\n":
            wrong.append("what the first has found is not restored")
    return wrong


CASES = [value for name, value in globals().items() if name.startswith("case_")]

# (what is wrong with it, in the source, and instead, the case that must notice)
MISTAKES = (
    ("an ended process and its namesake are one", 'last_state[pid] == "X" || ', "", case_show),
    ("the ended count as living", 'alive[pid] = f["state"] != "X"', "alive[pid] = 1", case_metrics),
    ("names in labels are not escaped", 'c == "\\\\" || c == "\\""', "0", case_metrics),
    ("large numbers are cut", '"%.9f", ns / 1000000000', '"%d", ns', case_metrics),
    ("names stay one word", "comm = decode(f[\"comm\"])", "comm = f[\"comm\"]", case_csv),
    ("the ended count as busy", 'is[i] == "X" ? -1 : share[i], at', "-share[i], at", case_table),
    ("the terminal stays raw", "trap 'stty \"$before\"' EXIT", ":", case_top),
    ("q is a key like others", '[ "$key" != q ]', ":", case_top),
    ("the last rows are the first", "count[i] > n ? count[i] - n + 1 : 1", "1", case_show),
    ("the memory falls to 0 at the end", "i < n[k] || !ended[k]", "1", case_plot),
    ("a short interval makes a peak", "at[k, j] < least", "at[k, j] < 0", case_plot),
    ("the idle are drawn", "cpu[k, n[k]] > cpu[best, n[best]]", "0", case_plot),
    ("a namespace's 0 is written", "awk '$1 > 0'", "cat", case_add),
    ("bad use is any failure", "\texit 2\n", "\texit 1\n", case_misuse),
    ("the exit status is that of the summary", 'exit "$status"', "exit 0", case_run),
    ("it runs before it is recorded", 'read -r _ <"$0" && exec', "exec", case_run),
    ("what was missed before counts", 'unrecorded=$(unrecorded)', "unrecorded=0",
     case_unrecorded),
    ("peak is what was last seen", 'peak[b] = f["peak"]', "0", case_run),
    ("follow stays on", 'env echo "$follow" >', "echo >/dev/null ", case_run),
    ("a signal is not handed on", 'kill -s "$1" "$child" 2>/dev/null', ":", case_signals),
    ("the first to end restores", '[ -z "$others" ]', "true", case_two_runs),
)


def shells():
    """(name, its sh, its tools)"""
    busybox = shutil.which("busybox")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True,
                             check=True).stdout.split()
    # So that a case can use what is none of busybox: nothing.
    yield "busybox", [busybox, "sh"], {name: busybox for name in applets}
    for awk in ("mawk", "gawk"):
        path = shutil.which(awk)
        if path:
            yield awk, [shutil.which("dash") or "/bin/sh"], {"awk": path, "sh": "/bin/sh"}


def main():
    number = failed = 0

    def tell(title, wrong):
        nonlocal number, failed
        number += 1
        for line in wrong:
            print("\n".join(f"# {part}" for part in line.splitlines()))
        print(f"{'not ' if wrong else ''}ok {number} - {title}", flush=True)
        failed += bool(wrong)

    with tempfile.TemporaryDirectory() as work:
        known = list(shells())
        print(f"KTAP version 1\n1..{len(CASES) * len(known) + len(MISTAKES)}")
        for name, shell, tools in known:
            for case in CASES:
                tell(f"{case.__doc__}, {name}", case(Lab(work, name, shell, tools)))
        name, shell, tools = known[-1]
        source = read(COMMAND)
        for number_of, (what, old, new, case) in enumerate(MISTAKES):
            script = os.path.join(work, f"mistake{number_of}", "taskmonitor")
            write(script, source.replace(old, new))
            wrong = case(Lab(work, name, shell, tools, script)) if old in source else []
            tell(f"control: {what}", [] if wrong else ["nothing of it is noticed"])
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: GPL-2.0
"""Jobs: a VM each, or the host's own tests; some at a time."""

import concurrent.futures
import contextlib
import fcntl
import glob
import os
import shutil
import time

from . import suites
from .common import (CannotBeHad, SCRIPTS, TESTS, build_tools, cache_dir, children,
                     script, with_libraries)
from .report import Report


@contextlib.contextmanager
def locked(name):
    """As lock in scripts/lib.sh: one run at a time."""
    directory = os.path.join(cache_dir(), "locks")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def execute(directory, command):
    """Runs a command, and keeps what it says in a new directory: its exit status,
    its seconds of CPU, its stdout and its stderr."""
    os.makedirs(directory)
    names = [os.path.join(directory, name) for name in ("ktap", "err")]
    with open(names[0], "wb") as out, open(names[1], "wb") as err:
        status, cpu = children.run(command, stdout=out, stderr=err)
    said = []
    for name in names:
        with open(name, encoding="utf-8", errors="replace") as file:
            said.append(file.read())
    return status, cpu, *said


def boot(directory, kernel, cpio, limit, options, cmdline):
    """The same for a VM: see scripts/vm.sh."""
    return execute(directory, [
        os.path.join(SCRIPTS, "vm.sh"), "-k", kernel, "-i", cpio, "-l", directory,
        "-t", str(limit), *options, "-a", cmdline])


# Modules of Debian's kernels that are none of ours, for those who look into any.
DRIVERS = ("loop", "zram", "nbd", "dm-mod", "btrfs")

# Programs of this machine that look at trace events.
TRACERS = ("trace-cmd", "perf")


class Lab:
    """Guests and their VMs; everything of a run is in one working directory."""

    def __init__(self, work, limit=500, arguments=""):
        self.work = work
        self.limit = limit
        self.arguments = arguments
        self.tools = False
        self.image = None
        self.missing = {}           # kernel: why it cannot be had

    def disk(self):
        if not self.image:
            self.image = script("disk.sh")
        return self.image

    def has(self, kernel):
        """Makes a kernel available, if that is possible."""
        base = kernel.partition("+")[0]
        if base not in self.missing:
            self.missing[base] = ""
            try:
                if base != "host":
                    script("kernel.sh", base)
            except CannotBeHad:
                self.missing[base] = f"kernel {base} cannot be had here"
        return not self.missing[base]

    def guest_files(self):
        """What is in every guest: the tool, the suites and what they share."""
        if not self.tools:
            build_tools(self.work, "tmtool")
            names = os.path.join(self.work, "kunit-suites")
            with open(names, "w", encoding="ascii") as file:
                file.write("\n".join(suites.kunit_suites()) + "\n")
            self.tools = True
        yield os.path.join(self.work, "tmtool"), "/bin/tmtool"
        yield os.path.join(self.work, "kunit-suites"), "/tests/kunit-suites"
        for path in sorted(glob.glob(os.path.join(TESTS, "guest", "*.sh")) +
                           glob.glob(os.path.join(TESTS, "suites", "*.sh"))):
            yield path, "/tests/" + os.path.basename(path)

    def pack(self, kernel, files, out, source=None, needs=()):
        """An initramfs with these files and the module, built from source, and
        with what else suites need in it."""
        environment = {"TM_SRC": source} if source else {}
        module = script("build.sh", kernel, **environment)
        arguments = ["-o", out, "-k", kernel, "-m", f"{module}/taskmonitor.ko"]
        if "kunit" in needs:
            unit = script("build.sh", kernel, "TASKMONITOR_KUNIT=y", **environment)
            arguments += ["-f", f"{unit}/taskmonitor.ko:/taskmonitor-kunit.ko"]
        if "leaky" in needs:
            leaky = script("build.sh", kernel, TM_SRC=os.path.join(TESTS, "leaky"))
            arguments += ["-f", f"{leaky}/leaky.ko:/leaky.ko"]
        if "drivers" in needs:
            for driver in DRIVERS:
                arguments += ["-M", driver]
        files = list(files)
        if "tracers" in needs:
            for tracer in TRACERS:
                files += with_libraries(tracer)
        for path, place in dict(files).items():
            arguments += ["-f", f"{path}:{place}"]
        script("initramfs.sh", *arguments)
        return out

    def guest(self, base, needs, name):
        """The initramfs that the suites with these needs run in on that kernel."""
        out = os.path.join(self.work, f"{name}.cpio")
        return self.pack(base, self.guest_files(), out, needs=needs)

    def run(self, kernel, suite, cpio, name=None):
        """One suite on one kernel; its report."""
        report = Report(f"{kernel} {suite.name}", kernel, suite.name)
        directory = os.path.join(self.work, f"{name or kernel}-{suite.name}")
        began = time.monotonic()
        if kernel == "host":
            status, report.cpu, out, err = execute(directory, [suite.path])
        else:
            status, report.cpu, out, err = boot(
                directory, kernel.partition("+")[0], cpio, self.limit,
                suites.vm_options(kernel, suite, self.disk),
                suites.command_line(kernel, suite, self.arguments))
        report.wall = time.monotonic() - began
        report.read(out, status)
        # What the harness noted counts as well where all went well.
        report.notes += [line for line in err.splitlines()
                         if status or line.startswith("debugfs warned")]
        if report.count("failed"):
            report.logs = keep_logs(directory, kernel, suite.name)
        return report


def keep_logs(directory, kernel, suite):
    """All that a VM has left, until it fails again."""
    logs = os.path.join(cache_dir(), "log", f"test-{kernel}-{suite}")
    with locked(f"log-{kernel}-{suite}"):
        shutil.rmtree(logs, ignore_errors=True)
        shutil.copytree(directory, logs)
    return logs


# A VM that is emulated takes one CPU, with any number of its own.
WORKERS = os.cpu_count() or 1


def in_parallel(function, items, workers=WORKERS):
    """Yields the results as they come. An exception ends all that runs."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(function, *item) for item in items]
        try:
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            children.end()
            raise


def require(packages):
    """Installs what a purpose of scripts/setup.sh needs."""
    script("setup.sh", packages)


def show(report):
    """One VM's outcome, whole, when it is over."""
    print(f"# kernel {report.kernel}, {report.suite} "
          f"({report.wall:.0f} s, {report.cpu:.0f} s of CPU)")
    print("\n".join(report.ktap_lines()), flush=True)

# SPDX-License-Identifier: GPL-2.0
"""What the parts of the runner share: places, messages, and the scripts."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TESTS = os.path.join(ROOT, "tests")
SCRIPTS = os.path.join(ROOT, "scripts")

# scripts/kernel.sh: this kernel cannot be had on this machine.
CANNOT_BE_HAD = 77


class Failure(Exception):
    """What ends the run with a message and status 2."""


def cache_dir():
    """The cache directory, as scripts/lib.sh has it."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(
        os.environ.get("HOME") or "/root", ".cache")
    return os.environ.get("TASKMONITOR_CACHE") or os.path.join(home, "taskmonitor")


def say(message):
    print(message, file=sys.stderr, flush=True)


class Children:
    """The processes that run, so that an interrupted run leaves none behind."""

    def __init__(self):
        self.lock = threading.Lock()
        self.running = set()
        self.ended = False

    def run(self, command, **options):
        """Runs a command to its end; its exit status and its seconds of CPU."""
        with self.lock:
            if self.ended:
                raise Failure("interrupted")
            # A runner that is killed must not leave a VM behind.
            process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM"] + command,
                                       stdin=subprocess.DEVNULL, **options)
            self.running.add(process)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            with self.lock:
                self.running.discard(process)
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, usage.ru_utime + usage.ru_stime

    def end(self):
        with self.lock:
            self.ended = True
            for process in self.running:
                process.terminate()


children = Children()


def end_on_signals():
    """SIGTERM unwinds as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def script(name, *arguments, **environment):
    """Runs one of scripts/; what it prints on stdout. Its stderr is shown."""
    with tempfile.TemporaryFile("w+") as out:
        status, _ = children.run(
            [os.path.join(SCRIPTS, name), *arguments], stdout=out,
            env={**os.environ, **environment})
        if status == CANNOT_BE_HAD:
            raise CannotBeHad()
        if status:
            raise Failure(f"scripts/{name} {shlex.join(arguments)} failed")
        out.seek(0)
        return out.read().strip()


class CannotBeHad(Exception):
    """This kernel is not to be had on this machine: see scripts/kernel.sh."""


def build_tools(directory, *programs):
    """The guest's programs, compiled into a directory."""
    status, _ = children.run(["make", "-s", "-C", os.path.join(TESTS, "tool"),
                              f"O={directory}", *programs], stdout=sys.stderr)
    if status:
        raise Failure(f"cannot build {' '.join(programs)}")


def with_libraries(name):
    """Where an installed program and its libraries lie, for an initramfs."""
    path = shutil.which(name)
    if not path:
        raise Failure(f"no program '{name}'; run scripts/setup.sh")
    linked = subprocess.run(["ldd", path], check=True, capture_output=True,
                            text=True).stdout
    return [(path, f"/bin/{name}")] + \
        [(library, library) for library in re.findall(r"(/\S*)", linked)]

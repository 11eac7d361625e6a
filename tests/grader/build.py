# SPDX-License-Identifier: GPL-2.0
"""Builds a submission against a kernel, with our Kbuild, in a sandbox.

bubblewrap shows the compiler, the kernel's build tree and the copied sources, and
nothing else of this machine: an #include or .incbin of the submission finds no file
of the teacher's, and there is no network.
"""

import os
import re
import shlex
import shutil
from dataclasses import dataclass

from runner.common import Failure, cache_dir, children, script

from .submission import Module, Submission

# What an old API needs to build: register_shrinker() had no name before 6.0.
COMPAT = """\
#include <linux/mm.h>
#include <linux/shrinker.h>
#define tm_grade_shrinker(shrinker, ...) register_shrinker(shrinker, "submission")
#define register_shrinker(...) tm_grade_shrinker(__VA_ARGS__, )
"""


@dataclass
class Built:
    """The outcome of a build: the .ko, or why there is none."""

    kernel: str
    ko: str = ""
    log: str = ""
    assumed: str = ""

    @property
    def first_error(self) -> str:
        for line in self.log.splitlines():
            if re.search(r"error:|ERROR:|undefined|No such file", line):
                return line.strip()[:200]
        return (self.log.strip().splitlines() or ["no output"])[-1][:200]

    @property
    def warnings(self) -> int:
        return len(re.findall(r": warning:|^WARNING:", self.log, re.M))


def kernel_values(kernel: str) -> dict[str, str]:
    values = {}
    for line in script("kernel.sh", kernel).splitlines():
        name, _, value = line.partition("=")
        values[name] = shlex.split(value)[0] if value else ""
    return values


def copy_sources(module: Module, directory: str, extra: str) -> None:
    """The module's sources, and a Kbuild file of ours that builds them.

    A part with the module's own name, or one that a rule of the submission's Kbuild
    compiles under another name, is included by a file that has a free name.
    """
    shutil.copytree(module.directory, directory, ignore=shutil.ignore_patterns(
        "Makefile", "makefile", "Kbuild"))
    parts = []
    for number, name in enumerate(module.objects):
        if len(module.objects) == 1 and name == module.name:
            continue
        source = os.path.basename(module.source_of(name))
        part = f"tm_grade_part{number}"
        with open(os.path.join(directory, part + ".c"), "w", encoding="utf-8") as file:
            file.write(f'#include "{source}"\n')
        parts.append(part + ".o")
    if extra:
        with open(os.path.join(directory, "tm_grade_compat.h"), "w",
                  encoding="utf-8") as file:
            file.write(extra)
    flags = list(module.flags)
    if extra:
        flags.append("-include")
        flags.append("tm_grade_compat.h")
    with open(os.path.join(directory, "Kbuild"), "w", encoding="utf-8") as file:
        file.write(f"obj-m := {module.name}.o\n")
        if parts:
            file.write(f"{module.name}-y := {' '.join(parts)}\n")
        words = " ".join(shlex.quote(flag) for flag in flags).replace("#", r"\#")
        # Trace events lie in a directory like that of the kernel's own.
        if os.path.isdir(os.path.join(directory, "include")):
            words = "-I/build/include " + words
        file.write(f"ccflags-y := -I$(src) -I/build {words}\n".replace(
            "tm_grade_compat.h", "/build/tm_grade_compat.h"))


def sandbox(directory: str, values: dict[str, str]) -> list[str]:
    """bubblewrap and its limits, in front of a command."""
    shown = ["/usr", "/etc/alternatives", os.path.realpath(values["KERNEL_BUILD"])]
    # Where that refers to: the common headers, or the source of a debug kernel.
    shown += filter(os.path.isdir, [os.path.join(cache_dir(), name)
                                    for name in ("kernel", "source")])
    command = ["prlimit", "--cpu=300", "--fsize=268435456", "--",
               "bwrap", "--unshare-all", "--die-with-parent", "--new-session",
               "--clearenv", "--setenv", "PATH", "/usr/bin:/usr/sbin",
               "--setenv", "HOME", "/tmp", "--setenv", "LC_ALL", "C",
               "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for link in ("bin", "sbin", "lib", "lib64"):
        command += ["--symlink", f"usr/{link}", f"/{link}"]
    for path in dict.fromkeys(shown):
        command += ["--ro-bind", path, path]
    return command + ["--bind", directory, "/build", "--chdir", "/build"]


def build_once(submission: Submission, kernel: str, directory: str,
               extra: str = "") -> Built:
    values = kernel_values(kernel)
    assert submission.module
    copy_sources(submission.module, directory, extra)
    log = os.path.join(os.path.dirname(directory), os.path.basename(directory) + ".log")
    with open(log, "wb") as out:
        status, _ = children.run(
            sandbox(directory, values) +
            ["make", "-C", values["KERNEL_BUILD"], "M=/build", "modules"],
            stdout=out, stderr=out)
    with open(log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    if "bwrap:" in text:
        raise Failure("the sandbox does not start: " + text.strip()[:200])
    ko = os.path.join(directory, submission.module.name + ".ko")
    return Built(kernel, ko if status == 0 and os.path.exists(ko) else "", text)


def build(submission: Submission, kernel: str, directory: str) -> Built:
    """The module for a kernel; with what an older API needs, if that helps."""
    built = build_once(submission, kernel, directory)
    if not built.ko and "register_shrinker" in built.log and kernel.startswith("6.1"):
        again = build_once(submission, kernel, directory + "-compat", COMPAT)
        if again.ko:
            again.assumed = ("register_shrinker() is called as before 6.0, without a "
                             "name; it was given one")
            return again
    return built

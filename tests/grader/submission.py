# SPDX-License-Identifier: GPL-2.0
"""A submission: what was handed in, and which module of it is meant.

Nothing of it is executed here. Its Makefile is read for what it builds.
"""

import glob
import os
import re
import shlex
import shutil
import tarfile
from dataclasses import dataclass, field

from runner.common import Failure

# More than any solution has; a guard against archives that unpack without end.
MAX_FILES = 2000
MAX_BYTES = 4 << 20

SOURCES = (".c", ".h", "Makefile", "makefile", "Kbuild")


@dataclass
class Module:
    """One module of a tree: where it is, and what it is built from."""

    name: str
    directory: str
    objects: list[str]
    renamed: dict[str, str] = field(default_factory=dict)   # object: its source
    flags: list[str] = field(default_factory=list)

    def source_of(self, name: str) -> str:
        return os.path.join(self.directory, self.renamed.get(name, name) + ".c")

    def sources(self) -> list[str]:
        return [self.source_of(name) for name in self.objects]


@dataclass
class Submission:
    name: str
    directory: str = ""             # a copy of its sources, ours
    module: Module | None = None
    built: str = ""                 # a .ko that was handed in
    assumed: list[str] = field(default_factory=list)
    broken: str = ""                # why there is nothing to grade

    @property
    def module_name(self) -> str:
        """As lsmod has it."""
        if self.module:
            return self.module.name.replace("-", "_")
        stem = os.path.basename(self.built).split(".")[0]
        return stem.replace("-", "_")

    def text(self) -> str:
        """All its C, headers first."""
        if not self.module:
            return ""
        headers = sorted(glob.glob(os.path.join(self.directory, "**", "*.h"),
                                   recursive=True))
        return "\n".join(read(path) for path in headers + self.module.sources()
                         if os.path.exists(path))


def read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def wanted(name: str) -> bool:
    return name.endswith(SOURCES) and not name.endswith(".mod.c")


def copy_file(data: bytes, target: str, submission: Submission) -> None:
    """With the line ends of this system."""
    if b"\r" in data:
        note = "its lines end in CR, which was dropped"
        if note not in submission.assumed:
            submission.assumed.append(note)
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(data)


def copy_tree(source: str, submission: Submission) -> None:
    """Its sources, and no link, device or directory of links among them."""
    count = 0
    for directory, _, names in os.walk(source):
        for name in names:
            path = os.path.join(directory, name)
            if not wanted(name) or os.path.islink(path) or not os.path.isfile(path):
                continue
            count += 1
            if count > MAX_FILES or os.path.getsize(path) > MAX_BYTES:
                raise Failure("more or larger files than a solution has")
            with open(path, "rb") as file:
                data = file.read()
            copy_file(data, os.path.join(submission.directory,
                                         os.path.relpath(path, source)), submission)


def unpack(archive: str, submission: Submission) -> None:
    """The plain files of an archive, each below our directory."""
    count = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            path = os.path.normpath("/" + member.name).lstrip("/")
            if not member.isfile() or not wanted(os.path.basename(path)):
                continue
            count += 1
            if count > MAX_FILES or member.size > MAX_BYTES:
                raise Failure("more or larger files than a solution has")
            file = tar.extractfile(member)
            if file:
                copy_file(file.read(), os.path.join(submission.directory, path),
                          submission)


VARIABLE = re.compile(r"^\s*([\w.-]+)\s*(\+|:|\?)?=\s*(.*)$")
RENAME = re.compile(r"^\$\(obj\)/([\w-]+)\.o\s*:.*?\b([\w-]+)\.c\b")


def makefile_variables(text: str) -> dict[str, str]:
    """What a Makefile sets, read and not run."""
    values: dict[str, str] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        match = VARIABLE.match(line.partition("#")[0])
        if not match or line.startswith("\t"):
            continue
        name, how, value = match.groups()
        old = values.get(name, "") + " " if how == "+" else ""
        values[name] = (old + value).strip()
    return values


def expand(value: str, values: dict[str, str], depth: int = 0) -> str:
    """$(NAME) of plain variables; anything else that make would run is nothing."""
    def replace(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        return expand(values.get(name, ""), values, depth + 1)
    if depth > 8:
        return ""
    value = re.sub(r"\$\(([\w-]+)\)|\$\{([\w-]+)\}", replace, value)
    return re.sub(r"\$\([^)]*\)|\$\{[^}]*\}|\$.", "", value)


def flags_of(values: dict[str, str]) -> list[str]:
    """Definitions and include directories, and nothing that a shell would run."""
    text = " ".join(values.get(name, "") for name in ("ccflags-y", "EXTRA_CFLAGS"))
    text = re.sub(r"\$\((src|obj|PWD|M)\)", ".", text)
    try:
        words = shlex.split(expand(text, values))
    except ValueError:
        return []
    return [word for word in words if re.match(r"-[DI]\S", word) and
            not re.search(r"[`$\\]", word) and ".." not in word]


def modules_of(makefile: str) -> list[Module]:
    """What a Makefile or a Kbuild file says that it builds."""
    directory = os.path.dirname(makefile)
    text = read(makefile)
    values = makefile_variables(text)
    renamed = {match.group(1): match.group(2)
               for match in map(RENAME.match, text.splitlines()) if match}
    found = []
    listed = " ".join(values.get(name, "") for name in ("obj-m", "obj-y"))
    for word in expand(listed, values).split():
        if not word.endswith(".o"):
            continue
        name = word[:-2]
        parts = expand(" ".join(values.get(name + end, "")
                                for end in ("-objs", "-y", "-m")), values).split()
        objects = [part[:-2] for part in parts if part.endswith(".o")] or [name]
        module = Module(name, directory, objects, renamed, flags_of(values))
        if all(os.path.exists(path) for path in module.sources()):
            found.append(module)
    return found


def modules_without_makefile(directory: str) -> list[Module]:
    """Each file with an init function, and, if it is the only one, what lies by."""
    paths = sorted(glob.glob(os.path.join(directory, "*.c")))
    heads = [path for path in paths if "module_init" in read(path)]
    rest = [path for path in paths if path not in heads and
            not re.search(r"\bint\s+main\s*\(", read(path))]
    stems = [os.path.splitext(os.path.basename(path))[0] for path in heads + rest]
    if len(heads) == 1:
        return [Module(stems[0], directory, stems)]
    return [Module(stem, directory, [stem]) for stem in stems[:len(heads)]]


WORDS = ("task_sample", "task_monitor", "kthread", "mempool_create", "shrinker",
         "debugfs_create", "kref_init", "KMEM_CACHE", "kmem_cache_create", "get_sample")


def likeness(module: Module) -> int:
    """How much of the lab is in a module."""
    text = "".join(read(path) for path in module.sources())
    return sum(word in text for word in WORDS)


def choose(submission: Submission) -> None:
    """The one module of the tree that answers most of the lab."""
    found = []
    directories = sorted(os.walk(submission.directory))
    for directory, _, names in directories:
        for name in ("Kbuild", "Makefile", "makefile"):
            if name in names:
                found += modules_of(os.path.join(directory, name))
                break
    if not found:
        for directory, _, _ in directories:
            found += modules_without_makefile(directory)
        submission.assumed.append("no Makefile says what to build")
    if not found:
        submission.broken = "there is no module in it: no file has an init function"
        return
    best = max(found, key=likeness)
    if len(found) > 1:
        submission.assumed.append(
            f"of {len(found)} modules in it, {best.name} in "
            f"{os.path.relpath(best.directory, submission.directory)} is graded")
    submission.module = best


def take(path: str, work: str) -> Submission:
    """Copies a submission: a directory, a .c, a .tar.gz or a .ko."""
    path = os.path.abspath(path)
    name = re.sub(r"[^\w.+-]", "_", os.path.basename(path)) or "submission"
    submission = Submission(name, os.path.join(work, "sources"))
    os.makedirs(submission.directory)
    try:
        if os.path.isdir(path):
            copy_tree(path, submission)
        elif path.endswith(".ko"):
            submission.built = os.path.join(work, os.path.basename(path))
            shutil.copyfile(path, submission.built)
            return submission
        elif path.endswith(".c") and os.path.isfile(path):
            with open(path, "rb") as file:
                copy_file(file.read(), os.path.join(submission.directory,
                                                    os.path.basename(path)), submission)
        elif tarfile.is_tarfile(path):
            unpack(path, submission)
        else:
            raise Failure(f"'{path}' is no directory, .c, .tar.gz or .ko")
    except (OSError, tarfile.TarError, EOFError) as error:
        raise Failure(f"cannot read '{path}': {error}") from error
    choose(submission)
    return submission

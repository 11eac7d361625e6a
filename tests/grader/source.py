# SPDX-License-Identifier: GPL-2.0
"""Reads a submission's C: its structs, its functions, who calls whom, and what is
done under a lock. Comments and strings count for nothing.
"""

import re
from dataclasses import dataclass

LOCK = re.compile(r"\b(?:mutex_lock(?:_interruptible|_killable|_nested)?|"
                  r"spin_lock(?:_irqsave|_irq|_bh)?|raw_spin_lock(?:_irqsave|_irq)?|"
                  r"down(?:_write|_read)?|write_lock|read_lock|mutex_trylock|guard|"
                  r"scoped_guard)\s*\(")
UNLOCK = re.compile(r"\b(?:mutex_unlock|(?:raw_)?spin_unlock(?:_irqrestore|_irq|_bh)?|"
                    r"up(?:_write|_read)?|write_unlock|read_unlock)\s*\(")
CHANGE = re.compile(r"\blist_(?:add|del|move|splice|replace|cut)\w*\s*\(")
CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
ALLOCATE = re.compile(r"\b(?:k[mzc]alloc|kmalloc_array|kmem_cache_z?alloc|mempool_alloc|"
                      r"kmem_cache_alloc_bulk)\s*\(")
# A first reference, or several at once; one more.
MADE = r"\b(?:kref_init\s*\(|refcount_set\s*\([^;]*,\s*(\d+)\s*\))"
GOT = r"\b(?:kref_get|refcount_inc)\w*\s*\("
KEYWORDS = {"if", "while", "for", "switch", "return", "sizeof", "do", "else", "typeof"}


def plain(text: str) -> str:
    """Without comments and with empty strings, as long as before."""
    def blank(match: re.Match[str]) -> str:
        found = match.group(0)
        if found.startswith("/"):
            return re.sub(r"[^\n]", " ", found)
        return found[0] + "x" * (len(found) - 2) + found[-1]
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'',
                  blank, text, flags=re.S)


def block_end(text: str, start: int) -> int:
    """Behind the brace that closes the one at start."""
    depth = 0
    for position in range(start, len(text)):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if not depth:
                return position + 1
    return len(text)


@dataclass
class Answer:
    """What reading the source says of a question."""

    word: str           # ok, part or bad
    text: str
    trap: int = 0


class Source:
    """The parsed text of a module."""

    def __init__(self, text: str) -> None:
        self.whole = text
        self.text = plain(text)
        self.structs: dict[str, str] = {}
        self.functions: dict[str, str] = {}
        self.parse()

    def parse(self) -> None:
        for match in re.finditer(r"\bstruct\s+(\w+)\s*\{", self.text):
            self.structs[match.group(1)] = \
                self.text[match.end() - 1:block_end(self.text, match.end() - 1)]
        position = 0
        head = re.compile(r"^[A-Za-z_][\w \t*\n]*?\b([A-Za-z_]\w*)\s*"
                          r"\(([^;{}]*?)\)\s*(?:__\w+\s*(?:\([^)]*\)\s*)?)*\{", re.M)
        while True:
            found = head.search(self.text, position)
            if not found:
                return
            end = block_end(self.text, found.end() - 1)
            name = found.group(1)
            if name not in KEYWORDS:
                # Of two versions of a function, for two kernels, both count.
                self.functions[name] = self.functions.get(name, "") + \
                    self.text[found.end() - 1:end]
            position = end

    def has(self, pattern: str) -> bool:
        return re.search(pattern, self.text) is not None

    def calls(self, name: str) -> set[str]:
        return {call for call in CALL.findall(self.functions.get(name, ""))
                if call in self.functions}

    def callers(self, name: str) -> set[str]:
        return {other for other in self.functions if name in self.calls(other)}

    def reach(self, name: str) -> set[str]:
        """The functions that it may run, itself among them."""
        seen: set[str] = set()
        todo = [name]
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo += self.calls(one)
        return seen

    def monitor(self) -> tuple[str, str]:
        """The struct of a monitored process: it has a list and a count or a PID."""
        named = self.structs.get("task_monitor")
        if named:
            return "task_monitor", named
        best = ("", "")
        most = 0
        for name, body in self.structs.items():
            marks = sum(bool(re.search(pattern, body)) for pattern in (
                r"struct\s+list_head", r"struct\s+pid\s*\*|pid_t|task_struct",
                r"struct\s+mutex|spinlock_t", r"\b(?:int|long|size_t|u32|u64|unsigned)\b"))
            if marks > most:
                best, most = (name, body), marks
        return best

    def sample(self) -> tuple[str, str]:
        """The struct of a sample: it has the CPU times."""
        named = self.structs.get("task_sample")
        if named:
            return "task_sample", named
        for name, body in self.structs.items():
            if re.search(r"\b(?:utime|usr|user)\w*\b", body) and "list_head" in body:
                return name, body
        return "", ""

    def locked_everywhere(self, name: str, position: int,
                          seen: frozenset[str] = frozenset()) -> bool:
        """Is a lock held at that place of a function, by itself or by each caller?"""
        body = self.functions[name]
        before = body[:position]
        if "lockdep_assert_held" in before:
            return True
        if len(LOCK.findall(before)) > len(UNLOCK.findall(before)):
            return True
        # An unlock on a path that returns counts for that path alone.
        if LOCK.search(before) and UNLOCK.search(body[position:]):
            return True
        callers = self.callers(name) - seen - {name}
        return bool(callers) and all(
            all(self.locked_everywhere(caller, call.start(), seen | {name})
                for call in re.finditer(rf"\b{name}\s*\(", self.functions[caller]))
            for caller in callers)

    def once_only(self, name: str) -> bool:
        """Only run as the module comes or goes, when nothing else is there."""
        marked = set(re.findall(r"module_(?:init|exit)\s*\(\s*(\w+)", self.text))
        if name in marked:
            return True
        callers = self.callers(name) - {name}
        return bool(callers) and all(self.once_only(caller) for caller in callers
                                     if name not in self.calls(name))

    def unlocked(self, name: str, position: int) -> bool:
        """Is that place of a function reached with no lock, while others run?"""
        return not self.once_only(name) and not self.locked_everywhere(name, position)

    # The questions.

    def t1q1(self) -> Answer:
        name, body = self.monitor()
        if not name or "list_head" not in body:
            return Answer("bad", "no struct has the head of a sample list")
        if not re.search(r"struct\s+mutex|spinlock_t|rwlock_t|struct\s+rw_semaphore",
                         body):
            return Answer("part", f"struct {name} has a list, and no lock of its own")
        if not re.search(r"\b(?:unsigned|int|long|size_t|u32|u64|u16|atomic_t|"
                         r"atomic_long_t)\b[^;(]*;", body):
            return Answer("part", f"struct {name} has a list, and no element count")
        # A head is walked or looked into; a link is not.
        members = [member for member in re.findall(r"struct\s+list_head\s+(\w+)\s*;", body)
                   if self.has(r"list_(?:for_each|first_|last_|splice)\w*\s*\([^;()]*?"
                               rf"(?:->|\.){member}\b")]
        heads = re.compile(rf"(?:->|\.)(?:{'|'.join(members) or '$'})\b(?!\s*\[)")
        open_places = [function for function, text in self.functions.items()
                       if heads.search(text) for change in CHANGE.finditer(text)
                       if self.unlocked(function, change.start())]
        if open_places:
            return Answer("part", "a list is changed with no lock held in " +
                          ", ".join(dict.fromkeys(open_places)))
        return Answer("ok", f"struct {name} has the list, a count and a lock, which is "
                            "held wherever a list is changed")

    def t2q2(self) -> Answer:
        made = self.has(r"\b(?:register_shrinker|shrinker_register)\s*\(")
        gone = self.has(r"\b(?:unregister_shrinker|shrinker_free)\s*\(")
        if not made:
            return Answer("bad", "no shrinker is registered")
        if not gone:
            return Answer("bad", "the shrinker is never unregistered", 5)
        return Answer("ok", "a shrinker is registered and unregistered")

    def t2q3(self) -> Answer:
        under = self.allocates_under_shrinker_lock()
        if under:
            return Answer("part", f"{under}() allocates with GFP_KERNEL under the lock "
                                  "that the shrinker takes", 1)
        scans = re.findall(r"\bscan_objects\s*=\s*&?(\w+)", self.text)
        for name in dict.fromkeys(scans):
            if any("trylock" in self.functions[one] for one in self.reach(name)
                   if one in self.functions):
                return Answer("part", f"{name}() gives up when its lock is taken", 2)
            returned = re.findall(r"\breturn\s+([^;]+);", self.functions.get(name, ""))
            if returned and all("nr_to_scan" in value for value in returned):
                return Answer("part", f"{name}() returns what it was asked for, not what "
                                      "it freed", 3)
        return Answer("ok", "the shrinker waits for its lock, and allocations do not")

    def shrinker_functions(self) -> set[str]:
        found = re.findall(r"\b(?:count|scan)_objects\s*=\s*&?(\w+)", self.text)
        return {name for first in found for name in self.reach(first)}

    def locks_in(self, names: set[str]) -> set[str]:
        """The names of what is locked there: the last word of the argument."""
        found = set()
        for name in names:
            body = self.functions.get(name, "")
            for match in LOCK.finditer(body):
                argument = body[match.end():body.find(")", match.end())]
                words = re.findall(r"\w+", argument)
                if words and "trylock" not in match.group(0):
                    found.add(words[-1])
        return found

    def allocates_under_shrinker_lock(self) -> str:
        locks = self.locks_in(self.shrinker_functions())
        for name, body in self.functions.items():
            held: list[str] = []
            # A call may be out of its order on the page; a region is as it stands.
            for match in re.finditer(r"\b(\w+)\s*\(([^;]*)", body):
                word, arguments = match.groups()
                if LOCK.match(match.group(0)):
                    words = re.findall(r"\w+", arguments.partition(")")[0])
                    held += [words[-1]] if words else []
                elif UNLOCK.match(match.group(0)):
                    words = re.findall(r"\w+", arguments.partition(")")[0])
                    if words and words[-1] in held:
                        held.remove(words[-1])
                elif locks & set(held) and self.waits_for_memory(word, arguments):
                    return name
        return ""

    def waits_for_memory(self, name: str, arguments: str) -> bool:
        if ALLOCATE.match(name + "("):
            return "GFP_KERNEL" in arguments.partition(";")[0]
        if name not in self.functions:
            return False
        return any(re.search(ALLOCATE.pattern + r"[^;]*GFP_KERNEL",
                             self.functions[one]) for one in self.reach(name))

    def t3q1(self) -> Answer:
        sizes = self.has(r"\bsizeof\s*\(\s*(?:struct\s+\w+|\*\s*\w+)")
        if self.has(r"\b(?:ksize|kmalloc_size_roundup)\s*\(") and sizes:
            return Answer("ok", "ksize() and sizeof are printed")
        return Answer("bad", "neither ksize() nor kmalloc_size_roundup() is called")

    def t3q2(self) -> Answer:
        if not self.has(r"\b(?:KMEM_CACHE\w*|kmem_cache_create\w*)\s*\("):
            return Answer("bad", "no slab cache is created")
        if not self.has(r"\bkmem_cache_destroy\s*\("):
            return Answer("bad", "the slab cache is never destroyed", 19)
        if not self.has(r"\b(?:kmem_cache_z?alloc\w*|mempool_alloc)\s*\("):
            return Answer("bad", "nothing is allocated from the slab cache")
        return Answer("ok", "a slab cache is created, used and destroyed")

    def t4q2(self) -> Answer:
        if not self.has(r"\bmempool_(?:create|init)\w*\s*\("):
            return Answer("bad", "no mempool is created")
        if not self.has(r"\bmempool_alloc\w*\s*\(") or not self.has(r"\bmempool_free\s*\("):
            return Answer("bad", "the mempool is never used", 6)
        return Answer("ok", "samples come from a mempool and go back to it")

    def release_functions(self) -> set[str]:
        return {name for name in re.findall(r"\bkref_put\w*\s*\([^,;]*,\s*&?(\w+)",
                                            self.text) if name in self.functions}

    def t5q2(self) -> Answer:
        name, body = self.sample()
        if "kref" not in body and "refcount_t" not in body:
            return Answer("bad", f"struct {name or 'task_sample'} has no kref")
        if not self.has(MADE) or not self.has(r"\b(?:kref_put|refcount_dec)\w*\s*\("):
            return Answer("bad", "a reference is never made, or never put")
        for release in self.release_functions():
            if any(CHANGE.search(self.functions[one]) for one in self.reach(release)):
                for other, text in self.functions.items():
                    for put in re.finditer(r"\bkref_put\s*\(", text):
                        if not self.locked_everywhere(other, put.start()):
                            return Answer("part", f"{release}() unlinks the sample, and "
                                          f"{other}() puts it with no lock held", 18)
        return Answer("ok", f"struct {name} is reference counted")

    def t5q3(self) -> Answer:
        """References made before the sample is linked: kref_init() is one."""
        name, body = self.sample()
        if "kref" not in body:
            return Answer("bad", "samples are not reference counted")
        best = 0
        for function, text in self.functions.items():
            near = [text] + [self.functions[one] for one in self.calls(function)]
            made = [int(match.group(1) or 1) for part in near
                    for match in re.finditer(MADE, part)]
            if made:
                best = max(best, made[0] + len(re.findall(GOT, text)))
        if best >= 2:
            return Answer("ok", "two references: kref_init() and kref_get() before the "
                                "sample is printed")
        return Answer("bad", "one reference only: the list's or the kthread's is missing")

    def t7q1(self) -> Answer:
        name, body = self.monitor()
        links = len(re.findall(r"struct\s+(?:list_head|hlist_node|rb_node)\b", body))
        heads = self.has(r"\bLIST_HEAD\s*\(|struct\s+list_head\s+\w*(?:tasks|monitors?)\w*|"
                         r"\bstatic\s+struct\s+list_head\s+\w+|DEFINE_HASHTABLE|"
                         r"DEFINE_(?:IDR|XARRAY)")
        if links < 2:
            return Answer("bad", f"struct {name or 'task_monitor'} has no link into a "
                                 "list of monitors")
        if not heads:
            return Answer("bad", "no global list of monitors")
        for member in re.findall(r"struct\s+list_head\s+(\w+)\s*;", body):
            # A link, not a head: it is what is added or deleted.
            change = re.compile(rf"\blist_(?:add|del)\w*\s*\(\s*&\s*\w+->{member}\b")
            for function, text in self.functions.items():
                for match in change.finditer(text):
                    if name in self.declares(text) and \
                            self.unlocked(function, match.start()):
                        return Answer("part", f"{function}() changes the list of monitors "
                                              "with no lock held", 5)
        return Answer("ok", f"struct {name} is linked into a global list")

    @staticmethod
    def declares(text: str) -> set[str]:
        """The structs that a function names."""
        return set(re.findall(r"\bstruct\s+(\w+)", text))

    def settable(self) -> list[str]:
        """Integer parameters that can be written, as NAME=100."""
        return [f"{name}=100" for name in re.findall(
            r"\bmodule_param(?:_cb)?\s*\(\s*(\w+)\s*,[^;]*?,\s*(?:0[2367]\d\d|"
            r"[^;]*S_IWUSR[^;]*)\)", self.text)]

    def caches(self) -> list[str]:
        """The names of its slab caches; strings were made empty in self.text."""
        return list(dict.fromkeys(
            re.findall(r"\bKMEM_CACHE\w*\s*\(\s*(\w+)", self.whole) +
            re.findall(r'\bkmem_cache_create\w*\s*\(\s*"(\w+)"', self.whole)))

    def parameters(self) -> list[str]:
        """Those that may name the process to monitor, the likeliest first."""
        found = re.findall(r"\bmodule_param(?:_named|_cb)?\s*\(\s*(\w+)\s*,\s*&?\s*\w+",
                           self.text)

        def rank(name: str) -> int:
            for place, pattern in enumerate((r"^target$", r"target", r"pid|process",
                                             r"task|id$")):
                if re.search(pattern, name, re.I):
                    return place
            return 9
        return sorted((name for name in dict.fromkeys(found) if rank(name) < 9), key=rank)


QUESTIONS = {
    "T1Q1": Source.t1q1, "T2Q2": Source.t2q2, "T2Q3": Source.t2q3,
    "T3Q1": Source.t3q1, "T3Q2": Source.t3q2, "T4Q2": Source.t4q2, "T5Q2": Source.t5q2,
    "T5Q3": Source.t5q3, "T7Q1": Source.t7q1,
}

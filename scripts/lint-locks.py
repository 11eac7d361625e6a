#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""lint-locks.py HEADER FILE...: whether every function that touches a protected
field takes its lock, or asserts it with lockdep. Prints those that do not, and
fields of the header that this table does not know.

Sparse knows that a lock is taken and not given back; no tool knows which lock a
field belongs to, so this table does.
"""

import re
import sys

# What protects a field, by the struct that has it; None: constant, a lock, or
# protected by what the kernel-doc says and no lock of ours.
FIELDS = {
    "task_sample": {
        "node": None, "ref": None, "rss": None, "peak": None, "total": None,
        "stack": None, "exit": None, "data": None, "threads": None, "state": None, "usr": None, "sys": None,
        "time": None,
    },
    "task_monitor": {
        "node": None, "living_node": "list_lock", "rcu": None,
        "ended_node": "list_lock", "ending": "list_lock",
        "walks": "list_lock", "pid": None, "type": None, "history_lock": None,
        "baseline": "history_lock", "comm": "list_lock",
        "samples": "list_lock",
        "nr_samples": "list_lock", "removed": "list_lock",
        "ended": "list_lock", "serial": "list_lock",
        "walk_nr": "list_lock", "ended_newest": "list_lock",
        "oldest_time": "list_lock", "evict_node": "list_lock",
        "bucket_peers": "list_lock", "bucket_peer": "list_lock",
        "numbers": "list_lock",
    },
    "tm_context": {
        "period_ms": None, "max_samples": None, "max_monitors": None,
        "thread_lock": None, "follow": "thread_lock",
        "hooked": "thread_lock",
        "thread": "thread_lock", "waker": None, "round_lock": None,
        "round_time": "round_lock", "resumed": "round_lock",
        "published": None, "pipes": None,
        "sampling": "list_lock",
        "list_lock": None, "tasks": "list_lock", "living": "list_lock",
        "ending": "list_lock", "nr_ending": "list_lock",
        "nr_living": "list_lock", "serial": "list_lock",
        "following": "list_lock", "spares": "list_lock",
        "nr_spares": "list_lock", "nr_unrecorded": "list_lock",
        "walk_nr": "list_lock", "chores": "list_lock",
        "ended": "list_lock", "index": "list_lock",
        "ended_index": "list_lock",
        "evict_tree": "list_lock", "on_node": "list_lock",
        "stats": "list_lock", "slab": None, "pool": None, "shrinker": None,
        "oom": None,
    },
}

# How the code names what points to one.
POINTERS = {
    "task_monitor": r"(?:\w*monitor|first|successor|was|at)->",
    "tm_context": r"(?:\btm->|\btaskmonitor\.|->tm->)",
}

# Not shared yet, or called with the lock that their caller asserts.
EXEMPT = {
    "tm_monitor_alloc": "not published yet",
    "tm_context_init": "not in use yet",
    "tm_number_key": "what it reads is constant",
    "tm_index_has": "looks under RCU",
    "tm_index_may_have": "looks whether a chain is empty",
    "tm_bucket_cmp": "rb_find_add() calls it for tm_bucket_join()",
}


def struct_fields(header, name):
    """The fields of struct NAME, in HEADER's text."""
    body = re.search(r"^struct %s \{\n(.*?)^\};" % name, header, re.M | re.S)
    text = re.sub(r"/\*.*?\*/", "", body.group(1), flags=re.S)
    fields = []
    for line in text.split(";"):
        macro = re.search(r"DECLARE_HASHTABLE\((\w+)", line)
        plain = re.search(r"(\w+)(?:\[\w*\])?(?: : \w+)?\s*$", line)
        if macro:
            fields.append(macro.group(1))
        elif plain:
            fields.append(plain.group(1))
    return fields


def functions(text):
    """Name and text of every function definition, comments left out."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for match in re.finditer(r"^\w[^;{}=]*?\b(\w+)\([^;{}]*?\)[^;{}]*\n\{\n"
                             r".*?^\}", text, re.M | re.S):
        yield match.group(1), match.group(0)


def touched(body):
    """The locks that the fields touched in BODY need, each with a field."""
    # A look without the lock says so.
    body = re.sub(r"READ_ONCE\([^()]*(?:\[[^]]*\])?\)", "", body)
    locks = {}
    for struct, pointer in POINTERS.items():
        for field, lock in FIELDS[struct].items():
            if lock and re.search(pointer + field + r"\b", body):
                locks.setdefault(lock, field)
    return locks


def holds(body, lock):
    """Whether BODY takes LOCK or asserts that it is held."""
    return re.search(r"(?:lockdep_assert_held|raw_spin_lock|raw_spin_trylock|"
                     r"mutex_lock|mutex_lock_interruptible)\(&[\w>.-]*\b%s\)" % lock, body)


def main():
    """Prints what is wrong; nothing when all is right."""
    with open(sys.argv[1], encoding="utf-8") as file:
        header = file.read()
    for struct, fields in FIELDS.items():
        for field in struct_fields(header, struct):
            if field not in fields:
                print(f"{sys.argv[1]}: which lock protects {field} of "
                      f"struct {struct}? {sys.argv[0]} does not know")
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for name, body in functions(text):
            if name in EXEMPT:
                continue
            for lock, field in touched(body).items():
                if not holds(body, lock):
                    print(f"{path}: {name}() touches {field} and neither "
                          f"takes nor asserts {lock}")


if __name__ == "__main__":
    main()

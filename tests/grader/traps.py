# SPDX-License-Identifier: GPL-2.0
"""The mistakes that solutions of the lab make: what each is called, and why it is one."""

TRAPS: dict[int, tuple[str, str]] = {
    1: ("an allocation under the shrinker's lock",
        "An allocation that may reclaim enters the shrinker, which takes the same lock:\n"
        "the thread waits for itself. Allocate before the lock is taken, or do not wait."),
    2: ("the shrinker gives up or blocks when memory is short",
        "A scan that fails to get its lock gives nothing, and the OOM killer strikes\n"
        "while samples could be given. Hold the lock shortly, and wait for it in scan."),
    3: ("the shrinker's return value or its order is wrong",
        "scan returns how many objects it freed, and drops the oldest first. A wrong\n"
        "number makes reclaim ask for ever, or give up."),
    4: ("the shrinker does not see every history",
        "Each monitored process has a list: count and scan must look at all of them,\n"
        "short ones too."),
    5: ("adding, removing, reading and reclaim race",
        "A task in the shrinker or in read() must not find what is being freed:\n"
        "unlink under the lock, free after it, and unregister before you free."),
    6: ("the mempool does not save the day",
        "mempool_alloc() must be what allocates, and must not wait for ever: with\n"
        "__GFP_DIRECT_RECLAIM it sleeps until an element is returned, and none is."),
    7: ("the monitored process ends",
        "A zombie has no mm, and a reaped process no task_struct: test both at each\n"
        "sample, keep the history readable, and do not log it each second."),
    8: ("a kernel thread has no mm of its own",
        "task->mm is NULL, or it is a process's that the thread has borrowed: look at\n"
        "PF_KTHREAD, or use get_task_mm(), and record zeros."),
    9: ("a PID number is used again",
        "A number names another process later. Keep the struct pid, which is an\n"
        "identity, and not the number."),
    10: ("references to tasks are not put",
         "get_pid_task(), find_get_pid() and get_task_mm() each take a reference: put it\n"
         "on every path, or each process that ends stays in memory."),
    11: ("bad input is accepted, or crashes the kernel",
         "Copy at most the buffer's size with copy_from_user(), end it with a NUL, let\n"
         "kstrtoint() parse it, and refuse what is no PID, with nothing changed."),
    12: ("write() returns another number than was written",
         "The caller sends the rest again, and the shell says that the write failed.\n"
         "Return the count that you were given, or an error."),
    13: ("the file depends on the size of the reads",
         "start() must find the position where the last read stopped, and next() must\n"
         "always move it: else rows are lost or shown twice."),
    14: ("each read() walks from the head of the list",
         "start() that counts from the first sample makes a long history quadratic:\n"
         "remember the sample at which the last read stopped."),
    15: ("start() and stop() do not pair their lock",
         "stop() is called after every start(), also after one that returned NULL: take\n"
         "the lock in start() always, and release it in stop() once."),
    16: ("all readers share one cursor",
         "A static variable is moved by every reader. What a reader needs to know\n"
         "belongs into its own seq_file->private."),
    17: ("the module can be unloaded while its file is open",
         "Set .owner = THIS_MODULE, so that rmmod is refused, and remove the file\n"
         "before anything that it uses."),
    18: ("an object is unlinked in its kref release function",
         "The last put may come from a place that holds no lock, and the list breaks.\n"
         "Unlink under the lock first; the list's own reference goes with that."),
    19: ("the exit function frees too little, or in the wrong order",
         "First stop what uses the samples (files, kthread, shrinker), then free them,\n"
         "then the mempool, then the slab cache."),
    20: ("a load that fails leaves something behind",
         "Make locks, caches and lists before what uses them is live, and undo each\n"
         "step in reverse where one fails."),
    21: ("the kthread ends by itself, or there are two",
         "kthread_stop() needs a thread that is there: let it sleep until it is told to\n"
         "stop, and let a mutex protect the pointer."),
    22: ("stop and start are not understood",
         "echo adds a newline: sysfs_streq() compares with or without it. A second stop\n"
         "or start changes nothing and succeeds."),
    23: ("the sysfs page is wrong",
         "A show() function has PAGE_SIZE bytes: whole rows only, the newest first, and\n"
         "the newest is there. scnprintf() and sysfs_emit_at() keep count."),
    24: ("each open of the file leaks",
         "seq_open() needs seq_release(), single_open() single_release(), and\n"
         "seq_open_private() seq_release_private()."),
    26: ("a process can be added twice",
         "Two monitors of one process take each sample twice. Look for the PID before it\n"
         "is added, in the same hold of the lock."),
    28: ("rmmod waits out the period",
         "msleep() cannot be woken. Sleep interruptibly, and look at\n"
         "kthread_should_stop() after the state is set: kthread_stop() wakes you."),
    29: ("numbers are taken in the wrong PID namespace",
         "find_get_pid() and find_vpid() read a number as the caller means it;\n"
         "find_pid_ns(nr, &init_pid_ns) does not."),
    30: ("the period drifts",
         "Sleeping a period after each round adds the round to it. Keep the next\n"
         "deadline, and sleep until then."),
    31: ("the whole history goes for a few pages",
         "Objects are counted, but only whole pages end a reclaim pass: set .seeks, so\n"
         "that it asks for less."),
    32: ("a parameter is set before the module is ready",
         "Parameters are parsed before the init function: a setter must not wake a\n"
         "thread, or take a lock, that is not there yet."),
    33: ("a reader that jumps holds the lock for the whole way",
         "seq_file walks all rows before an offset in one call. Refuse offsets other\n"
         "than 0, or bound the walk."),
    34: ("the file ends when its process is removed",
         "A reader may stand at a process that is removed then. It must go on with the\n"
         "next one, and not take a missing process for the end."),
    35: ("a figure wraps",
         "20 TiB mapped, which is common under ASan, do not fit 32 bits of bytes or of KiB:\n"
         "use 64 bits, or saturate."),
    36: ("the objects of a batch leak",
         "kmem_cache_alloc_bulk() is bool from 7.2 on: its result is not a number to be\n"
         "added up."),
}


def name(number: int) -> str:
    return TRAPS[number][0] if number in TRAPS else ""


def why(number: int) -> str:
    return TRAPS[number][1] if number in TRAPS else ""

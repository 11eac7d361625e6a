/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The commands of tmtool, by the file that has them, and what these files share.
 * tmtool.c has the arguments of each.
 */
#ifndef _TASKMONITOR_TMTOOL_H
#define _TASKMONITOR_TMTOOL_H

#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>

#define IO_BUFFER_SIZE	(1024 * 1024)

/* tmtool.c */

/* The command that @argv names, with what follows. */
int run(int argc, char **argv);

/* syscalls.c: system calls with odd arguments, and what they return */

/* What is written, and what was read. */
extern char io_buffer[IO_BUFFER_SIZE];

/* Into the buffer; returns its size. */
size_t read_stdin(void);
/* What a system call returned: a number, or the name of the error. */
void print_result(long ret);

/* write() of stdin to FILE, at once or in pieces of SIZE. */
int cmd_write(int argc, char **argv);
/* The same at once; prints CLOCK_BOOTTIME before and after. */
int cmd_timed_write(int argc, char **argv);
/* pwrite() of stdin to FILE. */
int cmd_pwrite(int argc, char **argv);
/* writev() of stdin to FILE, in pieces of SIZE. */
int cmd_writev(int argc, char **argv);
/* stdin lies at the end of what may be read; EXTRA bytes more are asked. */
int cmd_write_edge(int argc, char **argv);
/* From an address that is not the user's at all, or that maps to nothing. */
int cmd_write_from(int argc, char **argv);
/* Prints CLOCK_BOOTTIME in ns. */
int cmd_clock(int argc, char **argv);
/* lseek() of stdin. */
int cmd_seek(int argc, char **argv);
/* pread() of stdin: what was read, or the name of the error. */
int cmd_pread(int argc, char **argv);
/* readv() of stdin, into two pieces: what was read in one call. */
int cmd_readv(int argc, char **argv);
/* Read stdin at an offset by io_uring: what was read, or the name of the error. */
int cmd_uring_read(int argc, char **argv);
/* Open FILE, read a little, close it, COUNT times. */
int cmd_opens(int argc, char **argv);
/* Read FILE to the end: the number of rows, and of ns in read(). */
int cmd_timed_read(int argc, char **argv);

/* pipe.c: calls that a shell does not make, on taskmonitor_pipe as stdin */

/* What there is to read, without waiting. */
int cmd_pipe_rest(int argc, char **argv);
/* Every other call, and what it returned; FILE is the history. */
int cmd_pipe_calls(int argc, char **argv);

/* faults.c: allocations that fail */

/* What open(), or else write(), returned, or -errno; under fail-nth. */
long put(const char *path, const char *data, size_t size);

/* A command under a fault; prints then how far it was: 0 means there was one. */
int cmd_fail_nth(int argc, char **argv);
/* open() and write() of stdin to FILE. */
int cmd_put(int argc, char **argv);
/* All of FILE; and on stderr, which errors there were. */
int cmd_read(int argc, char **argv);
/* Load the module FILE with PARAMETERS. */
int cmd_insmod(int argc, char **argv);
/*
 * Load the module NAME while the allocation FIRST fails; then while the one STEP
 * later does; and so on until there are no more. No such load may leave any of
 * the PATHs behind. Prints how many loads there were, and how many failed.
 */
int cmd_load_faults(int argc, char **argv);

/* load.c: CPU time and memory that are used up */

/* Threads that use up CPU time, beside a main thread that sleeps; or only it. */
int cmd_spin(int argc, char **argv);
/* The process goes on without its first thread, which is a zombie then. */
int cmd_leader_exit(int argc, char **argv);
/* COUNT threads that have used up so much CPU time and are gone. */
int cmd_dead_threads(int argc, char **argv);
/* Threads that hardly live, without end. */
int cmd_storm(int argc, char **argv);
/* BUSY ms of CPU time are used up, then none for IDLE ms, without end. */
int cmd_pulse(int argc, char **argv);
/* Nothing of ordinary priority runs for so long, on any CPU. */
int cmd_stall(int argc, char **argv);
/* One MODE MIB pair at first, and the next at every SIGUSR1. */
int cmd_map(int argc, char **argv);
/* Take so much memory, every page of it, and give it back. */
int cmd_hog(int argc, char **argv);
/* The same from one node only; if that has not so much, the kernel kills us. */
int cmd_bound_hog(int argc, char **argv);

/* processes.c: processes that are in a given state, or come and go */

void start_thread(pthread_t *thread, void *(*fn)(void *), void *arg);
/* From now on SIGUSR1 waits for wait_usr1(), in threads started later, too. */
void block_usr1(void);
void wait_usr1(void);
/* A child that does nothing. */
pid_t new_child(void);
/* Waits until @child has ended. @options: WNOWAIT leaves the zombie, 0 reaps it. */
void await_end(pid_t child, int options);
/* Kills @child and waits like await_end(). */
void end_child(pid_t child, int options);

/* COUNT processes that do nothing; their PIDs come before "ready". */
int cmd_crowd(int argc, char **argv);
/* COUNT threads that do nothing, beside the first. */
int cmd_threads(int argc, char **argv);
/* At SIGUSR1 a thread that is not the first executes COMMAND. */
int cmd_exec_thread(int argc, char **argv);
/* Executes itself COUNT times, then exits. */
int cmd_exec_loop(int argc, char **argv);
/* State Z: a child that has ended, and that we never reap. */
int cmd_zombie(int argc, char **argv);
/* State t: stopped by a debugger. */
int cmd_traced(int argc, char **argv);
/* State D: a parent waits uninterruptibly for what it forked with vfork(). */
int cmd_vfork(int argc, char **argv);
/* COMMAND as process NUMBER, which must be free. Ends with it. */
int cmd_fork_as(int argc, char **argv);
/* Rounds of add, kill, reap and remove, in four orders. */
int cmd_churn(int argc, char **argv);
/* Processes that are added and exit; their history is left to its fate. */
int cmd_leave(int argc, char **argv);
/* Run a command that has the CPU when no other task wants it. */
int cmd_idle(int argc, char **argv);
/* Run a command that waits for no busy task. */
int cmd_urgent(int argc, char **argv);
/* Run a command as a user without any privilege. */
int cmd_as_nobody(int argc, char **argv);

/* ends.c: processes that end, and what is told of that */

/*
 * At SIGUSR1 the child that "ready" names ends in that way; then "ended", with the
 * wait status, ns of CPU time, KiB resident at the most, and CLOCK_BOOTTIME. A leader
 * leaves a thread behind that waits for another SIGUSR1.
 */
int cmd_end(int argc, char **argv);
/* A child that is monitored and killed, just before sampling stops. */
int cmd_end_stop(int argc, char **argv);
/* A process, its child, and two children of that, at SIGUSR1, if said. */
int cmd_family(int argc, char **argv);
/*
 * At SIGUSR1 LEVELS PID namespaces, each with a process whose child is in the next; at
 * SIGUSR1 the last forks COUNT children that exit at once. "ready" after each.
 */
int cmd_deep(int argc, char **argv);
/* COUNT children, one after the other, that exit at once; at SIGUSR1, if said. */
int cmd_forks(int argc, char **argv);

/* random.c: choices that repeat with the seed */

void seed_random(unsigned long seed);
unsigned int below(unsigned int limit);

#define pick(array) ((array)[below(sizeof(array) / sizeof((array)[0]))])

/* fuzz.c: COUNT generated inputs, each with an answer foretold by a model */
int cmd_fuzz(int argc, char **argv);

/* stress.c: all that can be done to the module, at random and all at once */
int cmd_stress(int argc, char **argv);

#endif /* _TASKMONITOR_TMTOOL_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the guest's programs share: where the module's files are, how a program
 * fails, numbers, clocks, files, children, and the table of what a program can
 * do.
 */
#ifndef _TASKMONITOR_TOOL_H
#define _TASKMONITOR_TOOL_H

#include <stddef.h>
#include <stdio.h>
#include <stdnoreturn.h>
#include <sys/types.h>
#include <time.h>

#define DEBUGFS_FILE	"/sys/kernel/debug/taskmonitor"
#define STATS_FILE	"/sys/kernel/debug/taskmonitor_stats"
#define SYSFS_FILE	"/sys/kernel/taskmonitor"
#define PARAMETER(name)	"/sys/module/taskmonitor/parameters/" name

#define NSEC_PER_USEC	1000UL
#define NSEC_PER_MSEC	1000000UL
#define NSEC_PER_SEC	1000000000UL

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Says what failed, with the error in errno. */
noreturn void die(const char *what);
/* The same with the error @err. */
noreturn void die_of(int err, const char *what);

/* All of @arg, in C's notation. */
unsigned long number(const char *arg);
/* A decimal number that begins @text, with @end behind it. */
unsigned long number_before(const char *text, char end);
/* The figure @name in the text of STATS_FILE. */
unsigned long counter(const char *stats, const char *name);

/* In ns. */
unsigned long now(clockid_t clock);

int open_or_die(const char *path, int flags);
FILE *fopen_or_die(const char *path);
/* What one read() gives of the file, as a string. */
void read_file(const char *path, char *buf, size_t size);

/* Tells the test that we are what we are to be. */
void say_ready(void);
/* Until we are killed. */
noreturn void stay(void);

/* A child that does not outlive its parent. */
pid_t fork_child(void);
noreturn void exec_or_die(char **argv);
/* From now on we have the CPU only when no other task wants it. */
void stand_back(void);

struct command {
	const char *name;
	const char *args;
	int min_args;
	int (*fn)(int argc, char **argv);
};

/* The command that @argv names, with what follows; or says what there is. */
int run_command(const struct command *commands, size_t nr, int argc,
		char **argv);

#endif /* _TASKMONITOR_TOOL_H */

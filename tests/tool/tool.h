/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the guest's programs share: errors, numbers, clocks, children, and the
 * table of what a program can do.
 */
#ifndef _TASKMONITOR_TOOL_H
#define _TASKMONITOR_TOOL_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define NSEC_PER_USEC	1000UL
#define NSEC_PER_MSEC	1000000UL
#define NSEC_PER_SEC	1000000000UL

static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
		strerror(errno));
	exit(2);
}

static inline unsigned long number(const char *arg)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(arg, &end, 0);
	if (end == arg || *end)
		errno = EINVAL;
	if (errno)
		die(arg);
	return value;
}

static inline unsigned long now(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		die("clock_gettime");
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static inline int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0)
		die(path);
	return fd;
}

static inline void ready(void)
{
	puts("ready");
	fflush(stdout);
}

static inline void stay(void)
{
	for (;;)
		pause();
}

static inline pid_t fork_child(void)
{
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (!child)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return child;
}

struct command {
	const char *name;
	const char *args;
	int min_args;
	int (*fn)(int argc, char **argv);
};

/* The command that @argv names, with what follows; or says what there is. */
static inline int run_command(const struct command *commands, size_t nr,
			      int argc, char **argv)
{
	size_t i;

	for (i = 0; argc && i < nr; i++)
		if (!strcmp(argv[0], commands[i].name) &&
		    argc - 1 >= commands[i].min_args)
			return commands[i].fn(argc - 1, argv + 1);
	fputs("One of:\n", stderr);
	for (i = 0; i < nr; i++)
		fprintf(stderr, "  %s %s %s\n", program_invocation_short_name,
			commands[i].name, commands[i].args);
	return 2;
}

#endif /* _TASKMONITOR_TOOL_H */

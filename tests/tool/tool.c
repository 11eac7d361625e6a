// SPDX-License-Identifier: GPL-2.0
/*
 * What the guest's programs share. All of it ends the program when it fails:
 * there is nothing that a test or a measurement could do then.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tool.h"

/* Failing */

void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
		strerror(errno));
	exit(2);
}

void die_of(int err, const char *what)
{
	errno = err;
	die(what);
}

/* Numbers */

static unsigned long parse(const char *text, int base, char end)
{
	unsigned long value;
	char *stop;

	errno = 0;
	value = strtoul(text, &stop, base);
	if (stop == text || *stop != end)
		errno = EINVAL;
	if (errno)
		die(text);
	return value;
}

unsigned long number(const char *arg)
{
	return parse(arg, 0, '\0');
}

unsigned long number_before(const char *text, char end)
{
	return parse(text, 10, end);
}

unsigned long counter(const char *stats, const char *name)
{
	size_t length = strlen(name);
	const char *line;

	for (line = stats; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, length) && line[length] == ' ')
			return number_before(line + length + 1, '\n');
	}
	die_of(ENOENT, name);
}

unsigned long now(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		die("clock_gettime");
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* Files */

int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0)
		die(path);
	return fd;
}

FILE *fopen_or_die(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file)
		die(path);
	return file;
}

void read_file(const char *path, char *buf, size_t size)
{
	int fd = open_or_die(path, O_RDONLY);
	ssize_t got = read(fd, buf, size - 1);

	if (got < 0)
		die(path);
	buf[got] = '\0';
	close(fd);
}

/* Processes */

void say_ready(void)
{
	dprintf(STDOUT_FILENO, "ready\n");
}

void stay(void)
{
	for (;;)
		pause();
}

pid_t fork_child(void)
{
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (!child)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return child;
}

void exec_or_die(char **argv)
{
	execvp(argv[0], argv);
	die(argv[0]);
}

void stand_back(void)
{
	struct sched_param param = { };

	if (sched_setscheduler(0, SCHED_IDLE, &param))
		die("sched_setscheduler");
}

/* The table */

int run_command(const struct command *commands, size_t nr, int argc,
		char **argv)
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

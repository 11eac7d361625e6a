// SPDX-License-Identifier: GPL-2.0
/*
 * Processes that end in a given way, and what wait4(2) tells of that; and others
 * that come and go in great numbers.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tmtool.h"
#include "tool.h"

#define NSEC_PER_MSEC	1000000UL

static void burn_ms(unsigned long ms)
{
	unsigned long start = now(CLOCK_THREAD_CPUTIME_ID);

	while (now(CLOCK_THREAD_CPUTIME_ID) - start < ms * NSEC_PER_MSEC)
		;
}

static unsigned long rusage_ns(const struct rusage *usage)
{
	return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) *
	       1000000000UL +
	       (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000UL;
}

/* The ways to end */

static void end_exit(unsigned long code)
{
	exit(code);
}

static void end_signal(unsigned long signal)
{
	raise(signal);
}

static void end_spin(unsigned long ms)
{
	burn_ms(ms);
	exit(3);
}

static void end_map(unsigned long mib)
{
	size_t size = mib << 20;
	char *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		die("mmap");
	memset(map, 1, size);
	munmap(map, size);
	exit(0);
}

/* Its children are not it, though wait4() adds them up. */
static void end_family(unsigned long ms)
{
	struct rusage usage;
	int i;

	for (i = 0; i < 2; i++) {
		if (!fork_child()) {
			burn_ms(ms);
			_exit(0);
		}
		wait(NULL);
	}
	burn_ms(ms / 4);
	if (getrusage(RUSAGE_CHILDREN, &usage))
		die("getrusage");
	dprintf(STDOUT_FILENO, "children %lu\n", rusage_ns(&usage));
	exit(4);
}

static void *spin_and_exit(void *ms)
{
	burn_ms((unsigned long)ms);
	syscall(SYS_exit, 6);
	return NULL;
}

static void *wait_and_exit(void *ms)
{
	wait_usr1();
	return spin_and_exit(ms);
}

/* The first thread ends first, and the last one when it is told. */
static void end_leader(unsigned long ms)
{
	pthread_t thread;

	start_thread(&thread, wait_and_exit, (void *)ms);
	syscall(SYS_exit, 5);
}

/* All threads at once: each may believe to be the last. */
static void end_threads(unsigned long nr)
{
	pthread_t thread;

	while (nr--)
		start_thread(&thread, spin_and_exit, (void *)20);
	syscall(SYS_exit, 0);
}

static void end_exec(unsigned long ms)
{
	burn_ms(ms);
	execlp("true", "true", NULL);
	die("true");
}

static const struct {
	const char *name;
	void (*fn)(unsigned long arg);
} ends[] = {
	{ "exit", end_exit },
	{ "signal", end_signal },
	{ "spin", end_spin },
	{ "map", end_map },
	{ "family", end_family },
	{ "leader", end_leader },
	{ "threads", end_threads },
	{ "exec", end_exec },
};

static void end_as(const char *how, unsigned long arg)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ends); i++)
		if (!strcmp(ends[i].name, how))
			ends[i].fn(arg);
	die_of(EINVAL, how);
}

int cmd_end(int argc, char **argv)
{
	unsigned long arg = number(argv[1]), end;
	struct rusage usage;
	pid_t child;
	int status;

	(void)argc;
	block_usr1();
	child = fork_child();
	if (!child) {
		wait_usr1();
		end_as(argv[0], arg);
	}
	dprintf(STDOUT_FILENO, "ready %d\n", child);
	if (wait4(child, &status, 0, &usage) != child)
		die("wait4");
	end = now(CLOCK_BOOTTIME);
	dprintf(STDOUT_FILENO, "ended %d %lu %ld %lu\n", status,
		rusage_ns(&usage), usage.ru_maxrss, end);
	stay();
}

static void put_or_die(const char *path, const char *text)
{
	int fd = open_or_die(path, O_WRONLY);

	if (write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

/* No time passes between the end of the child and the stop. */
int cmd_end_stop(int argc, char **argv)
{
	siginfo_t info;
	char pid[16];
	pid_t child;

	(void)argc;
	child = fork_child();
	if (!child)
		stay();
	snprintf(pid, sizeof(pid), "%d", child);
	put_or_die(argv[0], pid);
	kill(child, SIGKILL);
	if (waitid(P_PID, child, &info, WEXITED | WNOWAIT))
		die("waitid");
	put_or_die(argv[1], "stop");
	return 0;
}

static void fork_and_reap(unsigned long left)
{
	pid_t child;

	while (left--) {
		child = fork();
		if (child < 0)
			die("fork");
		if (!child)
			_exit(left & 127);
		if (waitpid(child, NULL, 0) != child)
			die("waitpid");
	}
}

int cmd_forks(int argc, char **argv)
{
	if (argc > 1) {
		block_usr1();
		say_ready();
		wait_usr1();
	}
	fork_and_reap(number(argv[0]));
	return 0;
}

/* A child, and two of its own. Each says which it is, parents first. */
int cmd_family(int argc, char **argv)
{
	int i;

	(void)argv;
	if (argc) {
		block_usr1();
		say_ready();
		wait_usr1();
	}
	if (!fork_child()) {
		dprintf(STDOUT_FILENO, "member %d\n", getpid());
		for (i = 0; i < 2; i++)
			dprintf(STDOUT_FILENO, "member %d\n", new_child());
		say_ready();
	}
	stay();
}

/* A child in a PID namespace of its own, its child in another, and so on. */
int cmd_deep(int argc, char **argv)
{
	unsigned long levels = number(argv[0]);

	(void)argc;
	block_usr1();
	say_ready();
	wait_usr1();
	while (levels--) {
		if (unshare(CLONE_NEWPID))
			die("unshare");
		if (fork_child())
			stay();
	}
	say_ready();
	wait_usr1();
	fork_and_reap(number(argv[1]));
	say_ready();
	stay();
}

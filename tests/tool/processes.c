// SPDX-License-Identifier: GPL-2.0
/*
 * Processes that are in a given state, or that come and go, for the module to
 * monitor; and what else starts processes and threads.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tmtool.h"
#include "tool.h"

#define NOBODY	65534

void start_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	errno = pthread_create(thread, &attr, fn, arg);
	if (errno)
		die("pthread_create");
	pthread_attr_destroy(&attr);
}

static sigset_t usr1(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return set;
}

void block_usr1(void)
{
	sigset_t set = usr1();

	sigprocmask(SIG_BLOCK, &set, NULL);
}

void wait_usr1(void)
{
	sigset_t set = usr1();
	int sig;

	sigwait(&set, &sig);
}

pid_t new_child(void)
{
	pid_t child = fork_child();

	if (!child)
		stay();
	return child;
}

void await_end(pid_t child, int options)
{
	siginfo_t info;

	if (waitid(P_PID, child, &info, WEXITED | options))
		die("waitid");
}

void end_child(pid_t child, int options)
{
	kill(child, SIGKILL);
	await_end(child, options);
}

/* One that is killed is gone, with no zombie left. */
int cmd_crowd(int argc, char **argv)
{
	unsigned long nr = number(argv[0]);

	(void)argc;
	signal(SIGCHLD, SIG_IGN);
	/* Through no buffer: the next child would have it, too. */
	while (nr--)
		dprintf(STDOUT_FILENO, "%d\n", new_child());
	say_ready();
	stay();
}

/* Threads */

static void *stay_thread(void *arg)
{
	(void)arg;
	stay();
}

int cmd_threads(int argc, char **argv)
{
	unsigned long nr = number(argv[0]);
	pthread_t thread;

	(void)argc;
	while (nr--)
		start_thread(&thread, stay_thread, NULL);
	say_ready();
	stay();
}

static void *exec_thread(void *argv)
{
	wait_usr1();
	exec_or_die(argv);
}

int cmd_exec_thread(int argc, char **argv)
{
	pthread_t thread;

	(void)argc;
	block_usr1();
	start_thread(&thread, exec_thread, argv);
	say_ready();
	stay();
}

int cmd_exec_loop(int argc, char **argv)
{
	unsigned long left = number(argv[0]);
	char arg[32];

	(void)argc;
	if (!left)
		return 0;
	snprintf(arg, sizeof(arg), "%lu", left - 1);
	execl("/proc/self/exe", "tmtool", "exec-loop", arg, NULL);
	die("/proc/self/exe");
}

/* States */

/* With the PID of the process that is meant, which is not this one. */
static void say_ready_pid(pid_t pid)
{
	dprintf(STDOUT_FILENO, "ready %d\n", pid);
}

int cmd_zombie(int argc, char **argv)
{
	pid_t child = fork_child();

	(void)argc;
	(void)argv;
	if (!child)
		_exit(0);
	await_end(child, WNOWAIT);
	say_ready_pid(child);
	stay();
}

int cmd_traced(int argc, char **argv)
{
	pid_t child = fork_child();

	(void)argc;
	(void)argv;
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(child, NULL, WUNTRACED) != child)
		die("waitpid");
	say_ready_pid(child);
	stay();
}

int cmd_vfork(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	say_ready();
	if (!vfork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		stay();
	}
	return 0;
}

/* Started in a special way */

int cmd_fork_as(int argc, char **argv)
{
	pid_t wanted = number(argv[0]), child;
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&wanted,
		.set_tid_size = 1,
	};

	(void)argc;
	child = syscall(SYS_clone3, &args, sizeof(args));
	if (child < 0)
		die("clone3");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		exec_or_die(argv + 1);
	}
	say_ready();
	await_end(child, 0);
	return 0;
}

int cmd_idle(int argc, char **argv)
{
	(void)argc;
	stand_back();
	exec_or_die(argv);
}

int cmd_urgent(int argc, char **argv)
{
	(void)argc;
	if (setpriority(PRIO_PROCESS, 0, -20))
		die("setpriority");
	exec_or_die(argv);
}

int cmd_as_nobody(int argc, char **argv)
{
	(void)argc;
	if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
		die("setuid");
	exec_or_die(argv);
}

/* Coming and going */

static void write_pid(int fd, pid_t pid, int allowed)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%d", pid);

	if (write(fd, buf, len) != len && errno != allowed)
		die(buf);
}

/*
 * In four orders: killed and reaped before it is removed; removed before it is
 * killed; added as a zombie; removed as a zombie.
 */
int cmd_churn(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	unsigned long rounds = number(argv[1]), i;
	pid_t child;

	(void)argc;
	for (i = 0; i < rounds; i++) {
		child = new_child();
		if (i % 4 != 2)
			write_pid(fd, child, 0);
		if (i % 4 == 1)
			write_pid(fd, -child, 0);
		end_child(child, WNOWAIT);
		if (i % 4 == 2)
			write_pid(fd, child, 0);
		if (i % 4 == 3)
			write_pid(fd, -child, 0);
		await_end(child, 0);
		/* Its history may have been reclaimed whole by now. */
		if (i % 4 == 0 || i % 4 == 2)
			write_pid(fd, -child, ENOENT);
	}
	return 0;
}

int cmd_leave(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	unsigned long rounds = number(argv[1]);
	pid_t child;

	(void)argc;
	while (rounds--) {
		child = new_child();
		write_pid(fd, child, 0);
		end_child(child, 0);
	}
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * What a shell cannot do with taskmonitor_pipe: poll, not wait, be interrupted.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "tmtool.h"
#include "tool.h"

static void set_nonblock(int on)
{
	int flags = fcntl(0, F_GETFL);

	if (flags < 0 ||
	    fcntl(0, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK))
		die("fcntl");
}

int cmd_pipe_rest(int argc, char **argv)
{
	ssize_t got;

	(void)argc;
	(void)argv;
	set_nonblock(1);
	while ((got = read(0, io_buffer, sizeof(io_buffer))) > 0)
		fwrite(io_buffer, 1, got, stdout);
	if (got < 0 && errno != EAGAIN)
		die("read");
	return 0;
}

static void print_poll(int timeout_ms)
{
	struct pollfd pollfd = { .fd = 0, .events = POLLIN };
	int ret = poll(&pollfd, 1, timeout_ms);

	if (ret < 0)
		print_result(ret);
	else
		puts(ret && pollfd.revents & POLLIN ? "readable" : "nothing");
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* A read that a signal ends: there is no row to come. */
static void print_interrupted(void)
{
	struct itimerval timer = { .it_value.tv_usec = 100000 };
	struct sigaction action = { .sa_handler = on_alarm };

	if (sigaction(SIGALRM, &action, NULL) ||
	    setitimer(ITIMER_REAL, &timer, NULL))
		die("setitimer");
	print_result(read(0, io_buffer, sizeof(io_buffer)));
}

int cmd_pipe_calls(int argc, char **argv)
{
	char pid[16], *unreadable;
	int fd;

	(void)argc;
	unreadable = mmap(NULL, sizeof(io_buffer), PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (unreadable == MAP_FAILED)
		die("mmap");
	set_nonblock(1);
	print_result(read(0, io_buffer, sizeof(io_buffer)));
	print_poll(0);
	print_result(read(0, io_buffer, 0));
	print_result(lseek(0, 0, SEEK_SET));
	print_result(lseek(0, 0, SEEK_CUR));
	print_result(pread(0, io_buffer, sizeof(io_buffer), 0));
	set_nonblock(0);
	print_interrupted();

	fd = open_or_die(argv[0], O_WRONLY);
	snprintf(pid, sizeof(pid), "%d", getpid());
	if (write(fd, pid, strlen(pid)) < 0)
		die("write");
	print_poll(20000);
	print_result(read(0, unreadable, sizeof(io_buffer)));
	print_poll(0);
	puts(read(0, io_buffer, sizeof(io_buffer)) > 0 ? "row" : "no row");
	set_nonblock(1);
	print_result(read(0, io_buffer, sizeof(io_buffer)));
	print_poll(0);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Allocations that fail on demand, one system call at a time, by the kernel's
 * fault injection; and the commands in whose system calls they can fail.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tmtool.h"
#include "tool.h"

#define FAIL_NTH	"/proc/self/fail-nth"

/*
 * While a command is under "fail-nth", the Nth allocation between arm() and
 * disarm() fails: of those that the filters of failslab and its like let
 * through, where the kernel heeds them there (from 6.2 on).
 */
static const char *fault_nth;
static char faults_left[16];
static int fault_fd = -1;

static void arm(void)
{
	if (!fault_nth)
		return;
	fault_fd = open_or_die(FAIL_NTH, O_RDWR);
	if (write(fault_fd, fault_nth, strlen(fault_nth)) < 0)
		die(FAIL_NTH);
}

static void disarm(void)
{
	int err = errno;

	if (fault_fd < 0)
		return;
	/* This may be what fails, and then it is too late. */
	if (pread(fault_fd, faults_left, sizeof(faults_left) - 1, 0) < 0 &&
	    pread(fault_fd, faults_left, sizeof(faults_left) - 1, 0) < 0)
		die(FAIL_NTH);
	if (pwrite(fault_fd, "0", 1, 0) < 0 && pwrite(fault_fd, "0", 1, 0) < 0)
		die(FAIL_NTH);
	close(fault_fd);
	fault_fd = -1;
	errno = err;
}

int cmd_fail_nth(int argc, char **argv)
{
	int status;

	fault_nth = argv[0];
	status = run(argc - 1, argv + 1);
	fputs(faults_left, stdout);
	return status;
}

long put(const char *path, const char *data, size_t size)
{
	int fd;
	long ret;

	arm();
	fd = open(path, O_WRONLY);
	ret = fd < 0 ? fd : write(fd, data, size);
	disarm();
	if (ret < 0)
		ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

int cmd_put(int argc, char **argv)
{
	long ret;

	(void)argc;
	ret = put(argv[0], io_buffer, read_stdin());
	errno = -ret;
	print_result(ret);
	return 0;
}

static int read_errors[100], nr_read_errors;

/* What fails is tried again, for a while. */
static bool read_failed(void)
{
	read_errors[nr_read_errors++] = errno;
	return nr_read_errors < (int)ARRAY_SIZE(read_errors);
}

static size_t open_and_read(const char *path)
{
	size_t size = 0;
	ssize_t got;
	int fd;

	do
		fd = open(path, O_RDONLY);
	while (fd < 0 && read_failed());
	do {
		got = read(fd, io_buffer + size, sizeof(io_buffer) - size);
		if (got > 0)
			size += got;
	} while (got > 0 || (got < 0 && read_failed()));
	close(fd);
	return size;
}

int cmd_read(int argc, char **argv)
{
	size_t size;
	int i;

	(void)argc;
	arm();
	size = open_and_read(argv[0]);
	disarm();
	fwrite(io_buffer, 1, size, stdout);
	for (i = 0; i < nr_read_errors; i++)
		fprintf(stderr, "%s\n", strerrorname_np(read_errors[i]));
	return 0;
}

int cmd_insmod(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_RDONLY);
	long ret;

	(void)argc;
	arm();
	ret = syscall(SYS_finit_module, fd, argv[1], 0);
	disarm();
	print_result(ret);
	return 0;
}

/* What is there after a load that failed, or after an unload. */
static void none_of(char **paths, unsigned long nth)
{
	for (; *paths; paths++) {
		if (access(*paths, F_OK) && errno == ENOENT)
			continue;
		fprintf(stderr, "fault %lu: %s is still there\n", nth, *paths);
		exit(1);
	}
}

/* One process for all of it: starting one for each costs more than the loads. */
int cmd_load_faults(int argc, char **argv)
{
	unsigned long nth = number(argv[3]), step = number(argv[4]);
	unsigned long loads = 0, failed = 0;
	int fd = open_or_die(argv[0], O_RDONLY), err;
	char text[24];
	bool hit;

	(void)argc;
	fault_nth = text;
	do {
		snprintf(text, sizeof(text), "%lu", nth);
		arm();
		err = syscall(SYS_finit_module, fd, argv[2], 0) ? errno : 0;
		disarm();
		hit = !atol(faults_left);
		errno = err;
		if (err ? err != ENOMEM :
			  syscall(SYS_delete_module, argv[1], O_NONBLOCK))
			die(text);
		none_of(argv + 5, nth);
		loads += hit;
		failed += hit && err;
		nth += step;
	} while (hit);
	printf("%lu %lu\n", loads, failed);
	return 0;
}

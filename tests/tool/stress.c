// SPDX-License-Identifier: GPL-2.0
/*
 * tmtool stress: everything that can be done to the module, at random and all at
 * once, its unloading included.
 *
 * Each worker's choices repeat with the seed; how they fall together does not.
 * Nothing here judges more than answers that no sequence of events explains, and
 * rows; the kernel's own checkers do the rest.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tmtool.h"
#include "tool.h"

#define STRESS_CHILDREN	16
#define STRESS_ROW_MAX	512

static struct {
	unsigned long end;
	struct stress_shared {
		unsigned long done[8];	/* each written by one worker */
	} *shared;
	const char *module;
	unsigned int worker;
	pid_t children[STRESS_CHILDREN];
} stress;

/* The answer of something may be success or, while others interfere, ALLOWED. */
static long expect(long ret, const char *what, const int *allowed)
{
	int err = errno;

	if (ret >= 0)
		return ret;
	for (; *allowed; allowed++)
		if (err == *allowed)
			return ret;
	die_of(err, what);
}

/* Of a file that is opened, read or written while the module comes and goes. */
static const int going[] = { ENOENT, ENODEV, ENXIO, EIO, 0 };
static const int adding[] = { ESRCH, EEXIST, ENOENT, ENODEV, ENXIO, EIO, 0 };
static const int loading[] = { EEXIST, EBUSY, ENOENT, EAGAIN, 0 };

static long stress_put(const char *path, const char *text, const int *allowed)
{
	long ret = put(path, text, strlen(text));

	errno = -ret;
	return expect(ret, path, allowed);
}

static void stress_number(const char *path, long number)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld\n", number);
	stress_put(path, text, adding);
}

static void stress_done(void)
{
	stress.shared->done[stress.worker]++;
}

/* Workers: each does one thing and returns. */

static void stress_add(void)
{
	pid_t *child = &pick(stress.children);

	switch (below(4)) {
	case 0:
		if (!*child)
			*child = new_child();
		break;
	case 1:
		if (*child)
			end_child(*child, 0);
		*child = 0;
		break;
	case 2:
		stress_number(DEBUGFS_FILE, *child ?: getpid());
		break;
	default:
		stress_number(DEBUGFS_FILE, -(*child ?: getpid()));
	}
}

/* Whole rows come out of a file, with times that rise within one PID. */
static void check_row(const char *row, unsigned long *pid, unsigned long *time)
{
	static const char before_time[] = " time ";
	const char *at = strstr(row, before_time);
	unsigned long last_pid = *pid, last_time = *time;

	if (strncmp(row, "pid ", 4) || !at) {
		fprintf(stderr, "tmtool: not a row: %s\n", row);
		exit(1);
	}
	*pid = number_before(row + 4, ' ');
	*time = strtoul(at + strlen(before_time), NULL, 10);
	if (*pid == last_pid && *time <= last_time) {
		fprintf(stderr, "tmtool: not newer than %lu: %s\n", last_time,
			row);
		exit(1);
	}
}

/* As much of FD as PIECES reads give. */
static void read_rows(int fd, unsigned int pieces)
{
	static const size_t sizes[] = { 1, 7, 100, 4096, 65536 };
	unsigned long pid = 0, time = 0;
	char row[STRESS_ROW_MAX];
	size_t length = 0, i, size = pick(sizes);
	ssize_t got;

	while (pieces--) {
		got = expect(read(fd, io_buffer, size), DEBUGFS_FILE, going);
		if (got <= 0)
			return;
		for (i = 0; i < (size_t)got; i++) {
			row[length] = io_buffer[i];
			if (row[length++] != '\n' && length < sizeof(row) - 1)
				continue;
			row[length] = 0;
			check_row(row, &pid, &time);
			length = 0;
		}
	}
}

static void stress_read(void)
{
	static const char * const others[] = { STATS_FILE, SYSFS_FILE };
	int fd = expect(open(DEBUGFS_FILE, O_RDONLY), DEBUGFS_FILE, going);

	if (fd >= 0) {
		read_rows(fd, 1 + below(400));
		if (below(2) && !expect(lseek(fd, 0, SEEK_SET), "lseek", going))
			read_rows(fd, 1 + below(100));
		close(fd);
	}
	fd = expect(open(pick(others), O_RDONLY), "open", going);
	if (fd >= 0) {
		expect(read(fd, io_buffer, 4096), "read", going);
		close(fd);
	}
}

static void stress_control(void)
{
	static const long periods[] = { 1, 1, 1, 2, 10, 3600000 };
	static const long caps[] = { 0, 0, 1, 2, 10, 100 };

	switch (below(4)) {
	case 0:
		stress_put(SYSFS_FILE, "stop", adding);
		break;
	case 1:
		stress_number(PARAMETER("period_ms"), pick(periods));
		break;
	case 2:
		stress_number(PARAMETER("max_samples"), pick(caps));
		break;
	}
	/* More on than off. */
	stress_put(SYSFS_FILE, "start", adding);
}

/* Reclaim, in general and of nothing but ours where the kernel lets us. */
static void stress_reclaim(void)
{
	char path[300], text[32];
	struct dirent *entry;
	DIR *dir;

	if (!below(4))
		stress_put("/proc/sys/vm/drop_caches", "2", going);
	dir = opendir("/sys/kernel/debug/shrinker");
	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "taskmonitor-", 12))
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/debug/shrinker/%s/scan",
			 entry->d_name);
		snprintf(text, sizeof(text), "0 0 %u", 1 + below(200));
		stress_put(path, text, going);
	}
	if (dir)
		closedir(dir);
	usleep(below(20000));
}

static void stress_reload(void)
{
	char parameters[80];
	int fd;

	usleep(below(1500000));
	/* Open files keep it where it is. */
	while (syscall(SYS_delete_module, "taskmonitor", O_NONBLOCK)) {
		expect(-1, "rmmod", loading);
		if (errno != EAGAIN || now(CLOCK_MONOTONIC) > stress.end)
			break;
		usleep(1000 + below(5000));
	}
	snprintf(parameters, sizeof(parameters),
		 "period_ms=%u reserve=%u max_samples=%u target=1", 1 + below(5),
		 1 + below(64), below(3) * 50);
	fd = open_or_die(stress.module, O_RDONLY);
	expect(syscall(SYS_finit_module, fd, parameters, 0), "insmod", loading);
	close(fd);
}

static const struct {
	const char *name;
	void (*fn)(void);
} stress_workers[] = {
	{ "add", stress_add },
	{ "add-too", stress_add },
	{ "read", stress_read },
	{ "read-too", stress_read },
	{ "control", stress_control },
	{ "reclaim", stress_reclaim },
	{ "reload", stress_reload },
};

static void stress_work(unsigned int worker, unsigned long seed)
{
	stress.worker = worker;
	seed_random(seed * ARRAY_SIZE(stress_workers) + worker);
	while (now(CLOCK_MONOTONIC) < stress.end) {
		stress_workers[worker].fn();
		stress_done();
	}
	exit(0);
}

int cmd_stress(int argc, char **argv)
{
	unsigned long seed = number(argv[0]);
	int status, bad = 0;
	unsigned int i;

	(void)argc;
	stress.module = argv[2];
	stress.end = now(CLOCK_MONOTONIC) + number(argv[1]) * NSEC_PER_SEC;
	stress.shared = mmap(NULL, sizeof(*stress.shared),
			     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			     -1, 0);
	if (stress.shared == MAP_FAILED)
		die("mmap");
	for (i = 0; i < ARRAY_SIZE(stress_workers); i++)
		if (!fork_child())
			stress_work(i, seed);
	for (i = 0; i < ARRAY_SIZE(stress_workers); i++)
		if (wait(&status) < 0 || status)
			bad = 1;
	for (i = 0; i < ARRAY_SIZE(stress_workers); i++)
		printf("%s %lu\n", stress_workers[i].name,
		       stress.shared->done[i]);
	return bad;
}

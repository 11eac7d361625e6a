// SPDX-License-Identifier: GPL-2.0
/*
 * What `make bench` runs in the guest: it measures the module, does the same by
 * other means, or is what is measured. A nanosecond is an instruction there.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.h"

#define PERIOD		PARAMETER("period_ms")
#define DROP_CACHES	"/proc/sys/vm/drop_caches"
#define PIDS_MAX	16384
#define ROUNDS_MAX	10000
#define FILES_MAX	65536
#define RING		64

static void sleep_until(unsigned long ns)
{
	struct timespec ts = {
		.tv_sec = ns / NSEC_PER_SEC,
		.tv_nsec = ns % NSEC_PER_SEC,
	};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* Many measurements of one thing */

static unsigned long values[ROUNDS_MAX];
static unsigned int nr_values;

static void add_value(unsigned long value)
{
	values[nr_values++] = value;
}

static int compare(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a;
	unsigned long y = *(const unsigned long *)b;

	return x < y ? -1 : x > y;
}

static unsigned long median(void)
{
	qsort(values, nr_values, sizeof(*values), compare);
	return values[nr_values / 2];
}

static unsigned long mean(void)
{
	unsigned long sum = 0;
	unsigned int i;

	for (i = 0; i < nr_values; i++)
		sum += values[i];
	return sum / nr_values;
}

static unsigned int rounds_arg(const char *arg)
{
	unsigned long rounds = number(arg);

	if (!rounds || rounds > ROUNDS_MAX)
		die_of(ERANGE, arg);
	return rounds;
}

/* The processes, by number, from a file with one a line */

static int pids[PIDS_MAX];
static unsigned int nr_pids;

static void read_pids(const char *path)
{
	FILE *file = fopen_or_die(path);

	while (nr_pids < PIDS_MAX && fscanf(file, "%d", &pids[nr_pids]) == 1)
		nr_pids++;
	fclose(file);
}

/* A file that stays open, from its beginning, as a string. */
static void read_again(int fd, const char *path, char *buf, size_t size)
{
	ssize_t got = pread(fd, buf, size - 1, 0);

	if (got <= 0)
		die(path);
	buf[got] = '\0';
}

/* The module's statistics */

static int stats_fd = -1;

static unsigned long stat_of(const char *name)
{
	char buf[1024];

	if (stats_fd < 0)
		stats_fd = open_or_die(STATS_FILE, O_RDONLY);
	read_again(stats_fd, STATS_FILE, buf, sizeof(buf));
	return counter(buf, name);
}

static unsigned long period_ns(void)
{
	char buf[32];

	read_file(PERIOD, buf, sizeof(buf));
	return number_before(buf, '\n') * NSEC_PER_MSEC;
}

/*
 * What a round takes that samples COUNT processes: the mean of ROUNDS, since
 * only some rounds allocate a page of the slab, and the median, which tells one
 * kind of process from another. The figure is read between two rounds, a period
 * later each time: the timer that wakes us costs no round anything.
 */
static int cmd_rounds(int argc, char **argv)
{
	unsigned int rounds = rounds_arg(argv[0]);
	unsigned long count = number(argv[1]);
	unsigned long period = period_ns(), next, before;

	(void)argc;
	stand_back();
	before = stat_of("taken");
	do
		sleep_until(now(CLOCK_MONOTONIC) + NSEC_PER_MSEC / 4);
	while (stat_of("taken") < before + count);
	next = now(CLOCK_MONOTONIC) + period / 2;
	sleep_until(next);
	while (nr_values < rounds) {
		before = stat_of("taken");
		next += period;
		sleep_until(next);
		if (stat_of("taken") != before + count)
			die_of(EPROTO, "a round came twice, or not");
		add_value(stat_of("tick_ns"));
	}
	printf("%lu %lu\n", mean(), median());
	return 0;
}

/* Waits until NAME has reached that VALUE. */
static int cmd_await(int argc, char **argv)
{
	unsigned long value = number(argv[1]);

	(void)argc;
	stand_back();
	while (stat_of(argv[0]) < value)
		sleep_until(now(CLOCK_MONOTONIC) + NSEC_PER_MSEC / 4);
	return 0;
}

/* What drop_caches takes, and how many samples were given back. */
static int cmd_drop(int argc, char **argv)
{
	int fd = open_or_die(DROP_CACHES, O_WRONLY);
	unsigned long given = stat_of("reclaimed"), began, took;

	(void)argc;
	(void)argv;
	began = now(CLOCK_MONOTONIC);
	if (write(fd, "2", 1) != 1)
		die(DROP_CACHES);
	took = now(CLOCK_MONOTONIC) - began;
	printf("%lu %lu\n", took, stat_of("reclaimed") - given);
	return 0;
}

/* All of FILE, as cat(1) reads it: what it takes, and the bytes. */
static int cmd_read(int argc, char **argv)
{
	size_t size = number(argv[1]);
	char *buf = malloc(size);
	unsigned long began, took, bytes = 0;
	ssize_t got;
	int fd;

	(void)argc;
	if (!buf)
		die("malloc");
	memset(buf, 1, size);
	began = now(CLOCK_MONOTONIC);
	fd = open_or_die(argv[0], O_RDONLY);
	while ((got = read(fd, buf, size)) > 0)
		bytes += got;
	close(fd);
	took = now(CLOCK_MONOTONIC) - began;
	if (got < 0)
		die("read");
	printf("%lu %lu\n", took, bytes);
	return 0;
}

static unsigned long timed_write(int fd, int pid)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%d", pid);
	unsigned long began = now(CLOCK_MONOTONIC);

	if (write(fd, buf, len) != len)
		die(buf);
	return now(CLOCK_MONOTONIC) - began;
}

/* What it takes to add PID, and what to remove it: the medians of ROUNDS. */
static int cmd_add_remove(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY), pid = number(argv[1]);
	unsigned int rounds = rounds_arg(argv[2]), i;
	static unsigned long removing[ROUNDS_MAX];
	unsigned long adding;

	(void)argc;
	for (i = 0; i < rounds; i++) {
		add_value(timed_write(fd, pid));
		removing[i] = timed_write(fd, -pid);
	}
	adding = median();
	memcpy(values, removing, sizeof(removing));
	printf("%lu %lu\n", adding, median());
	return 0;
}

/* Adds all of PIDS. */
static int cmd_add(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	unsigned int i;

	(void)argc;
	read_pids(argv[1]);
	for (i = 0; i < nr_pids; i++)
		timed_write(fd, pids[i]);
	return 0;
}

/* The same by way of /proc, with the files kept open */

static const struct format {
	const char *name;
	const char *files[2];
} formats[] = {
	{ "statm", { "stat", "statm" } },
	/* What our row has, no less: stack and data are in status only. */
	{ "status", { "stat", "status" } },
};

static struct record {
	unsigned long usr, sys, total, stack, data, rss, threads, time;
	char state;
} records[RING];

static unsigned int next_record;
static int files[PIDS_MAX][2];

static const char *skip_fields(const char *pos, unsigned int nr)
{
	while (nr--) {
		while (*pos != ' ')
			pos++;
		pos++;
	}
	return pos;
}

static unsigned long digits(const char **pos)
{
	unsigned long value = 0;

	while (**pos == ' ' || **pos == '\t')
		++*pos;
	while (**pos >= '0' && **pos <= '9')
		value = value * 10 + *(*pos)++ - '0';
	return value;
}

static void parse_stat(const char *pos, struct record *record)
{
	pos = strrchr(pos, ')') + 2;
	record->state = *pos;
	/* From field 3 to 14, and from behind 15 to 20. */
	pos = skip_fields(pos, 11);
	record->usr = digits(&pos);
	record->sys = digits(&pos);
	pos = skip_fields(pos + 1, 4);
	record->threads = digits(&pos);
}

static void parse_statm(const char *pos, struct record *record)
{
	record->total = digits(&pos);
	record->rss = digits(&pos);
	pos = skip_fields(pos + 1, 3);
	record->data = digits(&pos);
}

static unsigned long labelled(const char **pos, const char *label)
{
	const char *found = strstr(*pos, label);

	if (!found)
		return 0;
	*pos = found + strlen(label);
	return digits(pos);
}

static void parse_status(const char *pos, struct record *record)
{
	record->total = labelled(&pos, "VmSize:");
	record->rss = labelled(&pos, "VmRSS:");
	record->data = labelled(&pos, "VmData:");
	record->stack = labelled(&pos, "VmStk:");
}

static void proc_round(const struct format *format)
{
	unsigned long time = now(CLOCK_MONOTONIC);
	struct record *record;
	char buf[4096];
	unsigned int i;

	for (i = 0; i < nr_pids; i++) {
		record = &records[next_record++ % RING];
		record->time = time;
		read_again(files[i][0], "/proc", buf, sizeof(buf));
		parse_stat(buf, record);
		read_again(files[i][1], "/proc", buf, sizeof(buf));
		if (format == formats)
			parse_statm(buf, record);
		else
			parse_status(buf, record);
	}
}

static const struct format *proc_open(const char *name, const char *list)
{
	struct rlimit limit = { FILES_MAX, FILES_MAX };
	const struct format *format = formats;
	char path[64];
	unsigned int i, j;

	while (strcmp(format->name, name))
		if (++format == formats + ARRAY_SIZE(formats))
			die_of(EINVAL, name);
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("setrlimit");
	read_pids(list);
	for (i = 0; i < nr_pids; i++)
		for (j = 0; j < 2; j++) {
			snprintf(path, sizeof(path), "/proc/%d/%s", pids[i],
				 format->files[j]);
			files[i][j] = open_or_die(path, O_RDONLY);
		}
	return format;
}

/* What a round takes: the mean of ROUNDS. */
static int cmd_proc(int argc, char **argv)
{
	const struct format *format = proc_open(argv[0], argv[2]);
	unsigned int rounds = rounds_arg(argv[1]);
	unsigned long began;

	(void)argc;
	while (nr_values < rounds) {
		began = now(CLOCK_MONOTONIC);
		proc_round(format);
		add_value(now(CLOCK_MONOTONIC) - began);
	}
	printf("%lu\n", mean());
	return 0;
}

/* A round in every period, to absolute deadlines, until it is killed. */
static int cmd_daemon(int argc, char **argv)
{
	unsigned long period = number(argv[1]) * NSEC_PER_USEC, next;
	const struct format *format = proc_open(argv[0], argv[2]);

	(void)argc;
	for (next = now(CLOCK_MONOTONIC) + period;; next += period) {
		sleep_until(next);
		proc_round(format);
	}
	return 0;
}

/* What is measured, or is disturbed */

static void spin(unsigned long turns)
{
	asm volatile("1: dec %0\n\tjnz 1b" : "+r" (turns) : : "cc");
}

/* A loop of TURNS, two instructions each: what it takes, and samples taken. */
static int cmd_spin(int argc, char **argv)
{
	unsigned long turns = number(argv[0]), began, took, taken = 0;
	int monitored = !access(STATS_FILE, F_OK);

	(void)argc;
	if (monitored)
		taken = stat_of("taken");
	began = now(CLOCK_MONOTONIC);
	spin(turns);
	took = now(CLOCK_MONOTONIC) - began;
	if (monitored)
		taken = stat_of("taken") - taken;
	printf("%lu %lu\n", took, taken);
	return 0;
}

/* COUNT processes that have used up so much CPU time each, and sleep. */
static int cmd_crowd(int argc, char **argv)
{
	unsigned long nr = number(argv[0]);
	unsigned long us = number(argv[1]);
	char done = 0;
	pid_t child;
	int fds[2];

	(void)argc;
	if (pipe(fds))
		die("pipe");
	while (nr--) {
		child = fork_child();
		if (!child) {
			if (us)
				spin(us * NSEC_PER_USEC / 2);
			if (write(fds[1], &done, 1) != 1)
				die("write");
			stay();
		}
		if (read(fds[0], &done, 1) != 1)
			die("read");
		/* Through no buffer: the next child would have it, too. */
		dprintf(STDOUT_FILENO, "%d\n", child);
	}
	say_ready();
	stay();
}

/* The CPU time, in ns, that COMMAND uses up; what it prints is lost. */
static int cmd_run(int argc, char **argv)
{
	clockid_t clock;
	siginfo_t info;
	pid_t child = fork();

	(void)argc;
	if (child < 0)
		die("fork");
	if (!child) {
		dup2(open_or_die("/dev/null", O_WRONLY), STDOUT_FILENO);
		exec_or_die(argv);
	}
	/* Of the zombie: rusage would round to microseconds. */
	if (clock_getcpuclockid(child, &clock) ||
	    waitid(P_PID, child, &info, WEXITED | WNOWAIT))
		die("clock");
	if (info.si_code != CLD_EXITED || info.si_status)
		die_of(ECHILD, argv[0]);
	printf("%lu\n", now(clock));
	return 0;
}

/*
 * A process that forks, and a child that exits at once: what fork() takes, and the
 * time from there to the end of waitpid(), without what the child does before. The
 * least of ROUNDS, for much that has to do with neither comes in between.
 */
static int cmd_forks(int argc, char **argv)
{
	unsigned long *exits = mmap(NULL, sizeof(*exits),
				    PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int rounds = rounds_arg(argv[0]), i;
	static unsigned long ends[ROUNDS_MAX];
	unsigned long began, forking;
	pid_t child;

	(void)argc;
	if (exits == MAP_FAILED)
		die("mmap");
	for (i = 0; i < rounds; i++) {
		began = now(CLOCK_MONOTONIC);
		child = fork();
		if (child < 0)
			die("fork");
		if (!child) {
			*exits = now(CLOCK_MONOTONIC);
			_exit(0);
		}
		add_value(now(CLOCK_MONOTONIC) - began);
		if (waitpid(child, NULL, 0) != child)
			die("waitpid");
		ends[i] = now(CLOCK_MONOTONIC) - *exits;
	}
	forking = median();
	memcpy(values, ends, sizeof(ends));
	printf("%lu %lu\n", forking, median());
	return 0;
}

/* COUNT children of this process, which is monitored, one after the other. */
static int cmd_children(int argc, char **argv)
{
	unsigned long left = number(argv[1]);
	pid_t child;

	(void)argc;
	timed_write(open_or_die(argv[0], O_WRONLY), getpid());
	while (left--) {
		child = fork();
		if (child < 0)
			die("fork");
		if (!child)
			_exit(0);
		if (waitpid(child, NULL, 0) != child)
			die("waitpid");
	}
	return 0;
}

/* The table */

static const struct command commands[] = {
	{ "rounds", "ROUNDS COUNT", 2, cmd_rounds },
	{ "await", "NAME VALUE", 2, cmd_await },
	{ "drop", "", 0, cmd_drop },
	{ "read", "FILE SIZE", 2, cmd_read },
	{ "add-remove", "FILE PID ROUNDS", 3, cmd_add_remove },
	{ "add", "FILE PIDS", 2, cmd_add },
	{ "proc", "statm|status ROUNDS PIDS", 3, cmd_proc },
	{ "daemon", "statm|status PERIOD_US PIDS", 3, cmd_daemon },
	{ "spin", "TURNS", 1, cmd_spin },
	{ "crowd", "COUNT US", 2, cmd_crowd },
	{ "run", "COMMAND...", 1, cmd_run },
	{ "forks", "ROUNDS", 1, cmd_forks },
	{ "children", "FILE COUNT", 2, cmd_children },
};

int main(int argc, char **argv)
{
	return run_command(commands, ARRAY_SIZE(commands), argc - 1, argv + 1);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Processes that use up CPU time or memory, as much and in the way that a test
 * asks for.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tmtool.h"
#include "tool.h"

#define FOREVER		ULONG_MAX
#define MIB		(1024UL * 1024)

/* The compiler leaves out neither what is before it nor what is behind it. */
static inline void barrier(void)
{
	asm volatile("" : : : "memory");
}

/* CPU time */

/* Use up so much CPU time, in user mode or in the kernel. */
static void burn(bool in_kernel, unsigned long ns)
{
	static char zeros[64 * 1024];
	int fd = open_or_die("/dev/zero", O_RDONLY);
	unsigned long start = now(CLOCK_THREAD_CPUTIME_ID);
	unsigned int i;

	do {
		if (in_kernel) {
			if (read(fd, zeros, sizeof(zeros)) < 0)
				die("/dev/zero");
		} else {
			for (i = 0; i < 50000; i++)
				barrier();
		}
	} while (now(CLOCK_THREAD_CPUTIME_ID) - start < ns);
	close(fd);
}

static bool in_kernel(const char *mode)
{
	if (!strcmp(mode, "sys"))
		return true;
	if (strcmp(mode, "user"))
		die_of(EINVAL, mode);
	return false;
}

static void *spin_user(void *arg)
{
	burn(false, FOREVER);
	return arg;
}

static void *spin_sys(void *arg)
{
	burn(true, FOREVER);
	return arg;
}

int cmd_spin(int argc, char **argv)
{
	void *(*fn)(void *) = in_kernel(argv[0]) ? spin_sys : spin_user;
	unsigned long nr = argc > 1 ? number(argv[1]) : 0, i;
	pthread_t thread;

	for (i = 0; i < nr; i++)
		start_thread(&thread, fn, NULL);
	say_ready();
	if (!nr)
		fn(NULL);
	stay();
}

int cmd_leader_exit(int argc, char **argv)
{
	pthread_t thread;

	(void)argc;
	(void)argv;
	start_thread(&thread, spin_user, NULL);
	say_ready();
	pthread_exit(NULL);
}

static void *burn_both(void *arg)
{
	unsigned long ns = *(unsigned long *)arg;

	burn(false, ns / 2);
	burn(true, ns / 2);
	return NULL;
}

static void run_threads(unsigned int nr, unsigned long ns)
{
	pthread_t threads[64];
	unsigned int i;

	if (nr > ARRAY_SIZE(threads))
		nr = ARRAY_SIZE(threads);
	for (i = 0; i < nr; i++)
		start_thread(&threads[i], burn_both, &ns);
	for (i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
}

int cmd_dead_threads(int argc, char **argv)
{
	(void)argc;
	run_threads(number(argv[0]), number(argv[1]) * NSEC_PER_MSEC);
	say_ready();
	stay();
}

int cmd_storm(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	run_threads(4, NSEC_PER_MSEC / 2);
	say_ready();
	for (;;)
		run_threads(4, NSEC_PER_MSEC / 2);
	return 0;
}

int cmd_pulse(int argc, char **argv)
{
	unsigned long busy = number(argv[0]) * NSEC_PER_MSEC;
	unsigned long idle = number(argv[1]) * NSEC_PER_MSEC;
	struct timespec pause = { idle / NSEC_PER_SEC, idle % NSEC_PER_SEC };
	unsigned long end;

	(void)argc;
	for (;;) {
		end = now(CLOCK_PROCESS_CPUTIME_ID) + busy;
		while (now(CLOCK_PROCESS_CPUTIME_ID) < end)
			;
		nanosleep(&pause, NULL);
	}
}

static pthread_barrier_t stall_barrier;
static unsigned long stall_ns;

static void *stall_cpu(void *arg)
{
	struct sched_param param = { .sched_priority = 50 };
	unsigned long end;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET((uintptr_t)arg, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		die("sched_setaffinity");
	pthread_barrier_wait(&stall_barrier);
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		die("sched_setscheduler");
	end = now(CLOCK_MONOTONIC) + stall_ns;
	while (now(CLOCK_MONOTONIC) < end)
		;
	return NULL;
}

int cmd_stall(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), i;
	pthread_t threads[64];

	(void)argc;
	if (cpus > (long)ARRAY_SIZE(threads))
		cpus = ARRAY_SIZE(threads);
	stall_ns = number(argv[0]) * NSEC_PER_MSEC;
	pthread_barrier_init(&stall_barrier, NULL, cpus);
	for (i = 0; i < cpus; i++)
		start_thread(&threads[i], stall_cpu, (void *)i);
	for (i = 0; i < cpus; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* Memory */

static unsigned int use_stack(unsigned long size)
{
	char frame[64 * 1024];

	memset(frame, size, sizeof(frame));
	barrier();
	if (size > sizeof(frame))
		frame[0] = use_stack(size - sizeof(frame));
	return frame[0];
}

static void map(const char *mode, unsigned long size)
{
	int prot = PROT_READ | PROT_WRITE, flags = MAP_NORESERVE;
	char *area;

	if (!strcmp(mode, "recurse")) {
		use_stack(size);
		return;
	}
	if (!strcmp(mode, "none"))
		prot = PROT_NONE;
	else if (!strcmp(mode, "touch"))
		flags = 0;
	else if (!strcmp(mode, "stack"))
		flags |= MAP_GROWSDOWN;
	else if (strcmp(mode, "write"))
		die_of(EINVAL, mode);
	area = mmap(NULL, size, prot, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	if (area == MAP_FAILED)
		die("mmap");
	if (!strcmp(mode, "touch"))
		memset(area, 1, size);
}

int cmd_map(int argc, char **argv)
{
	int i;

	block_usr1();
	for (i = 0; i + 1 < argc; i += 2) {
		if (i)
			wait_usr1();
		map(argv[i], number(argv[i + 1]) * MIB);
		say_ready();
	}
	stay();
}

int cmd_hog(int argc, char **argv)
{
	size_t size = number(argv[0]) * 1024;
	char *area = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)argc;
	if (area == MAP_FAILED)
		die("mmap");
	memset(area, 1, size);
	return 0;
}

int cmd_bound_hog(int argc, char **argv)
{
	unsigned long nodes = 1UL << number(argv[0]);

	if (syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 8 * sizeof(nodes)))
		die("set_mempolicy");
	return cmd_hog(argc, argv + 1);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * What the guest's tests need and a shell cannot do: system calls with odd
 * arguments, and processes that are in a given state.
 *
 * A process that is to be looked at prints "ready" as soon as it is what it is
 * to be, and stays so until it is killed.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.h"

#define INPUT_MAX	(1024 * 1024)
#define IOV_PIECES	16
#define MIB		(1024UL * 1024)
#define FOREVER		ULONG_MAX

/* The compiler leaves out neither what is before it nor what is behind it. */
static inline void barrier(void)
{
	asm volatile("" : : : "memory");
}

/* With the PID of the process that is meant, where that is not this one. */
static void ready_pid(pid_t pid)
{
	printf("ready %d\n", pid);
	fflush(stdout);
}

static void reap(pid_t child)
{
	if (waitpid(child, NULL, 0) != child)
		die("waitpid");
}

static void start_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	errno = pthread_create(thread, &attr, fn, arg);
	if (errno)
		die("pthread_create");
	pthread_attr_destroy(&attr);
}

/* System calls */

static char input[INPUT_MAX];

static size_t read_input(void)
{
	size_t size = 0;
	ssize_t got;

	while ((got = read(0, input + size, sizeof(input) - size)) > 0)
		size += got;
	if (got < 0)
		die("stdin");
	return size;
}

/* What a system call returned: a number, or the name of the error. */
static void print_result(long ret)
{
	if (ret < 0)
		puts(strerrorname_np(errno));
	else
		printf("%ld\n", ret);
}

static int cmd_write(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	size_t size = read_input(), done = 0, piece;
	int i;

	if (argc == 1)
		print_result(write(fd, input, size));
	for (i = 1; i < argc; i++, done += piece) {
		piece = number(argv[i]);
		if (piece > size - done)
			piece = size - done;
		print_result(write(fd, input + done, piece));
	}
	return 0;
}

static int cmd_timed_write(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	size_t size = read_input();
	unsigned long before, after;
	ssize_t ret;

	(void)argc;
	before = now(CLOCK_BOOTTIME);
	ret = write(fd, input, size);
	after = now(CLOCK_BOOTTIME);
	if (ret < 0)
		die("write");
	printf("%lu %lu\n", before, after);
	return 0;
}

static int cmd_pwrite(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	size_t size = read_input();

	(void)argc;
	print_result(pwrite(fd, input, size, number(argv[1])));
	return 0;
}

static int cmd_writev(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	size_t size = read_input(), done = 0;
	struct iovec iov[IOV_PIECES];
	int i, nr = argc - 1;

	if (nr > IOV_PIECES)
		nr = IOV_PIECES;
	for (i = 0; i < nr; i++, done += iov[i - 1].iov_len) {
		iov[i].iov_base = input + done;
		iov[i].iov_len = number(argv[i + 1]);
		if (iov[i].iov_len > size - done)
			iov[i].iov_len = size - done;
	}
	print_result(writev(fd, iov, nr));
	return 0;
}

/* The input lies at the end of what may be read; EXTRA bytes more are asked. */
static int cmd_write_edge(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	size_t size = read_input(), page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)argc;
	if (map == MAP_FAILED || mprotect(map + page, page, PROT_NONE))
		die("mmap");
	if (size > page)
		size = page;
	memcpy(map + page - size, input, size);
	print_result(write(fd, map + page - size, size + number(argv[1])));
	return 0;
}

/* From an address that is not the user's at all, or that maps to nothing. */
static int cmd_write_from(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);

	(void)argc;
	print_result(syscall(SYS_write, fd, number(argv[1]), number(argv[2])));
	return 0;
}

static int cmd_clock(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("%lu\n", now(CLOCK_BOOTTIME));
	return 0;
}

/* Faults */

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
	fault_fd = open_or_die("/proc/self/fail-nth", O_RDWR);
	if (write(fault_fd, fault_nth, strlen(fault_nth)) < 0)
		die("/proc/self/fail-nth");
}

static void disarm(void)
{
	int err = errno;

	if (fault_fd < 0)
		return;
	/* This may be what fails, and then it is too late. */
	if (pread(fault_fd, faults_left, sizeof(faults_left) - 1, 0) < 0 &&
	    pread(fault_fd, faults_left, sizeof(faults_left) - 1, 0) < 0)
		die("/proc/self/fail-nth");
	if (pwrite(fault_fd, "0", 1, 0) < 0 && pwrite(fault_fd, "0", 1, 0) < 0)
		die("/proc/self/fail-nth");
	close(fault_fd);
	fault_fd = -1;
	errno = err;
}

static int run(int argc, char **argv);

/* Prints then how far it was to the fault: 0 means that there was one. */
static int cmd_fail_nth(int argc, char **argv)
{
	int status;

	fault_nth = argv[0];
	status = run(argc - 1, argv + 1);
	fputs(faults_left, stdout);
	return status;
}

/* What open(), or else write(), returned. */
static long put(const char *path, const char *data, size_t size)
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

static int cmd_put(int argc, char **argv)
{
	long ret;

	(void)argc;
	ret = put(argv[0], input, read_input());
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
		got = read(fd, input + size, sizeof(input) - size);
		if (got > 0)
			size += got;
	} while (got > 0 || (got < 0 && read_failed()));
	close(fd);
	return size;
}

/* All of FILE; and on stderr, which errors there were. */
static int cmd_read(int argc, char **argv)
{
	size_t size;
	int i;

	(void)argc;
	arm();
	size = open_and_read(argv[0]);
	disarm();
	fwrite(input, 1, size, stdout);
	for (i = 0; i < nr_read_errors; i++)
		fprintf(stderr, "%s\n", strerrorname_np(read_errors[i]));
	return 0;
}

static int cmd_insmod(int argc, char **argv)
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
	if (strcmp(mode, "user")) {
		errno = EINVAL;
		die(mode);
	}
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

/* Beside a main thread that sleeps, or as the only thread. */
static int cmd_spin(int argc, char **argv)
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
	return 0;
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

static int cmd_dead_threads(int argc, char **argv)
{
	(void)argc;
	run_threads(number(argv[0]), number(argv[1]) * NSEC_PER_MSEC);
	say_ready();
	stay();
	return 0;
}

/* Threads that hardly live, without end. */
static int cmd_storm(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	run_threads(4, NSEC_PER_MSEC / 2);
	say_ready();
	for (;;)
		run_threads(4, NSEC_PER_MSEC / 2);
	return 0;
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

/* Nothing of ordinary priority runs for so long, on any CPU. */
static int cmd_stall(int argc, char **argv)
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

/* Memory, threads, states */

static void wait_usr1(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigwait(&set, &sig);
}

static void block_usr1(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

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
	if (!strcmp(mode, "none")) {
		prot = PROT_NONE;
	} else if (!strcmp(mode, "touch")) {
		flags = 0;
	} else if (!strcmp(mode, "stack")) {
		flags |= MAP_GROWSDOWN;
	} else if (strcmp(mode, "write")) {
		errno = EINVAL;
		die(mode);
	}
	area = mmap(NULL, size, prot, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	if (area == MAP_FAILED)
		die("mmap");
	if (!strcmp(mode, "touch"))
		memset(area, 1, size);
}

/* One MODE MIB pair at first, and the next at every SIGUSR1. */
static int cmd_map(int argc, char **argv)
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
	return 0;
}

/*
 * Processes that do nothing; their PIDs come before "ready". One that is killed
 * is gone, with no zombie left.
 */
static int cmd_crowd(int argc, char **argv)
{
	unsigned long nr = number(argv[0]);
	pid_t child;

	(void)argc;
	signal(SIGCHLD, SIG_IGN);
	while (nr--) {
		child = fork_child();
		if (!child)
			stay();
		printf("%d\n", child);
		/* A child would print it again. */
		fflush(stdout);
	}
	say_ready();
	stay();
	return 0;
}

static void *stay_thread(void *arg)
{
	stay();
	return arg;
}

static int cmd_threads(int argc, char **argv)
{
	unsigned long nr = number(argv[0]);
	pthread_t thread;

	(void)argc;
	while (nr--)
		start_thread(&thread, stay_thread, NULL);
	say_ready();
	stay();
	return 0;
}

/* The process goes on without its first thread, which is a zombie then. */
static int cmd_leader_exit(int argc, char **argv)
{
	pthread_t thread;

	(void)argc;
	(void)argv;
	start_thread(&thread, spin_user, NULL);
	say_ready();
	pthread_exit(NULL);
}

static void *exec_thread(void *arg)
{
	char **argv = arg;

	wait_usr1();
	execvp(argv[0], argv);
	die(argv[0]);
	return NULL;
}

/* At SIGUSR1 a thread that is not the first executes COMMAND. */
static int cmd_exec_thread(int argc, char **argv)
{
	pthread_t thread;

	(void)argc;
	block_usr1();
	start_thread(&thread, exec_thread, argv);
	say_ready();
	stay();
	return 0;
}

/* Executes itself COUNT times, then exits. */
static int cmd_exec_loop(int argc, char **argv)
{
	unsigned long left = number(argv[0]);
	char arg[32];

	(void)argc;
	if (!left)
		return 0;
	snprintf(arg, sizeof(arg), "%lu", left - 1);
	execl("/proc/self/exe", "tmtool", "exec-loop", arg, NULL);
	die("/proc/self/exe");
	return 2;
}

static int cmd_zombie(int argc, char **argv)
{
	pid_t child = fork_child();
	siginfo_t info;

	(void)argc;
	(void)argv;
	if (!child)
		_exit(0);
	if (waitid(P_PID, child, &info, WEXITED | WNOWAIT))
		die("waitid");
	ready_pid(child);
	stay();
	return 0;
}

/* State t: stopped by a debugger. */
static int cmd_traced(int argc, char **argv)
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
	ready_pid(child);
	stay();
	return 0;
}

/* State D: a parent waits uninterruptibly for what it forked with vfork(). */
static int cmd_vfork(int argc, char **argv)
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

/* COMMAND as process NUMBER, which must be free. Ends with it. */
static int cmd_fork_as(int argc, char **argv)
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
		execvp(argv[1], argv + 1);
		die(argv[1]);
	}
	say_ready();
	reap(child);
	return 0;
}

/* Rounds of add, kill, reap and remove */

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
static int cmd_churn(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	unsigned long rounds = number(argv[1]), i;
	siginfo_t info;
	pid_t child;

	(void)argc;
	for (i = 0; i < rounds; i++) {
		child = fork_child();
		if (!child)
			stay();
		if (i % 4 != 2)
			write_pid(fd, child, 0);
		if (i % 4 == 1)
			write_pid(fd, -child, 0);
		kill(child, SIGKILL);
		if (waitid(P_PID, child, &info, WEXITED | WNOWAIT))
			die("waitid");
		if (i % 4 == 2)
			write_pid(fd, child, 0);
		if (i % 4 == 3)
			write_pid(fd, -child, 0);
		reap(child);
		/* Its history may have been reclaimed whole by now. */
		if (i % 4 == 0 || i % 4 == 2)
			write_pid(fd, -child, ENOENT);
	}
	return 0;
}

/* Reading and cost */

/* lseek() of stdin. */
static int cmd_seek(int argc, char **argv)
{
	int whence = SEEK_SET;

	(void)argc;
	if (!strcmp(argv[0], "cur"))
		whence = SEEK_CUR;
	else if (!strcmp(argv[0], "end"))
		whence = SEEK_END;
	print_result(lseek(0, number(argv[1]), whence));
	return 0;
}

/* pread() of stdin: what was read, or the name of the error. */
static int cmd_pread(int argc, char **argv)
{
	size_t size = number(argv[1]);
	ssize_t got;

	(void)argc;
	if (size > sizeof(input))
		size = sizeof(input);
	got = pread(0, input, size, number(argv[0]));
	if (got < 0)
		print_result(got);
	else
		fwrite(input, 1, got, stdout);
	return 0;
}

/*
 * Read stdin at an offset by io_uring, which unlike pread() does not ask whether the
 * file can be read anywhere: what was read, or the name of the error.
 */
static int cmd_uring_read(int argc, char **argv)
{
	struct io_uring_params params = { };
	int fd = syscall(SYS_io_uring_setup, 1, &params);
	size_t size = number(argv[1]);
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	unsigned int *index, *tail;
	char *ring;

	(void)argc;
	if (fd < 0)
		die("io_uring_setup");
	ring = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    IORING_OFF_SQ_RING);
	sqe = mmap(NULL, sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   IORING_OFF_SQES);
	if (ring == MAP_FAILED || sqe == MAP_FAILED ||
	    !(params.features & IORING_FEAT_SINGLE_MMAP))
		die("mmap");
	*sqe = (struct io_uring_sqe){
		.opcode = IORING_OP_READ,
		.off = number(argv[0]),
		.addr = (uintptr_t)input,
		.len = size < sizeof(input) ? size : sizeof(input),
	};
	index = (unsigned int *)(ring + params.sq_off.array);
	tail = (unsigned int *)(ring + params.sq_off.tail);
	*index = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS,
		    NULL, 0) != 1)
		die("io_uring_enter");
	cqe = (struct io_uring_cqe *)(ring + params.cq_off.cqes);
	errno = cqe->res < 0 ? -cqe->res : 0;
	if (cqe->res < 0)
		print_result(-1);
	else
		fwrite(input, 1, cqe->res, stdout);
	return 0;
}

/* readv() of stdin, into two pieces: what was read in one call. */
static int cmd_readv(int argc, char **argv)
{
	size_t size = number(argv[0]);
	struct iovec pieces[2] = {
		{ .iov_base = input, .iov_len = size },
		{ .iov_base = input + size, .iov_len = size },
	};
	ssize_t got;

	(void)argc;
	if (size > sizeof(input) / 2)
		die("readv");
	got = readv(0, pieces, 2);
	if (got < 0)
		print_result(got);
	else
		fwrite(input, 1, got, stdout);
	return 0;
}

/* Open it, read a little, close it, many times. */
static int cmd_opens(int argc, char **argv)
{
	unsigned long rounds = number(argv[1]);
	char buf[64];
	int fd;

	(void)argc;
	while (rounds--) {
		fd = open_or_die(argv[0], O_RDONLY);
		if (read(fd, buf, sizeof(buf)) < 0)
			die("read");
		close(fd);
	}
	return 0;
}

/* Read it to the end: the number of rows, and of ns in read(). */
static int cmd_timed_read(int argc, char **argv)
{
	unsigned long rows = 0, took = 0, began;
	int fd = open_or_die(argv[0], O_RDONLY);
	size_t size = number(argv[1]);
	ssize_t got, i;

	(void)argc;
	if (size > sizeof(input))
		size = sizeof(input);
	do {
		began = now(CLOCK_MONOTONIC);
		got = read(fd, input, size);
		took += now(CLOCK_MONOTONIC) - began;
		if (got < 0)
			die("read");
		for (i = 0; i < got; i++)
			rows += input[i] == '\n';
	} while (got);
	printf("%lu %lu\n", rows, took);
	return 0;
}

/* Take so much memory, every page of it, and give it back. */
static int cmd_hog(int argc, char **argv)
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

/* The same from one node only; if that has not so much, the kernel kills us. */
static int cmd_bound_hog(int argc, char **argv)
{
	unsigned long nodes = 1UL << number(argv[0]);

	if (syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 8 * sizeof(nodes)))
		die("set_mempolicy");
	return cmd_hog(argc, argv + 1);
}

/* Run a command that has the CPU when no other task wants it. */
static int cmd_idle(int argc, char **argv)
{
	(void)argc;
	stand_back();
	execvp(argv[0], argv);
	die(argv[0]);
	return 1;
}

/* Run a command that waits for no busy task. */
static int cmd_urgent(int argc, char **argv)
{
	(void)argc;
	if (setpriority(PRIO_PROCESS, 0, -20))
		die("setpriority");
	execvp(argv[0], argv);
	die(argv[0]);
	return 1;
}

/* Processes that are added and exit; their history is left to its fate. */
static int cmd_leave(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	unsigned long rounds = number(argv[1]);
	pid_t child;

	(void)argc;
	while (rounds--) {
		child = fork_child();
		if (!child)
			stay();
		write_pid(fd, child, 0);
		kill(child, SIGKILL);
		reap(child);
	}
	return 0;
}

#include "fuzz.h"
#include "stress.h"

/* The table */

static const struct command commands[] = {
	{ "write", "FILE [SIZE]...", 1, cmd_write },
	{ "timed-write", "FILE", 1, cmd_timed_write },
	{ "pwrite", "FILE OFFSET", 2, cmd_pwrite },
	{ "writev", "FILE SIZE...", 2, cmd_writev },
	{ "write-edge", "FILE EXTRA", 2, cmd_write_edge },
	{ "write-from", "FILE ADDRESS SIZE", 3, cmd_write_from },
	{ "insmod", "FILE PARAMETERS", 2, cmd_insmod },
	{ "clock", "", 0, cmd_clock },
	{ "spin", "user|sys [THREADS]", 1, cmd_spin },
	{ "dead-threads", "COUNT MS", 2, cmd_dead_threads },
	{ "storm", "", 0, cmd_storm },
	{ "stall", "MS", 1, cmd_stall },
	{ "map", "none|write|touch|stack|recurse MIB ...", 2, cmd_map },
	{ "crowd", "COUNT", 1, cmd_crowd },
	{ "threads", "COUNT", 1, cmd_threads },
	{ "leader-exit", "", 0, cmd_leader_exit },
	{ "exec-thread", "COMMAND...", 1, cmd_exec_thread },
	{ "exec-loop", "COUNT", 1, cmd_exec_loop },
	{ "zombie", "", 0, cmd_zombie },
	{ "traced", "", 0, cmd_traced },
	{ "vfork", "", 0, cmd_vfork },
	{ "fork-as", "NUMBER COMMAND...", 2, cmd_fork_as },
	{ "churn", "FILE ROUNDS", 2, cmd_churn },
	{ "seek", "set|cur|end OFFSET <FILE", 2, cmd_seek },
	{ "pread", "OFFSET SIZE <FILE", 2, cmd_pread },
	{ "readv", "SIZE <FILE", 1, cmd_readv },
	{ "uring-read", "OFFSET SIZE <FILE", 2, cmd_uring_read },
	{ "opens", "FILE COUNT", 2, cmd_opens },
	{ "timed-read", "FILE SIZE", 2, cmd_timed_read },
	{ "hog", "KIB", 1, cmd_hog },
	{ "bound-hog", "NODE KIB", 2, cmd_bound_hog },
	{ "idle", "COMMAND...", 1, cmd_idle },
	{ "urgent", "COMMAND...", 1, cmd_urgent },
	{ "leave", "FILE COUNT", 2, cmd_leave },
	{ "put", "FILE", 1, cmd_put },
	{ "fail-nth", "N COMMAND...", 2, cmd_fail_nth },
	{ "read", "FILE", 1, cmd_read },
	{ "fuzz", "SEED COUNT", 2, cmd_fuzz },
	{ "stress", "SEED SECONDS MODULE", 3, cmd_stress },
};

static int run(int argc, char **argv)
{
	return run_command(commands, ARRAY_SIZE(commands), argc, argv);
}

int main(int argc, char **argv)
{
	return run(argc - 1, argv + 1);
}

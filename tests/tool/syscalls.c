// SPDX-License-Identifier: GPL-2.0
/*
 * System calls that a shell cannot make: with odd sizes, offsets and addresses.
 * Each prints what the call returned, or what it read.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tmtool.h"
#include "tool.h"

#define IOV_PIECES	16

char io_buffer[IO_BUFFER_SIZE];

size_t read_stdin(void)
{
	size_t size = 0;
	ssize_t got;

	while ((got = read(0, io_buffer + size, sizeof(io_buffer) - size)) > 0)
		size += got;
	if (got < 0)
		die("stdin");
	return size;
}

void print_result(long ret)
{
	if (ret < 0)
		puts(strerrorname_np(errno));
	else
		printf("%ld\n", ret);
}

/* What was read into the buffer, or the name of the error. */
static void print_read(ssize_t got)
{
	if (got < 0)
		print_result(got);
	else
		fwrite(io_buffer, 1, got, stdout);
}

/* @arg, but no more than the buffer holds. */
static size_t read_size(const char *arg)
{
	size_t size = number(arg);

	return size < sizeof(io_buffer) ? size : sizeof(io_buffer);
}

/* Writing */

int cmd_write(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	size_t size = read_stdin(), done = 0, piece;
	int i;

	if (argc == 1)
		print_result(write(fd, io_buffer, size));
	for (i = 1; i < argc; i++, done += piece) {
		piece = number(argv[i]);
		if (piece > size - done)
			piece = size - done;
		print_result(write(fd, io_buffer + done, piece));
	}
	return 0;
}

int cmd_timed_write(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	size_t size = read_stdin();
	unsigned long before, after;
	ssize_t ret;

	(void)argc;
	before = now(CLOCK_BOOTTIME);
	ret = write(fd, io_buffer, size);
	after = now(CLOCK_BOOTTIME);
	if (ret < 0)
		die("write");
	printf("%lu %lu\n", before, after);
	return 0;
}

int cmd_pwrite(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	size_t size = read_stdin();

	(void)argc;
	print_result(pwrite(fd, io_buffer, size, number(argv[1])));
	return 0;
}

int cmd_writev(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	size_t size = read_stdin(), done = 0;
	struct iovec iov[IOV_PIECES];
	int i, nr = argc - 1;

	if (nr > IOV_PIECES)
		nr = IOV_PIECES;
	for (i = 0; i < nr; i++, done += iov[i - 1].iov_len) {
		iov[i].iov_base = io_buffer + done;
		iov[i].iov_len = number(argv[i + 1]);
		if (iov[i].iov_len > size - done)
			iov[i].iov_len = size - done;
	}
	print_result(writev(fd, iov, nr));
	return 0;
}

int cmd_write_edge(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);
	size_t size = read_stdin(), page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)argc;
	if (map == MAP_FAILED || mprotect(map + page, page, PROT_NONE))
		die("mmap");
	if (size > page)
		size = page;
	memcpy(map + page - size, io_buffer, size);
	print_result(write(fd, map + page - size, size + number(argv[1])));
	return 0;
}

int cmd_write_from(int argc, char **argv)
{
	int fd = open_or_die(argv[0], O_WRONLY);

	(void)argc;
	print_result(syscall(SYS_write, fd, number(argv[1]), number(argv[2])));
	return 0;
}

int cmd_clock(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("%lu\n", now(CLOCK_BOOTTIME));
	return 0;
}

/* Reading */

int cmd_seek(int argc, char **argv)
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

int cmd_pread(int argc, char **argv)
{
	(void)argc;
	print_read(pread(0, io_buffer, read_size(argv[1]), number(argv[0])));
	return 0;
}

int cmd_readv(int argc, char **argv)
{
	size_t size = number(argv[0]);
	struct iovec pieces[2] = {
		{ .iov_base = io_buffer, .iov_len = size },
		{ .iov_base = io_buffer + size, .iov_len = size },
	};

	(void)argc;
	if (size > sizeof(io_buffer) / 2)
		die_of(EINVAL, argv[0]);
	print_read(readv(0, pieces, 2));
	return 0;
}

/* Unlike pread(), io_uring does not ask whether the file can be read anywhere. */
int cmd_uring_read(int argc, char **argv)
{
	struct io_uring_params params = { };
	int fd = syscall(SYS_io_uring_setup, 1, &params);
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
		.addr = (uintptr_t)io_buffer,
		.len = read_size(argv[1]),
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
	print_read(cqe->res);
	return 0;
}

int cmd_opens(int argc, char **argv)
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

int cmd_timed_read(int argc, char **argv)
{
	unsigned long rows = 0, took = 0, began;
	int fd = open_or_die(argv[0], O_RDONLY);
	size_t size = read_size(argv[1]);
	ssize_t got, i;

	(void)argc;
	do {
		began = now(CLOCK_MONOTONIC);
		got = read(fd, io_buffer, size);
		took += now(CLOCK_MONOTONIC) - began;
		if (got < 0)
			die("read");
		for (i = 0; i < got; i++)
			rows += io_buffer[i] == '\n';
	} while (got);
	printf("%lu %lu\n", rows, took);
	return 0;
}

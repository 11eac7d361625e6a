// SPDX-License-Identifier: GPL-2.0
/*
 * taskiter ROUNDS PIDS [SHOW]: reads the task iterator for the processes that
 * the file PIDS lists, and prints what a whole reading takes, the mean of
 * ROUNDS; with a third argument, what it read instead.
 */

#include <bpf/bpf.h>
#include <stdlib.h>
#include <unistd.h>

#include "taskiter.skel.h"

#include "tool.h"

static char buf[64 * 1024];

static void fill_map(struct bpf_map *map, const char *path)
{
	FILE *file = fopen_or_die(path);
	char yes = 1;
	int pid;

	while (fscanf(file, "%d", &pid) == 1)
		if (bpf_map__update_elem(map, &pid, sizeof(pid), &yes,
					 sizeof(yes), BPF_ANY))
			die("bpf_map__update_elem");
	fclose(file);
}

static void scan(int link, int show)
{
	int fd = bpf_iter_create(link);
	ssize_t got;

	if (fd < 0)
		die("bpf_iter_create");
	while ((got = read(fd, buf, sizeof(buf))) > 0)
		if (show && write(STDOUT_FILENO, buf, got) != got)
			die("write");
	if (got < 0)
		die("read");
	close(fd);
}

int main(int argc, char **argv)
{
	struct taskiter_bpf *skel;
	unsigned int rounds, i;
	struct bpf_link *link;
	unsigned long began;

	if (argc < 3)
		return 2;
	rounds = atoi(argv[1]);
	if (!rounds)
		return 2;
	skel = taskiter_bpf__open_and_load();
	if (!skel)
		die("taskiter_bpf__open_and_load");
	fill_map(skel->maps.monitored, argv[2]);
	link = bpf_program__attach_iter(skel->progs.show_task, NULL);
	if (!link)
		die("bpf_program__attach_iter");

	began = now(CLOCK_MONOTONIC);
	for (i = 0; i < rounds; i++)
		scan(bpf_link__fd(link), argc > 3);
	if (argc == 3)
		printf("%lu\n", (now(CLOCK_MONOTONIC) - began) / rounds);
	return 0;
}

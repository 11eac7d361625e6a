// SPDX-License-Identifier: GPL-2.0
/*
 * A BPF task iterator that prints the row that the module prints, about the
 * processes in a map. The CPU times are raw; the rest is the same.
 */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#define KIB_SHIFT	2
#define PIDS_MAX	16384

#define TASK_INTERRUPTIBLE	1
#define TASK_UNINTERRUPTIBLE	2

enum { MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES, NR_COUNTERS };

/* Only what is read of the kernel's own; where it is, libbpf finds out. */
#pragma clang attribute push(__attribute__((preserve_access_index)), \
			     apply_to = record)

struct seq_file;

struct signal_struct {
	__u64 utime;
	__u64 stime;
	int nr_threads;
};

struct percpu_counter {
	__s64 count;
};

struct mm_struct {
	unsigned long total_vm;
	unsigned long stack_vm;
	unsigned long data_vm;
	struct percpu_counter rss_stat[NR_COUNTERS];
};

/* Until f1a7941243c1 ("mm: convert mm's rss stats into percpu_counter"), 6.2 */
struct mm_rss_stat___atomic {
	struct {
		long counter;
	} count[NR_COUNTERS];
};

struct mm_struct___atomic {
	struct mm_rss_stat___atomic rss_stat;
};

struct task_struct {
	unsigned int __state;
	int exit_state;
	int pid;
	__u64 utime;
	__u64 stime;
	struct task_struct *group_leader;
	struct signal_struct *signal;
	struct mm_struct *mm;
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PIDS_MAX);
	__type(key, int);
	__type(value, char);
} monitored SEC(".maps");

static __always_inline __s64 rss_of(struct mm_struct *mm)
{
	struct mm_struct___atomic *old = (void *)mm;
	struct mm_rss_stat___atomic stat;

	/* The verifier does not see through an array of atomics: one copy. */
	if (bpf_core_type_exists(struct mm_rss_stat___atomic)) {
		bpf_probe_read_kernel(&stat, sizeof(stat),
				      __builtin_preserve_access_index(&old->rss_stat));
		return stat.count[MM_FILEPAGES].counter +
		       stat.count[MM_ANONPAGES].counter +
		       stat.count[MM_SHMEMPAGES].counter;
	}
	return mm->rss_stat[MM_FILEPAGES].count +
	       mm->rss_stat[MM_ANONPAGES].count +
	       mm->rss_stat[MM_SHMEMPAGES].count;
}

/* Of the states that a sleeper or a runner can have; enough here. */
static __always_inline char letter(struct task_struct *task)
{
	unsigned int state = task->__state | task->exit_state;

	if (!state)
		return 'R';
	return state & TASK_INTERRUPTIBLE ? 'S' :
	       state & TASK_UNINTERRUPTIBLE ? 'D' : 'Z';
}

SEC("iter/task")
int show_task(struct bpf_iter__task *ctx)
{
	unsigned long total = 0, stack = 0, data = 0, rss = 0;
	struct task_struct *task = ctx->task;
	struct signal_struct *signal;
	struct mm_struct *mm;
	int pid;

	if (!task || task != task->group_leader)
		return 0;
	pid = task->pid;
	if (!bpf_map_lookup_elem(&monitored, &pid))
		return 0;

	signal = task->signal;
	mm = task->mm;
	if (mm) {
		total = mm->total_vm << KIB_SHIFT;
		stack = mm->stack_vm << KIB_SHIFT;
		data = mm->data_vm << KIB_SHIFT;
		rss = rss_of(mm) << KIB_SHIFT;
	}
	BPF_SEQ_PRINTF(ctx->meta->seq,
		       "pid %d usr %llu sys %llu total %lu stack %lu data %lu rss %lu threads %d state %c time %llu\n",
		       pid, signal->utime + task->utime,
		       signal->stime + task->stime, total, stack, data, rss,
		       signal->nr_threads, letter(task),
		       bpf_ktime_get_boot_ns());
	return 0;
}

char _license[] SEC("license") = "GPL";

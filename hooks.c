// SPDX-License-Identifier: GPL-2.0
/*
 * Births and deaths, as the kernel tells them: probes of its tracepoints.
 *
 * A probe runs in the task that forks or exits, with preemption off in older
 * kernels. On PREEMPT_RT it may neither allocate nor take a lock that sleeps there,
 * which leaves list_lock. Most of what it is called for is not monitored: then it
 * costs a look into the index.
 */

#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <linux/version.h>
#include <trace/events/sched.h>

#include "taskmonitor.h"

/**
 * struct tm_hook - a probe of one of the kernel's tracepoints
 * @name: of the tracepoint
 * @probe: what it calls
 * @tracepoint: the tracepoint while @probe is registered; NULL otherwise
 */
struct tm_hook {
	const char *name;
	void *probe;
	struct tracepoint *tracepoint;
};

/*
 * It is called for each thread, when it has counted itself out of signal->live;
 * so for the last one that is 0, and perhaps for several.
 */
static void tm_hook_exit(struct tm_context *tm, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	struct pid *pid = signal->pids[PIDTYPE_TGID];

	if (!atomic_read(&signal->live) && tm_index_may_have(tm, pid))
		tm_note_exit(tm, pid, PIDTYPE_TGID, task->group_leader);
	if (!thread_group_leader(task) &&
	    tm_index_may_have(tm, task->thread_pid))
		tm_note_exit(tm, task->thread_pid, PIDTYPE_PID, task);
}

/*
 * Since "exit: move and extend sched_process_exit() tracepoint" in 6.16 it is told
 * whether the thread is the last, before the mm is gone. Both are of no use here.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)

static void tm_probe_exit(void *data, struct task_struct *task)
{
	tm_hook_exit(data, task);
}

#else

static void tm_probe_exit(void *data, struct task_struct *task, bool group_dead)
{
	tm_hook_exit(data, task);
}

#endif

static struct tm_hook tm_exit_hook = {
	.name = "sched_process_exit",
	.probe = tm_probe_exit,
};

static void tm_hook_match(struct tracepoint *tracepoint, void *data)
{
	struct tm_hook *hook = data;

	if (!strcmp(tracepoint->name, hook->name))
		hook->tracepoint = tracepoint;
}

/*
 * Register @hook. The tracepoints of the scheduler are not exported, but listed.
 * Returns -EOPNOTSUPP in a kernel without them, or what the registration says.
 */
static int tm_hook_register(struct tm_hook *hook, struct tm_context *tm)
{
	int err = -EOPNOTSUPP;

	if (IS_ENABLED(CONFIG_TRACEPOINTS))
		for_each_kernel_tracepoint(tm_hook_match, hook);
	if (hook->tracepoint)
		err = tracepoint_probe_register(hook->tracepoint, hook->probe,
						tm);
	if (err)
		hook->tracepoint = NULL;
	return err;
}

/* Unregister @hook, and wait for probes in flight. */
static void tm_hook_unregister(struct tm_hook *hook, struct tm_context *tm)
{
	if (!hook->tracepoint)
		return;
	tracepoint_probe_unregister(hook->tracepoint, hook->probe, tm);
	tracepoint_synchronize_unregister();
	hook->tracepoint = NULL;
}

/**
 * tm_hooks_init() - be told of exits from now on
 * @tm: the task monitor, ready to be told
 *
 * In a kernel without tracepoints ends are left to the rounds.
 *
 * Context: may sleep.
 * Return: 0, or what the registration says.
 */
int tm_hooks_init(struct tm_context *tm)
{
	int err;

	/* The types of the probes are those of this kernel. */
	check_trace_callback_type_sched_process_exit(tm_probe_exit);

	err = tm_hook_register(&tm_exit_hook, tm);
	return err == -EOPNOTSUPP ? 0 : err;
}

/**
 * tm_hooks_exit() - be told of nothing any more; waits for probes in flight
 * @tm: the task monitor
 *
 * Context: may sleep.
 */
void tm_hooks_exit(struct tm_context *tm)
{
	tm_hook_unregister(&tm_exit_hook, tm);
}

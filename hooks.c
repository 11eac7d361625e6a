// SPDX-License-Identifier: GPL-2.0
/*
 * Births and deaths, as the kernel tells them: probes of its tracepoints.
 *
 * A probe runs in the task that forks or exits, with preemption off in older
 * kernels. On PREEMPT_RT it may neither allocate nor take a lock that sleeps there,
 * which leaves list_lock. Most of what it is called for is not monitored: then it
 * costs a look into the index.
 */

#include <linux/idr.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <linux/version.h>
#include <trace/events/sched.h>

#include "taskmonitor.h"

static inline unsigned long tm_pid_key(const struct pid *pid)
{
	return tm_index_key(pid->numbers[0].nr, &init_pid_ns);
}

/*
 * Whether @pid may be monitored. For most of the PIDs that are not this is all that
 * their forks and exits pay: what comes after it is not inlined.
 */
static inline bool tm_index_may_have(struct tm_context *tm,
				     const struct pid *pid)
{
	return !hlist_empty(&tm->index[hash_min(tm_pid_key(pid),
						HASH_BITS(tm->index))]);
}

/* Whether it is, and has not ended. */
static bool tm_index_has(struct tm_context *tm, const struct pid *pid)
{
	struct tm_monitor_number *number;
	bool found = false;

	rcu_read_lock();
	hash_for_each_possible_rcu(tm->index, number, node, tm_pid_key(pid)) {
		found = number->monitor->pid == pid;
		if (found)
			break;
	}
	rcu_read_unlock();
	return found;
}

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

/* Births */

/*
 * Spare monitors: the hook of forks cannot allocate. The thread fills them up a
 * millisecond after half of them are used; a burst that is quicker is walked for.
 */
#define TM_SPARES	512

/* They have room for this many namespaces; children further down are walked for. */
#define TM_SPARE_LEVEL	3

/* Add spares until there are TM_SPARES, or no memory. */
static void tm_spares_fill(struct tm_context *tm, gfp_t gfp)
{
	struct task_monitor *monitor;

	while (READ_ONCE(tm->nr_spares) < TM_SPARES) {
		monitor = tm_monitor_alloc(TM_SPARE_LEVEL, gfp);
		if (!monitor)
			return;
		raw_spin_lock(&tm->list_lock);
		list_add(&monitor->node, &tm->spares);
		tm->nr_spares++;
		raw_spin_unlock(&tm->list_lock);
	}
}

/* There is no hook of forks any more that could take one. */
static void tm_spares_free(struct tm_context *tm)
{
	LIST_HEAD(spares);

	raw_spin_lock(&tm->list_lock);
	list_splice_init(&tm->spares, &spares);
	tm->nr_spares = 0;
	raw_spin_unlock(&tm->list_lock);
	tm_monitors_free(&spares);
}

/* Have the thread look after children; returns whether it must be woken. */
static bool tm_chore(struct tm_context *tm)
	__must_hold(&tm->list_lock)
{
	bool first = !tm->chores;

	lockdep_assert_held(&tm->list_lock);

	tm->chores = true;
	return first;
}

/* Add @child of a monitored process; returns whether to wake the thread. */
static bool tm_child_born(struct tm_context *tm, struct pid *child)
	__must_hold(&tm->list_lock)
{
	struct task_monitor *monitor;
	int err;

	lockdep_assert_held(&tm->list_lock);

	monitor = list_first_entry_or_null(&tm->spares, struct task_monitor,
					   node);
	if (!monitor || child->level > TM_SPARE_LEVEL) {
		tm->nr_unrecorded++;
		return tm_chore(tm);
	}
	monitor->pid = child;
	monitor->type = PIDTYPE_TGID;
	list_del_init(&monitor->node);
	err = tm_monitor_link(tm, monitor, true);
	if (err) {
		/* Or a walk was quicker. */
		tm->stats.refused += err == -ENOSPC;
		monitor->pid = NULL;
		list_add(&monitor->node, &tm->spares);
		return false;
	}
	get_pid(child);
	tm->stats.followed++;
	return --tm->nr_spares < TM_SPARES / 2 && tm_chore(tm);
}

/* The process @parent, which may be monitored, forks @child. */
static noinline void tm_hear_fork(struct tm_context *tm, struct pid *parent,
				  struct pid *child)
{
	bool wake = false;

	if (!tm_index_has(tm, parent))
		return;
	raw_spin_lock(&tm->list_lock);
	if (tm->following && tm->sampling &&
	    tm_monitor_of(tm, parent, PIDTYPE_TGID))
		wake = tm_child_born(tm, child);
	raw_spin_unlock(&tm->list_lock);
	if (wake)
		tm_wake(tm);
}

/* @child does not run yet. It may be a thread. */
static void tm_probe_fork(void *data, struct task_struct *parent,
			  struct task_struct *child)
{
	struct pid *pid = parent->signal->pids[PIDTYPE_TGID];

	if (thread_group_leader(child) && tm_index_may_have(data, pid))
		tm_hear_fork(data, pid, child->thread_pid);
}

static struct tm_hook tm_fork_hook = {
	.name = "sched_process_fork",
	.probe = tm_probe_fork,
};

/* Descendants */

/* PIDs that are looked at in one RCU read-side critical section. */
#define TM_WALK_PIDS	1024

/**
 * struct tm_descent - a walk over all processes, for children of monitored ones
 * @tm: the task monitor
 * @root: whose descendants it is for; NULL: for those of all
 * @gfp: what it may do for memory
 * @nr: its number, which monitors carry that it adds
 * @next: the PID with which it goes on, as a number of the initial namespace
 * @added: how many children it has added in this pass
 * @refused: how many it could not add in this pass
 * @known: those of them that the hook may have counted as unrecorded
 * @nr_found: children that are to be added
 * @found: those, and their parents, each with a reference
 */
struct tm_descent {
	struct tm_context *tm;
	struct pid *root;
	gfp_t gfp;
	u64 nr;
	int next;
	u64 added;
	u64 refused;
	u64 known;
	unsigned int nr_found;
	struct {
		struct pid *child;
		struct pid *parent;
	} found[TM_BULK_MAX];
};

/* Look at the next PIDs, for children to add. Returns whether there are more. */
static bool tm_descent_find(struct tm_descent *descent)
{
	struct tm_context *tm = descent->tm;
	struct pid *pid = NULL, *parent;
	struct task_struct *task;
	unsigned int i;

	descent->nr_found = 0;
	rcu_read_lock();
	for (i = 0; i < TM_WALK_PIDS && descent->nr_found < TM_BULK_MAX; i++) {
		pid = idr_get_next(&init_pid_ns.idr, &descent->next);
		if (!pid)
			break;
		descent->next++;
		task = pid_task(pid, PIDTYPE_TGID);
		if (!task || !atomic_read(&task->signal->live))
			continue;
		parent = task_tgid(rcu_dereference(task->real_parent));
		if (!parent || !tm_index_has(tm, parent) ||
		    tm_index_has(tm, pid))
			continue;
		descent->found[descent->nr_found].child = get_pid(pid);
		descent->found[descent->nr_found++].parent = get_pid(parent);
	}
	rcu_read_unlock();
	return pid;
}

/*
 * Whether a child of @parent was counted as unrecorded, if it was at all: not if
 * its parent was unknown then, for this walk has added it.
 */
static bool tm_descent_knew(struct tm_descent *descent, struct pid *parent)
	__must_hold(&descent->tm->list_lock)
{
	struct task_monitor *monitor;

	lockdep_assert_held(&descent->tm->list_lock);

	monitor = tm_monitor_of(descent->tm, parent, PIDTYPE_TGID);
	return monitor && monitor->walk_nr != descent->nr;
}

/* The hook of its exit may have come before the monitor was there. */
static void tm_descent_catch(struct tm_context *tm, struct pid *child)
{
	struct task_struct *task;

	/* Pairs with the barrier of atomic_dec_and_test() in do_exit(). */
	smp_mb();
	rcu_read_lock();
	task = pid_task(child, PIDTYPE_TGID);
	if (task && !atomic_read(&task->signal->live))
		tm_note_exit(tm, child, PIDTYPE_TGID, task);
	rcu_read_unlock();
}

static void tm_descent_add(struct tm_descent *descent, struct pid *child,
			   struct pid *parent)
{
	struct tm_context *tm = descent->tm;
	struct task_monitor *monitor;
	int err = -ENOMEM;
	bool known;

	monitor = tm_monitor_alloc(child->level, descent->gfp);
	if (monitor) {
		monitor->pid = get_pid(child);
		monitor->type = PIDTYPE_TGID;
		monitor->walk_nr = descent->nr;
	}
	raw_spin_lock(&tm->list_lock);
	known = tm_descent_knew(descent, parent);
	if (descent->root && known && parent != descent->root)
		err = -EEXIST;
	else if (monitor)
		err = tm_monitor_link(tm, monitor, true);
	if (!err && known && tm->nr_unrecorded)
		tm->nr_unrecorded--;
	tm->stats.followed += !err;
	raw_spin_unlock(&tm->list_lock);

	if (!err) {
		descent->added++;
		tm_descent_catch(tm, child);
	} else if (err != -EEXIST) {
		descent->refused++;
		descent->known += known;
	}
	if (err && monitor)
		tm_monitor_free(monitor);
}

/* One pass over all processes. */
static void tm_descent_pass(struct tm_descent *descent)
{
	unsigned int i;
	bool more;

	descent->next = 1;
	descent->added = 0;
	descent->refused = 0;
	descent->known = 0;
	do {
		more = tm_descent_find(descent);
		for (i = 0; i < descent->nr_found; i++) {
			tm_descent_add(descent, descent->found[i].child,
				       descent->found[i].parent);
			put_pid(descent->found[i].child);
			put_pid(descent->found[i].parent);
		}
		cond_resched();
	} while (more);
}

/**
 * tm_follow_walk() - add all living descendants of monitored processes
 * @tm: the task monitor, with the hook of forks
 * @root: only those of this one; NULL: of all
 * @gfp: GFP_KERNEL where the caller may wait for memory, GFP_NOWAIT elsewhere
 *
 * A process is in the index before its children are looked for, so what it forks
 * after that the hook adds. It is repeated until a pass adds none. Those that are
 * born and end before it comes to them are missed; so are the children of one that
 * ends meanwhile, for init is their parent then.
 *
 * Context: sleeps if @gfp says so; no lock held that the shrinker takes.
 */
void tm_follow_walk(struct tm_context *tm, struct pid *root, gfp_t gfp)
{
	struct tm_descent descent = {
		.tm = tm,
		.root = root,
		.gfp = gfp | __GFP_NOWARN,
	};
	u64 unrecorded, missed;

	raw_spin_lock(&tm->list_lock);
	descent.nr = ++tm->walk_nr;
	unrecorded = tm->nr_unrecorded;
	raw_spin_unlock(&tm->list_lock);

	do {
		tm_descent_pass(&descent);
	} while (descent.added);

	raw_spin_lock(&tm->list_lock);
	tm->stats.refused += descent.refused;
	tm->nr_unrecorded -= min(descent.known, tm->nr_unrecorded);
	/* What was unrecorded before, and is still: no pass found it. */
	missed = min(unrecorded, tm->nr_unrecorded);
	tm->nr_unrecorded -= missed;
	tm->stats.missed += missed;
	raw_spin_unlock(&tm->list_lock);
}

/**
 * tm_follow_chores() - do what the hook of forks cannot do itself
 * @tm: the task monitor
 *
 * Context: the thread's; may sleep, but never waits for memory.
 * Return: how much there was to do.
 */
unsigned int tm_follow_chores(struct tm_context *tm)
{
	bool following, unrecorded;

	if (!READ_ONCE(tm->chores))
		return 0;
	raw_spin_lock(&tm->list_lock);
	tm->chores = false;
	following = tm->following;
	unrecorded = tm->nr_unrecorded;
	raw_spin_unlock(&tm->list_lock);
	if (!following)
		return 0;
	/* First, for those that are born while it walks. */
	tm_spares_fill(tm, GFP_NOWAIT | __GFP_NOWARN);
	if (unrecorded)
		tm_follow_walk(tm, NULL, GFP_NOWAIT);
	return 1;
}

/* Deaths */

/* @task exits: it or its process may be monitored. */
static noinline void tm_hear_exit(struct tm_context *tm,
				  struct task_struct *task)
{
	struct pid *pid = task->signal->pids[PIDTYPE_TGID];

	if (!atomic_read(&task->signal->live) && tm_index_has(tm, pid))
		tm_note_exit(tm, pid, PIDTYPE_TGID, task->group_leader);
	if (!thread_group_leader(task) && tm_index_has(tm, task->thread_pid))
		tm_note_exit(tm, task->thread_pid, PIDTYPE_PID, task);
}

/*
 * It is called for each thread, when it has counted itself out of signal->live;
 * so for the last one that is 0, and perhaps for several.
 */
static inline void tm_hook_exit(struct tm_context *tm, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;

	if ((!atomic_read(&signal->live) &&
	     tm_index_may_have(tm, signal->pids[PIDTYPE_TGID])) ||
	    (!thread_group_leader(task) &&
	     tm_index_may_have(tm, task->thread_pid)))
		tm_hear_exit(tm, task);
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

/* From now on children are followed. */
static int tm_follow_start(struct tm_context *tm)
{
	int err;

	tm_spares_fill(tm, GFP_KERNEL);
	err = READ_ONCE(tm->nr_spares) < TM_SPARES ? -ENOMEM :
	      tm_hook_register(&tm_fork_hook, tm);
	if (err) {
		tm_spares_free(tm);
		return err;
	}
	raw_spin_lock(&tm->list_lock);
	tm->following = true;
	raw_spin_unlock(&tm->list_lock);
	tm_follow_walk(tm, NULL, GFP_KERNEL);
	return 0;
}

static void tm_follow_stop(struct tm_context *tm)
{
	raw_spin_lock(&tm->list_lock);
	tm->following = false;
	raw_spin_unlock(&tm->list_lock);
	tm_hook_unregister(&tm_fork_hook, tm);
	tm_spares_free(tm);
}

/**
 * tm_follow_set() - set whether children are followed
 * @tm: the task monitor; before tm_hooks_init() that is only noted
 * @follow: 1 or 0
 *
 * Context: may sleep; no lock of ours held.
 * Return: 0; -EOPNOTSUPP without tracepoints; -ENOMEM.
 */
int tm_follow_set(struct tm_context *tm, unsigned int follow)
{
	int err = 0;

	mutex_lock(&tm->thread_lock);
	if (tm->hooked && follow && !tm->follow)
		err = tm_follow_start(tm);
	if (tm->hooked && !follow && tm->follow)
		tm_follow_stop(tm);
	if (!err)
		tm->follow = follow;
	mutex_unlock(&tm->thread_lock);
	return err;
}

/**
 * tm_hooks_init() - be told of exits, and perhaps of forks, from now on
 * @tm: the task monitor, ready to be told
 *
 * In a kernel without tracepoints ends are left to the rounds.
 *
 * Context: may sleep.
 * Return: 0; -EOPNOTSUPP without tracepoints, if children are to be followed;
 * -ENOMEM; or what the registration says.
 */
int tm_hooks_init(struct tm_context *tm)
{
	int err;

	/* The types of the probes are those of this kernel. */
	check_trace_callback_type_sched_process_exit(tm_probe_exit);
	check_trace_callback_type_sched_process_fork(tm_probe_fork);

	err = tm_hook_register(&tm_exit_hook, tm);
	if (err && err != -EOPNOTSUPP)
		return err;

	mutex_lock(&tm->thread_lock);
	err = tm->follow ? tm_follow_start(tm) : 0;
	tm->hooked = !err;
	mutex_unlock(&tm->thread_lock);
	if (err)
		tm_hook_unregister(&tm_exit_hook, tm);
	return err;
}

/**
 * tm_hooks_exit() - be told of nothing any more; waits for probes in flight
 * @tm: the task monitor
 *
 * Context: may sleep.
 */
void tm_hooks_exit(struct tm_context *tm)
{
	mutex_lock(&tm->thread_lock);
	tm->hooked = false;
	if (tm->follow)
		tm_follow_stop(tm);
	mutex_unlock(&tm->thread_lock);
	tm_hook_unregister(&tm_exit_hook, tm);
	/* Those that the thread added while children ceased to be followed. */
	tm_spares_free(tm);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Who is monitored, and when: the list of monitors, the rounds in which all of
 * them are sampled, the kthread that goes from round to round, the module.
 */

#include <linux/hrtimer.h>
#include <linux/idr.h>
#include <linux/kstrtox.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/overflow.h>
#include <linux/pid_namespace.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>
#include <linux/version.h>
#include <linux/wait.h>
#include <trace/events/sched.h>

#include "taskmonitor.h"

#define TM_PERIOD_MIN_MS	1
#define TM_PERIOD_MAX_MS	3600000
#define TM_RESERVE_MAX		65536

/* How late the timer may fire, to go with another: the default of every task. */
#define TM_TIMER_SLACK_NS	(50 * NSEC_PER_USEC)

static struct tm_context taskmonitor = {
	.period_ms = 1000,
	/* The parameters are set before init runs, and after exit has begun. */
	.thread_lock = __MUTEX_INITIALIZER(taskmonitor.thread_lock),
};

static int target;
module_param(target, int, 0444);
MODULE_PARM_DESC(target, "PID to monitor from load on");

/* Monitors */

/* Where the number @nr in @ns is in an index: every container has its own 1. */
static inline unsigned long tm_index_key(pid_t nr,
					 const struct pid_namespace *ns)
{
	return (unsigned long)ns + nr;
}

/*
 * Free a monitor that is in no list. If it was in the index a probe may still look
 * at it, but no further than at its pid. No raw spinlock is held.
 */
static void tm_monitor_free(struct task_monitor *monitor)
{
	put_pid(monitor->pid);
	mutex_destroy(&monitor->history_lock);
	kfree_rcu(monitor, rcu);
}

/**
 * tm_monitors_free() - free monitors that have left all lists
 * @gone: list of them
 *
 * Context: no raw spinlock held.
 */
void tm_monitors_free(struct list_head *gone)
{
	struct task_monitor *monitor, *next;

	list_for_each_entry_safe(monitor, next, gone, node)
		tm_monitor_free(monitor);
}

/*
 * A monitor, of nothing yet and in no list, with room for the numbers of PID
 * namespaces down to @level, as struct pid counts them; or NULL. The caller sets its
 * pid, a reference to which it owns then, and its type.
 */
static struct task_monitor *tm_monitor_alloc(unsigned int level, gfp_t gfp)
{
	struct task_monitor *monitor;
	unsigned int i;

	monitor = kzalloc(struct_size(monitor, numbers, level + 1), gfp);
	if (!monitor)
		return NULL;

	INIT_LIST_HEAD(&monitor->node);
	INIT_LIST_HEAD(&monitor->living_node);
	INIT_LIST_HEAD(&monitor->ended_node);
	INIT_LIST_HEAD(&monitor->samples);
	mutex_init(&monitor->history_lock);
	for (i = 0; i <= level; i++)
		monitor->numbers[i].monitor = monitor;
	return monitor;
}

static unsigned long tm_number_key(const struct tm_monitor_number *number)
{
	const struct task_monitor *monitor = number->monitor;
	const struct upid *upid = &monitor->pid->numbers[number -
							 monitor->numbers];

	return tm_index_key(upid->nr, upid->ns);
}

static struct tm_monitor_number *tm_number_of(const struct rb_node *node)
{
	return rb_entry(node, struct tm_monitor_number, ended);
}

static bool tm_number_less(struct rb_node *node, const struct rb_node *other)
{
	return tm_number_key(tm_number_of(node)) <
	       tm_number_key(tm_number_of(other));
}

static int tm_number_cmp(const void *key, const struct rb_node *node)
{
	unsigned long wanted = *(const unsigned long *)key;
	unsigned long other = tm_number_key(tm_number_of(node));

	return wanted < other ? -1 : wanted > other;
}

static void tm_index_add(struct tm_context *tm, struct task_monitor *monitor)
	__must_hold(&tm->list_lock)
{
	unsigned int i;

	lockdep_assert_held(&tm->list_lock);

	for (i = 0; i <= monitor->pid->level; i++)
		hash_add_rcu(tm->index, &monitor->numbers[i].node,
			     tm_number_key(&monitor->numbers[i]));
}

/* Move what has ended from the one index to the other. */
static void tm_index_end(struct tm_context *tm, struct task_monitor *monitor)
	__must_hold(&tm->list_lock)
{
	unsigned int i;

	lockdep_assert_held(&tm->list_lock);

	for (i = 0; i <= monitor->pid->level; i++) {
		hash_del_rcu(&monitor->numbers[i].node);
		rb_add(&monitor->numbers[i].ended, &tm->ended_index,
		       tm_number_less);
	}
}

static void tm_index_del(struct tm_context *tm, struct task_monitor *monitor)
	__must_hold(&tm->list_lock)
{
	unsigned int i;

	lockdep_assert_held(&tm->list_lock);

	for (i = 0; i <= monitor->pid->level; i++)
		if (monitor->ended)
			rb_erase(&monitor->numbers[i].ended, &tm->ended_index);
		else
			hash_del_rcu(&monitor->numbers[i].node);
}

/*
 * Take @monitor off the lists in which it does not belong any more, unless a
 * walk stands at it: that does so when it moves on. A removed one goes to @gone.
 */
static void tm_monitor_settle(struct tm_context *tm,
			      struct task_monitor *monitor,
			      struct list_head *gone)
	__must_hold(&tm->list_lock)
{
	lockdep_assert_held(&tm->list_lock);

	if (monitor->walks)
		return;
	if (monitor->ended || monitor->removed)
		list_del_init(&monitor->living_node);
	if (monitor->removed) {
		list_del_init(&monitor->ended_node);
		list_move(&monitor->node, gone);
	}
}

/**
 * tm_monitor_unlink() - retract a monitor
 * @tm: the task monitor
 * @monitor: the monitor, whose history is empty; the caller does not use it any
 *	more
 * @gone: where it goes, for tm_monitors_free(), if no walk stands at it
 *
 * Context: @tm->list_lock held.
 */
void tm_monitor_unlink(struct tm_context *tm, struct task_monitor *monitor,
		       struct list_head *gone)
	__must_hold(&tm->list_lock)
{
	lockdep_assert_held(&tm->list_lock);

	tm_index_del(tm, monitor);
	tm->nr_living -= !monitor->ended;
	tm->stats.monitors--;
	monitor->removed = true;
	tm_monitor_settle(tm, monitor, gone);
}

/* Add @monitor, which has samples, to those that have ended. */
static void tm_monitor_link_ended(struct tm_context *tm,
				  struct task_monitor *monitor)
	__must_hold(&tm->list_lock)
{
	u64 newest;

	lockdep_assert_held(&tm->list_lock);

	newest = list_last_entry(&monitor->samples, struct task_sample,
				 node)->time;
	if (!list_empty(&tm->ended))
		newest = max(newest, list_last_entry(&tm->ended,
						     struct task_monitor,
						     ended_node)->ended_newest);
	monitor->ended_newest = newest;
	list_add_tail(&monitor->ended_node, &tm->ended);
}

/*
 * Note that the last thread of what @monitor watches exits: its end is to be
 * recorded. @task is the thread, or the leader of the process.
 */
static void tm_ending_add(struct tm_context *tm, struct task_monitor *monitor,
			  struct task_struct *task)
	__must_hold(&tm->list_lock)
{
	lockdep_assert_held(&tm->list_lock);

	/* Two threads may each believe to be the last. */
	if (monitor->ending)
		return;
	monitor->ending = get_task_struct(task);
	list_add_tail(&monitor->ended_node, &tm->ending);
	WRITE_ONCE(tm->nr_ending, tm->nr_ending + 1);
}

/* Take it back. Returns the task, whose reference is the caller's now, or NULL. */
static struct task_struct *tm_ending_del(struct tm_context *tm,
					 struct task_monitor *monitor)
	__must_hold(&tm->list_lock)
{
	struct task_struct *task = monitor->ending;

	lockdep_assert_held(&tm->list_lock);

	if (!task)
		return NULL;
	monitor->ending = NULL;
	list_del_init(&monitor->ended_node);
	WRITE_ONCE(tm->nr_ending, tm->nr_ending - 1);
	return task;
}

static void tm_put_task(struct task_struct *task)
{
	if (task)
		put_task_struct(task);
}

/*
 * Record that the process of @monitor has ended, @final: with its last sample; or that
 * it could not be sampled when it was added. An entry that has no sample goes at once,
 * others with their last sample.
 */
static void tm_monitor_end(struct tm_context *tm, struct task_monitor *monitor,
			   bool final)
	__must_hold(&tm->round_lock)
{
	struct task_struct *task;
	LIST_HEAD(gone);

	lockdep_assert_held(&tm->round_lock);

	raw_spin_lock(&tm->list_lock);
	task = tm_ending_del(tm, monitor);
	monitor->ended = true;
	tm->nr_living--;
	tm_index_end(tm, monitor);
	tm->stats.ended += final;
	if (monitor->nr_samples) {
		tm_monitor_link_ended(tm, monitor);
		tm_monitor_settle(tm, monitor, &gone);
	} else {
		tm_monitor_unlink(tm, monitor, &gone);
	}
	raw_spin_unlock(&tm->list_lock);
	tm_monitors_free(&gone);
	tm_put_task(task);
}

/* The monitor of @pid, as a process or as a thread, that has not ended; or NULL. */
static struct task_monitor *tm_monitor_of(struct tm_context *tm,
					  const struct pid *pid,
					  enum pid_type type)
	__must_hold(&tm->list_lock)
{
	struct tm_monitor_number *number;

	lockdep_assert_held(&tm->list_lock);

	hash_for_each_possible(tm->index, number, node,
			       tm_index_key(pid->numbers[0].nr, &init_pid_ns))
		if (number->monitor->pid == pid &&
		    number->monitor->type == type)
			return number->monitor;
	return NULL;
}

/* Whether there is a monitor for @pid, be it one that has ended. */
static bool tm_is_monitored(struct tm_context *tm, const struct pid *pid)
	__must_hold(&tm->list_lock)
{
	unsigned long key = tm_index_key(pid->numbers[0].nr, &init_pid_ns);
	struct tm_monitor_number *number;
	struct rb_node *node;

	lockdep_assert_held(&tm->list_lock);

	hash_for_each_possible(tm->index, number, node, key)
		if (number->monitor->pid == pid)
			return true;
	rb_for_each(node, &key, &tm->ended_index, tm_number_cmp)
		if (tm_number_of(node)->monitor->pid == pid)
			return true;
	return false;
}

/*
 * Publish @monitor, which the lists own from now on; @living: what it watches has
 * not ended, and max_monitors is for those. If it cannot be published it stays the
 * caller's: -EEXIST if its PID is monitored, -ENOSPC if max_monitors are.
 */
static int tm_monitor_link(struct tm_context *tm, struct task_monitor *monitor,
			   bool living)
	__must_hold(&tm->list_lock)
{
	unsigned long max = READ_ONCE(tm->max_monitors);

	lockdep_assert_held(&tm->list_lock);

	if (tm_is_monitored(tm, monitor->pid))
		return -EEXIST;
	if (living && max && tm->nr_living >= max)
		return -ENOSPC;
	list_add_tail(&monitor->node, &tm->tasks);
	list_add_tail(&monitor->living_node, &tm->living);
	tm_index_add(tm, monitor);
	tm->stats.monitors++;
	tm->nr_living++;
	monitor->serial = ++tm->serial;
	return 0;
}

/*
 * A monitor that is shown as @nr in the PID namespace @ns, or NULL. Both indexes
 * have the numbers of all namespaces.
 */
static struct task_monitor *tm_monitor_find(struct tm_context *tm, pid_t nr,
					    struct pid_namespace *ns)
	__must_hold(&tm->list_lock)
{
	unsigned long key = tm_index_key(nr, ns);
	struct tm_monitor_number *number;
	struct rb_node *node;

	lockdep_assert_held(&tm->list_lock);

	hash_for_each_possible(tm->index, number, node, key)
		if (pid_nr_ns(number->monitor->pid, ns) == nr)
			return number->monitor;
	rb_for_each(node, &key, &tm->ended_index, tm_number_cmp)
		if (pid_nr_ns(tm_number_of(node)->monitor->pid, ns) == nr)
			return tm_number_of(node)->monitor;
	return NULL;
}

/* What the probes do */

/* Wake the thread, if there is one, for more than the next round. */
static void tm_wake(struct tm_context *tm)
{
	struct task_struct *waker;

	/* A task is freed by RCU. */
	rcu_read_lock();
	waker = rcu_dereference(tm->waker);
	if (waker)
		wake_up_process(waker);
	rcu_read_unlock();
}

/*
 * A probe tells that the last thread of the process @pid exits, or the thread @pid,
 * which may be monitored; @task is the leader of the process, or the thread. Where
 * sampling is stopped the end is left to the round after that.
 */
static void tm_note_exit(struct tm_context *tm, struct pid *pid, enum pid_type type,
			 struct task_struct *task)
{
	struct task_monitor *monitor;
	bool first = false;

	raw_spin_lock(&tm->list_lock);
	monitor = tm_monitor_of(tm, pid, type);
	if (monitor && tm->sampling) {
		/* One wake-up for all that exit until then. */
		first = !tm->nr_ending;
		tm_ending_add(tm, monitor, task);
	}
	raw_spin_unlock(&tm->list_lock);
	if (first)
		tm_wake(tm);
}

/*
 * Births and deaths, as the kernel tells them: probes of its tracepoints.
 *
 * A probe runs in the task that forks or exits, with preemption off in older
 * kernels. On PREEMPT_RT it may neither allocate nor take a lock that sleeps there,
 * which leaves list_lock. Most of what it is called for is not monitored: then it
 * costs a look into the index.
 */

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

/*
 * Add all living descendants of monitored processes, or those of @root only. @gfp:
 * GFP_NOWAIT where the caller may not wait for memory.
 *
 * A process is in the index before its children are looked for, so what it forks
 * after that the probe adds. It is repeated until a pass adds none. Those that are
 * born and end before it comes to them are missed; so are the children of one that
 * ends in between, for init is their parent then.
 */
static void tm_follow_walk(struct tm_context *tm, struct pid *root, gfp_t gfp)
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

/*
 * Do what the probe of forks cannot do itself, in the thread; never waits for
 * memory. Returns how much there was to do.
 */
static unsigned int tm_follow_chores(struct tm_context *tm)
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

/*
 * Set whether children are followed; before tm_hooks_init() that is only noted.
 * Returns 0, -EOPNOTSUPP without tracepoints, -ENOMEM, or what the registration says.
 */
static int tm_follow_set(struct tm_context *tm, unsigned int follow)
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

/*
 * Be told of exits from now on, and of forks if children are followed. In a kernel
 * without tracepoints ends are left to the rounds, and following is -EOPNOTSUPP.
 */
static int tm_hooks_init(struct tm_context *tm)
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

/* Be told of nothing any more; waits for probes in flight. */
static void tm_hooks_exit(struct tm_context *tm)
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

/* Walks */

/* The monitor after @at, or the first if that is NULL. Inline: a round knows @over. */
static __always_inline struct task_monitor *
tm_following(const struct tm_context *tm, enum tm_walk_over over,
	     struct task_monitor *at)
	__must_hold(&tm->list_lock)
{
	lockdep_assert_held(&tm->list_lock);

	switch (over) {
	case TM_WALK_LIVING:
		at = list_prepare_entry(at, &tm->living, living_node);
		at = list_next_entry(at, living_node);
		return list_entry_is_head(at, &tm->living, living_node) ?
		       NULL : at;
	case TM_WALK_ENDED:
		at = list_prepare_entry(at, &tm->ended, ended_node);
		at = list_prev_entry(at, ended_node);
		return list_entry_is_head(at, &tm->ended, ended_node) ?
		       NULL : at;
	case TM_WALK_ENDED_SINCE:
		at = list_prepare_entry(at, &tm->ended, ended_node);
		at = list_next_entry(at, ended_node);
		return list_entry_is_head(at, &tm->ended, ended_node) ?
		       NULL : at;
	default:
		at = list_prepare_entry(at, &tm->tasks, node);
		at = list_next_entry(at, node);
		return list_entry_is_head(at, &tm->tasks, node) ? NULL : at;
	}
}

/**
 * tm_walk_following() - which monitor a walk passes after another
 * @walk: the walk
 * @at: the other; NULL: before the first
 *
 * Context: list_lock held.
 * Return: the monitor, or NULL at the end.
 */
struct task_monitor *tm_walk_following(const struct tm_walk *walk,
				       struct task_monitor *at)
	__must_hold(&walk->tm->list_lock)
{
	return tm_following(walk->tm, walk->over, at);
}

/**
 * tm_walk_move() - have a walk stand at another monitor
 * @walk: the walk
 * @monitor: the monitor, one that it passes; NULL: before the first
 * @gone: where the monitor goes that is left, for tm_monitors_free(), if it was
 *	only waiting for that
 *
 * Context: list_lock held.
 */
void tm_walk_move(struct tm_walk *walk, struct task_monitor *monitor,
		  struct list_head *gone)
	__must_hold(&walk->tm->list_lock)
{
	struct task_monitor *was = walk->monitor;

	lockdep_assert_held(&walk->tm->list_lock);

	walk->monitor = monitor;
	if (monitor)
		monitor->walks++;
	if (was) {
		was->walks--;
		tm_monitor_settle(walk->tm, was, gone);
	}
}

/**
 * tm_walk_next() - go on to the next monitor
 * @walk: the walk; before the first monitor, or anywhere but behind the last
 * @gone: where the monitor goes that is left, for tm_monitors_free(), if it was
 *	only waiting for that
 *
 * Context: list_lock held.
 * Return: the monitor, at which the walk stands then; NULL at the end. It may
 * have been removed or, on a walk over the living, have ended, when another walk
 * stands at it: it has no samples then, or is on a walk over the ended.
 */
struct task_monitor *tm_walk_next(struct tm_walk *walk, struct list_head *gone)
	__must_hold(&walk->tm->list_lock)
{
	lockdep_assert_held(&walk->tm->list_lock);

	tm_walk_move(walk, tm_walk_following(walk, walk->monitor), gone);
	return walk->monitor;
}

/**
 * tm_walk_end() - leave a walk, wherever it stands; it can begin anew
 * @walk: the walk
 *
 * Context: takes list_lock.
 */
void tm_walk_end(struct tm_walk *walk)
{
	LIST_HEAD(gone);

	raw_spin_lock(&walk->tm->list_lock);
	tm_walk_move(walk, NULL, &gone);
	raw_spin_unlock(&walk->tm->list_lock);
	tm_monitors_free(&gone);
}

/* Rounds */

/* The time of a round that begins now; rises where the clock stands still. */
static u64 tm_round_begin(struct tm_context *tm)
	__must_hold(&tm->round_lock)
{
	lockdep_assert_held(&tm->round_lock);

	tm->round_time = max(ktime_get_boottime_ns(), tm->round_time + 1);
	return tm->round_time;
}

/* All samples of the round are there: they go through the pipes now. */
static void tm_round_publish(struct tm_context *tm)
	__must_hold(&tm->round_lock)
{
	lockdep_assert_held(&tm->round_lock);

	/* Pairs with tm_pipe_is_late(). */
	smp_store_release(&tm->published, tm->round_time);
	if (wq_has_sleeper(&tm->pipes))
		wake_up_interruptible_poll(&tm->pipes, EPOLLIN | EPOLLRDNORM);
}

/*
 * A sample of @monitor was saved: print it when dynamic debug asks for it, and
 * drop it. By then it may have left the history, and is valid all the same: just
 * before, there are two references to it, the history's and ours, and only the
 * history's can go. Inline: a call costs a fiftieth of a sample.
 */
static inline void tm_round_print(struct tm_context *tm,
				  struct task_monitor *monitor,
				  struct task_sample *sample)
{
	pr_debug("pid %d usr %llu sys %llu\n", pid_nr(monitor->pid),
		 sample->usr, sample->sys);
	tm_sample_put(sample, tm);
}

/*
 * If what @monitor watches exits, note that as the hook would: it may have come
 * too early, or there is none. Returns whether the end is to be recorded.
 */
static bool tm_catch_exit(struct tm_context *tm, struct task_monitor *monitor)
{
	struct task_struct *task;
	bool exits = false;

	rcu_read_lock();
	task = tm_monitored_task(monitor);
	/* Dead: what an exec by another thread has left of a leader. */
	if (task && READ_ONCE(task->exit_state) != EXIT_DEAD)
		exits = monitor->type == PIDTYPE_TGID ?
			!atomic_read(&task->signal->live) :
			READ_ONCE(task->flags) & PF_EXITING;
	raw_spin_lock(&tm->list_lock);
	if (exits && tm->sampling)
		tm_ending_add(tm, monitor, task);
	exits = monitor->ending;
	raw_spin_unlock(&tm->list_lock);
	rcu_read_unlock();
	return exits;
}

/*
 * A round found dead what @monitor watches. That began with the hook, and the
 * final sample is still to come; or sampling was stopped then, and there is none.
 */
static void tm_round_ended(struct tm_context *tm, struct task_monitor *monitor)
	__must_hold(&tm->round_lock)
{
	lockdep_assert_held(&tm->round_lock);

	if (READ_ONCE(monitor->ending))
		return;
	if (tm->resumed || !tm_catch_exit(tm, monitor))
		tm_monitor_end(tm, monitor, false);
}

static void tm_round_sample(struct tm_context *tm, struct task_monitor *monitor,
			    u64 time, struct tm_supply *supply)
	__must_hold(&tm->round_lock)
{
	struct task_sample *sample;

	lockdep_assert_held(&tm->round_lock);

	sample = tm_save_sample(tm, monitor, NULL, time, supply);
	if (!IS_ERR(sample))
		tm_round_print(tm, monitor, sample);
	else if (PTR_ERR(sample) == -ESRCH)
		tm_round_ended(tm, monitor);
}

/*
 * Sample the next TM_BULK_MAX living monitors of @walk, which passes those, up to the
 * serial @until. They stay valid without a lock: only under round_lock does a living one
 * end or is it removed. Returns whether there are more.
 */
static bool tm_round_slice(struct tm_walk *walk, u64 until, u64 time,
			   struct tm_supply *supply)
	__must_hold(&walk->tm->round_lock)
{
	struct task_monitor *slice[TM_BULK_MAX] __uninitialized;
	struct task_monitor *monitor = walk->monitor;
	struct tm_context *tm = walk->tm;
	unsigned int i, passed, nr = 0;
	LIST_HEAD(gone);

	lockdep_assert_held(&tm->round_lock);

	raw_spin_lock(&tm->list_lock);
	for (passed = 0; passed < TM_BULK_MAX; passed++) {
		monitor = tm_following(tm, TM_WALK_LIVING, monitor);
		/* Children could be born faster than they are sampled. */
		if (!monitor || monitor->serial > until) {
			monitor = NULL;
			break;
		}
		if (!monitor->ended && !monitor->removed)
			slice[nr++] = monitor;
	}
	tm_walk_move(walk, monitor, &gone);
	raw_spin_unlock(&tm->list_lock);
	tm_monitors_free(&gone);

	tm_supply_fill(tm, supply, nr, GFP_NOWAIT);
	for (i = 0; i < nr; i++)
		tm_round_sample(tm, slice[i], time, supply);
	return monitor;
}

static void tm_supply_init(struct tm_supply *supply)
{
	supply->batch.nr = 0;
	supply->slab_failed = false;
	supply->pool_failed = false;
}

/* Sample every living process once. Returns when it ended; @took in ns. */
static ktime_t tm_round(struct tm_context *tm, u64 *took)
{
	struct tm_walk walk = { .tm = tm, .over = TM_WALK_LIVING };
	struct tm_supply supply __uninitialized;
	ktime_t start, end;
	u64 time, until;

	tm_supply_init(&supply);
	mutex_lock(&tm->round_lock);
	start = ktime_get();
	time = tm_round_begin(tm);
	until = READ_ONCE(tm->serial);
	while (tm_round_slice(&walk, until, time, &supply))
		cond_resched();
	tm->resumed = false;
	tm_batch_free(tm, &supply.batch);
	tm_round_publish(tm);
	end = ktime_get();
	mutex_unlock(&tm->round_lock);

	*took = ktime_to_ns(ktime_sub(end, start));
	raw_spin_lock(&tm->list_lock);
	tm->stats.tick_ns = *took;
	tm->stats.tick_ns_max = max(tm->stats.tick_ns_max, *took);
	raw_spin_unlock(&tm->list_lock);
	return end;
}

/* Ends */

/*
 * Take the final sample of @monitor, which is ending, if that has ended and, @last:
 * or else not, its time is all charged. Returns whether it was taken, or dropped
 * because there is no memory.
 */
static bool tm_final_sample(struct tm_context *tm, struct task_monitor *monitor,
			    u64 time, bool last, struct tm_supply *supply)
	__must_hold(&tm->round_lock)
{
	struct task_struct *task = READ_ONCE(monitor->ending);
	struct task_sample *sample;
	bool over;

	lockdep_assert_held(&tm->round_lock);

	rcu_read_lock();
	over = tm_has_ended(monitor->type, task) &&
	       (last || tm_is_off_cpu(monitor->type, task));
	rcu_read_unlock();
	if (!over)
		return false;
	sample = tm_save_sample(tm, monitor, task, time, supply);
	if (!IS_ERR(sample))
		tm_round_print(tm, monitor, sample);
	tm_monitor_end(tm, monitor, !IS_ERR(sample));
	return true;
}

/*
 * Look at the next of those that are ending, up to @left and TM_BULK_MAX. They stay
 * valid as those of a round do. Those whose time has not come go to the end of the
 * queue or, @last, out of it. Returns for how many it had come.
 */
static unsigned int tm_final_slice(struct tm_context *tm, u64 time, bool last,
				   unsigned int *left, struct tm_supply *supply)
	__must_hold(&tm->round_lock)
{
	struct task_monitor *slice[TM_BULK_MAX] __uninitialized;
	unsigned int i, nr = 0, taken = 0;
	struct task_struct *task;

	lockdep_assert_held(&tm->round_lock);

	raw_spin_lock(&tm->list_lock);
	while (*left && nr < TM_BULK_MAX) {
		slice[nr] = list_first_entry(&tm->ending, struct task_monitor,
					     ended_node);
		list_move_tail(&slice[nr++]->ended_node, &tm->ending);
		--*left;
	}
	raw_spin_unlock(&tm->list_lock);

	tm_supply_fill(tm, supply, nr, GFP_NOWAIT);
	for (i = 0; i < nr; i++) {
		if (tm_final_sample(tm, slice[i], time, last, supply)) {
			taken++;
			continue;
		}
		if (!last)
			continue;
		raw_spin_lock(&tm->list_lock);
		task = tm_ending_del(tm, slice[i]);
		raw_spin_unlock(&tm->list_lock);
		tm_put_task(task);
	}
	return taken;
}

/*
 * Take the final samples of those that have ended: a round of its own, with its own
 * time, that leaves the pace of the others alone. @last: sampling ends, and those
 * that have not come to their end yet get none. Returns how many were taken.
 */
static unsigned int tm_final_round(struct tm_context *tm, bool last)
{
	struct tm_supply supply __uninitialized;
	unsigned int left, taken = 0;
	u64 time;

	if (!READ_ONCE(tm->nr_ending))
		return 0;
	tm_supply_init(&supply);
	mutex_lock(&tm->round_lock);
	time = tm_round_begin(tm);
	/* Only we and a removal, which waits, make them fewer. */
	left = READ_ONCE(tm->nr_ending);
	while (left) {
		taken += tm_final_slice(tm, time, last, &left, &supply);
		cond_resched();
	}
	tm_batch_free(tm, &supply.batch);
	if (taken)
		tm_round_publish(tm);
	mutex_unlock(&tm->round_lock);
	return taken;
}

/*
 * The pause between an exit and the first look whether it is over: others may
 * exit by then. Where a look finds nothing the next pause is twice as long, for an
 * exit may hang, on a network file system for hours.
 */
#define TM_FINAL_PAUSE_MIN_NS	NSEC_PER_MSEC
#define TM_FINAL_PAUSE_MAX_NS	(32 * NSEC_PER_MSEC)

/**
 * struct tm_pace - when rounds are due; the kthread's own
 * @period_ms: the period in force
 * @last: deadline of the last round, in CLOCK_MONOTONIC
 * @earliest: the next is no sooner than this, and so sampling takes no more than
 *	half of a CPU
 * @next: deadline of the next round
 * @final: when the next look at what hooks have left is due; 0 while there is none
 * @final_pause: the pause before it, in ns
 */
struct tm_pace {
	unsigned int period_ms;
	ktime_t last;
	ktime_t earliest;
	ktime_t next;
	ktime_t final;
	s64 final_pause;
};

/*
 * A round has ended at @end that took @took ns: set the next deadline, in the
 * phase of those before. Those that have passed are left out, never made up for.
 * Returns how many. Where @period_ms is about to change they end with the round.
 */
static u64 tm_pace_next(struct tm_pace *pace, unsigned int period_ms,
			ktime_t end, u64 took)
{
	u64 period = (u64)pace->period_ms * NSEC_PER_MSEC, missed = 0;
	ktime_t until;

	pace->last = pace->next;
	pace->earliest = ktime_add_ns(end, took);
	until = period_ms == pace->period_ms ? pace->earliest : end;
	pace->next = ktime_add_ns(pace->last, period);
	if (ktime_before(pace->next, until))
		missed = DIV64_U64_ROUND_UP(ktime_to_ns(ktime_sub(until,
								  pace->next)),
					    period);
	pace->next = ktime_add_ns(pace->next, missed * period);
	return missed;
}

/* A new period counts from the last deadline on, and nothing becomes late. */
static void tm_pace_change(struct tm_pace *pace, unsigned int period_ms,
			   ktime_t now)
{
	pace->period_ms = period_ms;
	pace->next = max3(ktime_add_ms(pace->last, period_ms), pace->earliest,
			  now);
}

/* There is something to look at: when, if that is not set yet. */
static void tm_pace_final(struct tm_pace *pace, ktime_t now)
{
	if (!pace->final)
		pace->final = max(ktime_add(now, pace->final_pause),
				  pace->earliest);
}

/* A look began at @start and ended at @end, and @done things were to be done. */
static void tm_pace_looked(struct tm_pace *pace, ktime_t start, ktime_t end,
			   unsigned int done)
{
	pace->final = 0;
	pace->final_pause = done ? TM_FINAL_PAUSE_MIN_NS :
			    min_t(s64, 2 * pace->final_pause,
				  TM_FINAL_PAUSE_MAX_NS);
	/* Half of one CPU at most, for these as well. */
	pace->earliest = ktime_add(end, ktime_sub(end, start));
}

/* What hooks have left to the thread: children, and ends. */
static void tm_look(struct tm_context *tm, struct tm_pace *pace)
{
	ktime_t start = ktime_get();
	unsigned int done = tm_follow_chores(tm);

	done += tm_final_round(tm, false);
	tm_pace_looked(pace, start, ktime_get(), done);
}

/*
 * After a round, sleep until the next deadline, or until the thread is to stop; and
 * take final samples in between.
 */
static void tm_wait(struct tm_context *tm, struct tm_pace *pace, ktime_t end,
		    u64 took)
{
	unsigned int period_ms = READ_ONCE(tm->period_ms);
	u64 missed = tm_pace_next(pace, period_ms, end, took);
	ktime_t until;

	if (missed) {
		raw_spin_lock(&tm->list_lock);
		tm->stats.late += missed;
		raw_spin_unlock(&tm->list_lock);
	}
	if (period_ms != pace->period_ms)
		tm_pace_change(pace, period_ms, end);

	for (;;) {
		/* Idle: a sampler that waits is no load. The state comes first. */
		set_current_state(TASK_IDLE);
		if (kthread_should_stop())
			break;
		period_ms = READ_ONCE(tm->period_ms);
		if (period_ms != pace->period_ms)
			tm_pace_change(pace, period_ms, ktime_get());
		if (READ_ONCE(tm->nr_ending) || READ_ONCE(tm->chores))
			tm_pace_final(pace, ktime_get());
		until = max(pace->next, pace->earliest);
		if (pace->final)
			until = min(until, pace->final);
		/* 0: the timer expired; otherwise we were woken early. */
		if (schedule_hrtimeout_range(&until, TM_TIMER_SLACK_NS,
					     HRTIMER_MODE_ABS))
			continue;
		if (until != pace->final)
			break;
		tm_look(tm, pace);
	}
	__set_current_state(TASK_RUNNING);
}

/*
 * The kthread. It is not freezable: it touches no device, and processes that are
 * frozen can be sampled.
 */
static int tm_monitor_fn(void *data)
{
	struct tm_context *tm = data;
	struct tm_pace pace = {
		.period_ms = READ_ONCE(tm->period_ms),
		.next = ktime_get(),
		.final_pause = TM_FINAL_PAUSE_MIN_NS,
	};
	ktime_t end;
	u64 took;

	while (!kthread_should_stop()) {
		end = tm_round(tm, &took);
		tm_wait(tm, &pace, end, took);
	}
	return 0;
}

static void tm_set_sampling(struct tm_context *tm, bool sampling)
{
	mutex_lock(&tm->round_lock);
	raw_spin_lock(&tm->list_lock);
	tm->sampling = sampling;
	raw_spin_unlock(&tm->list_lock);
	tm->resumed = sampling;
	mutex_unlock(&tm->round_lock);
}

/**
 * tm_start() - begin sampling, with a round
 * @tm: the task monitor
 *
 * Context: may sleep.
 * Return: 1, 0 if it was sampling already, or what kthread_create() says:
 * -ENOMEM, -EAGAIN, or -EINTR when the caller is being killed.
 */
int tm_start(struct tm_context *tm)
{
	struct task_struct *thread;
	int ret = 0;

	mutex_lock(&tm->thread_lock);
	if (tm->thread)
		goto out;
	thread = kthread_create(tm_monitor_fn, tm, "taskmonitor");
	if (IS_ERR(thread)) {
		ret = PTR_ERR(thread);
		goto out;
	}
	/*
	 * The nice level of WQ_HIGHPRI workers: a round is short, and must not
	 * wait for the end of a busy task's slice.
	 */
	set_user_nice(thread, MIN_NICE);
	tm_set_sampling(tm, true);
	tm->thread = thread;
	rcu_assign_pointer(tm->waker, thread);
	/* Those that were born while it was stopped. */
	if (READ_ONCE(tm->following))
		tm_follow_walk(tm, NULL, GFP_KERNEL);
	wake_up_process(thread);
	ret = 1;
out:
	mutex_unlock(&tm->thread_lock);
	return ret;
}

/**
 * tm_stop() - end sampling, without waiting for the period to pass
 * @tm: the task monitor
 *
 * Context: may sleep.
 * Return: whether it was sampling.
 */
bool tm_stop(struct tm_context *tm)
{
	bool running;

	mutex_lock(&tm->thread_lock);
	running = tm->thread;
	if (running) {
		/* It is freed a grace period after its end, which comes now. */
		RCU_INIT_POINTER(tm->waker, NULL);
		kthread_stop(tm->thread);
		tm->thread = NULL;
		tm_set_sampling(tm, false);
		tm_final_round(tm, true);
	}
	mutex_unlock(&tm->thread_lock);
	return running;
}

/* A new period takes effect at once: the thread looks at it when it wakes. */
static int tm_period_set(const char *val, const struct kernel_param *kp)
{
	int err = param_set_uint_minmax(val, kp, TM_PERIOD_MIN_MS,
					TM_PERIOD_MAX_MS);

	if (err)
		return err;
	mutex_lock(&taskmonitor.thread_lock);
	if (taskmonitor.thread)
		wake_up_process(taskmonitor.thread);
	mutex_unlock(&taskmonitor.thread_lock);
	return 0;
}

static const struct kernel_param_ops tm_period_ops = {
	.set = tm_period_set,
	.get = param_get_uint,
};
module_param_cb(period_ms, &tm_period_ops, &taskmonitor.period_ms, 0644);
MODULE_PARM_DESC(period_ms, "sampling period in ms, 1 to 3600000 (1000)");

static unsigned int reserve = 64;

static int tm_reserve_set(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 1, TM_RESERVE_MAX);
}

static const struct kernel_param_ops tm_reserve_ops = {
	.set = tm_reserve_set,
	.get = param_get_uint,
};
module_param_cb(reserve, &tm_reserve_ops, &reserve, 0444);
MODULE_PARM_DESC(reserve, "samples preallocated for when memory is short, 1 to 65536 (64)");

module_param_named(max_samples, taskmonitor.max_samples, ulong, 0644);
MODULE_PARM_DESC(max_samples, "cap of one process's history, 0 for none (0)");

module_param_named(max_monitors, taskmonitor.max_monitors, ulong, 0644);
MODULE_PARM_DESC(max_monitors, "bound of living monitored processes, 0 for none (0)");

static int tm_follow_param_set(const char *val, const struct kernel_param *kp)
{
	unsigned int follow;
	int err = kstrtouint(val, 0, &follow);

	if (err)
		return err;
	if (follow > 1)
		return -EINVAL;
	return tm_follow_set(&taskmonitor, follow);
}

static const struct kernel_param_ops tm_follow_ops = {
	.set = tm_follow_param_set,
	.get = param_get_uint,
};
module_param_cb(follow, &tm_follow_ops, &taskmonitor.follow, 0644);
MODULE_PARM_DESC(follow, "1: what a monitored process forks is monitored, too (0)");

/* Adding and removing */

/* Whom @nr means in the caller's PID namespace: a process, or one thread. */
static struct task_monitor *tm_monitor_find_task(pid_t nr)
{
	struct pid *pid = find_get_pid(nr);
	struct task_monitor *monitor;
	enum pid_type type;

	rcu_read_lock();
	type = pid_task(pid, PIDTYPE_TGID) ? PIDTYPE_TGID : PIDTYPE_PID;
	if (!pid_task(pid, type)) {
		rcu_read_unlock();
		put_pid(pid);
		return ERR_PTR(-ESRCH);
	}
	rcu_read_unlock();

	monitor = tm_monitor_alloc(pid->level, GFP_KERNEL);
	if (!monitor) {
		put_pid(pid);
		return ERR_PTR(-ENOMEM);
	}
	monitor->pid = pid;
	monitor->type = type;
	return monitor;
}

/*
 * Take the first sample of @monitor, from @supply: of a process that has ended that
 * is its last one, too.
 */
static int tm_monitor_sample(struct tm_context *tm,
			     struct task_monitor *monitor,
			     struct tm_supply *supply)
	__must_hold(&tm->round_lock)
{
	u64 time = tm_round_begin(tm);
	struct task_sample *sample;
	bool exits;

	lockdep_assert_held(&tm->round_lock);

	/*
	 * The last thread has exited, or its hook finds the monitor: either we see
	 * that now or it sees what was linked. Pairs with the barrier of
	 * atomic_dec_and_test() in do_exit().
	 */
	smp_mb();
	exits = tm_catch_exit(tm, monitor);
	sample = tm_save_sample(tm, monitor, NULL, time, supply);
	if (!IS_ERR(sample))
		tm_sample_put(sample, tm);
	else if (PTR_ERR(sample) != -ESRCH || !exits)
		return PTR_ERR(sample);
	else if (tm_final_sample(tm, monitor, time, true, supply))
		return 0;
	if (exits)
		tm_wake(tm);
	return 0;
}

/* Publish @monitor, which is not the caller's any more, with its first sample. */
static int tm_monitor_admit(struct tm_context *tm,
			    struct task_monitor *monitor,
			    struct tm_supply *supply)
	__must_hold(&tm->round_lock)
{
	struct task_struct *task;
	bool living;
	int err;

	lockdep_assert_held(&tm->round_lock);

	rcu_read_lock();
	task = tm_monitored_task(monitor);
	living = task && !tm_has_ended(monitor->type, task);
	rcu_read_unlock();
	raw_spin_lock(&tm->list_lock);
	err = tm_monitor_link(tm, monitor, living);
	raw_spin_unlock(&tm->list_lock);
	if (err) {
		tm_monitor_free(monitor);
		return err;
	}
	if (!READ_ONCE(tm->sampling))
		return 0;
	err = tm_monitor_sample(tm, monitor, supply);
	if (err)
		tm_monitor_end(tm, monitor, false);
	return err;
}

/**
 * tm_monitor_add() - monitor a process from now on
 * @tm: the task monitor
 * @nr: its number in the caller's PID namespace
 *
 * When it returns the first sample is there, unless sampling is stopped. Waits
 * for a round under way, and leaves all deadlines as they are. Its descendants are
 * added too, if children are followed.
 *
 * Context: may sleep; no lock of ours held.
 * Return: 0, -ESRCH if there is no such process, -EEXIST if it is monitored
 * already, -ENOSPC if max_monitors are, or -ENOMEM.
 */
int tm_monitor_add(struct tm_context *tm, pid_t nr)
{
	struct task_monitor *monitor;
	struct tm_supply supply = { };
	struct pid *pid;
	int err;

	monitor = tm_monitor_find_task(nr);
	if (IS_ERR(monitor))
		return PTR_ERR(monitor);

	/* Here memory may be waited for; in a round it may not. */
	tm_supply_fill(tm, &supply, 1, GFP_KERNEL);
	if (!supply.batch.nr) {
		tm_monitor_free(monitor);
		return -ENOMEM;
	}
	pid = get_pid(monitor->pid);
	mutex_lock(&tm->round_lock);
	err = tm_monitor_admit(tm, monitor, &supply);
	if (!err)
		tm_round_publish(tm);
	mutex_unlock(&tm->round_lock);
	tm_batch_free(tm, &supply.batch);
	if (!err && READ_ONCE(tm->following))
		tm_follow_walk(tm, pid, GFP_KERNEL);
	put_pid(pid);
	return err;
}

/**
 * tm_monitor_remove() - end the monitoring of all that is shown as one number
 * @tm: the task monitor
 * @nr: the number in the caller's PID namespace; or 0 for all monitors, when
 *	there is no walk any more
 *
 * Waits for a round under way.
 *
 * Context: may sleep; no lock of ours held.
 * Return: 0, or -ENOENT if nothing is monitored under that number.
 */
int tm_monitor_remove(struct tm_context *tm, pid_t nr)
{
	struct pid_namespace *ns = task_active_pid_ns(current);
	struct task_struct *task = NULL;
	struct task_monitor *monitor;
	LIST_HEAD(samples);
	int err = -ENOENT;
	LIST_HEAD(gone);

	mutex_lock(&tm->round_lock);
	/* Several, when the number is in use again while a history is left. */
	do {
		raw_spin_lock(&tm->list_lock);
		monitor = nr ? tm_monitor_find(tm, nr, ns) :
			  list_first_entry_or_null(&tm->tasks,
						   struct task_monitor, node);
		if (monitor) {
			/* The samples are freed without a lock. */
			tm_history_cut(tm, monitor, &samples);
			task = tm_ending_del(tm, monitor);
			tm_monitor_unlink(tm, monitor, &gone);
			err = 0;
		}
		raw_spin_unlock(&tm->list_lock);
		tm_put_task(task);
		task = NULL;
	} while (monitor);
	mutex_unlock(&tm->round_lock);

	tm_history_free(tm, &samples);
	tm_monitors_free(&gone);
	return err;
}

/* The module */

/**
 * tm_context_init() - prepare a task monitor without monitors
 * @tm: the task monitor, all zeros but for the parameters and thread_lock, which
 *	parameters need before the module's init runs
 *
 * Context: may sleep.
 */
void tm_context_init(struct tm_context *tm)
{
	mutex_init(&tm->round_lock);
	init_waitqueue_head(&tm->pipes);
	raw_spin_lock_init(&tm->list_lock);
	INIT_LIST_HEAD(&tm->tasks);
	INIT_LIST_HEAD(&tm->living);
	INIT_LIST_HEAD(&tm->ending);
	INIT_LIST_HEAD(&tm->spares);
	INIT_LIST_HEAD(&tm->ended);
	hash_init(tm->index);
	tm->ended_index = RB_ROOT;
	tm->evict_tree = RB_ROOT_CACHED;
}

static int __init tm_init(void)
{
	struct tm_context *tm = &taskmonitor;
	int err;

	tm_context_init(tm);
	err = tm_cache_init(tm, reserve);
	if (err)
		return err;
	err = tm_shrinker_init(tm);
	if (err)
		goto err_cache;
	err = tm_hooks_init(tm);
	if (err)
		goto err_shrinker;
	if (target) {
		err = tm_monitor_add(tm, target);
		if (err)
			goto err_hooks;
	}
	err = tm_start(tm);
	if (err < 0)
		goto err_monitors;
	/* Users come at once, so this is last, and its counterpart first. */
	err = tm_files_init(tm);
	if (err)
		goto err_thread;

	pr_info("loaded: sizeof(struct task_sample) %zu, kmalloc would take %zu\n",
		sizeof(struct task_sample),
		kmalloc_size_roundup(sizeof(struct task_sample)));
	return 0;

err_thread:
	tm_stop(tm);
err_monitors:
	tm_monitor_remove(tm, 0);
err_hooks:
	tm_hooks_exit(tm);
err_shrinker:
	tm_shrinker_exit(tm);
err_cache:
	tm_cache_exit(tm);
	return err;
}

static void __exit tm_exit(void)
{
	struct tm_context *tm = &taskmonitor;

	tm_files_exit();
	tm_stop(tm);
	tm_hooks_exit(tm);
	tm_shrinker_exit(tm);
	tm_monitor_remove(tm, 0);
	tm_cache_exit(tm);
	pr_info("unloaded\n");
}

module_init(tm_init);
module_exit(tm_exit);

MODULE_DESCRIPTION("Records the CPU time and memory of chosen processes");
MODULE_AUTHOR("The taskmonitor developers");
MODULE_LICENSE("GPL");
/* The one place that has it: what else needs it reads it here, or asks modinfo. */
MODULE_VERSION("2.0.0");

#ifdef TASKMONITOR_KUNIT
#include "tests/kunit/taskmonitor_kunit.h"
#endif

// SPDX-License-Identifier: GPL-2.0
/*
 * Who is monitored, and when: the list of monitors, the rounds in which all of
 * them are sampled, the kthread that goes from round to round, the module.
 */

#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

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

static void tm_monitor_release(struct kref *ref)
{
	struct task_monitor *monitor = container_of(ref, struct task_monitor,
						    ref);

	put_pid(monitor->pid);
	mutex_destroy(&monitor->history_lock);
	kfree(monitor);
}

/**
 * tm_monitor_put() - drop a reference to a monitor
 * @monitor: the monitor; its history is empty by the time the last one goes
 *
 * Context: does not sleep and takes no lock of ours.
 */
void tm_monitor_put(struct task_monitor *monitor)
{
	kref_put(&monitor->ref, tm_monitor_release);
}

/* A monitor for @pid, whose reference it takes over; not in any list yet. */
static struct task_monitor *tm_monitor_alloc(struct pid *pid,
					     enum pid_type type)
{
	struct task_monitor *monitor = kzalloc(sizeof(*monitor), GFP_KERNEL);

	if (!monitor)
		return NULL;

	kref_init(&monitor->ref);
	INIT_LIST_HEAD(&monitor->node);
	INIT_LIST_HEAD(&monitor->living_node);
	INIT_LIST_HEAD(&monitor->ended_node);
	INIT_LIST_HEAD(&monitor->samples);
	mutex_init(&monitor->history_lock);
	tm_shrinker_may_lock(&monitor->history_lock);
	monitor->pid = pid;
	monitor->type = type;
	return monitor;
}

/* Publish @monitor, whose reference becomes the list's. */
static void tm_monitor_link(struct tm_context *tm,
			    struct task_monitor *monitor)
	__must_hold(&tm->list_lock)
{
	lockdep_assert_held(&tm->list_lock);

	monitor->id = tm->next_id++;
	list_add_tail(&monitor->node, &tm->tasks);
	list_add_tail(&monitor->living_node, &tm->living);
	hash_add(tm->index, &monitor->indexed, pid_nr(monitor->pid));
	tm->stats.monitors++;
}

/**
 * tm_monitor_unlink() - retract a monitor
 * @tm: the task monitor
 * @monitor: the monitor, whose history is empty; the caller does not use it any
 *	more. A reader that stopped at it sees that it was removed.
 *
 * Context: @tm->list_lock held; does not enter reclaim.
 */
void tm_monitor_unlink(struct tm_context *tm, struct task_monitor *monitor)
	__must_hold(&tm->list_lock)
{
	lockdep_assert_held(&tm->list_lock);

	mutex_lock(&monitor->history_lock);
	monitor->removed = true;
	mutex_unlock(&monitor->history_lock);
	list_del(&monitor->node);
	list_del(&monitor->living_node);
	list_del(&monitor->ended_node);
	hash_del(&monitor->indexed);
	tm->stats.monitors--;
	tm_monitor_put(monitor);
}

/*
 * Record that the process of @monitor has ended, which the round at @time found.
 * An entry that has no sample goes at once, others with their last sample.
 */
static void tm_monitor_end(struct tm_context *tm, struct task_monitor *monitor,
			   u64 time)
	__must_hold(&tm->round_lock)
	__must_hold(&tm->list_lock)
{
	lockdep_assert_held(&tm->round_lock);
	lockdep_assert_held(&tm->list_lock);

	monitor->ended_time = time;
	list_del_init(&monitor->living_node);
	list_add_tail(&monitor->ended_node, &tm->ended);
	if (!monitor->nr_samples)
		tm_monitor_unlink(tm, monitor);
}

/**
 * tm_monitor_next() - go on in the list of monitors
 * @tm: the task monitor
 * @monitor: where to go on from, NULL for the start. It may have been removed
 *	since, as long as the caller has a reference to it.
 *
 * Context: @tm->list_lock held.
 * Return: the next monitor in the order of adding, or NULL. No reference is
 * taken.
 */
struct task_monitor *tm_monitor_next(struct tm_context *tm,
				     struct task_monitor *monitor)
	__must_hold(&tm->list_lock)
{
	struct task_monitor *next;

	lockdep_assert_held(&tm->list_lock);

	if (!monitor)
		return list_first_entry_or_null(&tm->tasks, struct task_monitor,
						node);
	if (!monitor->removed)
		return list_is_last(&monitor->node, &tm->tasks) ?
		       NULL : list_next_entry(monitor, node);

	/* Its place is gone; the id still tells where that was. */
	list_for_each_entry(next, &tm->tasks, node)
		if (next->id > monitor->id)
			return next;
	return NULL;
}

static bool tm_is_monitored(struct tm_context *tm, struct pid *pid)
	__must_hold(&tm->list_lock)
{
	struct task_monitor *monitor;

	lockdep_assert_held(&tm->list_lock);

	hash_for_each_possible(tm->index, monitor, indexed, pid_nr(pid))
		if (monitor->pid == pid)
			return true;
	return false;
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

/*
 * Sample up to TM_BULK_MAX living monitors, from *@next on, or from the first if
 * that is NULL; *@next becomes where to go on, NULL at the end. It stays valid
 * without a reference: only who holds the round lock ends or removes a living one.
 *
 * Then print what was saved, when dynamic debug asks for it. By then no lock is
 * held that the history needs: a sample may have left it, and is valid all the
 * same, for just before it is printed there are two references to it, the
 * history's and ours, and only the history's can go.
 */
static void tm_round_slice(struct tm_context *tm, u64 time,
			   struct task_monitor **next, struct tm_batch *batch)
	__must_hold(&tm->round_lock)
{
	struct task_sample *saved[TM_BULK_MAX] __uninitialized;
	pid_t pids[TM_BULK_MAX] __uninitialized;
	struct task_monitor *monitor, *following;
	unsigned int i, nr = 0, room = TM_BULK_MAX;

	lockdep_assert_held(&tm->round_lock);

	mutex_lock(&tm->list_lock);
	tm_batch_fill(tm, batch, min_t(u64, tm->stats.monitors, TM_BULK_MAX),
		      GFP_NOWAIT);
	monitor = *next ?: list_first_entry(&tm->living, struct task_monitor,
					    living_node);
	*next = NULL;
	list_for_each_entry_safe_from(monitor, following, &tm->living,
				      living_node) {
		if (!room--) {
			*next = monitor;
			break;
		}
		pids[nr] = pid_nr(monitor->pid);
		saved[nr] = tm_save_sample(tm, monitor, time, batch);
		if (!IS_ERR(saved[nr]))
			nr++;
		else if (PTR_ERR(saved[nr]) == -ESRCH)
			tm_monitor_end(tm, monitor, time);
	}
	mutex_unlock(&tm->list_lock);

	for (i = 0; i < nr; i++) {
		pr_debug("pid %d usr %llu sys %llu\n", pids[i], saved[i]->usr,
			 saved[i]->sys);
		tm_sample_put(saved[i], tm);
	}
}

/* Sample every living process once. */
static void tm_round(struct tm_context *tm)
{
	struct task_monitor *next = NULL;
	struct tm_batch batch __uninitialized;
	u64 start, took;

	batch.nr = 0;
	mutex_lock(&tm->round_lock);
	start = tm_round_begin(tm);
	do {
		tm_round_slice(tm, start, &next, &batch);
		cond_resched();
	} while (next);
	tm_batch_free(tm, &batch);
	took = ktime_get_boottime_ns() - start;
	mutex_unlock(&tm->round_lock);

	mutex_lock(&tm->list_lock);
	tm->stats.tick_ns = took;
	tm->stats.tick_ns_max = max(tm->stats.tick_ns_max, took);
	mutex_unlock(&tm->list_lock);
}

/*
 * The deadline after @last. Those that have passed are counted in @missed and
 * left out, never made up for, and the phase stays.
 */
static ktime_t tm_next_deadline(ktime_t last, unsigned int period_ms,
				ktime_t now, u64 *missed)
{
	u64 period = (u64)period_ms * NSEC_PER_MSEC;
	ktime_t next = ktime_add_ns(last, period);

	*missed = 0;
	if (ktime_compare(now, next) >= 0)
		*missed = div64_u64(ktime_to_ns(ktime_sub(now, next)), period) +
			  1;
	return ktime_add_ns(next, *missed * period);
}

/*
 * Sleep until the deadline after @last, which is absolute, so that the time
 * that a round takes does not add up. A new period counts from @last on. Ends
 * early when the thread is to stop. Returns the deadline.
 */
static ktime_t tm_wait(struct tm_context *tm, ktime_t last)
{
	unsigned int period = READ_ONCE(tm->period_ms), changed;
	ktime_t next;
	u64 missed;

	next = tm_next_deadline(last, period, ktime_get(), &missed);
	if (missed) {
		mutex_lock(&tm->list_lock);
		tm->stats.late += missed;
		mutex_unlock(&tm->list_lock);
	}

	for (;;) {
		/* Idle: a sampler that waits is no load. Who wakes us writes first. */
		set_current_state(TASK_IDLE);
		if (kthread_should_stop())
			break;
		changed = READ_ONCE(tm->period_ms);
		if (changed != period) {
			period = changed;
			next = max(ktime_add_ms(last, period), ktime_get());
		}
		/* 0: the time has come, not somebody who wakes us. */
		if (!schedule_hrtimeout_range(&next, TM_TIMER_SLACK_NS,
					      HRTIMER_MODE_ABS))
			break;
	}
	__set_current_state(TASK_RUNNING);
	return next;
}

/*
 * The kthread. It is not freezable: it touches no device, and what it samples
 * is frozen before it.
 */
static int tm_monitor_fn(void *data)
{
	struct tm_context *tm = data;
	ktime_t deadline = ktime_get();

	while (!kthread_should_stop()) {
		tm_round(tm);
		deadline = tm_wait(tm, deadline);
	}
	return 0;
}

static void tm_set_sampling(struct tm_context *tm, bool sampling)
{
	mutex_lock(&tm->round_lock);
	tm->sampling = sampling;
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
	 * As a high-priority workqueue has it: whoever is busy waits for the
	 * little that a round takes, not a round until his time slice ends.
	 */
	set_user_nice(thread, MIN_NICE);
	tm_set_sampling(tm, true);
	tm->thread = thread;
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
		kthread_stop(tm->thread);
		tm->thread = NULL;
		tm_set_sampling(tm, false);
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

	monitor = tm_monitor_alloc(pid, type);
	if (!monitor) {
		put_pid(pid);
		return ERR_PTR(-ENOMEM);
	}
	return monitor;
}

/* Link @monitor, with its first sample, from @batch, when someone samples. */
static int tm_monitor_admit(struct tm_context *tm,
			    struct task_monitor *monitor,
			    struct tm_batch *batch)
	__must_hold(&tm->round_lock)
	__must_hold(&tm->list_lock)
{
	struct task_sample *sample;

	lockdep_assert_held(&tm->round_lock);
	lockdep_assert_held(&tm->list_lock);

	if (tm_is_monitored(tm, monitor->pid))
		return -EEXIST;
	if (tm->sampling) {
		sample = tm_save_sample(tm, monitor, tm_round_begin(tm), batch);
		if (IS_ERR(sample))
			return PTR_ERR(sample);
		tm_sample_put(sample, tm);
	}
	tm_monitor_link(tm, monitor);
	return 0;
}

/**
 * tm_monitor_add() - monitor a process from now on
 * @tm: the task monitor
 * @nr: its number in the caller's PID namespace
 *
 * When it returns the first sample is there, unless sampling is stopped.
 * Nobody's period is disturbed.
 *
 * Context: may sleep; no lock of ours held.
 * Return: 0, -ESRCH if there is no such process, -EEXIST if it is monitored
 * already, or -ENOMEM.
 */
int tm_monitor_add(struct tm_context *tm, pid_t nr)
{
	struct task_monitor *monitor;
	struct tm_batch batch = { };
	int err;

	monitor = tm_monitor_find_task(nr);
	if (IS_ERR(monitor))
		return PTR_ERR(monitor);

	/* Here memory may be waited for; under the locks it may not. */
	tm_batch_fill(tm, &batch, 1, GFP_KERNEL);
	if (!batch.nr) {
		tm_monitor_put(monitor);
		return -ENOMEM;
	}

	mutex_lock(&tm->round_lock);
	mutex_lock(&tm->list_lock);
	err = tm_monitor_admit(tm, monitor, &batch);
	mutex_unlock(&tm->list_lock);
	mutex_unlock(&tm->round_lock);

	tm_batch_free(tm, &batch);
	if (err)
		tm_monitor_put(monitor);
	return err;
}

/*
 * A monitor that is shown as @nr in the PID namespace @ns, or NULL. The index
 * knows the numbers of the initial one, in which a monitor is mostly removed.
 */
static struct task_monitor *tm_monitor_find(struct tm_context *tm, pid_t nr,
					    struct pid_namespace *ns)
	__must_hold(&tm->list_lock)
{
	struct task_monitor *monitor;

	lockdep_assert_held(&tm->list_lock);

	if (ns == &init_pid_ns) {
		hash_for_each_possible(tm->index, monitor, indexed, nr)
			if (pid_nr(monitor->pid) == nr)
				return monitor;
		return NULL;
	}
	list_for_each_entry(monitor, &tm->tasks, node)
		if (pid_nr_ns(monitor->pid, ns) == nr)
			return monitor;
	return NULL;
}

/* Remove @monitor. Its samples go to @samples, to be freed without a lock. */
static void tm_monitor_cut(struct tm_context *tm, struct task_monitor *monitor,
			   struct list_head *samples)
	__must_hold(&tm->round_lock)
	__must_hold(&tm->list_lock)
{
	lockdep_assert_held(&tm->round_lock);
	lockdep_assert_held(&tm->list_lock);

	mutex_lock(&monitor->history_lock);
	tm_history_cut(tm, monitor, samples);
	mutex_unlock(&monitor->history_lock);
	tm_monitor_unlink(tm, monitor);
}

/**
 * tm_monitor_remove() - end the monitoring of all that is shown as one number
 * @tm: the task monitor
 * @nr: the number in the caller's PID namespace
 *
 * Waits for a round under way.
 *
 * Context: may sleep; no lock of ours held.
 * Return: 0, or -ENOENT if nothing is monitored under that number.
 */
int tm_monitor_remove(struct tm_context *tm, pid_t nr)
{
	struct pid_namespace *ns = task_active_pid_ns(current);
	struct task_monitor *monitor;
	LIST_HEAD(samples);
	int err = -ENOENT;

	mutex_lock(&tm->round_lock);
	mutex_lock(&tm->list_lock);
	/* Several, when the number is in use again while a history is left. */
	while ((monitor = tm_monitor_find(tm, nr, ns))) {
		tm_monitor_cut(tm, monitor, &samples);
		err = 0;
	}
	mutex_unlock(&tm->list_lock);
	mutex_unlock(&tm->round_lock);

	tm_history_free(tm, &samples);
	return err;
}

static void tm_monitor_remove_all(struct tm_context *tm)
{
	struct task_monitor *monitor, *next;
	LIST_HEAD(samples);

	mutex_lock(&tm->round_lock);
	mutex_lock(&tm->list_lock);
	list_for_each_entry_safe(monitor, next, &tm->tasks, node)
		tm_monitor_cut(tm, monitor, &samples);
	mutex_unlock(&tm->list_lock);
	mutex_unlock(&tm->round_lock);

	tm_history_free(tm, &samples);
}

/* The module */

/**
 * tm_context_init() - prepare a task monitor that watches nobody yet
 * @tm: the task monitor, all zeros but for the parameters and thread_lock, which
 *	parameters need before the module's init runs
 *
 * Context: may sleep.
 */
void tm_context_init(struct tm_context *tm)
{
	mutex_init(&tm->round_lock);
	mutex_init(&tm->list_lock);
	tm_shrinker_may_lock(&tm->list_lock);
	INIT_LIST_HEAD(&tm->tasks);
	INIT_LIST_HEAD(&tm->living);
	INIT_LIST_HEAD(&tm->ended);
	hash_init(tm->index);
	tm->evict_tree = RB_ROOT;
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
	if (target) {
		err = tm_monitor_add(tm, target);
		if (err)
			goto err_shrinker;
	}
	err = tm_start(tm);
	if (err < 0)
		goto err_monitors;
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
	tm_monitor_remove_all(tm);
err_shrinker:
	tm_shrinker_exit(tm);
err_cache:
	tm_cache_exit(tm);
	return err;
}

static void __exit tm_exit(void)
{
	struct tm_context *tm = &taskmonitor;

	tm_files_exit(tm);
	tm_stop(tm);
	tm_shrinker_exit(tm);
	tm_monitor_remove_all(tm);
	tm_cache_exit(tm);
	pr_info("unloaded\n");
}

module_init(tm_init);
module_exit(tm_exit);

MODULE_DESCRIPTION("Records the CPU time and memory of chosen processes");
MODULE_LICENSE("GPL");

#ifdef TASKMONITOR_KUNIT
#include "tests/taskmonitor_kunit.h"
#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the unit tests share: a task monitor of their own, with its own cache
 * and pool, and kernel threads to monitor. In some kernels they run beside the
 * module's, in others before it.
 */
#ifndef _TASKMONITOR_KUNIT_H
#define _TASKMONITOR_KUNIT_H

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "../../taskmonitor.h"

#define TM_TEST_RESERVE 4

/* More than a slice of a round. */
#define TM_TEST_THREADS (TM_BULK_MAX + 8)

/**
 * struct tm_test - the fixture
 * @tm: the task monitor under test
 * @exhausted: from now on the slab has nothing, only the reserve
 * @nr_threads: how many of @threads there were, the ended ones included
 * @threads: kernel threads that do nothing, to be monitored; NULL once ended
 */
struct tm_test {
	struct tm_context tm;
	bool exhausted;
	unsigned int nr_threads;
	struct task_struct *threads[TM_TEST_THREADS];
};

static inline struct tm_context *tm_test_tm(struct kunit *test)
{
	return &((struct tm_test *)test->priv)->tm;
}

static inline void *tm_test_pool_alloc(gfp_t gfp, void *data)
{
	struct tm_test *fixture = data;

	return fixture->exhausted ? NULL :
	       kmem_cache_alloc(fixture->tm.slab, gfp);
}

static inline void tm_test_pool_free(void *element, void *data)
{
	struct tm_test *fixture = data;

	kmem_cache_free(fixture->tm.slab, element);
}

static inline int tm_test_init(struct kunit *test)
{
	struct tm_test *fixture = kunit_kzalloc(test, sizeof(*fixture),
						GFP_KERNEL);
	struct tm_context *tm;

	KUNIT_ASSERT_NOT_NULL(test, fixture);
	test->priv = fixture;
	tm = &fixture->tm;
	mutex_init(&tm->thread_lock);
	tm_context_init(tm);
	tm->slab = kmem_cache_create("tm_test_sample",
				     sizeof(struct task_sample), 0, 0, NULL);
	KUNIT_ASSERT_NOT_NULL(test, tm->slab);
	tm->pool = mempool_create(TM_TEST_RESERVE, tm_test_pool_alloc,
				  tm_test_pool_free, fixture);
	KUNIT_ASSERT_NOT_NULL(test, tm->pool);
	return 0;
}

static inline int tm_test_thread_fn(void *unused)
{
	for (;;) {
		set_current_state(TASK_IDLE);
		if (kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

/* Monitor one more kernel thread, which no thread samples by itself. */
static inline struct task_monitor *tm_test_monitor(struct kunit *test)
{
	struct tm_test *fixture = test->priv;
	struct tm_context *tm = tm_test_tm(test);
	struct task_struct *thread;

	KUNIT_ASSERT_LT(test, fixture->nr_threads, 0U + TM_TEST_THREADS);
	thread = kthread_run(tm_test_thread_fn, NULL, "tm_test_thread");
	KUNIT_ASSERT_FALSE(test, IS_ERR(thread));
	fixture->threads[fixture->nr_threads++] = get_task_struct(thread);
	KUNIT_ASSERT_EQ(test, tm_monitor_add(tm, task_pid_vnr(thread)), 0);
	return list_last_entry(&tm->tasks, struct task_monitor, node);
}

/* Monitor @nr more, and tell which. */
static inline void tm_test_monitors(struct kunit *test,
				    struct task_monitor **monitors, int nr)
{
	while (nr--)
		*monitors++ = tm_test_monitor(test);
}

/**
 * struct tm_test_waiter - something that has to wait for a lock
 * @fn: what it is
 * @data: its argument
 * @thread: does it, on another CPU than the test
 * @done: it has been done
 */
struct tm_test_waiter {
	void (*fn)(void *data);
	void *data;
	struct task_struct *thread;
	struct completion done;
};

static inline int tm_test_waiter_fn(void *data)
{
	struct tm_test_waiter *waiter = data;

	waiter->fn(waiter->data);
	complete(&waiter->done);
	return 0;
}

/* Prepare @waiter; the lock is not held yet. */
static inline void tm_test_waiter_init(struct kunit *test,
				       struct tm_test_waiter *waiter,
				       void (*fn)(void *data), void *data)
{
	unsigned int cpu = cpumask_first(cpu_online_mask);

	if (num_online_cpus() < 2)
		kunit_skip(test, "one CPU");
	*waiter = (struct tm_test_waiter){ .fn = fn, .data = data };
	init_completion(&waiter->done);
	waiter->thread = kthread_create(tm_test_waiter_fn, waiter,
					"tm_test_waiter");
	KUNIT_ASSERT_FALSE(test, IS_ERR(waiter->thread));
	KUNIT_ASSERT_EQ(test, set_cpus_allowed_ptr(current, cpumask_of(cpu)),
			0);
	kthread_bind(waiter->thread, cpumask_next(cpu, cpu_online_mask));
}

/* With the lock held: it does not get on. */
static inline void tm_test_waiter_waits(struct kunit *test,
					struct tm_test_waiter *waiter)
{
	wake_up_process(waiter->thread);
	mdelay(100);
	KUNIT_EXPECT_FALSE(test, completion_done(&waiter->done));
}

/* With the lock let go: now it does. */
static inline void tm_test_waiter_ends(struct tm_test_waiter *waiter)
{
	wait_for_completion(&waiter->done);
	set_cpus_allowed_ptr(current, cpu_possible_mask);
}

/* End a thread, and wait until no PID finds it any more. */
static inline void tm_test_stop(struct kunit *test, struct task_struct **thread)
{
	struct pid *pid = get_pid(task_pid(*thread));
	int tries = 10 * HZ;
	bool found;

	kthread_stop(*thread);
	put_task_struct(*thread);
	*thread = NULL;
	do {
		rcu_read_lock();
		found = pid_task(pid, PIDTYPE_PID);
		rcu_read_unlock();
		if (found)
			schedule_timeout_idle(1);
	} while (found && --tries);
	KUNIT_EXPECT_FALSE(test, found);
	put_pid(pid);
}

/* End the thread that @monitor watches; no round notices. */
static inline void tm_test_end(struct kunit *test, struct task_monitor *monitor)
{
	struct tm_test *fixture = test->priv;
	unsigned int i;

	for (i = 0; i < fixture->nr_threads; i++)
		if (fixture->threads[i] &&
		    task_pid(fixture->threads[i]) == monitor->pid)
			break;
	KUNIT_ASSERT_LT(test, i, fixture->nr_threads);
	tm_test_stop(test, &fixture->threads[i]);
}

/* Take a sample of @monitor with the time @time; only the history keeps it. */
static inline struct task_sample *tm_test_sample(struct kunit *test,
						 struct task_monitor *monitor,
						 u64 time)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_sample *sample;
	struct tm_supply supply = { };

	mutex_lock(&tm->round_lock);
	sample = tm_save_sample(tm, monitor, NULL, time, &supply);
	mutex_unlock(&tm->round_lock);
	if (!IS_ERR(sample))
		tm_sample_put(sample, tm);
	tm_batch_free(tm, &supply.batch);
	return sample;
}

/* A round of the kthread, with a time of its own. */
static inline void tm_test_round(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	u64 time = tm->round_time;
	int tries = 10 * HZ;

	tm->period_ms = 3600000;
	KUNIT_ASSERT_EQ(test, tm_start(tm), 1);
	while (READ_ONCE(tm->round_time) == time && --tries)
		schedule_timeout_idle(1);
	KUNIT_EXPECT_GT(test, tries, 0);
	/* Waits for the end of the round. */
	KUNIT_EXPECT_TRUE(test, tm_stop(tm));
}

/* Remove @monitor, history and all. */
static inline void tm_test_remove(struct kunit *test,
				  struct task_monitor *monitor)
{
	KUNIT_EXPECT_EQ(test, tm_monitor_remove(tm_test_tm(test),
						pid_vnr(monitor->pid)), 0);
}

/* Entries of a list; list_count_nodes() is not in 6.1. */
static inline int tm_test_count(struct list_head *head)
{
	struct list_head *node;
	int nr = 0;

	list_for_each(node, head)
		nr++;
	return nr;
}

/* Evict the @want oldest samples; returns how many were freed. */
static inline unsigned int tm_test_evict(struct kunit *test, unsigned int want)
{
	struct tm_context *tm = tm_test_tm(test);
	struct tm_batch batch;
	unsigned int freed;

	freed = tm_evict_oldest(tm, want, &batch);
	KUNIT_EXPECT_EQ(test, freed, want);
	freed = batch.nr;
	tm_batch_free(tm, &batch);
	return freed;
}

/* Every object has to be back by now: the cache says so if one is not. */
static inline void tm_test_exit(struct kunit *test)
{
	struct tm_test *fixture = test->priv;
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor, *next;
	unsigned int i;

	list_for_each_entry_safe(monitor, next, &tm->tasks, node)
		tm_test_remove(test, monitor);
	for (i = 0; i < fixture->nr_threads; i++)
		if (fixture->threads[i])
			tm_test_stop(test, &fixture->threads[i]);
	KUNIT_EXPECT_EQ(test, tm->stats.monitors, 0ULL);
	KUNIT_EXPECT_EQ(test, tm->stats.samples, 0ULL);
	KUNIT_EXPECT_TRUE(test, RB_EMPTY_ROOT(&tm->evict_tree.rb_root));
	mempool_destroy(tm->pool);
	kmem_cache_destroy(tm->slab);
}

#endif /* _TASKMONITOR_KUNIT_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the unit tests share: a task monitor of their own, with its own cache
 * and pool. In some kernels they run beside the module's, in others before it.
 */
#ifndef _TASKMONITOR_KUNIT_H
#define _TASKMONITOR_KUNIT_H

#include <kunit/test.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "../taskmonitor.h"

#define TM_TEST_RESERVE 4

/**
 * struct tm_test - the fixture
 * @tm: the task monitor under test
 * @exhausted: from now on the slab has nothing, only the reserve
 */
struct tm_test {
	struct tm_context tm;
	bool exhausted;
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
	mutex_init(&tm->round_lock);
	mutex_init(&tm->list_lock);
	INIT_LIST_HEAD(&tm->tasks);
	hash_init(tm->index);
	tm->evict_tree = RB_ROOT;
	tm->slab = kmem_cache_create("tm_test_sample",
				     sizeof(struct task_sample), 0, 0, NULL);
	KUNIT_ASSERT_NOT_NULL(test, tm->slab);
	tm->pool = mempool_create(TM_TEST_RESERVE, tm_test_pool_alloc,
				  tm_test_pool_free, fixture);
	KUNIT_ASSERT_NOT_NULL(test, tm->pool);
	return 0;
}

static inline void tm_test_lock(struct tm_context *tm)
{
	mutex_lock(&tm->round_lock);
	mutex_lock(&tm->list_lock);
}

static inline void tm_test_unlock(struct tm_context *tm)
{
	mutex_unlock(&tm->list_lock);
	mutex_unlock(&tm->round_lock);
}

/* A monitor of the thread that runs the tests, linked as the last. */
static inline struct task_monitor *tm_test_monitor(struct kunit *test)
{
	struct task_monitor *monitor = kzalloc(sizeof(*monitor), GFP_KERNEL);
	struct tm_context *tm = tm_test_tm(test);

	KUNIT_ASSERT_NOT_NULL(test, monitor);
	kref_init(&monitor->ref);
	mutex_init(&monitor->history_lock);
	INIT_LIST_HEAD(&monitor->samples);
	monitor->pid = get_pid(task_pid(current));
	monitor->type = PIDTYPE_TGID;
	mutex_lock(&tm->list_lock);
	monitor->id = tm->next_id++;
	list_add_tail(&monitor->node, &tm->tasks);
	tm->stats.monitors++;
	mutex_unlock(&tm->list_lock);
	return monitor;
}

/* Take a sample of @monitor with the time @time; only the history keeps it. */
static inline struct task_sample *tm_test_sample(struct kunit *test,
						 struct task_monitor *monitor,
						 u64 time)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_sample *sample;
	struct tm_batch batch = { };

	tm_test_lock(tm);
	sample = tm_save_sample(tm, monitor, time, &batch);
	tm_test_unlock(tm);
	if (sample)
		tm_sample_put(sample, tm);
	tm_batch_free(tm, &batch);
	return sample;
}

/* Remove @monitor, history and all. */
static inline void tm_test_remove(struct kunit *test,
				  struct task_monitor *monitor)
{
	struct tm_context *tm = tm_test_tm(test);
	LIST_HEAD(samples);

	mutex_lock(&tm->list_lock);
	mutex_lock(&monitor->history_lock);
	tm_history_cut(tm, monitor, &samples);
	mutex_unlock(&monitor->history_lock);
	monitor->exited = true;
	tm_monitor_reap(tm, monitor);
	mutex_unlock(&tm->list_lock);
	tm_history_free(tm, &samples);
}

/* Evict the @want oldest samples; returns how many were freed. */
static inline unsigned int tm_test_evict(struct kunit *test, unsigned int want)
{
	struct tm_context *tm = tm_test_tm(test);
	struct tm_batch batch;
	unsigned int freed;

	KUNIT_EXPECT_EQ(test, tm_evict_oldest(tm, want, &batch), want);
	freed = batch.nr;
	tm_batch_free(tm, &batch);
	return freed;
}

/* Every object has to be back by now: the cache says so if one is not. */
static inline void tm_test_exit(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor, *next;

	list_for_each_entry_safe(monitor, next, &tm->tasks, node)
		tm_test_remove(test, monitor);
	KUNIT_EXPECT_EQ(test, tm->stats.monitors, 0ULL);
	KUNIT_EXPECT_EQ(test, tm->stats.samples, 0ULL);
	KUNIT_EXPECT_TRUE(test, RB_EMPTY_ROOT(&tm->evict_tree));
	mempool_destroy(tm->pool);
	kmem_cache_destroy(tm->slab);
}

#endif /* _TASKMONITOR_KUNIT_H */

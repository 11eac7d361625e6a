/* SPDX-License-Identifier: GPL-2.0 */
/* Unit tests of sample_cache.c, which includes this file. */

#include <linux/sched/mm.h>
#include <linux/sched/task.h>

#include "kunit.h"

static void tm_test_takes(struct kunit *test, struct task_monitor *monitor,
			  u64 time)
{
	KUNIT_EXPECT_FALSE(test, IS_ERR(tm_test_sample(test, monitor, time)));
}

/* T4Q2: the reserve is all there when the slab has nothing, and no more. */
static void tm_test_reserve(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_sample *samples[TM_TEST_RESERVE];
	struct tm_supply none = { };
	int i;

	((struct tm_test *)test->priv)->exhausted = true;
	for (i = 0; i < TM_TEST_RESERVE; i++) {
		samples[i] = tm_sample_alloc(tm, &none);
		KUNIT_ASSERT_NOT_NULL(test, samples[i]);
		INIT_LIST_HEAD(&samples[i]->node);
		kref_init(&samples[i]->ref);
	}
	KUNIT_EXPECT_NULL(test, tm_sample_alloc(tm, &none));
	for (i = 0; i < TM_TEST_RESERVE; i++)
		KUNIT_EXPECT_TRUE(test, tm_sample_put(samples[i], tm));
	KUNIT_EXPECT_EQ(test, tm->pool->curr_nr, TM_TEST_RESERVE);
}

/* T5Q3: two references when a sample is saved: the history's and ours. */
static void tm_test_references(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	struct task_sample *sample;
	struct tm_supply none = { };

	mutex_lock(&tm->round_lock);
	sample = tm_save_sample(tm, monitor, NULL, 7, &none);
	mutex_unlock(&tm->round_lock);
	KUNIT_ASSERT_FALSE(test, IS_ERR(sample));
	KUNIT_EXPECT_EQ(test, kref_read(&sample->ref), 2U);

	/* Evicted, it stays valid for as long as we have it. */
	KUNIT_EXPECT_EQ(test, tm_test_evict(test, 1), 0U);
	KUNIT_EXPECT_EQ(test, kref_read(&sample->ref), 1U);
	KUNIT_EXPECT_EQ(test, sample->time, 7ULL);
	KUNIT_EXPECT_TRUE(test, list_empty(&sample->node));
	KUNIT_EXPECT_TRUE(test, tm_sample_put(sample, tm));
}

/* What was empty once is not asked again in the same round. */
static void tm_test_supply(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	struct tm_supply empty = { .slab_failed = true };
	struct tm_supply fresh = { };
	struct task_sample *sample;
	u64 time;

	tm_supply_fill(tm, &empty, 3, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, empty.batch.nr, 0U);

	((struct tm_test *)test->priv)->exhausted = true;
	for (time = 1; time <= TM_TEST_RESERVE; time++)
		tm_test_takes(test, monitor, time);
	KUNIT_EXPECT_NULL(test, tm_sample_alloc(tm, &empty));
	((struct tm_test *)test->priv)->exhausted = false;
	KUNIT_EXPECT_NULL(test, tm_sample_alloc(tm, &empty));
	sample = tm_sample_alloc(tm, &fresh);
	KUNIT_ASSERT_NOT_NULL(test, sample);
	mempool_free(sample, tm->pool);
}

/* A batch is what is filled first; the reserve is not touched. */
static void tm_test_batch(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	struct task_sample *sample;
	struct tm_supply supply = { };
	void *last;

	tm_supply_fill(tm, &supply, 3, GFP_KERNEL);
	KUNIT_ASSERT_EQ(test, supply.batch.nr, 3U);
	last = supply.batch.samples[2];
	mutex_lock(&tm->round_lock);
	sample = tm_save_sample(tm, monitor, NULL, 1, &supply);
	mutex_unlock(&tm->round_lock);
	KUNIT_EXPECT_PTR_EQ(test, (void *)sample, last);
	KUNIT_EXPECT_EQ(test, supply.batch.nr, 2U);
	KUNIT_EXPECT_EQ(test, kref_read(&sample->ref), 2U);
	tm_sample_put(sample, tm);

	tm_supply_fill(tm, &supply, TM_BULK_MAX, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, supply.batch.nr, 0U + TM_BULK_MAX);
	/* It is full already. */
	tm_supply_fill(tm, &supply, 1, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, supply.batch.nr, 0U + TM_BULK_MAX);
	tm_batch_free(tm, &supply.batch);
	KUNIT_EXPECT_EQ(test, supply.batch.nr, 0U);
	KUNIT_EXPECT_EQ(test, tm->pool->curr_nr, TM_TEST_RESERVE);
}

/* What is freed fills up the reserve first. */
static void tm_test_refill(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	struct tm_supply supply = { };

	((struct tm_test *)test->priv)->exhausted = true;
	tm_test_takes(test, monitor, 1);
	KUNIT_EXPECT_EQ(test, tm->pool->curr_nr, TM_TEST_RESERVE - 1);
	tm_supply_fill(tm, &supply, 2, GFP_KERNEL);
	tm_batch_free(tm, &supply.batch);
	KUNIT_EXPECT_EQ(test, tm->pool->curr_nr, TM_TEST_RESERVE);
}

/* More than one batch is freed in several. */
static void tm_test_free(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	LIST_HEAD(samples);
	u64 time;

	for (time = 1; time <= 2 * TM_BULK_MAX + 1; time++)
		tm_test_sample(test, monitor, time);
	raw_spin_lock(&tm->list_lock);
	tm_history_cut(tm, monitor, &samples);
	raw_spin_unlock(&tm->list_lock);
	KUNIT_EXPECT_EQ(test, tm->stats.removed, 2 * TM_BULK_MAX + 1ULL);
	tm_history_free(tm, &samples);
}

/* With neither slab nor reserve the oldest of the same history is reused. */
static void tm_test_recycle(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	u64 time;

	((struct tm_test *)test->priv)->exhausted = true;
	for (time = 1; time <= TM_TEST_RESERVE + 3; time++)
		tm_test_takes(test, monitor, time);
	KUNIT_EXPECT_EQ(test, tm->stats.recycled, 3ULL);
	KUNIT_EXPECT_EQ(test, tm->stats.dropped, 0ULL);
	KUNIT_EXPECT_EQ(test, monitor->nr_samples, 0UL + TM_TEST_RESERVE);
	KUNIT_EXPECT_EQ(test,
			list_first_entry(&monitor->samples, struct task_sample,
					 node)->time, 4ULL);
}

/* A sample that a reader holds cannot be reused: the next one is. */
static void tm_test_recycle_held(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	struct task_sample *held;
	u64 time;

	((struct tm_test *)test->priv)->exhausted = true;
	for (time = 1; time <= TM_TEST_RESERVE; time++)
		tm_test_sample(test, monitor, time);
	held = list_first_entry(&monitor->samples, struct task_sample, node);
	kref_get(&held->ref);

	tm_test_takes(test, monitor, time);
	KUNIT_EXPECT_EQ(test, tm->stats.recycled, 2ULL);
	KUNIT_EXPECT_EQ(test, held->time, 1ULL);
	KUNIT_EXPECT_TRUE(test, tm_sample_put(held, tm));
}

/* With nothing to reuse either the sample is dropped, and that is counted. */
static void tm_test_dropped(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *rich = tm_test_monitor(test);
	struct task_monitor *poor = tm_test_monitor(test);
	u64 time;

	((struct tm_test *)test->priv)->exhausted = true;
	for (time = 1; time <= TM_TEST_RESERVE; time++)
		tm_test_sample(test, rich, time);
	KUNIT_EXPECT_EQ(test, PTR_ERR(tm_test_sample(test, poor, time)),
			-ENOMEM + 0L);
	KUNIT_EXPECT_EQ(test, tm->stats.dropped, 1ULL);
	KUNIT_EXPECT_EQ(test, tm->stats.recycled, 0ULL);
	KUNIT_EXPECT_EQ(test, rich->nr_samples, 0UL + TM_TEST_RESERVE);
}

/* Of a process that has ended there is no sample, and nothing changes. */
static void tm_test_gone(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);

	tm_test_sample(test, monitor, 1);
	tm_test_end(test, monitor);
	KUNIT_EXPECT_EQ(test, PTR_ERR(tm_test_sample(test, monitor, 2)),
			-ESRCH + 0L);
	KUNIT_EXPECT_EQ(test, monitor->nr_samples, 1UL);
	KUNIT_EXPECT_EQ(test, tm->stats.taken, 1ULL);
	KUNIT_EXPECT_EQ(test, tm->stats.dropped, 0ULL);
}

static void tm_test_cap(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	u64 time;

	for (time = 1; time <= 10; time++)
		tm_test_sample(test, monitor, time);
	tm->max_samples = 3;
	tm_test_sample(test, monitor, time);
	KUNIT_EXPECT_EQ(test, monitor->nr_samples, 3UL);
	KUNIT_EXPECT_EQ(test, tm->stats.capped, 8ULL);
	KUNIT_EXPECT_EQ(test, monitor->oldest_time, 9ULL);
}

/* The kernel's own counterpart of each: cputime_adjust(). */
static void tm_test_scale(struct kunit *test)
{
	static const struct {
		struct tm_cputime now, prev;
		u64 utime, stime;
	} cases[] = {
		/* no tick yet, or ticks of one kind: all of it is that kind */
		{ { 0, 0, 500 }, { }, 500, 0 },
		{ { 0, 8, 500 }, { }, 0, 500 },
		{ { 8, 0, 500 }, { }, 500, 0 },
		/* as the ticks say, and the sum is what ran */
		{ { 3, 1, 1000 }, { }, 750, 250 },
		{ { 1, 2, 100 }, { }, 34, 66 },
		/* neither falls */
		{ { 3, 1, 1000 }, { 800, 100 }, 800, 200 },
		{ { 3, 1, 1000 }, { 100, 400 }, 600, 400 },
		/* nor the sum, were the run time to */
		{ { 3, 1, 1000 }, { 900, 200 }, 900, 200 },
		{ { 3, 1, 1000 }, { 900, 100 }, 900, 100 },
		/* the product needs more than 64 bits: 100 CPUs, 10 years */
		{ { 15768000000000000000ULL, 1000, 15768000000000001000ULL },
		  { }, 15768000000000000000ULL, 1000 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tm_cputime prev = cases[i].prev;

		tm_scale_cputime(&cases[i].now, &prev);
		KUNIT_EXPECT_EQ_MSG(test, prev.utime, cases[i].utime,
				    "case %d", i);
		KUNIT_EXPECT_EQ_MSG(test, prev.stime, cases[i].stime,
				    "case %d", i);
	}
}

/* The task and the mm of the guest's init, which is no kernel thread. */
static struct task_struct *tm_test_init_task(struct kunit *test)
{
	struct pid *pid = find_get_pid(1);
	struct task_struct *task = get_pid_task(pid, PIDTYPE_PID);

	put_pid(pid);
	KUNIT_ASSERT_NOT_NULL(test, task);
	return task;
}

static int tm_test_borrower_fn(void *data)
{
	kthread_use_mm(data);
	tm_test_thread_fn(NULL);
	kthread_unuse_mm(data);
	return 0;
}

/* The mm that a kernel thread uses for a while is not its own. */
static void tm_test_borrowed_mm(struct kunit *test)
{
	struct task_struct *init = tm_test_init_task(test);
	struct mm_struct *mm = get_task_mm(init);
	struct task_sample sample;
	struct task_struct *thread;
	int tries = 10 * HZ;

	KUNIT_ASSERT_NOT_NULL(test, mm);
	tm_get_memory(init, &sample);
	KUNIT_EXPECT_GT(test, sample.rss, 0U);
	put_task_struct(init);

	thread = kthread_run(tm_test_borrower_fn, mm, "tm_test_borrower");
	KUNIT_ASSERT_FALSE(test, IS_ERR(thread));
	while (READ_ONCE(thread->mm) != mm && --tries)
		schedule_timeout_idle(1);
	KUNIT_EXPECT_PTR_EQ(test, thread->mm, mm);
	tm_get_memory(thread, &sample);
	KUNIT_EXPECT_EQ(test, sample.rss, 0U);
	KUNIT_EXPECT_EQ(test, (u64)sample.total, 0ULL);
	kthread_stop(thread);
	mmput(mm);
}

static void tm_test_reader_of_memory(void *data)
{
	struct task_sample sample;

	tm_get_memory(data, &sample);
}

/* An exec that replaces the mm is waited for. */
static void tm_test_task_lock(struct kunit *test)
{
	struct task_struct *init = tm_test_init_task(test);
	struct tm_test_waiter waiter;

	tm_test_waiter_init(test, &waiter, tm_test_reader_of_memory, init);
	task_lock(init);
	tm_test_waiter_waits(test, &waiter);
	task_unlock(init);
	tm_test_waiter_ends(&waiter);
	put_task_struct(init);
}

static void tm_test_reader_of_cputime(void *data)
{
	struct tm_cputime sum;

	rcu_read_lock();
	tm_get_group_cputime(data, &sum);
	rcu_read_unlock();
}

/* So is a thread that moves its time to the group. */
static void tm_test_stats_lock(struct kunit *test)
{
	struct task_struct *init = tm_test_init_task(test);
	struct tm_test_waiter waiter;
	unsigned long flags;

	tm_test_waiter_init(test, &waiter, tm_test_reader_of_cputime, init);
	write_seqlock_irqsave(&init->signal->stats_lock, flags);
	tm_test_waiter_waits(test, &waiter);
	write_sequnlock_irqrestore(&init->signal->stats_lock, flags);
	tm_test_waiter_ends(&waiter);
	put_task_struct(init);
}

/* A name that is just being written has no NUL. */
static void tm_test_name_without_end(struct kunit *test)
{
	struct task_monitor *monitor = tm_test_monitor(test);
	struct tm_test *fixture = test->priv;
	char *comm = fixture->threads[0]->comm;
	char name[TASK_COMM_LEN];

	memcpy(name, comm, TASK_COMM_LEN);
	memset(comm, 'x', TASK_COMM_LEN);
	tm_test_sample(test, monitor, 1);
	memcpy(comm, name, TASK_COMM_LEN);

	KUNIT_EXPECT_EQ(test, monitor->comm[TASK_COMM_LEN - 2], 'x');
	KUNIT_EXPECT_EQ(test, monitor->comm[TASK_COMM_LEN - 1], '\0');
	tm_test_sample(test, monitor, 2);
	KUNIT_EXPECT_STREQ(test, monitor->comm, name);
}

static void tm_test_saturate(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, tm_saturate(0, 36), 0ULL);
	KUNIT_EXPECT_EQ(test, tm_saturate((1ULL << 36) - 1, 36),
			(1ULL << 36) - 1);
	KUNIT_EXPECT_EQ(test, tm_saturate(1ULL << 36, 36), (1ULL << 36) - 1);
	KUNIT_EXPECT_EQ(test, tm_saturate(U64_MAX, 36), (1ULL << 36) - 1);
	/* 20 TiB of 4 KiB pages fit. */
	KUNIT_EXPECT_EQ(test, tm_saturate(20ULL << 28, TM_TOTAL_BITS),
			20ULL << 28);
}

static struct kunit_case tm_sample_cases[] = {
	KUNIT_CASE(tm_test_reserve),
	KUNIT_CASE(tm_test_references),
	KUNIT_CASE(tm_test_supply),
	KUNIT_CASE(tm_test_batch),
	KUNIT_CASE(tm_test_refill),
	KUNIT_CASE(tm_test_free),
	KUNIT_CASE(tm_test_recycle),
	KUNIT_CASE(tm_test_recycle_held),
	KUNIT_CASE(tm_test_dropped),
	KUNIT_CASE(tm_test_gone),
	KUNIT_CASE(tm_test_cap),
	KUNIT_CASE(tm_test_scale),
	KUNIT_CASE(tm_test_borrowed_mm),
	KUNIT_CASE(tm_test_task_lock),
	KUNIT_CASE(tm_test_stats_lock),
	KUNIT_CASE(tm_test_name_without_end),
	KUNIT_CASE(tm_test_saturate),
	{ }
};

static struct kunit_suite tm_sample_suite = {
	.name = "taskmonitor_sample_cache",
	.init = tm_test_init,
	.exit = tm_test_exit,
	.test_cases = tm_sample_cases,
};

kunit_test_suite(tm_sample_suite);

/* SPDX-License-Identifier: GPL-2.0 */
/* Unit tests of shrinker.c, which includes this file. */

#include "kunit.h"

static unsigned long tm_test_scan(struct kunit *test, unsigned long want,
				  unsigned long *scanned)
{
	struct shrink_control sc = { .nr_to_scan = want };
	unsigned long freed = tm_scan(tm_test_tm(test), &sc);

	if (scanned)
		*scanned = sc.nr_scanned;
	return freed;
}

static u64 tm_test_oldest(struct task_monitor *monitor)
{
	return list_first_entry(&monitor->samples, struct task_sample,
				node)->time;
}

/* Nothing to evict: no monitor, or none that has a sample. */
static void tm_test_nothing(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor;

	KUNIT_EXPECT_EQ(test, tm_count(tm, 0), SHRINK_EMPTY);
	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 8, NULL), SHRINK_STOP);
	monitor = tm_test_monitor(test);
	KUNIT_EXPECT_EQ(test, tm_count(tm, 0), SHRINK_EMPTY);
	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 8, NULL), SHRINK_STOP);
	tm_test_sample(test, monitor, 1);
	KUNIT_EXPECT_EQ(test, tm_count(tm, 0), 1UL);
}

/* A living process's last sample can go too; its entry stays, and goes on. */
static void tm_test_last(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	struct task_sample *sample;
	u64 usr;

	sample = tm_test_sample(test, monitor, 1);
	usr = sample->usr;
	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 8, NULL), 1UL);
	KUNIT_EXPECT_EQ(test, monitor->nr_samples, 0UL);
	KUNIT_EXPECT_EQ(test, tm->stats.monitors, 1ULL);
	KUNIT_EXPECT_EQ(test, tm_count(tm, 0), SHRINK_EMPTY);

	sample = tm_test_sample(test, monitor, 2);
	KUNIT_ASSERT_FALSE(test, IS_ERR(sample));
	KUNIT_EXPECT_GE(test, sample->usr, usr);
	KUNIT_EXPECT_EQ(test, tm_count(tm, 0), 1UL);
}

/* Oldest first by time, in any history and order of adding. */
static void tm_test_order(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *a = tm_test_monitor(test);
	struct task_monitor *b = tm_test_monitor(test);
	struct task_monitor *c = tm_test_monitor(test);
	unsigned long scanned;
	u64 time;

	/* a: 5 to 14, b: 1 to 14, c: 12 to 14 */
	for (time = 1; time <= 14; time++) {
		if (time >= 5)
			tm_test_sample(test, a, time);
		tm_test_sample(test, b, time);
		if (time >= 12)
			tm_test_sample(test, c, time);
	}
	KUNIT_EXPECT_EQ(test, tm_count(tm, 0), 27UL);

	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 3, &scanned), 3UL);
	KUNIT_EXPECT_EQ(test, scanned, 3UL);
	KUNIT_EXPECT_EQ(test, tm_test_oldest(b), 4ULL);
	KUNIT_EXPECT_EQ(test, a->nr_samples, 10UL);

	/* 4 of b, then 5 to 11 of both */
	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 15, &scanned), 15UL);
	KUNIT_EXPECT_EQ(test, tm_test_oldest(a), 12ULL);
	KUNIT_EXPECT_EQ(test, tm_test_oldest(b), 12ULL);
	KUNIT_EXPECT_EQ(test, c->nr_samples, 3UL);
	KUNIT_EXPECT_EQ(test, tm_count(tm, 0), 9UL);

	/* More than there is. */
	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 100, &scanned), 9UL);
	KUNIT_EXPECT_EQ(test, scanned, 9UL);
	KUNIT_EXPECT_EQ(test, tm_count(tm, 0), SHRINK_EMPTY);
	KUNIT_EXPECT_EQ(test, tm->stats.reclaimed, 27ULL);
	KUNIT_EXPECT_EQ(test, tm->stats.monitors, 3ULL);
}

/* An ended process's entry goes with its last sample. */
static void tm_test_ended(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	u64 time;

	for (time = 1; time <= 5; time++)
		tm_test_sample(test, monitor, time);
	tm_test_end(test, monitor);
	tm_test_round(test);

	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 4, NULL), 4UL);
	KUNIT_EXPECT_EQ(test, tm->stats.monitors, 1ULL);
	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 4, NULL), 1UL);
	KUNIT_EXPECT_EQ(test, tm->stats.monitors, 0ULL);
	KUNIT_EXPECT_TRUE(test, list_empty(&tm->tasks));
}

/* Who stands for a bucket can go, and so can each of its peers. */
static void tm_test_buckets(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *m[4];
	u64 time;
	int i;

	tm_test_monitors(test, m, ARRAY_SIZE(m));
	for (time = 1; time <= 5; time++)
		for (i = 0; i < ARRAY_SIZE(m); i++)
			tm_test_sample(test, m[i], time);

	/* The first to enter stands for it. */
	tm_test_remove(test, m[0]);
	KUNIT_EXPECT_EQ(test, tm_count(tm, 0), 15UL);
	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 2, NULL), 2UL);
	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 1, NULL), 1UL);
	for (i = 1; i < ARRAY_SIZE(m); i++)
		KUNIT_EXPECT_EQ(test, tm_test_oldest(m[i]), 2ULL);
	tm_test_remove(test, m[2]);
	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 4, NULL), 4UL);
	KUNIT_EXPECT_EQ(test, tm_test_oldest(m[1]), 4ULL);
	KUNIT_EXPECT_EQ(test, tm_test_oldest(m[3]), 4ULL);
	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 100, NULL), 4UL);
	KUNIT_EXPECT_TRUE(test, RB_EMPTY_ROOT(&tm->evict_tree.rb_root));
}

/* Nothing is given for a want that is not the whole machine's. */
static void tm_test_oom(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	unsigned long pages = 5;
	u64 time;

	for (time = 1; time <= 100; time++)
		tm_test_sample(test, monitor, time);
	KUNIT_EXPECT_FALSE(test, tm_memory_is_short());
	tm_oom_notify(&tm->oom, 0, &pages);
	KUNIT_EXPECT_EQ(test, pages, 5UL);
	KUNIT_EXPECT_EQ(test, monitor->nr_samples, 100UL);
}

/* A sample that a reader holds is evicted, but has not been freed. */
static void tm_test_held(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	struct task_sample *held = tm_test_sample(test, monitor, 1);
	unsigned long scanned;

	kref_get(&held->ref);
	tm_test_sample(test, monitor, 2);
	tm_test_sample(test, monitor, 3);
	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 2, &scanned), 1UL);
	KUNIT_EXPECT_EQ(test, scanned, 2UL);
	KUNIT_EXPECT_TRUE(test, tm_sample_put(held, tm));
}

static void tm_test_scanner(void *data)
{
	struct kunit *test = data;

	KUNIT_EXPECT_EQ(test, tm_test_scan(test, 2, NULL), 2UL);
}

/* A scan that finds the lock taken waits for it, and then evicts. */
static void tm_test_waits(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	struct tm_test_waiter waiter;
	u64 time;

	for (time = 1; time <= 3; time++)
		tm_test_sample(test, monitor, time);
	tm_test_waiter_init(test, &waiter, tm_test_scanner, test);
	raw_spin_lock(&tm->list_lock);
	tm_test_waiter_waits(test, &waiter);
	raw_spin_unlock(&tm->list_lock);
	tm_test_waiter_ends(&waiter);
	KUNIT_EXPECT_EQ(test, monitor->nr_samples, 1UL);
}

static struct kunit_case tm_shrinker_cases[] = {
	KUNIT_CASE(tm_test_nothing),
	KUNIT_CASE(tm_test_last),
	KUNIT_CASE(tm_test_order),
	KUNIT_CASE(tm_test_ended),
	KUNIT_CASE(tm_test_buckets),
	KUNIT_CASE(tm_test_oom),
	KUNIT_CASE(tm_test_held),
	KUNIT_CASE(tm_test_waits),
	{ }
};

static struct kunit_suite tm_shrinker_suite = {
	.name = "taskmonitor_shrinker",
	.init = tm_test_init,
	.exit = tm_test_exit,
	.test_cases = tm_shrinker_cases,
};

kunit_test_suite(tm_shrinker_suite);

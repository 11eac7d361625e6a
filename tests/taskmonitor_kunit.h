/* SPDX-License-Identifier: GPL-2.0 */
/* Unit tests of taskmonitor.c, which includes this file. */

#include "kunit.h"

/* The phase stays, every missed period is counted once, none is made up for. */
static void tm_test_deadline(struct kunit *test)
{
	static const struct {
		u64 last, now, next, missed;
	} cases[] = {	/* in ms, with a period of 10 */
		{ 100, 100, 110, 0 },
		{ 100, 109, 110, 0 },
		{ 100, 110, 120, 1 },
		{ 100, 119, 120, 1 },
		{ 100, 120, 130, 2 },
		{ 100, 1105, 1110, 100 },
	};
	ktime_t next;
	u64 missed;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		next = tm_next_deadline(ms_to_ktime(cases[i].last), 10,
					ms_to_ktime(cases[i].now), &missed);
		KUNIT_EXPECT_EQ_MSG(test, ktime_to_ms(next),
				    (s64)cases[i].next, "case %d", i);
		KUNIT_EXPECT_EQ_MSG(test, missed, cases[i].missed, "case %d",
				    i);
	}
}

static void tm_test_round_time(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);

	mutex_lock(&tm->round_lock);
	tm->round_time = U64_MAX - 1;
	KUNIT_EXPECT_EQ(test, tm_round_begin(tm), U64_MAX);
	tm->round_time = 0;
	KUNIT_EXPECT_GT(test, tm_round_begin(tm), 0ULL);
	mutex_unlock(&tm->round_lock);
}

/* Who was removed meanwhile still says where to go on. */
static void tm_test_next(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *m[4];
	int i;

	for (i = 0; i < ARRAY_SIZE(m); i++)
		m[i] = tm_test_monitor(test);
	tm_monitor_get(m[1]);
	tm_test_remove(test, m[1]);
	tm_test_remove(test, m[2]);

	mutex_lock(&tm->list_lock);
	KUNIT_EXPECT_PTR_EQ(test, tm_monitor_next(tm, NULL), m[0]);
	KUNIT_EXPECT_PTR_EQ(test, tm_monitor_next(tm, m[0]), m[3]);
	KUNIT_EXPECT_TRUE(test, m[1]->removed);
	KUNIT_EXPECT_PTR_EQ(test, tm_monitor_next(tm, m[1]), m[3]);
	KUNIT_EXPECT_NULL(test, tm_monitor_next(tm, m[3]));
	mutex_unlock(&tm->list_lock);

	tm_test_remove(test, m[3]);
	mutex_lock(&tm->list_lock);
	KUNIT_EXPECT_NULL(test, tm_monitor_next(tm, m[1]));
	mutex_unlock(&tm->list_lock);
	tm_monitor_put(m[1]);
}

/* A round takes the living in slices, in the order of adding. */
static void tm_test_slices(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *next = NULL, *m[TM_BULK_MAX + 3];
	struct tm_batch batch = { };
	int i;

	for (i = 0; i < ARRAY_SIZE(m); i++)
		m[i] = tm_test_monitor(test);

	mutex_lock(&tm->round_lock);
	tm_round_slice(tm, 1, &next, &batch);
	KUNIT_EXPECT_PTR_EQ(test, next, m[TM_BULK_MAX]);
	KUNIT_EXPECT_EQ(test, tm->stats.taken, TM_BULK_MAX + 0ULL);
	tm_round_slice(tm, 1, &next, &batch);
	tm_batch_free(tm, &batch);
	mutex_unlock(&tm->round_lock);
	KUNIT_EXPECT_NULL(test, next);
	KUNIT_EXPECT_EQ(test, tm->stats.taken, TM_BULK_MAX + 3ULL);
	KUNIT_EXPECT_EQ(test, m[TM_BULK_MAX + 2]->nr_samples, 1UL);
}

/* A round goes on where it was when all of a slice have ended. */
static void tm_test_slice_ends(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *next = NULL, *m[TM_BULK_MAX + 3];
	struct tm_batch batch = { };
	int i;

	for (i = 0; i < ARRAY_SIZE(m); i++)
		m[i] = tm_test_monitor(test);
	for (i = 0; i < TM_BULK_MAX + 1; i++)
		tm_test_end(test, m[i]);

	mutex_lock(&tm->round_lock);
	tm_round_slice(tm, 1, &next, &batch);
	KUNIT_EXPECT_PTR_EQ(test, next, m[TM_BULK_MAX]);
	KUNIT_EXPECT_EQ(test, tm->stats.monitors, 3ULL);
	tm_round_slice(tm, 1, &next, &batch);
	tm_batch_free(tm, &batch);
	mutex_unlock(&tm->round_lock);
	KUNIT_EXPECT_NULL(test, next);
	KUNIT_EXPECT_EQ(test, tm->stats.monitors, 2ULL);
	KUNIT_EXPECT_EQ(test, tm->stats.taken, 2ULL);
}

/* Rounds walk the living only; the ended are in the order of their ends. */
static void tm_test_living(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *m[3];
	int i;

	for (i = 0; i < ARRAY_SIZE(m); i++)
		m[i] = tm_test_monitor(test);
	tm_test_round(test);
	tm_test_end(test, m[2]);
	tm_test_round(test);
	tm_test_end(test, m[0]);
	tm_test_round(test);

	KUNIT_EXPECT_TRUE(test, list_is_singular(&tm->living));
	KUNIT_EXPECT_EQ(test, m[1]->ended_time, 0ULL);
	KUNIT_EXPECT_EQ(test, m[1]->nr_samples, 3UL);
	KUNIT_EXPECT_PTR_EQ(test, list_first_entry(&tm->ended,
						   struct task_monitor,
						   ended_node), m[2]);
	KUNIT_EXPECT_PTR_EQ(test, list_last_entry(&tm->ended,
						  struct task_monitor,
						  ended_node), m[0]);
	KUNIT_EXPECT_GT(test, m[0]->ended_time, m[2]->ended_time);
	KUNIT_EXPECT_EQ(test, m[0]->ended_time, tm->round_time);
	KUNIT_EXPECT_EQ(test, m[0]->nr_samples, 2UL);
	KUNIT_EXPECT_EQ(test, m[2]->nr_samples, 1UL);
	/* Further rounds have nothing more to note. */
	tm_test_round(test);
	KUNIT_EXPECT_EQ(test, tm->stats.monitors, 3ULL);
	KUNIT_EXPECT_EQ(test, tm->stats.taken, 7ULL);
}

/* One PID once; the first sample with it, unless sampling is stopped. */
static void tm_test_add_remove(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	pid_t nr = task_tgid_vnr(current);

	KUNIT_EXPECT_EQ(test, tm_monitor_add(tm, nr), 0);
	KUNIT_EXPECT_EQ(test, tm->stats.samples, 0ULL);
	KUNIT_EXPECT_EQ(test, tm_monitor_add(tm, nr), -EEXIST);
	KUNIT_EXPECT_EQ(test, tm_monitor_remove(tm, nr), 0);
	KUNIT_EXPECT_EQ(test, tm_monitor_remove(tm, nr), -ENOENT);

	tm_set_sampling(tm, true);
	KUNIT_EXPECT_EQ(test, tm_monitor_add(tm, nr), 0);
	KUNIT_EXPECT_EQ(test, tm->stats.samples, 1ULL);
	KUNIT_EXPECT_EQ(test, tm_monitor_add(tm, nr), -EEXIST);
	KUNIT_EXPECT_EQ(test, tm->stats.taken, 1ULL);
	KUNIT_EXPECT_EQ(test, tm_monitor_remove(tm, nr), 0);
	KUNIT_EXPECT_EQ(test, tm->stats.removed, 1ULL);
	KUNIT_EXPECT_EQ(test, tm_monitor_add(tm, PID_MAX_LIMIT), -ESRCH);
}

static struct kunit_case tm_monitor_cases[] = {
	KUNIT_CASE(tm_test_deadline),
	KUNIT_CASE(tm_test_round_time),
	KUNIT_CASE(tm_test_next),
	KUNIT_CASE(tm_test_slices),
	KUNIT_CASE(tm_test_slice_ends),
	KUNIT_CASE(tm_test_living),
	KUNIT_CASE(tm_test_add_remove),
	{ }
};

static struct kunit_suite tm_monitor_suite = {
	.name = "taskmonitor_monitors",
	.init = tm_test_init,
	.exit = tm_test_exit,
	.test_cases = tm_monitor_cases,
};

kunit_test_suite(tm_monitor_suite);

/*
 * Not a unit test, but the proof that the leak check can fail: writing N loses
 * N monitors, each with a reference to the writer's PID.
 */
static int tm_test_lose(const char *val, const struct kernel_param *kp)
{
	unsigned int n;
	int err = kstrtouint(val, 10, &n);

	if (err)
		return err;
	while (n--)
		if (!tm_monitor_alloc(get_pid(task_pid(current)), PIDTYPE_TGID))
			return -ENOMEM;
	return 0;
}

static const struct kernel_param_ops tm_test_lose_ops = {
	.set = tm_test_lose,
};
module_param_cb(lose, &tm_test_lose_ops, NULL, 0200);
MODULE_PARM_DESC(lose, "monitors to lose, for the test of the leak check");

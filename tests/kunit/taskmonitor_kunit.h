/* SPDX-License-Identifier: GPL-2.0 */
/* Unit tests of taskmonitor.c, which includes this file. */

#include "kunit.h"

/* The phase stays, every missed deadline is counted once, none is made up for. */
static void tm_test_deadline(struct kunit *test)
{
	static const struct {
		u64 end, took, next, missed;
	} cases[] = {	/* in ms, with a period of 10, and the last at 100 */
		{ 100, 0, 110, 0 },
		{ 109, 0, 110, 0 },
		{ 110, 0, 110, 0 },
		{ 111, 0, 120, 1 },
		{ 120, 0, 120, 1 },
		{ 1105, 0, 1110, 100 },
		/* no sooner after the end than it took */
		{ 105, 5, 110, 0 },
		{ 106, 6, 120, 1 },
		{ 110, 10, 120, 1 },
		{ 125, 25, 150, 4 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tm_pace pace = {
			.period_ms = 10,
			.next = ms_to_ktime(100),
		};
		u64 missed = tm_pace_next(&pace, 10, ms_to_ktime(cases[i].end),
					  cases[i].took * NSEC_PER_MSEC);

		KUNIT_EXPECT_EQ_MSG(test, ktime_to_ms(pace.next),
				    (s64)cases[i].next, "case %d", i);
		KUNIT_EXPECT_EQ_MSG(test, missed, cases[i].missed, "case %d",
				    i);
	}
}

/* A new period counts from the last deadline on; none of its is late yet. */
static void tm_test_period(struct kunit *test)
{
	struct tm_pace pace = { .period_ms = 100, .next = ms_to_ktime(1000) };

	/* Shortened during the round: 1100 was missed, and nothing else. */
	KUNIT_EXPECT_EQ(test, tm_pace_next(&pace, 10, ms_to_ktime(1150),
					   50 * NSEC_PER_MSEC), 1ULL);
	tm_pace_change(&pace, 10, ms_to_ktime(1150));
	KUNIT_EXPECT_EQ(test, ktime_to_ms(pace.next), 1200LL);
	KUNIT_EXPECT_EQ(test, tm_pace_next(&pace, 10, ms_to_ktime(1203), 0),
			0ULL);
	KUNIT_EXPECT_EQ(test, ktime_to_ms(pace.next), 1210LL);

	/* While it waits: longer, then so short that it is due. */
	tm_pace_change(&pace, 1000, ms_to_ktime(1204));
	KUNIT_EXPECT_EQ(test, ktime_to_ms(pace.next), 2200LL);
	tm_pace_change(&pace, 10, ms_to_ktime(1900));
	KUNIT_EXPECT_EQ(test, ktime_to_ms(pace.next), 1900LL);
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

/* The next monitor of @walk; what was left is freed. */
static struct task_monitor *tm_test_step(struct tm_walk *walk)
{
	struct task_monitor *monitor;
	LIST_HEAD(gone);

	raw_spin_lock(&walk->tm->list_lock);
	monitor = tm_walk_next(walk, &gone);
	raw_spin_unlock(&walk->tm->list_lock);
	tm_monitors_free(&gone);
	return monitor;
}

/* A walk that stands at a removed monitor finds the next, and then it goes. */
static void tm_test_walk(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct tm_walk walk = { .tm = tm, .over = TM_WALK_ALL };
	struct tm_walk other = walk;
	struct task_monitor *m[4];

	tm_test_monitors(test, m, ARRAY_SIZE(m));
	KUNIT_EXPECT_PTR_EQ(test, tm_test_step(&walk), m[0]);
	KUNIT_EXPECT_PTR_EQ(test, tm_test_step(&walk), m[1]);
	KUNIT_EXPECT_PTR_EQ(test, tm_test_step(&other), m[0]);
	KUNIT_EXPECT_PTR_EQ(test, tm_test_step(&other), m[1]);
	KUNIT_EXPECT_EQ(test, m[0]->walks, 0U);
	KUNIT_EXPECT_EQ(test, m[1]->walks, 2U);
	tm_test_remove(test, m[1]);
	tm_test_remove(test, m[2]);
	KUNIT_EXPECT_EQ(test, tm->stats.monitors, 2ULL);
	KUNIT_EXPECT_TRUE(test, m[1]->removed);
	KUNIT_EXPECT_EQ(test, tm_test_count(&tm->tasks), 3);

	KUNIT_EXPECT_PTR_EQ(test, tm_test_step(&walk), m[3]);
	KUNIT_EXPECT_EQ(test, tm_test_count(&tm->tasks), 3);
	tm_walk_end(&other);
	KUNIT_EXPECT_EQ(test, tm_test_count(&tm->tasks), 2);
	KUNIT_EXPECT_PTR_EQ(test, tm_test_step(&other), m[0]);
	KUNIT_EXPECT_NULL(test, tm_test_step(&walk));
	KUNIT_EXPECT_EQ(test, m[3]->walks, 0U);
	tm_walk_end(&other);
	tm_walk_end(&walk);
}

/* Over the living and, the latest end first, over the ended. */
static void tm_test_walk_kinds(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct tm_walk living = { .tm = tm, .over = TM_WALK_LIVING };
	struct tm_walk ended = { .tm = tm, .over = TM_WALK_ENDED };
	struct task_monitor *m[4];

	tm_test_monitors(test, m, ARRAY_SIZE(m));
	KUNIT_EXPECT_NULL(test, tm_test_step(&ended));
	tm_test_round(test);
	KUNIT_EXPECT_PTR_EQ(test, tm_test_step(&living), m[0]);
	KUNIT_EXPECT_PTR_EQ(test, tm_test_step(&living), m[1]);
	tm_test_end(test, m[1]);
	tm_test_round(test);
	tm_test_end(test, m[3]);
	tm_test_round(test);

	/* Where it stands one has ended, and stays until it moves on. */
	KUNIT_EXPECT_EQ(test, tm_test_count(&tm->living), 3);
	KUNIT_EXPECT_PTR_EQ(test, tm_test_step(&living), m[2]);
	KUNIT_EXPECT_EQ(test, tm_test_count(&tm->living), 2);
	KUNIT_EXPECT_NULL(test, tm_test_step(&living));
	KUNIT_EXPECT_PTR_EQ(test, tm_test_step(&ended), m[3]);
	KUNIT_EXPECT_PTR_EQ(test, tm_test_step(&ended), m[1]);
	KUNIT_EXPECT_NULL(test, tm_test_step(&ended));
}

/* A slice of a round, with the time @time; returns whether there are more. */
static bool tm_test_slice(struct tm_walk *walk, u64 time)
{
	struct tm_supply supply = { };
	bool more;

	mutex_lock(&walk->tm->round_lock);
	more = tm_round_slice(walk, U64_MAX, time, &supply);
	tm_batch_free(walk->tm, &supply.batch);
	mutex_unlock(&walk->tm->round_lock);
	return more;
}

/* A round takes the living in slices, in the order of adding. */
static void tm_test_slices(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct tm_walk walk = { .tm = tm, .over = TM_WALK_LIVING };
	struct task_monitor *m[TM_BULK_MAX + 3];

	tm_test_monitors(test, m, ARRAY_SIZE(m));

	KUNIT_EXPECT_TRUE(test, tm_test_slice(&walk, 1));
	KUNIT_EXPECT_EQ(test, tm->stats.taken, TM_BULK_MAX + 0ULL);
	KUNIT_EXPECT_EQ(test, m[TM_BULK_MAX - 1]->nr_samples, 1UL);
	KUNIT_EXPECT_EQ(test, m[TM_BULK_MAX]->nr_samples, 0UL);
	KUNIT_EXPECT_FALSE(test, tm_test_slice(&walk, 1));
	KUNIT_EXPECT_EQ(test, tm->stats.taken, TM_BULK_MAX + 3ULL);
	KUNIT_EXPECT_EQ(test, m[TM_BULK_MAX + 2]->nr_samples, 1UL);
}

/* A round goes on where it was when all of a slice have ended. */
static void tm_test_slice_ends(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct tm_walk walk = { .tm = tm, .over = TM_WALK_LIVING };
	struct task_monitor *m[TM_BULK_MAX + 3];
	int i;

	tm_test_monitors(test, m, ARRAY_SIZE(m));
	for (i = 0; i < TM_BULK_MAX + 1; i++)
		tm_test_end(test, m[i]);

	KUNIT_EXPECT_TRUE(test, tm_test_slice(&walk, 1));
	KUNIT_EXPECT_EQ(test, tm->stats.monitors, 3ULL);
	KUNIT_EXPECT_FALSE(test, tm_test_slice(&walk, 1));
	KUNIT_EXPECT_EQ(test, tm->stats.monitors, 2ULL);
	KUNIT_EXPECT_EQ(test, tm->stats.taken, 2ULL);
	KUNIT_EXPECT_EQ(test, tm_test_count(&tm->tasks), 2);
}

/* One that a reader keeps in the list of the living is not sampled any more. */
static void tm_test_slice_skips(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct tm_walk walk = { .tm = tm, .over = TM_WALK_LIVING };
	struct tm_walk reader = { .tm = tm, .over = TM_WALK_ALL };
	struct task_monitor *m[2];

	m[0] = tm_test_monitor(test);
	m[1] = tm_test_monitor(test);
	KUNIT_EXPECT_FALSE(test, tm_test_slice(&walk, 1));
	KUNIT_EXPECT_PTR_EQ(test, tm_test_step(&reader), m[0]);
	tm_test_end(test, m[0]);
	KUNIT_EXPECT_FALSE(test, tm_test_slice(&walk, 2));
	KUNIT_EXPECT_TRUE(test, m[0]->ended);
	KUNIT_EXPECT_EQ(test, tm_test_count(&tm->ended), 1);
	KUNIT_EXPECT_FALSE(test, tm_test_slice(&walk, 3));
	KUNIT_EXPECT_EQ(test, tm_test_count(&tm->ended), 1);
	KUNIT_EXPECT_EQ(test, m[0]->nr_samples, 1UL);
	KUNIT_EXPECT_EQ(test, m[1]->nr_samples, 3UL);
	tm_test_remove(test, m[0]);
	KUNIT_EXPECT_FALSE(test, tm_test_slice(&walk, 4));
	tm_walk_end(&reader);
	KUNIT_EXPECT_EQ(test, tm->stats.taken, 5ULL);
	KUNIT_EXPECT_EQ(test, tm_test_count(&tm->living), 1);
}

/* Rounds walk the living only; the ended are in the order of their ends. */
static void tm_test_living(struct kunit *test)
{
	struct tm_context *tm = tm_test_tm(test);
	struct task_monitor *m[3];

	tm_test_monitors(test, m, ARRAY_SIZE(m));
	tm_test_round(test);
	tm_test_end(test, m[2]);
	tm_test_round(test);
	tm_test_end(test, m[0]);
	tm_test_round(test);

	KUNIT_EXPECT_TRUE(test, list_is_singular(&tm->living));
	KUNIT_EXPECT_FALSE(test, m[1]->ended);
	KUNIT_EXPECT_EQ(test, m[1]->nr_samples, 3UL);
	KUNIT_EXPECT_PTR_EQ(test, list_first_entry(&tm->ended,
						   struct task_monitor,
						   ended_node), m[2]);
	KUNIT_EXPECT_PTR_EQ(test, list_last_entry(&tm->ended,
						  struct task_monitor,
						  ended_node), m[0]);
	KUNIT_EXPECT_GT(test, m[0]->ended_newest, m[2]->ended_newest);
	KUNIT_EXPECT_LT(test, m[0]->ended_newest, tm->round_time);
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

/* A probe has found a monitor in the index, and it is removed and freed then. */
static void tm_test_index_rcu(struct kunit *test)
{
	struct task_monitor *monitor = tm_test_monitor(test);
	struct tm_context *tm = tm_test_tm(test);
	struct pid *pid = monitor->pid;
	LIST_HEAD(gone);

	rcu_read_lock();
	KUNIT_EXPECT_TRUE(test, tm_index_has(tm, pid));
	raw_spin_lock(&tm->list_lock);
	tm_monitor_unlink(tm, monitor, &gone);
	raw_spin_unlock(&tm->list_lock);
	KUNIT_EXPECT_FALSE(test, tm_index_has(tm, pid));
	tm_monitors_free(&gone);
	/* KASAN knows whether it may still be read. */
	KUNIT_EXPECT_PTR_EQ(test, READ_ONCE(monitor->pid), pid);
	rcu_read_unlock();
}

/* Two threads that exit at once may each believe to be the last: one end. */
static void tm_test_exits_twice(struct kunit *test)
{
	struct task_monitor *monitor = tm_test_monitor(test);
	struct tm_context *tm = tm_test_tm(test);
	struct task_struct *task;

	tm_set_sampling(tm, true);
	rcu_read_lock();
	task = tm_monitored_task(monitor);
	tm_note_exit(tm, monitor->pid, monitor->type, task);
	tm_note_exit(tm, monitor->pid, monitor->type, task);
	rcu_read_unlock();

	KUNIT_EXPECT_EQ(test, tm->nr_ending, 1U);
	KUNIT_EXPECT_PTR_EQ(test, monitor->ending, task);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&tm->ending));
	raw_spin_lock(&tm->list_lock);
	task = tm_ending_del(tm, monitor);
	raw_spin_unlock(&tm->list_lock);
	KUNIT_EXPECT_TRUE(test, list_empty(&tm->ending));
	tm_put_task(task);
}

static struct kunit_case tm_monitor_cases[] = {
	KUNIT_CASE(tm_test_deadline),
	KUNIT_CASE(tm_test_period),
	KUNIT_CASE(tm_test_round_time),
	KUNIT_CASE(tm_test_walk),
	KUNIT_CASE(tm_test_walk_kinds),
	KUNIT_CASE(tm_test_slices),
	KUNIT_CASE(tm_test_slice_ends),
	KUNIT_CASE(tm_test_slice_skips),
	KUNIT_CASE(tm_test_living),
	KUNIT_CASE(tm_test_index_rcu),
	KUNIT_CASE(tm_test_exits_twice),
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
	while (n--) {
		struct task_monitor *monitor = tm_monitor_alloc(0, GFP_KERNEL);

		if (!monitor)
			return -ENOMEM;
		monitor->pid = get_pid(task_pid(current));
	}
	return 0;
}

static const struct kernel_param_ops tm_test_lose_ops = {
	.set = tm_test_lose,
};
module_param_cb(lose, &tm_test_lose_ops, NULL, 0200);
MODULE_PARM_DESC(lose, "monitors to lose, for the test of the leak check");

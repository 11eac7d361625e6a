/* SPDX-License-Identifier: GPL-2.0 */
/* Unit tests of debugfs_seq.c, which includes this file. */

#include "kunit.h"

static void tm_test_parse(struct kunit *test)
{
	static const struct {
		const char *text;
		size_t len;
		int err, nr;
	} cases[] = {
#define TM_CASE(text, err, nr) { text, sizeof(text) - 1, err, nr }
		TM_CASE("1", 0, 1),
		TM_CASE("312\n", 0, 312),
		TM_CASE("-312\n", 0, -312),
		TM_CASE("007", 0, 7),
		TM_CASE("2147483647", 0, INT_MAX),
		TM_CASE("-2147483647\n", 0, -INT_MAX),
		TM_CASE("", -EINVAL, 0),
		TM_CASE("\n", -EINVAL, 0),
		TM_CASE("0", -EINVAL, 0),
		TM_CASE("-0\n", -EINVAL, 0),
		TM_CASE("+5", -EINVAL, 0),
		TM_CASE("-+5", -EINVAL, 0),
		TM_CASE("--5", -EINVAL, 0),
		TM_CASE("-", -EINVAL, 0),
		TM_CASE("-\n", -EINVAL, 0),
		TM_CASE("+", -EINVAL, 0),
		TM_CASE("abc", -EINVAL, 0),
		TM_CASE("0x1", -EINVAL, 0),
		TM_CASE(" 12", -EINVAL, 0),
		TM_CASE("12 ", -EINVAL, 0),
		TM_CASE("12 13", -EINVAL, 0),
		TM_CASE("12\n13", -EINVAL, 0),
		TM_CASE("12\n\n", -EINVAL, 0),
		TM_CASE("12\0", -EINVAL, 0),
		TM_CASE("12\0junk", -EINVAL, 0),
		TM_CASE("\0", -EINVAL, 0),
		TM_CASE("2147483648", -ERANGE, 0),
		TM_CASE("-2147483648\n", -ERANGE, 0),
		TM_CASE("99999999999", -ERANGE, 0),
#undef TM_CASE
	};
	int i, nr, err;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		nr = 0;
		err = tm_parse_pid(cases[i].text, cases[i].len, &nr);
		KUNIT_EXPECT_EQ_MSG(test, err, cases[i].err, "'%s'",
				    cases[i].text);
		if (!err)
			KUNIT_EXPECT_EQ_MSG(test, nr, cases[i].nr, "'%s'",
					    cases[i].text);
	}
}

/* Every figure as printf() would write it, at both ends and in between. */
static void tm_test_format(struct kunit *test)
{
	static const u64 figures[] = {
		0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 12345, 99999, 1000000,
		9999999999, 10000000000, U32_MAX, U64_MAX,
	};
	char *buf = kunit_kzalloc(test, 2 * TM_ROW_MAX, GFP_KERNEL);
	char *end = buf + TM_ROW_MAX, *want = end, *row;
	int i, len;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (i = 0; i < ARRAY_SIZE(figures); i++) {
		len = sprintf(want, "%llu", figures[i]);
		row = tm_put_number(end, figures[i]);
		KUNIT_EXPECT_EQ_MSG(test, end - row, (long)len, "%s", want);
		KUNIT_EXPECT_EQ_MSG(test, memcmp(row, want, len), 0, "%s", want);
	}
}

/* The longest row that there can be fits. */
static void tm_test_row(struct kunit *test)
{
	struct task_sample sample = {
		.rss = U32_MAX,
		.total = (1ULL << TM_TOTAL_BITS) - 1,
		.stack = (1ULL << TM_STACK_BITS) - 1,
		.data = (1ULL << TM_DATA_BITS) - 1,
		.threads = (1ULL << TM_THREADS_BITS) - 1,
		.state = task_state_index(current),
		.usr = U64_MAX,
		.sys = U64_MAX - 1,
		.time = U64_MAX - 2,
	};
	char *buf = kunit_kzalloc(test, 2 * TM_ROW_MAX, GFP_KERNEL);
	char *end = buf + TM_ROW_MAX, *want = end, *row;
	char comm[TASK_COMM_LEN];

	KUNIT_ASSERT_NOT_NULL(test, buf);
	memset(comm, 0x7f, TASK_COMM_LEN - 1);
	comm[TASK_COMM_LEN - 1] = '\0';
	sprintf(want,
		"pid 4194304 usr 18446744073709551615 sys 18446744073709551614 total 274877906940 stack 1073741820 data 274877906940 rss 17179869180 threads 16777215 state R time 18446744073709551613 comm \\177\\177\\177\\177\\177\\177\\177\\177\\177\\177\\177\\177\\177\\177\\177\n");
	row = tm_format_row(tm_format_comm(end, comm), 4194304, &sample);
	KUNIT_EXPECT_GE(test, row - buf, 1L);
	KUNIT_EXPECT_EQ(test, end - row, (long)strlen(want));
	KUNIT_EXPECT_EQ(test, memcmp(row, want, end - row), 0);
}

/* A name is one word with anything in it, and what is in it can be told. */
static void tm_test_name(struct kunit *test)
{
	static const struct {
		const char *name, *word;
	} cases[] = {
		{ "", "\\000" },
		{ "x", "x" },
		{ "kworker/0:1-e", "kworker/0:1-e" },
		{ "a b", "a\\040b" },
		{ " ", "\\040" },
		{ "\\", "\\134" },
		{ "\t\n\v\x1f\x7f", "\\011\\012\\013\\037\\177" },
		{ "!~\xc3\xbc\x80\xff", "!~\xc3\xbc\x80\xff" },
	};
	char buf[64], *end = buf + sizeof(buf) - 1;
	int i;

	*end = '\0';
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KUNIT_EXPECT_STREQ(test, tm_put_name(end, cases[i].name),
				   cases[i].word);
}

/* A reader, with a seq_file of its own. */
struct tm_test_reader {
	struct seq_file seq;
	struct tm_cursor cursor;
	loff_t pos;
};

static struct tm_test_reader *tm_test_open(struct kunit *test)
{
	struct tm_test_reader *reader;

	reader = kunit_kzalloc(test, sizeof(*reader), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, reader);
	reader->cursor.walk.tm = tm_test_tm(test);
	reader->cursor.until = U64_MAX;
	reader->seq.private = &reader->cursor;
	return reader;
}

/* Read @n rows, as one read(2) would; returns the time of the last, or 0. */
static u64 tm_test_read(struct tm_test_reader *reader, int n)
{
	struct task_sample *sample;
	u64 time = 0;

	sample = tm_seq_start(&reader->seq, &reader->pos);
	for (; sample && n; n--) {
		time = sample->time;
		sample = tm_seq_next(&reader->seq, sample, &reader->pos);
	}
	tm_seq_stop(&reader->seq, sample);
	return n ? 0 : time;
}

static void tm_test_close(struct tm_test_reader *reader)
{
	tm_cursor_rewind(&reader->cursor);
}

/* Two histories, 1 to 9 and 101 to 109. */
static void tm_test_histories(struct kunit *test, struct task_monitor *m[2])
{
	u64 time;
	int i;

	for (i = 0; i < 2; i++) {
		m[i] = tm_test_monitor(test);
		for (time = 1; time <= 9; time++)
			tm_test_sample(test, m[i], 100 * i + time);
	}
}

static void tm_test_cursor_all(struct kunit *test)
{
	struct tm_test_reader *reader = tm_test_open(test);
	struct task_monitor *m[2];
	int i;

	KUNIT_EXPECT_EQ(test, tm_test_read(reader, 1), 0ULL);
	tm_test_histories(test, m);
	for (i = 0; i < 18; i++)
		KUNIT_EXPECT_EQ(test, tm_test_read(reader, 1),
				(u64)(i < 9 ? 1 + i : 101 + i - 9));
	KUNIT_EXPECT_EQ(test, reader->pos, (loff_t)18);
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, 1), 0ULL);
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, 1), 0ULL);
	reader->pos = 0;
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, 12), 103ULL);
	tm_test_close(reader);
}

/* The sample at which it stopped is gone: on with the oldest that is left. */
static void tm_test_cursor_evicted(struct kunit *test)
{
	struct tm_test_reader *reader = tm_test_open(test);
	struct task_monitor *m[2];

	tm_test_histories(test, m);
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, 3), 3ULL);
	/* Older ones only: nothing changes for this reader. */
	tm_test_evict(test, 3);
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, 1), 4ULL);
	/* 4 and 5, which it was to show next, and 6 */
	tm_test_evict(test, 3);
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, 1), 7ULL);
	/* all of it */
	tm_test_evict(test, 3);
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, 1), 101ULL);
	tm_test_close(reader);
}

/* The PID that is being read is removed: on with the next. */
static void tm_test_cursor_removed(struct kunit *test)
{
	struct tm_test_reader *reader = tm_test_open(test);
	struct task_monitor *m[2];

	tm_test_histories(test, m);
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, 3), 3ULL);
	tm_test_remove(test, m[0]);
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, 1), 101ULL);
	tm_test_remove(test, m[1]);
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, 1), 0ULL);
	tm_test_close(reader);
}

/* While a reader rests it has one reference to one sample, and no more. */
static void tm_test_cursor_pin(struct kunit *test)
{
	struct tm_test_reader *reader = tm_test_open(test);
	struct task_sample *sample;
	struct task_monitor *m[2];

	tm_test_histories(test, m);
	tm_test_read(reader, 3);
	sample = reader->cursor.last;
	KUNIT_ASSERT_NOT_NULL(test, sample);
	KUNIT_EXPECT_EQ(test, sample->time, 3ULL);
	KUNIT_EXPECT_EQ(test, kref_read(&sample->ref), 2U);
	KUNIT_EXPECT_EQ(test, kref_read(&list_next_entry(sample, node)->ref),
			1U);
	KUNIT_EXPECT_EQ(test, m[0]->walks, 1U);
	tm_test_read(reader, 1);
	KUNIT_EXPECT_EQ(test, kref_read(&sample->ref), 1U);
	tm_test_close(reader);
	KUNIT_EXPECT_EQ(test, m[0]->walks, 0U);
}

/* More rows than one hold pins, in one reading and in several. */
static void tm_test_cursor_long(struct kunit *test)
{
	struct tm_test_reader *reader = tm_test_open(test);
	struct task_monitor *monitor = tm_test_monitor(test);
	const u64 nr = 2 * TM_PIN_MAX + 5;
	u64 time;

	for (time = 1; time <= nr; time++)
		tm_test_sample(test, monitor, time);
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, nr), nr);
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, 1), 0ULL);
	reader->pos = 0;
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, TM_PIN_MAX),
			0ULL + TM_PIN_MAX);
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, TM_PIN_MAX + 1),
			2ULL * TM_PIN_MAX + 1);
	tm_test_close(reader);
}

/* What is pinned stays valid when all else of it is gone. */
static void tm_test_cursor_in_use(struct kunit *test)
{
	struct tm_test_reader *reader = tm_test_open(test);
	struct task_sample *sample;
	struct task_monitor *m[2];

	tm_test_histories(test, m);
	sample = tm_seq_start(&reader->seq, &reader->pos);
	KUNIT_EXPECT_EQ(test, sample->time, 1ULL);
	tm_test_remove(test, m[0]);
	sample = tm_seq_next(&reader->seq, sample, &reader->pos);
	KUNIT_EXPECT_EQ(test, sample->time, 2ULL);
	KUNIT_EXPECT_EQ(test, kref_read(&sample->ref), 1U);
	tm_seq_stop(&reader->seq, sample);
	KUNIT_EXPECT_EQ(test, tm_test_read(reader, 1), 101ULL);
	KUNIT_EXPECT_EQ(test, tm_test_count(&tm_test_tm(test)->tasks), 1);
	tm_test_close(reader);
}

/* The newest samples of all, as the attribute has them; returns how many. */
static unsigned int tm_test_newest(struct kunit *test,
				   struct tm_newest *newest)
{
	struct tm_context *tm = tm_test_tm(test);
	unsigned int i;

	newest->nr = 0;
	tm_newest_walk(tm, TM_WALK_LIVING, newest);
	tm_newest_walk(tm, TM_WALK_ENDED, newest);
	for (i = 1; i < newest->nr; i++)
		KUNIT_EXPECT_GE(test, newest->rows[i - 1].sample->time,
				newest->rows[i].sample->time);
	return newest->nr;
}

static void tm_test_newest_put(struct kunit *test, struct tm_newest *newest)
{
	while (newest->nr)
		tm_sample_put(newest->rows[--newest->nr].sample,
			      tm_test_tm(test));
}

/* Newest first, of the living and the ended, and each once. */
static void tm_test_newest_order(struct kunit *test)
{
	struct tm_newest *newest = kunit_kzalloc(test, sizeof(*newest),
						 GFP_KERNEL);
	struct task_sample *again;
	struct task_monitor *m[2];

	KUNIT_ASSERT_NOT_NULL(test, newest);
	KUNIT_EXPECT_EQ(test, tm_test_newest(test, newest), 0U);
	tm_test_histories(test, m);
	tm_test_end(test, m[1]);
	tm_test_round(test);
	KUNIT_EXPECT_TRUE(test, m[1]->ended);
	KUNIT_EXPECT_EQ(test, m[1]->ended_newest, 109ULL);
	KUNIT_EXPECT_EQ(test, tm_test_newest(test, newest), 19U);
	KUNIT_EXPECT_EQ(test, newest->rows[0].sample->time,
			tm_test_tm(test)->round_time);
	KUNIT_EXPECT_EQ(test, newest->rows[1].sample->time, 109ULL);
	KUNIT_EXPECT_EQ(test, newest->rows[9].sample->time, 101ULL);
	KUNIT_EXPECT_EQ(test, newest->rows[18].sample->time, 1ULL);

	again = newest->rows[5].sample;
	kref_get(&again->ref);
	tm_newest_insert(tm_test_tm(test), newest, again, 1, m[0]->comm);
	KUNIT_EXPECT_EQ(test, newest->nr, 19U);
	KUNIT_EXPECT_EQ(test, kref_read(&again->ref), 2U);
	tm_test_newest_put(test, newest);
	KUNIT_EXPECT_EQ(test, kref_read(&again->ref), 1U);
}

/* Of more than fit the newest stay, in any order of coming. */
static void tm_test_newest_full(struct kunit *test)
{
	struct tm_newest *newest = kunit_kzalloc(test, sizeof(*newest),
						 GFP_KERNEL);
	struct task_monitor *m[3];
	u64 time;

	KUNIT_ASSERT_NOT_NULL(test, newest);
	tm_test_monitors(test, m, ARRAY_SIZE(m));
	for (time = 1; time <= TM_NEWEST_MAX + 10; time++) {
		tm_test_sample(test, m[0], time);
		if (time > 20)
			tm_test_sample(test, m[1], time + 5);
	}
	tm_test_sample(test, m[2], 1000);
	KUNIT_EXPECT_EQ(test, tm_test_newest(test, newest),
			0U + TM_NEWEST_MAX);
	KUNIT_EXPECT_EQ(test, newest->rows[0].sample->time, 1000ULL);
	KUNIT_EXPECT_EQ(test, newest->rows[1].sample->time,
			TM_NEWEST_MAX + 15ULL);
	/* 5 of the second, then one of each: the last is the 50th of those. */
	KUNIT_EXPECT_EQ(test, newest->rows[TM_NEWEST_MAX - 1].sample->time,
			TM_NEWEST_MAX + 10 - (TM_NEWEST_MAX - 6 - 1) / 2ULL);
	tm_test_newest_put(test, newest);
}

static struct kunit_case tm_debugfs_cases[] = {
	KUNIT_CASE(tm_test_parse),
	KUNIT_CASE(tm_test_format),
	KUNIT_CASE(tm_test_row),
	KUNIT_CASE(tm_test_name),
	KUNIT_CASE(tm_test_cursor_all),
	KUNIT_CASE(tm_test_cursor_evicted),
	KUNIT_CASE(tm_test_cursor_removed),
	KUNIT_CASE(tm_test_cursor_pin),
	KUNIT_CASE(tm_test_cursor_long),
	KUNIT_CASE(tm_test_cursor_in_use),
	KUNIT_CASE(tm_test_newest_order),
	KUNIT_CASE(tm_test_newest_full),
	{ }
};

static struct kunit_suite tm_debugfs_suite = {
	.name = "taskmonitor_debugfs_seq",
	.init = tm_test_init,
	.exit = tm_test_exit,
	.test_cases = tm_debugfs_cases,
};

kunit_test_suite(tm_debugfs_suite);

// SPDX-License-Identifier: GPL-2.0
/*
 * Showing and telling: the history and the statistics in debugfs, the PIDs that
 * are written there, and the attribute in sysfs.
 */

#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>

#include "taskmonitor.h"

/* What one read returns at most: some 300 rows. */
#define TM_READ_SIZE	SZ_32K

/* "-2147483648\n", with a NUL at the end */
#define TM_INPUT_MAX	13

/*
 * Set when both files are there, after which nothing fails: a load that fails frees
 * the module without waiting for open files, so until then there are none.
 */
static bool tm_debugfs_ready;

static struct dentry *tm_history_file;
static struct dentry *tm_stats_file;

/* Rows */

/*
 * Seven numbers of up to 20 digits, three short ones, a name of up to 15 characters
 * of which each may become four, and what these are called: 284 bytes. Those of a
 * final row have fewer digits.
 */
#define TM_ROW_MAX	320

/* Division is what costs here: with all pairs of digits half of it is saved. */
static const char tm_digits[] = {
	"00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"
};

static u64 tm_kib(u64 pages)
{
	return pages << (PAGE_SHIFT - 10);
}

/* Inlined with a literal this is a store or two. */
static __always_inline char *tm_put_text(char *end, const char *text)
{
	return memcpy(end - strlen(text), text, strlen(text));
}

static char *tm_put_number(char *end, u64 number)
{
	u64 rest;

	while (number >= 100) {
		rest = number;
		number = div_u64(rest, 100);
		end -= 2;
		memcpy(end, &tm_digits[2 * (rest - 100 * number)], 2);
	}
	if (number < 10) {
		*--end = '0' + number;
		return end;
	}
	return memcpy(end - 2, &tm_digits[2 * number], 2);
}

/* A name as one word: what would end it is escaped, as in /proc/mounts. */
static char *tm_put_name(char *end, const char *name)
{
	const char *p = name + strlen(name);
	unsigned char c;

	if (p == name)
		return tm_put_text(end, "\\000");
	while (p > name) {
		c = *--p;
		if (c > ' ' && c != '\\' && c != 0x7f) {
			*--end = c;
			continue;
		}
		*--end = '0' + (c & 7);
		*--end = '0' + (c >> 3 & 7);
		*--end = '0' + (c >> 6);
		*--end = '\\';
	}
	return end;
}

/*
 * Write what all rows of a process called @comm end with, up to @end; returns
 * where that begins, for tm_format_row().
 */
static char *tm_format_comm(char *end, const char comm[TASK_COMM_LEN])
{
	char *p = end;

	p = tm_put_text(p, "\n");
	p = tm_put_name(p, comm);
	return tm_put_text(p, " comm ");
}

/*
 * Write @sample as a row about PID @nr in front of @tail, which tm_format_comm()
 * wrote to the end of a buffer of TM_ROW_MAX bytes; returns where the row begins.
 * Formats backwards, since digits come out least significant first: a fifth of
 * snprintf()'s cost.
 */
static char *tm_format_row(char *tail, pid_t nr,
			   const struct task_sample *sample)
{
	bool final = sample->state == TM_STATE_ENDED;
	char *p = tail;

	if (final) {
		p = tm_put_number(p, tm_kib(sample->peak));
		p = tm_put_text(p, " peak ");
		p = tm_put_number(p, sample->exit);
		p = tm_put_text(p, " exit ");
	}
	p = tm_put_number(p, sample->time);
	p = tm_put_text(p, " time ");
	*--p = task_index_to_char(sample->state);
	p = tm_put_text(p, " state ");
	if (final) {
		p = tm_put_text(p, " total 0 stack 0 data 0 rss 0 threads 0");
	} else {
		p = tm_put_number(p, sample->threads);
		p = tm_put_text(p, " threads ");
		p = tm_put_number(p, tm_kib(sample->rss));
		p = tm_put_text(p, " rss ");
		p = tm_put_number(p, tm_kib(sample->data));
		p = tm_put_text(p, " data ");
		p = tm_put_number(p, tm_kib(sample->stack));
		p = tm_put_text(p, " stack ");
		p = tm_put_number(p, tm_kib(sample->total));
		p = tm_put_text(p, " total ");
	}
	p = tm_put_number(p, sample->sys);
	p = tm_put_text(p, " sys ");
	p = tm_put_number(p, sample->usr);
	p = tm_put_text(p, " usr ");
	p = tm_put_number(p, nr);
	return tm_put_text(p, "pid ");
}

/* The history: a cursor over all samples of all monitors */

/**
 * struct tm_cursor - where a reader of the history is
 * @lock: one call at a time; protects all that follows, and the seq_file
 * @walk: over all monitors; it stands at the one whose history is being read
 * @nr: the number of that one as this reader sees it
 * @comm: its name when the last samples were pinned
 * @tail: what its rows end with, at the end of @row
 * @row: where its rows are written
 * @last: the row before the next one, with a reference; NULL if that is the
 *	first of its history
 * @nr_pinned: samples that are about to be shown
 * @at: the next of them
 * @pinned: those samples, each with a reference; while no read is under way there
 *	are none
 *
 * Rows are shown with no lock held that others wait for: a slice of samples gets
 * references under list_lock, and is shown after that.
 *
 * Reading goes on in O(1) where it stopped, and no row comes twice: eviction
 * takes the oldest first, so if @last has left its history, so has all before it,
 * and the oldest one left is the next.
 */
struct tm_cursor {
	struct mutex lock;	/* one call at a time */
	struct tm_walk walk;
	pid_t nr;
	char comm[TASK_COMM_LEN];
	char *tail;
	char row[TM_ROW_MAX];
	struct task_sample *last;
	unsigned int nr_pinned;
	unsigned int at;
	struct task_sample *pinned[TM_PIN_MAX];
};

static void tm_cursor_set_last(struct tm_cursor *cursor,
			       struct task_sample *sample)
{
	if (cursor->last)
		tm_sample_put(cursor->last, cursor->walk.tm);
	cursor->last = sample;
}

/* Drop the references to the samples that are not shown. */
static void tm_cursor_unpin(struct tm_cursor *cursor)
{
	while (cursor->at < cursor->nr_pinned)
		tm_sample_put(cursor->pinned[cursor->at++], cursor->walk.tm);
	cursor->nr_pinned = 0;
	cursor->at = 0;
}

static void tm_cursor_rewind(struct tm_cursor *cursor)
{
	tm_cursor_unpin(cursor);
	tm_cursor_set_last(cursor, NULL);
	tm_walk_end(&cursor->walk);
}

/* Pin the samples after the last one, as many as one hold may, if any. */
static void tm_cursor_pin(struct tm_cursor *cursor)
	__must_hold(&cursor->walk.tm->list_lock)
{
	struct task_monitor *monitor = cursor->walk.monitor;
	struct task_sample *sample = cursor->last;

	lockdep_assert_held(&cursor->walk.tm->list_lock);

	memcpy(cursor->comm, monitor->comm, TASK_COMM_LEN);
	/* Of a removed monitor the last one is in a list that is being freed. */
	if (!sample || monitor->removed || list_empty(&sample->node))
		sample = list_entry(&monitor->samples, struct task_sample,
				    node);
	list_for_each_entry_continue(sample, &monitor->samples, node) {
		kref_get(&sample->ref);
		cursor->pinned[cursor->nr_pinned++] = sample;
		if (cursor->nr_pinned == TM_PIN_MAX)
			break;
	}
}

/*
 * Stand at the next monitor, if this reader may see it with its first samples
 * pinned. Returns false at the end.
 */
static bool tm_cursor_next_monitor(struct tm_cursor *cursor)
{
	struct tm_context *tm = cursor->walk.tm;
	struct task_monitor *monitor;
	LIST_HEAD(gone);

	tm_cursor_set_last(cursor, NULL);
	raw_spin_lock(&tm->list_lock);
	monitor = tm_walk_next(&cursor->walk, &gone);
	if (monitor) {
		cursor->nr = pid_vnr(monitor->pid);
		if (cursor->nr)
			tm_cursor_pin(cursor);
	}
	raw_spin_unlock(&tm->list_lock);
	tm_monitors_free(&gone);
	return monitor;
}

/* The next row, pinned: after the last one, or the first of those that follow. */
static struct task_sample *tm_cursor_fill(struct tm_cursor *cursor)
{
	struct tm_context *tm = cursor->walk.tm;

	tm_cursor_unpin(cursor);
	if (cursor->walk.monitor) {
		/* The file may have come from a reader in another namespace. */
		cursor->nr = pid_vnr(cursor->walk.monitor->pid);
		raw_spin_lock(&tm->list_lock);
		if (cursor->nr)
			tm_cursor_pin(cursor);
		raw_spin_unlock(&tm->list_lock);
	}
	while (!cursor->nr_pinned) {
		if (!tm_cursor_next_monitor(cursor))
			return NULL;
		cond_resched();
	}
	cursor->tail = tm_format_comm(cursor->row + TM_ROW_MAX, cursor->comm);
	return cursor->pinned[0];
}

static void *tm_seq_start(struct seq_file *seq, loff_t *pos)
{
	struct tm_cursor *cursor = seq->private;

	/* Only 0 and where the last read stopped get here: see tm_seq_read(). */
	if (!*pos)
		tm_cursor_rewind(cursor);
	else if (!cursor->walk.monitor)
		return NULL;
	return tm_cursor_fill(cursor);
}

static void *tm_seq_next(struct seq_file *seq, void *v, loff_t *pos)
{
	struct tm_cursor *cursor = seq->private;

	++*pos;
	tm_cursor_set_last(cursor, v);
	if (++cursor->at < cursor->nr_pinned)
		return cursor->pinned[cursor->at];
	return tm_cursor_fill(cursor);
}

static void tm_seq_stop(struct seq_file *seq, void *v)
{
	tm_cursor_unpin(seq->private);
}

static int tm_seq_show(struct seq_file *seq, void *v)
{
	struct tm_cursor *cursor = seq->private;
	char *row = tm_format_row(cursor->tail, cursor->nr, v);

	seq_write(seq, row, cursor->row + TM_ROW_MAX - row);
	return 0;
}

static const struct seq_operations tm_seq_ops = {
	.start = tm_seq_start,
	.next = tm_seq_next,
	.stop = tm_seq_stop,
	.show = tm_seq_show,
};

static int tm_seq_open(struct inode *inode, struct file *file)
{
	struct tm_cursor *cursor;
	struct seq_file *seq;

	/* Pairs with tm_debugfs_init(). */
	if (!smp_load_acquire(&tm_debugfs_ready))
		return -ENODEV;
	cursor = __seq_open_private(file, &tm_seq_ops, sizeof(*cursor));
	if (!cursor)
		return -ENOMEM;
	mutex_init(&cursor->lock);
	cursor->walk.tm = inode->i_private;
	cursor->walk.over = TM_WALK_ALL;
	/* More rows a read than fit a page, which is the default; it is tried. */
	seq = file->private_data;
	seq->buf = kvmalloc(TM_READ_SIZE, GFP_KERNEL);
	seq->size = seq->buf ? TM_READ_SIZE : 0;
	/* A jump into the middle would be a walk over all rows before it. */
	file->f_mode &= ~FMODE_PREAD;
	return 0;
}

static int tm_seq_release(struct inode *inode, struct file *file)
{
	struct seq_file *seq = file->private_data;
	struct tm_cursor *cursor = seq->private;

	tm_cursor_rewind(cursor);
	mutex_destroy(&cursor->lock);
	return seq_release_private(inode, file);
}

/*
 * A read is at 0, or goes on from the last one. pread() does not get here, but
 * io_uring comes with any offset: 0 is no way back into a reading by read().
 */
static ssize_t tm_seq_read(struct file *file, char __user *buf, size_t size,
			   loff_t *ppos)
{
	struct seq_file *seq = file->private_data;
	struct tm_cursor *cursor = seq->private;
	ssize_t ret = -ESPIPE;

	mutex_lock(&cursor->lock);
	if (*ppos ? *ppos == seq->read_pos : !READ_ONCE(file->f_pos))
		ret = seq_read(file, buf, size, ppos);
	mutex_unlock(&cursor->lock);
	return ret;
}

static loff_t tm_seq_llseek(struct file *file, loff_t offset, int whence)
{
	struct seq_file *seq = file->private_data;
	struct tm_cursor *cursor = seq->private;
	loff_t ret = -ESPIPE;

	mutex_lock(&cursor->lock);
	if (whence == SEEK_CUR)
		offset += file->f_pos;
	if (whence != SEEK_CUR && whence != SEEK_SET)
		goto out;
	/* Where am I? That moves nothing. */
	if (offset == file->f_pos)
		ret = offset;
	else if (!offset)
		ret = seq_lseek(file, 0, SEEK_SET);
out:
	mutex_unlock(&cursor->lock);
	return ret;
}

/*
 * The number in @buf, of which @len bytes were written. kstrtoint() takes care
 * of all but what it lets pass: a plus sign, and what is behind a NUL.
 */
static int tm_parse_pid(const char *buf, size_t len, int *nr)
{
	int err;

	if (*buf == '+' || strlen(buf) != len)
		return -EINVAL;
	err = kstrtoint(buf, 10, nr);
	if (err)
		return err;
	if (!*nr)
		return -EINVAL;
	/* It has no positive counterpart. */
	if (*nr == INT_MIN)
		return -ERANGE;
	return 0;
}

static ssize_t tm_write(struct file *file, const char __user *ubuf,
			size_t size, loff_t *ppos)
{
	struct seq_file *seq = file->private_data;
	struct tm_cursor *cursor = seq->private;
	char buf[TM_INPUT_MAX] = { };
	int nr, err;

	if (size >= sizeof(buf))
		return -EINVAL;
	if (copy_from_user(buf, ubuf, size))
		return -EFAULT;
	err = tm_parse_pid(buf, size, &nr);
	if (err)
		return err;

	err = nr > 0 ? tm_monitor_add(cursor->walk.tm, nr) :
		       tm_monitor_remove(cursor->walk.tm, -nr);
	return err ?: size;
}

static const struct file_operations tm_history_fops = {
	.owner = THIS_MODULE,
	.open = tm_seq_open,
	.read = tm_seq_read,
	.write = tm_write,
	.llseek = tm_seq_llseek,
	.release = tm_seq_release,
};

/* The statistics */

static int tm_stats_show(struct seq_file *seq, void *v)
{
	struct tm_context *tm = seq->private;
	struct tm_stats stats;

	raw_spin_lock(&tm->list_lock);
	stats = tm->stats;
	raw_spin_unlock(&tm->list_lock);

	seq_printf(seq, "monitors %llu\n", stats.monitors);
	seq_printf(seq, "samples %llu\n", stats.samples);
	seq_printf(seq, "bytes %llu\n",
		   stats.samples * kmem_cache_size(tm->slab));
	seq_printf(seq, "taken %llu\n", stats.taken);
	seq_printf(seq, "reclaimed %llu\n", stats.reclaimed);
	seq_printf(seq, "recycled %llu\n", stats.recycled);
	seq_printf(seq, "capped %llu\n", stats.capped);
	seq_printf(seq, "removed %llu\n", stats.removed);
	seq_printf(seq, "dropped %llu\n", stats.dropped);
	seq_printf(seq, "late %llu\n", stats.late);
	seq_printf(seq, "tick_ns %llu\n", stats.tick_ns);
	seq_printf(seq, "tick_ns_max %llu\n", stats.tick_ns_max);
	seq_printf(seq, "ended %llu\n", stats.ended);
	seq_printf(seq, "followed %llu\n", stats.followed);
	seq_printf(seq, "refused %llu\n", stats.refused);
	seq_printf(seq, "missed %llu\n", stats.missed);
	return 0;
}

static int tm_stats_open(struct inode *inode, struct file *file)
{
	/* Pairs with tm_debugfs_init(). */
	if (!smp_load_acquire(&tm_debugfs_ready))
		return -ENODEV;
	return single_open(file, tm_stats_show, inode->i_private);
}

static const struct file_operations tm_stats_fops = {
	.owner = THIS_MODULE,
	.open = tm_stats_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};

/* The attribute in sysfs: the newest samples of all, as many as fit a page */

/* The attribute's callbacks are given no context. */
static struct tm_context *tm_sysfs_context;

/* The shortest row has 79 bytes: no more rows than this fit a page of 4 KiB. */
#define TM_NEWEST_MAX	(SZ_4K / 79)
static_assert(TM_NEWEST_MAX <= TM_PIN_MAX);

/**
 * struct tm_newest - the newest samples that a walk has come by
 * @nr: how many
 * @rows: those samples, newest first, each with a reference, the number of its
 *	process as the reader sees it, and the name of that
 */
struct tm_newest {
	unsigned int nr;
	struct {
		struct task_sample *sample;
		pid_t nr;
		char comm[TASK_COMM_LEN];
	} rows[TM_NEWEST_MAX];
};

/* Samples up to this time are of no use any more. */
static u64 tm_newest_floor(const struct tm_newest *newest)
{
	return newest->nr < TM_NEWEST_MAX ?
	       0 : newest->rows[TM_NEWEST_MAX - 1].sample->time;
}

/* Insert @sample, whose reference it takes over, unless it is of no use. */
static void tm_newest_insert(struct tm_context *tm, struct tm_newest *newest,
			     struct task_sample *sample, pid_t nr,
			     const char comm[TASK_COMM_LEN])
{
	bool useless = sample->time <= tm_newest_floor(newest);
	unsigned int i;

	/* A process that ended after one walk passed it comes in the other too. */
	for (i = 0; i < newest->nr && !useless; i++)
		useless = newest->rows[i].sample == sample;
	if (useless) {
		tm_sample_put(sample, tm);
		return;
	}
	if (newest->nr == TM_NEWEST_MAX)
		tm_sample_put(newest->rows[--newest->nr].sample, tm);
	for (i = newest->nr++; i; i--) {
		if (newest->rows[i - 1].sample->time >= sample->time)
			break;
		newest->rows[i] = newest->rows[i - 1];
	}
	newest->rows[i].sample = sample;
	newest->rows[i].nr = nr;
	memcpy(newest->rows[i].comm, comm, TASK_COMM_LEN);
}

/* Pin the samples of @monitor that are newer than @floor; returns how many. */
static unsigned int tm_pin_newest(struct tm_context *tm,
				  struct task_monitor *monitor, u64 floor,
				  struct task_sample *pinned[TM_NEWEST_MAX])
	__must_hold(&tm->list_lock)
{
	struct task_sample *sample;
	unsigned int nr = 0;

	lockdep_assert_held(&tm->list_lock);

	list_for_each_entry_reverse(sample, &monitor->samples, node) {
		if (nr == TM_NEWEST_MAX || sample->time <= floor)
			break;
		kref_get(&sample->ref);
		pinned[nr++] = sample;
	}
	return nr;
}

/* Add the samples of the next monitor. Returns false when that was the last. */
static bool tm_newest_add(struct tm_walk *walk, struct tm_newest *newest)
{
	struct task_sample *pinned[TM_NEWEST_MAX] __uninitialized;
	u64 floor = tm_newest_floor(newest);
	struct tm_context *tm = walk->tm;
	char comm[TASK_COMM_LEN] __uninitialized;
	struct task_monitor *monitor;
	unsigned int i, nr_pinned = 0;
	LIST_HEAD(gone);
	bool more = false;
	pid_t nr = 0;

	raw_spin_lock(&tm->list_lock);
	monitor = tm_walk_next(walk, &gone);
	if (monitor) {
		/* None of those that ended before has a newer one. */
		more = walk->over != TM_WALK_ENDED ||
		       monitor->ended_newest > floor;
		nr = pid_vnr(monitor->pid);
		memcpy(comm, monitor->comm, TASK_COMM_LEN);
		if (nr)
			nr_pinned = tm_pin_newest(tm, monitor, floor, pinned);
	}
	raw_spin_unlock(&tm->list_lock);
	tm_monitors_free(&gone);

	for (i = 0; i < nr_pinned; i++)
		tm_newest_insert(tm, newest, pinned[i], nr, comm);
	return more;
}

static void tm_newest_walk(struct tm_context *tm, enum tm_walk_over over,
			   struct tm_newest *newest)
{
	struct tm_walk walk = { .tm = tm, .over = over };

	while (tm_newest_add(&walk, newest))
		cond_resched();
	tm_walk_end(&walk);
}

/* Write the rows, as many whole ones as fit, and drop all references. */
static ssize_t tm_newest_show(struct tm_context *tm, struct tm_newest *newest,
			      char *page)
{
	char buf[TM_ROW_MAX], *end = buf + sizeof(buf), *row;
	bool full = false;
	ssize_t len = 0;
	unsigned int i;

	for (i = 0; i < newest->nr; i++) {
		row = tm_format_row(tm_format_comm(end, newest->rows[i].comm),
				    newest->rows[i].nr, newest->rows[i].sample);
		full = full || len + (end - row) >= PAGE_SIZE;
		if (!full) {
			memcpy(page + len, row, end - row);
			len += end - row;
		}
		tm_sample_put(newest->rows[i].sample, tm);
	}
	return len;
}

static ssize_t taskmonitor_show(struct kobject *kobj,
				struct kobj_attribute *attr, char *page)
{
	struct tm_context *tm = tm_sysfs_context;
	struct tm_newest *newest;
	ssize_t len;

	newest = kmalloc(sizeof(*newest), GFP_KERNEL);
	if (!newest)
		return -ENOMEM;
	newest->nr = 0;
	/* One that ends in between is found by the second. */
	tm_newest_walk(tm, TM_WALK_LIVING, newest);
	tm_newest_walk(tm, TM_WALK_ENDED, newest);
	len = tm_newest_show(tm, newest, page);
	kfree(newest);
	return len;
}

static ssize_t taskmonitor_store(struct kobject *kobj,
				 struct kobj_attribute *attr, const char *buf,
				 size_t size)
{
	struct tm_context *tm = tm_sysfs_context;
	int ret;

	/* What is behind a NUL does not pass unread. */
	if (strlen(buf) != size)
		return -EINVAL;

	if (sysfs_streq(buf, "stop")) {
		if (tm_stop(tm))
			pr_info("halting monitor thread\n");
		return size;
	}
	if (sysfs_streq(buf, "start")) {
		ret = tm_start(tm);
		if (ret < 0)
			return ret;
		if (ret)
			pr_info("starting monitor thread\n");
		return size;
	}
	return -EINVAL;
}

/* What others' processes do is root's to hand out. */
static struct kobj_attribute tm_attribute = __ATTR_RW_MODE(taskmonitor, 0600);

/**
 * tm_sysfs_init() - create the attribute
 * @tm: the task monitor, working: users come at once
 *
 * Context: may sleep.
 * Return: 0; -EEXIST if another has the name; -ENOMEM.
 */
int tm_sysfs_init(struct tm_context *tm)
{
	tm_sysfs_context = tm;
	return sysfs_create_file(kernel_kobj, &tm_attribute.attr);
}

/**
 * tm_sysfs_exit() - remove the attribute; waits for calls under way
 *
 * Context: may sleep; no lock held that the attribute takes.
 */
void tm_sysfs_exit(void)
{
	sysfs_remove_file(kernel_kobj, &tm_attribute.attr);
}

/**
 * tm_debugfs_init() - create the two files
 * @tm: the task monitor, working: users come at once
 *
 * debugfs is the interface here, not a debugging aid, so its failure is one.
 *
 * Context: may sleep.
 * Return: 0; -ENODEV without debugfs, -EPERM where it is turned off; -EEXIST if
 * another has the names; -ENOMEM.
 */
int tm_debugfs_init(struct tm_context *tm)
{
	tm_stats_file = debugfs_create_file("taskmonitor_stats", 0400, NULL, tm,
					    &tm_stats_fops);
	if (IS_ERR(tm_stats_file))
		return PTR_ERR(tm_stats_file);

	tm_history_file = debugfs_create_file("taskmonitor", 0600, NULL, tm,
					      &tm_history_fops);
	if (IS_ERR(tm_history_file)) {
		debugfs_remove(tm_stats_file);
		return PTR_ERR(tm_history_file);
	}
	/* Pairs with tm_seq_open() and tm_stats_open(). */
	smp_store_release(&tm_debugfs_ready, true);
	return 0;
}

/**
 * tm_debugfs_exit() - remove the two files; waits for calls under way
 *
 * Context: may sleep; no lock held that a file takes.
 */
void tm_debugfs_exit(void)
{
	debugfs_remove(tm_history_file);
	debugfs_remove(tm_stats_file);
}

#ifdef TASKMONITOR_KUNIT
#include "tests/kunit/debugfs_seq_kunit.h"
#endif

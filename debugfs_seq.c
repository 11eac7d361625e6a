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

/* What one read returns at most: some 300 rows, shown under one lock. */
#define TM_READ_SIZE	SZ_32K

/* "-2147483648\n", with a NUL at the end */
#define TM_INPUT_MAX	13

static struct dentry *tm_history_file;
static struct dentry *tm_stats_file;

/* Rows */

/* Seven numbers of up to 20 digits, three short ones, their names: 218 bytes. */
#define TM_ROW_MAX	256

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

/*
 * Write @sample as a row about PID @nr that ends at @end, with TM_ROW_MAX bytes
 * before it; returns where the row begins. From the end on, a number falls into
 * its place, digit after digit: a fifth of what snprintf() takes, and rows are
 * what a reader waits for.
 */
static char *tm_format_row(char *end, pid_t nr,
			   const struct task_sample *sample)
{
	char *p = end;

	p = tm_put_text(p, "\n");
	p = tm_put_number(p, sample->time);
	p = tm_put_text(p, " time ");
	*--p = task_index_to_char(sample->state);
	p = tm_put_text(p, " state ");
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
 * @tm: the task monitor
 * @monitor: whose history is being read, with a reference; NULL at the end
 * @nr: its number as this reader sees it
 * @sample: the next row, with a reference, while no read is under way
 *
 * Reading goes on in O(1) where it stopped, and no row comes twice: eviction
 * takes the oldest first, so if @sample has left its history, so has all before
 * it, and the oldest one left is the next. While rows are being shown the
 * monitor's lock is held. All protected by the seq_file's own lock.
 */
struct tm_cursor {
	struct tm_context *tm;
	struct task_monitor *monitor;
	pid_t nr;
	struct task_sample *sample;
};

static void tm_cursor_set_monitor(struct tm_cursor *cursor,
				  struct task_monitor *monitor)
{
	if (cursor->monitor)
		tm_monitor_put(cursor->monitor);
	cursor->monitor = monitor;
}

static void tm_cursor_set_sample(struct tm_cursor *cursor,
				 struct task_sample *sample)
{
	if (cursor->sample)
		tm_sample_put(cursor->sample, cursor->tm);
	cursor->sample = sample;
}

/*
 * Move to the next monitor that this reader may see, from the first if there
 * is no current one. Returns false at the end.
 */
static bool tm_cursor_next_monitor(struct tm_cursor *cursor)
{
	struct pid_namespace *ns = task_active_pid_ns(current);
	struct task_monitor *monitor = cursor->monitor;

	mutex_lock(&cursor->tm->list_lock);
	do {
		monitor = tm_monitor_next(cursor->tm, monitor);
		cursor->nr = monitor ? pid_nr_ns(monitor->pid, ns) : 0;
	} while (monitor && !cursor->nr);
	if (monitor)
		tm_monitor_get(monitor);
	mutex_unlock(&cursor->tm->list_lock);

	tm_cursor_set_monitor(cursor, monitor);
	return monitor;
}

/*
 * The first sample after the current monitor's, or of all if there is none.
 * Returns with the lock of the monitor held whose sample it is, or NULL.
 */
static struct task_sample *tm_cursor_next_history(struct tm_cursor *cursor)
{
	struct task_sample *sample;

	while (tm_cursor_next_monitor(cursor)) {
		mutex_lock(&cursor->monitor->history_lock);
		sample = list_first_entry_or_null(&cursor->monitor->samples,
						  struct task_sample, node);
		if (sample)
			return sample;
		mutex_unlock(&cursor->monitor->history_lock);
	}
	return NULL;
}

/* The sample at which the last read stopped, or what comes after it now. */
static struct task_sample *tm_cursor_resume(struct tm_cursor *cursor)
{
	struct task_monitor *monitor = cursor->monitor;
	struct task_sample *sample;

	if (!monitor)
		return NULL;

	mutex_lock(&monitor->history_lock);
	if (!monitor->removed && !list_empty(&cursor->sample->node))
		sample = cursor->sample;
	else
		sample = list_first_entry_or_null(&monitor->samples,
						  struct task_sample, node);
	if (!sample) {
		mutex_unlock(&monitor->history_lock);
		sample = tm_cursor_next_history(cursor);
	}
	tm_cursor_set_sample(cursor, NULL);
	return sample;
}

static void *tm_seq_start(struct seq_file *seq, loff_t *pos)
{
	struct tm_cursor *cursor = seq->private;

	/* Only 0 and where the last read stopped get here: see tm_seq_read(). */
	if (*pos)
		return tm_cursor_resume(cursor);

	tm_cursor_set_sample(cursor, NULL);
	tm_cursor_set_monitor(cursor, NULL);
	return tm_cursor_next_history(cursor);
}

static void *tm_seq_next(struct seq_file *seq, void *v, loff_t *pos)
{
	struct tm_cursor *cursor = seq->private;
	struct task_monitor *monitor = cursor->monitor;
	struct task_sample *sample = v;

	++*pos;
	if (!list_is_last(&sample->node, &monitor->samples))
		return list_next_entry(sample, node);
	mutex_unlock(&monitor->history_lock);
	return tm_cursor_next_history(cursor);
}

static void tm_seq_stop(struct seq_file *seq, void *v)
{
	struct tm_cursor *cursor = seq->private;
	struct task_sample *sample = v;

	if (!sample)
		return;
	kref_get(&sample->ref);
	tm_cursor_set_sample(cursor, sample);
	mutex_unlock(&cursor->monitor->history_lock);
}

static int tm_seq_show(struct seq_file *seq, void *v)
{
	struct tm_cursor *cursor = seq->private;
	char buf[TM_ROW_MAX], *end = buf + sizeof(buf), *row;

	row = tm_format_row(end, cursor->nr, v);
	seq_write(seq, row, end - row);
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

	cursor = __seq_open_private(file, &tm_seq_ops, sizeof(*cursor));
	if (!cursor)
		return -ENOMEM;
	cursor->tm = inode->i_private;
	/* More rows a read than fit a page, which is the default; it is tried. */
	seq = file->private_data;
	seq->buf = kvmalloc(TM_READ_SIZE, GFP_KERNEL);
	seq->size = seq->buf ? TM_READ_SIZE : 0;
	return 0;
}

static int tm_seq_release(struct inode *inode, struct file *file)
{
	struct seq_file *seq = file->private_data;
	struct tm_cursor *cursor = seq->private;

	tm_cursor_set_sample(cursor, NULL);
	tm_cursor_set_monitor(cursor, NULL);
	return seq_release_private(inode, file);
}

/*
 * A jump into the middle would make seq_file walk all before it in one go, with
 * the sampler waiting. So a read is at 0, or goes on from the last one: that is
 * what pread() is told apart by.
 */
static ssize_t tm_seq_read(struct file *file, char __user *buf, size_t size,
			   loff_t *ppos)
{
	struct seq_file *seq = file->private_data;

	if (*ppos && (*ppos != file->f_pos || *ppos != seq->read_pos))
		return -ESPIPE;
	return seq_read(file, buf, size, ppos);
}

static loff_t tm_seq_llseek(struct file *file, loff_t offset, int whence)
{
	if (whence == SEEK_CUR)
		offset += file->f_pos;
	else if (whence != SEEK_SET)
		return -ESPIPE;

	/* Where am I? That moves nothing. */
	if (offset == file->f_pos)
		return offset;
	if (offset)
		return -ESPIPE;
	return seq_lseek(file, 0, SEEK_SET);
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

	err = nr > 0 ? tm_monitor_add(cursor->tm, nr) :
		       tm_monitor_remove(cursor->tm, -nr);
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

	mutex_lock(&tm->list_lock);
	stats = tm->stats;
	mutex_unlock(&tm->list_lock);

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
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(tm_stats);

/* The attribute in sysfs: the newest samples of all, as many as fit a page */

/* The attribute's callbacks are given no context. */
static struct tm_context *tm_sysfs_context;

/* The newest sample of @monitor that was taken up to @time, or NULL. */
static struct task_sample *tm_sample_up_to(struct task_monitor *monitor,
					   u64 time)
{
	struct task_sample *sample;

	list_for_each_entry_reverse(sample, &monitor->samples, node)
		if (sample->time <= time)
			return sample;
	return NULL;
}

/*
 * The time of the last round up to @time that has samples which this reader may
 * see, or 0.
 */
static u64 tm_last_round_before(struct tm_context *tm, u64 time)
{
	struct task_monitor *monitor;
	struct task_sample *sample;
	u64 newest = 0;

	list_for_each_entry(monitor, &tm->tasks, node) {
		if (!pid_vnr(monitor->pid))
			continue;
		sample = tm_sample_up_to(monitor, time);
		if (sample)
			newest = max(newest, sample->time);
	}
	return newest;
}

/* Write the rows of the round at @time. Returns false when the page is full. */
static bool tm_show_round(struct tm_context *tm, u64 time, char *page,
			  ssize_t *len)
{
	struct task_monitor *monitor;
	struct task_sample *sample;
	char buf[TM_ROW_MAX], *end = buf + sizeof(buf), *row;
	pid_t nr;

	list_for_each_entry(monitor, &tm->tasks, node) {
		nr = pid_vnr(monitor->pid);
		sample = tm_sample_up_to(monitor, time);
		if (!nr || !sample || sample->time != time)
			continue;
		row = tm_format_row(end, nr, sample);
		if (*len + (end - row) >= PAGE_SIZE)
			return false;
		memcpy(page + *len, row, end - row);
		*len += end - row;
	}
	return true;
}

static ssize_t taskmonitor_show(struct kobject *kobj,
				struct kobj_attribute *attr, char *page)
{
	struct tm_context *tm = tm_sysfs_context;
	ssize_t len = 0;
	u64 time;

	/* Every turn writes a row or ends it: a page bounds how deep this goes. */
	mutex_lock(&tm->list_lock);
	for (time = tm_last_round_before(tm, U64_MAX); time;
	     time = tm_last_round_before(tm, time - 1))
		if (!tm_show_round(tm, time, page, &len))
			break;
	mutex_unlock(&tm->list_lock);
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

static struct kobj_attribute tm_attribute = __ATTR_RW(taskmonitor);

/**
 * tm_files_init() - create the module's files
 * @tm: the task monitor, working: users come at once
 *
 * debugfs is the interface here, not a debugging aid, so its failure is one.
 *
 * Context: may sleep.
 * Return: 0; -ENODEV without debugfs; -EEXIST if another has the names;
 * -ENOMEM.
 */
int tm_files_init(struct tm_context *tm)
{
	int err;

	tm_sysfs_context = tm;
	err = sysfs_create_file(kernel_kobj, &tm_attribute.attr);
	if (err)
		return err;

	tm_stats_file = debugfs_create_file("taskmonitor_stats", 0400, NULL, tm,
					    &tm_stats_fops);
	if (IS_ERR(tm_stats_file)) {
		err = PTR_ERR(tm_stats_file);
		goto err_sysfs;
	}
	tm_history_file = debugfs_create_file("taskmonitor", 0600, NULL, tm,
					      &tm_history_fops);
	if (IS_ERR(tm_history_file)) {
		err = PTR_ERR(tm_history_file);
		goto err_stats;
	}
	return 0;

err_stats:
	debugfs_remove(tm_stats_file);
err_sysfs:
	sysfs_remove_file(kernel_kobj, &tm_attribute.attr);
	return err;
}

/**
 * tm_files_exit() - remove the files; waits for calls under way
 * @tm: the task monitor
 *
 * Context: may sleep; no lock held that a file takes.
 */
void tm_files_exit(struct tm_context *tm)
{
	debugfs_remove(tm_history_file);
	debugfs_remove(tm_stats_file);
	sysfs_remove_file(kernel_kobj, &tm_attribute.attr);
}

#ifdef TASKMONITOR_KUNIT
#include "tests/debugfs_seq_kunit.h"
#endif

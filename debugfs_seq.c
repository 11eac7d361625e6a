// SPDX-License-Identifier: GPL-2.0
/*
 * Showing and telling: history, pipe and statistics in debugfs, the PIDs that are
 * written there, the attribute in sysfs, the device.
 */

#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/math64.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "taskmonitor.h"

/* What one read returns at most: some 300 rows. */
#define TM_READ_SIZE	SZ_32K

/* "-2147483648\n", with a NUL at the end */
#define TM_INPUT_MAX	13

/*
 * Set when all files are there, after which nothing fails: a load that fails frees
 * the module without waiting for open files, so until then there are none.
 */
static bool tm_debugfs_ready;

static struct dentry *tm_history_file;
static struct dentry *tm_stats_file;
static struct dentry *tm_pipe_file;

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
 * @until: later samples are not shown
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
	u64 until;
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
		if (cursor->nr_pinned == TM_PIN_MAX ||
		    sample->time > cursor->until)
			break;
		kref_get(&sample->ref);
		cursor->pinned[cursor->nr_pinned++] = sample;
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

static int tm_history_open(struct tm_context *tm, struct file *file)
{
	struct tm_cursor *cursor;
	struct seq_file *seq;

	cursor = __seq_open_private(file, &tm_seq_ops, sizeof(*cursor));
	if (!cursor)
		return -ENOMEM;
	mutex_init(&cursor->lock);
	cursor->walk.tm = tm;
	cursor->walk.over = TM_WALK_ALL;
	cursor->until = U64_MAX;
	/* More rows a read than fit a page, which is the default; it is tried. */
	seq = file->private_data;
	seq->buf = kvmalloc(TM_READ_SIZE, GFP_KERNEL);
	seq->size = seq->buf ? TM_READ_SIZE : 0;
	/* A jump into the middle would be a walk over all rows before it. */
	file->f_mode &= ~FMODE_PREAD;
	return 0;
}

static int tm_seq_open(struct inode *inode, struct file *file)
{
	/* Pairs with tm_files_init(). */
	if (!smp_load_acquire(&tm_debugfs_ready))
		return -ENODEV;
	return tm_history_open(inode->i_private, file);
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

/*
 * The device: the same file once more, for machines that are locked down, where
 * debugfs answers EPERM, and for groups that a udev rule lets in.
 */

/* A device has no place for it that open could ask. */
static struct tm_context *tm_device_context;

/* Nothing of a load fails once the device is there. */
static int tm_device_open(struct inode *inode, struct file *file)
{
	/* misc_open() leaves the device there, seq_open() wants the place. */
	file->private_data = NULL;
	return tm_history_open(tm_device_context, file);
}

static const struct file_operations tm_device_fops = {
	.owner = THIS_MODULE,
	.open = tm_device_open,
	.read = tm_seq_read,
	.write = tm_write,
	.llseek = tm_seq_llseek,
	.release = tm_seq_release,
};

static struct miscdevice tm_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "taskmonitor",
	.fops = &tm_device_fops,
	.mode = 0600,
};

/* The pipe: the rows of what is sampled from now on, as it comes */

/**
 * struct tm_pipe - where a reader of the pipe is
 * @lock: protects all that follows
 * @cursor: in the history that is being read; a pass shows what came after @shown,
 *	up to &tm_cursor.until: one round, while the reader keeps up
 * @shown: of all samples, those up to this time have been shown
 * @seeking: the place in the history is still to be found
 * @serial: of the monitor that was the last when the pass began
 * @living: over those that have not ended, from the first in each pass
 * @ended: over those that have ended since @since, likewise
 * @since: the last to end of those that have no samples after @shown
 * @buf: rows, TM_READ_SIZE bytes
 * @at: where in @buf those begin that have not been read
 * @len: where they end
 *
 * A history is searched from its newest sample back, so a pass costs what has been
 * sampled since the last one, and not what there is.
 */
struct tm_pipe {
	struct mutex lock;	/* one reader at a time */
	struct tm_cursor cursor;
	u64 shown;
	bool seeking;
	u64 serial;
	struct tm_walk living;
	struct tm_walk ended;
	struct tm_walk since;
	size_t at;
	size_t len;
	char *buf;
};

/* Whether there is a round that has not been shown. */
static bool tm_pipe_is_late(const struct tm_pipe *pipe)
{
	/* Pairs with tm_round_publish(). */
	return smp_load_acquire(&pipe->cursor.walk.tm->published) >
	       READ_ONCE(pipe->shown);
}

/* Begin a pass. */
static void tm_pipe_begin(struct tm_pipe *pipe)
{
	struct tm_context *tm = pipe->cursor.walk.tm;
	LIST_HEAD(gone);

	/* Pairs with tm_round_publish(). */
	pipe->cursor.until = smp_load_acquire(&tm->published);
	raw_spin_lock(&tm->list_lock);
	pipe->serial = tm->serial;
	tm_walk_move(&pipe->ended, pipe->since.monitor, &gone);
	raw_spin_unlock(&tm->list_lock);
	tm_monitors_free(&gone);
}

/* Whether all samples of @monitor, which has ended, have been shown. */
static bool tm_pipe_is_done_with(const struct tm_pipe *pipe,
				 struct task_monitor *monitor)
	__must_hold(&pipe->cursor.walk.tm->list_lock)
{
	lockdep_assert_held(&pipe->cursor.walk.tm->list_lock);

	return list_empty(&monitor->samples) ||
	       list_last_entry(&monitor->samples, struct task_sample,
			       node)->time <= pipe->shown;
}

/* The pass is over. */
static void tm_pipe_end(struct tm_pipe *pipe)
{
	struct tm_context *tm = pipe->cursor.walk.tm;
	struct task_monitor *monitor;
	LIST_HEAD(gone);

	WRITE_ONCE(pipe->shown, pipe->cursor.until);
	do {
		raw_spin_lock(&tm->list_lock);
		monitor = tm_walk_following(&pipe->since, pipe->since.monitor);
		if (monitor && !tm_pipe_is_done_with(pipe, monitor))
			monitor = NULL;
		if (monitor)
			tm_walk_move(&pipe->since, monitor, &gone);
		raw_spin_unlock(&tm->list_lock);
		cond_resched();
	} while (monitor);
	tm_monitors_free(&gone);
}

/*
 * Whether the pass showed @monitor, which has ended, when it had not: it goes on to
 * the next of the living only when it has been to all that have ended.
 */
static bool tm_pipe_has_passed(const struct tm_pipe *pipe,
			       const struct task_monitor *monitor)
	__must_hold(&pipe->cursor.walk.tm->list_lock)
{
	lockdep_assert_held(&pipe->cursor.walk.tm->list_lock);

	return pipe->living.monitor &&
	       monitor->serial <= pipe->living.monitor->serial;
}

/*
 * Go on to the next monitor; the cursor stands at it if there may be rows of it to
 * show, and nowhere if not. Returns false at the end of the pass.
 */
static bool tm_pipe_next_monitor(struct tm_pipe *pipe)
{
	struct tm_context *tm = pipe->cursor.walk.tm;
	struct task_monitor *monitor, *shown;
	LIST_HEAD(gone);

	tm_cursor_set_last(&pipe->cursor, NULL);
	pipe->seeking = true;
	raw_spin_lock(&tm->list_lock);
	monitor = tm_walk_following(&pipe->ended, pipe->ended.monitor);
	if (monitor) {
		tm_walk_move(&pipe->ended, monitor, &gone);
		shown = tm_pipe_has_passed(pipe, monitor) ? NULL : monitor;
	} else {
		monitor = tm_walk_following(&pipe->living,
					    pipe->living.monitor);
		/* More may be added, and have no samples that are to be shown. */
		if (monitor && monitor->serial > pipe->serial)
			monitor = NULL;
		tm_walk_move(&pipe->living, monitor, &gone);
		shown = monitor && monitor->ended ? NULL : monitor;
	}
	tm_walk_move(&pipe->cursor.walk, shown, &gone);
	raw_spin_unlock(&tm->list_lock);
	tm_monitors_free(&gone);
	return monitor;
}

/*
 * Go back to the last sample that has been shown, as far as one hold may; @last is
 * that, or NULL: there is none. Returns whether that is found.
 */
static bool tm_pipe_seek(const struct tm_pipe *pipe, struct task_sample **last)
	__must_hold(&pipe->cursor.walk.tm->list_lock)
{
	struct task_monitor *monitor = pipe->cursor.walk.monitor;
	struct task_sample *sample = *last;
	unsigned int i;

	lockdep_assert_held(&pipe->cursor.walk.tm->list_lock);

	*last = NULL;
	/* It left the history, and so did all that was before it. */
	if (monitor->removed || (sample && list_empty(&sample->node)))
		return true;
	if (!sample)
		sample = list_entry(&monitor->samples, struct task_sample,
				    node);
	for (i = 0; i < TM_PIN_MAX; i++) {
		sample = list_prev_entry(sample, node);
		if (list_entry_is_head(sample, &monitor->samples, node))
			return true;
		if (sample->time <= pipe->shown)
			break;
	}
	kref_get(&sample->ref);
	*last = sample;
	return i < TM_PIN_MAX;
}

/* Pin the next rows of the history, if there are any: go there first. */
static void tm_pipe_pin(struct tm_pipe *pipe)
{
	struct tm_cursor *cursor = &pipe->cursor;
	struct tm_context *tm = cursor->walk.tm;
	struct task_sample *last;

	/* The file may have come from a reader in another namespace. */
	cursor->nr = pid_vnr(cursor->walk.monitor->pid);
	while (cursor->nr && pipe->seeking) {
		last = cursor->last;
		raw_spin_lock(&tm->list_lock);
		pipe->seeking = !tm_pipe_seek(pipe, &last);
		raw_spin_unlock(&tm->list_lock);
		tm_cursor_set_last(cursor, last);
		cond_resched();
	}
	raw_spin_lock(&tm->list_lock);
	if (cursor->nr)
		tm_cursor_pin(cursor);
	raw_spin_unlock(&tm->list_lock);
	cursor->tail = tm_format_comm(cursor->row + TM_ROW_MAX, cursor->comm);
}

/* Pin the next rows, of any history. Returns whether there are any. */
static bool tm_pipe_fill(struct tm_pipe *pipe)
{
	struct tm_cursor *cursor = &pipe->cursor;

	tm_cursor_unpin(cursor);
	for (;;) {
		if (cursor->walk.monitor)
			tm_pipe_pin(pipe);
		if (cursor->nr_pinned)
			return true;
		/* The last pass is over. */
		if (cursor->until == pipe->shown) {
			if (!tm_pipe_is_late(pipe))
				return false;
			tm_pipe_begin(pipe);
		}
		if (!tm_pipe_next_monitor(pipe))
			tm_pipe_end(pipe);
		cond_resched();
	}
}

/* Format what there is to read, unless there is something; returns its length. */
static size_t tm_pipe_format(struct tm_pipe *pipe)
	__must_hold(&pipe->lock)
{
	struct tm_cursor *cursor = &pipe->cursor;
	char *row, *end = cursor->row + TM_ROW_MAX;

	lockdep_assert_held(&pipe->lock);

	if (pipe->at < pipe->len)
		return pipe->len - pipe->at;
	pipe->at = 0;
	pipe->len = 0;
	while (pipe->len + TM_ROW_MAX <= TM_READ_SIZE) {
		if (cursor->at == cursor->nr_pinned && !tm_pipe_fill(pipe))
			break;
		row = tm_format_row(cursor->tail, cursor->nr,
				    cursor->pinned[cursor->at]);
		memcpy(pipe->buf + pipe->len, row, end - row);
		pipe->len += end - row;
		tm_cursor_set_last(cursor, cursor->pinned[cursor->at++]);
	}
	tm_cursor_unpin(cursor);
	return pipe->len;
}

/*
 * Copy rows to @buf, whole ones, unless there is not even room for one; those that
 * read by bytes, as a shell does, get pieces.
 */
static ssize_t tm_pipe_copy(struct tm_pipe *pipe, char __user *buf, size_t size)
	__must_hold(&pipe->lock)
{
	size_t len = tm_pipe_format(pipe), whole;
	const char *rows = pipe->buf + pipe->at;

	lockdep_assert_held(&pipe->lock);

	if (size < len) {
		for (whole = size; whole && rows[whole - 1] != '\n';)
			whole--;
		len = whole ?: size;
	}
	if (copy_to_user(buf, rows, len))
		return -EFAULT;
	pipe->at += len;
	return len;
}

static ssize_t tm_pipe_read(struct file *file, char __user *buf, size_t size,
			    loff_t *ppos)
{
	struct tm_pipe *pipe = file->private_data;
	struct tm_context *tm = pipe->cursor.walk.tm;
	ssize_t ret;

	if (!size)
		return 0;
	for (;;) {
		if (mutex_lock_interruptible(&pipe->lock))
			return -ERESTARTSYS;
		ret = tm_pipe_copy(pipe, buf, size);
		mutex_unlock(&pipe->lock);
		if (ret)
			return ret;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		ret = wait_event_interruptible(tm->pipes,
					       tm_pipe_is_late(pipe));
		if (ret)
			return ret;
	}
}

/* A round may have nothing for this reader, so rows are formatted to know. */
static __poll_t tm_pipe_poll(struct file *file, poll_table *wait)
{
	struct tm_pipe *pipe = file->private_data;
	size_t len;

	poll_wait(file, &pipe->cursor.walk.tm->pipes, wait);
	mutex_lock(&pipe->lock);
	len = tm_pipe_format(pipe);
	mutex_unlock(&pipe->lock);
	return len ? EPOLLIN | EPOLLRDNORM : 0;
}

static void tm_pipe_free(struct tm_pipe *pipe)
{
	mutex_destroy(&pipe->lock);
	kvfree(pipe->buf);
	kfree(pipe);
}

static struct tm_pipe *tm_pipe_alloc(struct tm_context *tm)
{
	struct tm_pipe *pipe = kzalloc(sizeof(*pipe), GFP_KERNEL);

	if (!pipe)
		return NULL;
	mutex_init(&pipe->lock);
	pipe->cursor.walk.tm = tm;
	pipe->living.tm = tm;
	pipe->living.over = TM_WALK_LIVING;
	pipe->ended.tm = tm;
	pipe->ended.over = TM_WALK_ENDED_SINCE;
	pipe->since.tm = tm;
	pipe->since.over = TM_WALK_ENDED_SINCE;
	pipe->buf = kvmalloc(TM_READ_SIZE, GFP_KERNEL);
	if (!pipe->buf) {
		tm_pipe_free(pipe);
		return NULL;
	}
	return pipe;
}

/* What a round under way has yet to sample would come too early: wait for its end. */
static int tm_pipe_set_start(struct tm_pipe *pipe)
{
	struct tm_context *tm = pipe->cursor.walk.tm;
	LIST_HEAD(gone);

	if (mutex_lock_interruptible(&tm->round_lock))
		return -ERESTARTSYS;
	pipe->shown = tm->round_time;
	pipe->cursor.until = pipe->shown;
	raw_spin_lock(&tm->list_lock);
	if (!list_empty(&tm->ended))
		tm_walk_move(&pipe->since,
			     list_last_entry(&tm->ended, struct task_monitor,
					     ended_node), &gone);
	raw_spin_unlock(&tm->list_lock);
	mutex_unlock(&tm->round_lock);
	return 0;
}

static int tm_pipe_open(struct inode *inode, struct file *file)
{
	struct tm_pipe *pipe;
	int err;

	/* Pairs with tm_files_init(). */
	if (!smp_load_acquire(&tm_debugfs_ready))
		return -ENODEV;
	pipe = tm_pipe_alloc(inode->i_private);
	if (!pipe)
		return -ENOMEM;
	err = tm_pipe_set_start(pipe);
	if (err) {
		tm_pipe_free(pipe);
		return err;
	}
	file->private_data = pipe;
	return stream_open(inode, file);
}

static int tm_pipe_release(struct inode *inode, struct file *file)
{
	struct tm_pipe *pipe = file->private_data;

	tm_cursor_rewind(&pipe->cursor);
	tm_walk_end(&pipe->living);
	tm_walk_end(&pipe->ended);
	tm_walk_end(&pipe->since);
	tm_pipe_free(pipe);
	return 0;
}

static const struct file_operations tm_pipe_fops = {
	.owner = THIS_MODULE,
	.open = tm_pipe_open,
	.read = tm_pipe_read,
	.poll = tm_pipe_poll,
	.release = tm_pipe_release,
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
	/* Pairs with tm_files_init(). */
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

static int tm_sysfs_init(struct tm_context *tm)
{
	tm_sysfs_context = tm;
	return sysfs_create_file(kernel_kobj, &tm_attribute.attr);
}

static void tm_sysfs_exit(void)
{
	sysfs_remove_file(kernel_kobj, &tm_attribute.attr);
}

static int tm_debugfs_init(struct tm_context *tm)
{
	int err;

	tm_stats_file = debugfs_create_file("taskmonitor_stats", 0400, NULL, tm,
					    &tm_stats_fops);
	if (IS_ERR(tm_stats_file))
		return PTR_ERR(tm_stats_file);
	tm_history_file = debugfs_create_file("taskmonitor", 0600, NULL, tm,
					      &tm_history_fops);
	if (IS_ERR(tm_history_file)) {
		err = PTR_ERR(tm_history_file);
		goto err_stats;
	}
	tm_pipe_file = debugfs_create_file("taskmonitor_pipe", 0400, NULL, tm,
					   &tm_pipe_fops);
	if (IS_ERR(tm_pipe_file)) {
		err = PTR_ERR(tm_pipe_file);
		goto err_history;
	}
	return 0;

err_history:
	debugfs_remove(tm_history_file);
err_stats:
	debugfs_remove(tm_stats_file);
	return err;
}

static void tm_debugfs_exit(void)
{
	debugfs_remove(tm_pipe_file);
	debugfs_remove(tm_history_file);
	debugfs_remove(tm_stats_file);
}

/**
 * tm_files_init() - create all files, the device last
 * @tm: the task monitor, working: users come at once
 *
 * debugfs is the interface here, not a debugging aid, so its failure is one.
 *
 * Context: may sleep.
 * Return: 0; -ENODEV without debugfs, -EPERM where it is turned off; -EEXIST if
 * another has one of the names; -EBUSY if there are too many devices; -ENOMEM.
 */
int tm_files_init(struct tm_context *tm)
{
	int err = tm_sysfs_init(tm);

	if (err)
		return err;
	err = tm_debugfs_init(tm);
	if (err)
		goto err_sysfs;
	tm_device_context = tm;
	err = misc_register(&tm_device);
	if (err)
		goto err_debugfs;
	/* Pairs with the three open functions. */
	smp_store_release(&tm_debugfs_ready, true);
	return 0;

err_debugfs:
	tm_debugfs_exit();
err_sysfs:
	tm_sysfs_exit();
	return err;
}

/**
 * tm_files_exit() - remove all files; waits for calls under way
 *
 * Context: may sleep; no lock held that a file takes.
 */
void tm_files_exit(void)
{
	misc_deregister(&tm_device);
	tm_debugfs_exit();
	tm_sysfs_exit();
}

#ifdef TASKMONITOR_KUNIT
#include "tests/kunit/debugfs_seq_kunit.h"
#endif

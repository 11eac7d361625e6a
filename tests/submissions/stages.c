// SPDX-License-Identifier: GPL-2.0
/*
 * A plain solution of the lab in one file, as it stands after each of its tasks.
 * tests/grade.py makes the file of a stage: it keeps what "#if STAGE >= N" asks
 * for, and the lines of these conditions go.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#if STAGE >= 6
#include <linux/debugfs.h>
#endif
#include <linux/hrtimer.h>
#include <linux/kobject.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/sched/cputime.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/version.h>
#if STAGE >= 2
#include <linux/shrinker.h>
#endif
#if STAGE >= 4
#include <linux/mempool.h>
#endif
#if STAGE >= 5
#include <linux/kref.h>
#endif
#if STAGE >= 6
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#endif

#define PERIOD_MS 1000

struct task_sample {
	struct list_head list;
#if STAGE >= 5
	struct kref ref;
	struct list_head print;		/* the kthread's, until it is printed */
#endif
#if STAGE >= 6
	bool linked;			/* protected by the monitor's lock */
	u64 nr;
#endif
	u64 utime;
	u64 stime;
	unsigned long total;
	unsigned long stack;
	unsigned long data;
};

struct task_monitor {
#if STAGE >= 7
	struct list_head node;
	u64 nr;				/* rises in the list */
#endif
	struct pid *pid;
	struct mutex lock;		/* protects the next two */
	struct list_head samples;	/* oldest first */
	unsigned int nr_samples;
#if STAGE >= 6
	u64 next_nr;			/* of a sample */
#endif
};

static int target;
module_param(target, int, 0444);
MODULE_PARM_DESC(target, "PID of the process to monitor");

#if STAGE >= 7
static LIST_HEAD(tasks);
static DEFINE_MUTEX(tasks_lock);	/* protects tasks; taken before a monitor's */
static u64 next_monitor;
#else
static struct task_monitor *monitor;
#endif
static DEFINE_MUTEX(thread_lock);	/* protects thread */
static struct task_struct *thread;
#if STAGE >= 3
static struct kmem_cache *cache;
#endif
#if STAGE >= 4
#define RESERVE 16
static mempool_t *pool;
#endif

#if STAGE >= 4
static struct task_sample *alloc_sample(void)
{
	/* It must not wait: the locks are held that the shrinker takes. */
	return mempool_alloc(pool, GFP_NOWAIT | __GFP_NOWARN);
}

static void free_sample(struct task_sample *sample)
{
	mempool_free(sample, pool);
}
#elif STAGE >= 3
static struct task_sample *alloc_sample(void)
{
	return kmem_cache_alloc(cache, GFP_KERNEL);
}

static void free_sample(struct task_sample *sample)
{
	kmem_cache_free(cache, sample);
}
#else
static struct task_sample *alloc_sample(void)
{
	return kmalloc(sizeof(struct task_sample), GFP_KERNEL);
}

static void free_sample(struct task_sample *sample)
{
	kfree(sample);
}
#endif

#if STAGE >= 5
static void release_sample(struct kref *ref)
{
	free_sample(container_of(ref, struct task_sample, ref));
}

static bool put_sample(struct task_sample *sample)
{
	return kref_put(&sample->ref, release_sample);
}
#else
static bool put_sample(struct task_sample *sample)
{
	free_sample(sample);
	return true;
}
#endif

/* With the monitor's lock held. */
static bool drop_sample(struct task_monitor *m, struct task_sample *sample)
{
	list_del_init(&sample->list);
	m->nr_samples--;
#if STAGE >= 6
	sample->linked = false;
#endif
	return put_sample(sample);
}

/* The figures at this moment; false when the process has ended. */
static bool get_sample(struct task_monitor *m, struct task_sample *sample)
{
	struct task_struct *task = get_pid_task(m->pid, PIDTYPE_PID);

	if (!task)
		return false;
	task_cputime_adjusted(task, &sample->utime, &sample->stime);
	sample->total = 0;
	sample->stack = 0;
	sample->data = 0;
	task_lock(task);
	/* A kernel thread may borrow the mm of a process. */
	if (task->mm && !(task->flags & PF_KTHREAD)) {
		sample->total = task->mm->total_vm << (PAGE_SHIFT - 10);
		sample->stack = task->mm->stack_vm << (PAGE_SHIFT - 10);
		sample->data = task->mm->data_vm << (PAGE_SHIFT - 10);
	}
	task_unlock(task);
	put_task_struct(task);
	return true;
}

#if STAGE >= 5
/* Returns a reference to the sample, for the caller to put. */
static struct task_sample *save_sample(struct task_monitor *m)
#else
static void save_sample(struct task_monitor *m)
#endif
{
	struct task_sample *sample = alloc_sample();

	mutex_lock(&m->lock);
#if STAGE >= 4
	if (!sample && m->nr_samples > 1) {
		/* No memory at all: the oldest gives its own back, to the reserve. */
		drop_sample(m, list_first_entry(&m->samples, struct task_sample, list));
		sample = alloc_sample();
	}
#endif
	if (sample && !get_sample(m, sample)) {
		free_sample(sample);
		sample = NULL;
	}
	if (sample) {
#if STAGE >= 5
		kref_init(&sample->ref);
		kref_get(&sample->ref);
#endif
#if STAGE >= 6
		sample->linked = true;
		sample->nr = m->next_nr++;
#endif
		list_add_tail(&sample->list, &m->samples);
		m->nr_samples++;
	}
	mutex_unlock(&m->lock);
#if STAGE >= 5
	return sample;
#endif
}

#if STAGE >= 5
/* Two references are left here: the list's and the kthread's. */
static void print_sample(struct task_sample *sample)
{
	pr_debug("usr %llu sys %llu\n", sample->utime, sample->stime);
	put_sample(sample);
}
#endif

static void sample_all(void)
{
#if STAGE >= 7
	struct task_sample *sample, *next;
	struct task_monitor *m;
	LIST_HEAD(printed);

	mutex_lock(&tasks_lock);
	list_for_each_entry(m, &tasks, node) {
		sample = save_sample(m);
		if (sample)
			list_add_tail(&sample->print, &printed);
	}
	mutex_unlock(&tasks_lock);
	list_for_each_entry_safe(sample, next, &printed, print)
		print_sample(sample);
#elif STAGE >= 5
	struct task_sample *sample = save_sample(monitor);

	if (sample)
		print_sample(sample);
#else
	save_sample(monitor);
#endif
}

static int monitor_fn(void *unused)
{
	ktime_t deadline = ktime_get();

	while (!kthread_should_stop()) {
		sample_all();
		deadline = ktime_add_ms(deadline, PERIOD_MS);
		if (ktime_before(deadline, ktime_get()))
			deadline = ktime_get();
		set_current_state(TASK_IDLE);
		if (!kthread_should_stop())
			schedule_hrtimeout(&deadline, HRTIMER_MODE_ABS);
		__set_current_state(TASK_RUNNING);
	}
	return 0;
}

static int start_sampling(void)
{
	struct task_struct *new;
	int err = 0;

	mutex_lock(&thread_lock);
	if (!thread) {
		new = kthread_run(monitor_fn, NULL, "taskmonitor");
		if (IS_ERR(new))
			err = PTR_ERR(new);
		else
			thread = new;
	}
	mutex_unlock(&thread_lock);
	return err;
}

static void stop_sampling(void)
{
	mutex_lock(&thread_lock);
	if (thread)
		kthread_stop(thread);
	thread = NULL;
	mutex_unlock(&thread_lock);
}

static struct task_monitor *new_monitor(pid_t nr)
{
	struct task_monitor *m = kzalloc(sizeof(*m), GFP_KERNEL);
	struct task_struct *task = NULL;

	if (!m)
		return ERR_PTR(-ENOMEM);
	m->pid = find_get_pid(nr);
	if (m->pid)
		task = get_pid_task(m->pid, PIDTYPE_PID);
	if (!task) {
		put_pid(m->pid);
		kfree(m);
		return ERR_PTR(-ESRCH);
	}
	put_task_struct(task);
	mutex_init(&m->lock);
	INIT_LIST_HEAD(&m->samples);
	return m;
}

static void free_monitor(struct task_monitor *m)
{
	struct task_sample *sample, *next;

	mutex_lock(&m->lock);
	list_for_each_entry_safe(sample, next, &m->samples, list)
		drop_sample(m, sample);
	mutex_unlock(&m->lock);
	put_pid(m->pid);
	kfree(m);
}

#if STAGE >= 7
static struct task_monitor *find_monitor(pid_t nr)
{
	struct task_monitor *m;

	list_for_each_entry(m, &tasks, node)
		if (pid_vnr(m->pid) == nr)
			return m;
	return NULL;
}

static int add_monitor(pid_t nr)
{
	struct task_monitor *new = new_monitor(nr);
	struct task_monitor *m;
	int err = 0;

	if (IS_ERR(new))
		return PTR_ERR(new);
	mutex_lock(&tasks_lock);
	list_for_each_entry(m, &tasks, node)
		if (m->pid == new->pid)
			err = -EEXIST;
	if (!err) {
		new->nr = next_monitor++;
		list_add_tail(&new->node, &tasks);
	}
	mutex_unlock(&tasks_lock);
	if (err)
		free_monitor(new);
	return err;
}

static int remove_monitor(pid_t nr)
{
	struct task_monitor *m;

	mutex_lock(&tasks_lock);
	m = find_monitor(nr);
	if (m)
		list_del(&m->node);
	mutex_unlock(&tasks_lock);
	if (!m)
		return -ENOENT;
	free_monitor(m);
	return 0;
}
#endif

#if STAGE >= 2
static unsigned long count_samples(struct shrinker *shrink, struct shrink_control *sc)
{
	unsigned long count = 0;
#if STAGE >= 7
	struct task_monitor *m;

	mutex_lock(&tasks_lock);
	list_for_each_entry(m, &tasks, node)
		count += READ_ONCE(m->nr_samples);
	mutex_unlock(&tasks_lock);
#else
	count = READ_ONCE(monitor->nr_samples);
#endif
	return count;
}

/* Frees the oldest samples of one history; returns how many. */
static unsigned long shrink_monitor(struct task_monitor *m, unsigned long want)
{
	struct task_sample *sample, *next;
	unsigned long freed = 0;

	mutex_lock(&m->lock);
	list_for_each_entry_safe(sample, next, &m->samples, list) {
		if (freed >= want)
			break;
		drop_sample(m, sample);
		freed++;
	}
	mutex_unlock(&m->lock);
	return freed;
}

static unsigned long scan_samples(struct shrinker *shrink, struct shrink_control *sc)
{
	unsigned long freed = 0;
#if STAGE >= 7
	unsigned long all = 0;
	struct task_monitor *m;

	/* Of each history its share, so that none is lost for the others. */
	mutex_lock(&tasks_lock);
	list_for_each_entry(m, &tasks, node)
		all += m->nr_samples;
	list_for_each_entry(m, &tasks, node)
		freed += shrink_monitor(m, DIV_ROUND_UP(m->nr_samples * sc->nr_to_scan,
							all ?: 1));
	mutex_unlock(&tasks_lock);
#else
	freed = shrink_monitor(monitor, sc->nr_to_scan);
#endif
	sc->nr_scanned = freed;
	return freed ?: SHRINK_STOP;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
static struct shrinker *shrinker;

static int add_shrinker(void)
{
	shrinker = shrinker_alloc(0, "taskmonitor");
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = count_samples;
	shrinker->scan_objects = scan_samples;
	shrinker->seeks = DEFAULT_SEEKS;
	shrinker_register(shrinker);
	return 0;
}

static void remove_shrinker(void)
{
	shrinker_free(shrinker);
}
#else
static struct shrinker shrinker = {
	.count_objects = count_samples,
	.scan_objects = scan_samples,
	.seeks = DEFAULT_SEEKS,
};

static int add_shrinker(void)
{
	return register_shrinker(&shrinker, "taskmonitor");
}

static void remove_shrinker(void)
{
	unregister_shrinker(&shrinker);
}
#endif
#endif

/* The newest samples that fit a page: the length of the text. */
static int show_newest(struct task_monitor *m, char *buf, int len)
{
	struct task_sample *sample;
	char row[160];
	int n;

	mutex_lock(&m->lock);
	list_for_each_entry_reverse(sample, &m->samples, list) {
		n = scnprintf(row, sizeof(row),
			      "pid %d usr %llu sys %llu total %lu stack %lu data %lu\n",
			      pid_vnr(m->pid), sample->utime, sample->stime,
			      sample->total, sample->stack, sample->data);
		if (len + n >= PAGE_SIZE)
			break;
		memcpy(buf + len, row, n + 1);
		len += n;
	}
	mutex_unlock(&m->lock);
	return len;
}

static ssize_t taskmonitor_show(struct kobject *kobj, struct kobj_attribute *attr,
				char *buf)
{
	int len = 0;
#if STAGE >= 7
	struct task_monitor *m;

	mutex_lock(&tasks_lock);
	list_for_each_entry(m, &tasks, node)
		len = show_newest(m, buf, len);
	mutex_unlock(&tasks_lock);
#else
	len = show_newest(monitor, buf, len);
#endif
	return len;
}

static ssize_t taskmonitor_store(struct kobject *kobj, struct kobj_attribute *attr,
				 const char *buf, size_t count)
{
	int err = 0;

	if (sysfs_streq(buf, "stop"))
		stop_sampling();
	else if (sysfs_streq(buf, "start"))
		err = start_sampling();
	else
		err = -EINVAL;
	return err ?: count;
}

static struct kobj_attribute attribute =
	__ATTR(taskmonitor, 0600, taskmonitor_show, taskmonitor_store);
#if STAGE >= 6

static struct dentry *file;

/* Where a reader stopped: it holds a reference to the sample. */
struct cursor {
	u64 monitor;
	struct task_sample *sample;
};

#if STAGE >= 7
static struct task_monitor *monitor_from(u64 nr)
{
	struct task_monitor *m;

	list_for_each_entry(m, &tasks, node)
		if (m->nr >= nr)
			return m;
	return NULL;
}

static struct task_monitor *monitor_after(struct task_monitor *m)
{
	return list_is_last(&m->node, &tasks) ? NULL : list_next_entry(m, node);
}
#endif

/* Moves the cursor on to a sample, or to none. */
static struct task_sample *move(struct cursor *c, struct task_sample *sample)
{
	if (sample)
		kref_get(&sample->ref);
	if (c->sample)
		put_sample(c->sample);
	c->sample = sample;
	return sample;
}

/* The first sample of one history behind the cursor. */
static struct task_sample *sample_after(struct task_monitor *m, struct cursor *c)
{
	struct task_sample *sample;

	if (c->sample && c->sample->linked) {
		if (list_is_last(&c->sample->list, &m->samples))
			return NULL;
		return list_next_entry(c->sample, list);
	}
	/* What has left the history was older than all that is there. */
	list_for_each_entry(sample, &m->samples, list)
		if (!c->sample || sample->nr > c->sample->nr)
			return sample;
	return NULL;
}

static void *step(struct cursor *c)
{
	struct task_sample *sample;
#if STAGE >= 7
	struct task_monitor *m = monitor_from(c->monitor);

	for (; m; m = monitor_after(m)) {
		if (m->nr != c->monitor)
			move(c, NULL);
		c->monitor = m->nr;
		if (!pid_vnr(m->pid))
			continue;
		mutex_lock(&m->lock);
		sample = move(c, sample_after(m, c));
		mutex_unlock(&m->lock);
		if (sample)
			return c;
		c->monitor++;
	}
	move(c, NULL);
	return NULL;
#else
	mutex_lock(&monitor->lock);
	sample = move(c, sample_after(monitor, c));
	mutex_unlock(&monitor->lock);
	return sample ? c : NULL;
#endif
}

static void *history_start(struct seq_file *seq, loff_t *pos)
{
	struct cursor *c = seq->private;

#if STAGE >= 7
	mutex_lock(&tasks_lock);
#endif
	if (*pos == 0) {
		c->monitor = 0;
		move(c, NULL);
		return step(c);
	}
	/* The cursor stands at what was to be shown next. */
	return c->sample ? c : NULL;
}

static void *history_next(struct seq_file *seq, void *v, loff_t *pos)
{
	++*pos;
	return step(v);
}

static void history_stop(struct seq_file *seq, void *v)
{
#if STAGE >= 7
	mutex_unlock(&tasks_lock);
#endif
}

static int history_show(struct seq_file *seq, void *v)
{
	struct cursor *c = v;
	struct task_sample *sample = c->sample;
#if STAGE >= 7
	struct task_monitor *m = monitor_from(c->monitor);
	pid_t pid = m && m->nr == c->monitor ? pid_vnr(m->pid) : 0;

	if (!pid)
		return SEQ_SKIP;
#else
	pid_t pid = pid_vnr(monitor->pid);
#endif

	seq_printf(seq, "pid %d usr %llu sys %llu total %lu stack %lu data %lu\n", pid,
		   sample->utime, sample->stime, sample->total, sample->stack,
		   sample->data);
	return 0;
}

static const struct seq_operations history_ops = {
	.start = history_start,
	.next = history_next,
	.stop = history_stop,
	.show = history_show,
};

static int history_open(struct inode *inode, struct file *filp)
{
	return seq_open_private(filp, &history_ops, sizeof(struct cursor));
}

static int history_release(struct inode *inode, struct file *filp)
{
	struct seq_file *seq = filp->private_data;

	move(seq->private, NULL);
	return seq_release_private(inode, filp);
}

#if STAGE >= 7
static ssize_t history_write(struct file *filp, const char __user *buf, size_t count,
			     loff_t *ppos)
{
	char text[16];
	int nr, err;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, count))
		return -EFAULT;
	text[count] = '\0';
	if (strlen(text) != count || text[0] == '+')
		return -EINVAL;
	err = kstrtoint(text, 10, &nr);
	if (err)
		return err;
	if (nr == 0 || nr == INT_MIN)
		return -EINVAL;
	err = nr > 0 ? add_monitor(nr) : remove_monitor(-nr);
	return err ?: count;
}

#endif
static const struct file_operations history_fops = {
	.owner = THIS_MODULE,
	.open = history_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = history_release,
#if STAGE >= 7
	.write = history_write,
#endif
};

#endif
#if STAGE >= 3
static int make_cache(void)
{
	struct task_sample *object = kmalloc(sizeof(*object), GFP_KERNEL);

	if (object)
		pr_info("sizeof(struct task_sample) %zu ksize %zu\n",
			sizeof(*object), ksize(object));
	kfree(object);
	cache = KMEM_CACHE(task_sample, SLAB_RECLAIM_ACCOUNT);
	if (!cache)
		return -ENOMEM;
#if STAGE >= 4
	pool = mempool_create_slab_pool(RESERVE, cache);
	if (!pool) {
		kmem_cache_destroy(cache);
		return -ENOMEM;
	}
#endif
	return 0;
}

static void destroy_cache(void)
{
#if STAGE >= 4
	mempool_destroy(pool);
#endif
	kmem_cache_destroy(cache);
}
#endif

static int __init monitor_target(void)
{
#if STAGE >= 7
	return target ? add_monitor(target) : 0;
#else
	monitor = new_monitor(target);
	return PTR_ERR_OR_ZERO(monitor);
#endif
}

static void free_monitors(void)
{
#if STAGE >= 7
	struct task_monitor *m, *next;

	list_for_each_entry_safe(m, next, &tasks, node) {
		list_del(&m->node);
		free_monitor(m);
	}
#else
	free_monitor(monitor);
#endif
}

static int __init taskmonitor_init(void)
{
	int err;

#if STAGE >= 3
	err = make_cache();
	if (err)
		return err;
#endif
	err = monitor_target();
	if (err)
		goto no_target;
#if STAGE >= 2
	err = add_shrinker();
	if (err)
		goto no_shrinker;
#endif
	err = start_sampling();
	if (err)
		goto no_thread;
	err = sysfs_create_file(kernel_kobj, &attribute.attr);
	if (err)
		goto no_attribute;
#if STAGE >= 6
	file = debugfs_create_file("taskmonitor", 0600, NULL, NULL, &history_fops);
#endif
	return 0;

no_attribute:
	stop_sampling();
no_thread:
#if STAGE >= 2
	remove_shrinker();
no_shrinker:
#endif
	free_monitors();
no_target:
#if STAGE >= 3
	destroy_cache();
#endif
	return err;
}
module_init(taskmonitor_init);

static void __exit taskmonitor_exit(void)
{
#if STAGE >= 6
	debugfs_remove(file);
#endif
	sysfs_remove_file(kernel_kobj, &attribute.attr);
	stop_sampling();
#if STAGE >= 2
	remove_shrinker();
#endif
	free_monitors();
#if STAGE >= 3
	destroy_cache();
#endif
}
module_exit(taskmonitor_exit);

MODULE_DESCRIPTION("A plain solution of the memory-management lab");
MODULE_LICENSE("GPL");

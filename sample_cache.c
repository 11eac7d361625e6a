// SPDX-License-Identifier: GPL-2.0
/*
 * What a sample is and where it lives: the slab cache and the reserve on top of
 * it, how a sample is filled, the history that it is linked to, and the order in
 * which samples are evicted.
 */

#include <linux/build_bug.h>
#include <linux/err.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/mmdebug.h>
#include <linux/nodemask.h>
#include <linux/percpu_counter.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/version.h>

#include "taskmonitor.h"

#define CREATE_TRACE_POINTS
#include <trace/events/taskmonitor.h>

/* A cache line, and 64 of them fill a page of 4 KiB. */
static_assert(sizeof(struct task_sample) == 64);

/*
 * Until d0bf7d5759c1 ("mm/slab: introduce kmem_cache flag SLAB_NO_MERGE") in 6.5
 * a cache could not ask for this; see tm_cache_init().
 */
#ifndef SLAB_NO_MERGE
#define SLAB_NO_MERGE 0
#endif

/**
 * tm_cache_init() - create the slab cache and fill the reserve
 * @tm: the task monitor
 * @reserve: objects that the mempool keeps preallocated
 *
 * Context: may sleep.
 * Return: 0, or -ENOMEM.
 */
int tm_cache_init(struct tm_context *tm, unsigned int reserve)
{
	/*
	 * A cache that the allocator merges with a like one has no name of its
	 * own, and its leaks go unseen. One with a region that may be copied to
	 * user space is never merged: that is the only use of @time here.
	 */
	tm->slab = KMEM_CACHE_USERCOPY(task_sample,
				       SLAB_RECLAIM_ACCOUNT | SLAB_NO_MERGE,
				       time);
	if (!tm->slab)
		return -ENOMEM;

	tm->pool = mempool_create_slab_pool(reserve, tm->slab);
	if (!tm->pool) {
		kmem_cache_destroy(tm->slab);
		return -ENOMEM;
	}
	return 0;
}

/**
 * tm_cache_exit() - free the reserve and destroy the cache
 * @tm: the task monitor; every sample has been put
 *
 * Context: may sleep.
 */
void tm_cache_exit(struct tm_context *tm)
{
	mempool_destroy(tm->pool);
	kmem_cache_destroy(tm->slab);
}

/**
 * tm_supply_fill() - allocate samples together
 * @tm: the task monitor
 * @supply: where they go, besides those that it has
 * @nr: how many it is to have then, up to TM_BULK_MAX; without memory it stays
 *	as it is, for the reserve is left alone
 * @gfp: GFP_KERNEL where the caller may wait for memory, GFP_NOWAIT elsewhere
 *
 * Context: sleeps if @gfp says so; no lock held that the shrinker takes.
 */
void tm_supply_fill(struct tm_context *tm, struct tm_supply *supply,
		    unsigned int nr, gfp_t gfp)
{
	struct tm_batch *batch = &supply->batch;

	if (nr <= batch->nr || supply->slab_failed)
		return;
	/*
	 * All or nothing. The result counts the objects up to 7.1 and is a bool
	 * from 7.2 on: added up, all objects but one would be lost there.
	 */
	if (kmem_cache_alloc_bulk(tm->slab, gfp | __GFP_NOWARN, nr - batch->nr,
				  batch->samples + batch->nr))
		batch->nr = nr;
	else
		supply->slab_failed = true;
}

/**
 * tm_batch_free() - free all samples of a batch, and fill up the reserve first
 * @tm: the task monitor
 * @batch: the samples, to which there is no reference; empty after that
 *
 * Context: does not sleep and takes no lock of ours.
 */
void tm_batch_free(struct tm_context *tm, struct tm_batch *batch)
{
	mempool_t *pool = tm->pool;

	while (batch->nr && READ_ONCE(pool->curr_nr) < pool->min_nr)
		mempool_free(batch->samples[--batch->nr], pool);
	if (batch->nr)
		kmem_cache_free_bulk(tm->slab, batch->nr, batch->samples);
	batch->nr = 0;
}

/*
 * A sample that is not yet filled, or NULL: one of @supply, or else from the
 * slab, or else from the reserve. Once both were empty they are not asked again
 * in this round: what is reused costs less than what is not there.
 *
 * mempool_alloc() is never called with direct reclaim: it would not fail but
 * wait until a sample is freed, which may never happen.
 */
static struct task_sample *tm_sample_alloc(struct tm_context *tm,
					   struct tm_supply *supply)
{
	struct task_sample *sample;

	if (supply->batch.nr)
		return supply->batch.samples[--supply->batch.nr];
	if (supply->pool_failed)
		return NULL;
	sample = mempool_alloc(tm->pool, GFP_NOWAIT);
	supply->pool_failed = !sample;
	return sample;
}

/* The object itself is freed by the one that dropped the last reference. */
static void tm_sample_release(struct kref *ref)
{
	struct task_sample *sample = container_of(ref, struct task_sample, ref);

	VM_WARN_ON_ONCE(!list_empty(&sample->node));
}

/**
 * tm_sample_put() - drop a reference to a sample
 * @sample: the sample
 * @tm: the task monitor whose pool it came from
 *
 * The release unlinks nothing: a sample is taken off its history under
 * list_lock, and the history's reference is dropped after that. So kref_put_lock() is not
 * needed, nor kref_get_unless_zero(): what is in a list has a reference.
 *
 * Context: does not sleep and takes no lock of ours.
 * Return: whether it was the last reference and the object was freed.
 */
bool tm_sample_put(struct task_sample *sample, struct tm_context *tm)
{
	if (!kref_put(&sample->ref, tm_sample_release))
		return false;
	mempool_free(sample, tm->pool);
	return true;
}

/* tm_mm_rss(): resident pages, as VmRSS in /proc/PID/status counts them. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)

static unsigned long tm_mm_rss(struct mm_struct *mm)
{
	return get_mm_rss(mm);
}

#else

/*
 * What percpu_counter_sum_positive() adds up, without the counter's lock: page
 * faults of the process would wait for it while all CPUs are read. A CPU that
 * hands over its part just then counts twice or not at all, a batch at most.
 */
static unsigned long tm_counter_sum(struct percpu_counter *counter)
{
	s64 sum = READ_ONCE(counter->count);
#ifdef CONFIG_SMP
	int cpu;

	for_each_online_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(counter->counters, cpu));
#endif
	return max(sum, 0LL);
}

/*
 * Since f1a7941243c1 ("mm: convert mm's rss stats into percpu_counter") in 6.2
 * get_mm_rss() is off by what the CPUs hold back.
 */
static unsigned long tm_mm_rss(struct mm_struct *mm)
{
	return tm_counter_sum(&mm->rss_stat[MM_FILEPAGES]) +
	       tm_counter_sum(&mm->rss_stat[MM_ANONPAGES]) +
	       tm_counter_sum(&mm->rss_stat[MM_SHMEMPAGES]);
}

#endif

static u64 tm_saturate(u64 value, unsigned int bits)
{
	return min(value, (1ULL << bits) - 1);
}

/*
 * The mm of @task with a reference to the struct, or NULL. It is not one of
 * mm_users: the last mmput() runs the whole exit_mmap(). Exit and exec replace
 * ->mm under task_lock, for which they wait, so no figure is read under it. A
 * kernel thread has no mm of its own, but may have borrowed one.
 */
static struct mm_struct *tm_grab_mm(struct task_struct *task)
{
	struct mm_struct *mm = NULL;

	if (task->flags & PF_KTHREAD)
		return NULL;
	task_lock(task);
	if (task->mm) {
		mm = task->mm;
		mmgrab(mm);
	}
	task_unlock(task);
	return mm;
}

/* The memory of @task. */
static void tm_get_memory(struct task_struct *task, struct task_sample *sample)
{
	unsigned long total = 0, stack = 0, data = 0, rss = 0;
	struct mm_struct *mm = tm_grab_mm(task);

	if (mm) {
		total = READ_ONCE(mm->total_vm);
		stack = READ_ONCE(mm->stack_vm);
		data = READ_ONCE(mm->data_vm);
		rss = tm_mm_rss(mm);
		mmdrop(mm);
	}
	sample->total = tm_saturate(total, TM_TOTAL_BITS);
	sample->stack = tm_saturate(stack, TM_STACK_BITS);
	sample->data = tm_saturate(data, TM_DATA_BITS);
	sample->rss = tm_saturate(rss, TM_RSS_BITS);
}

/*
 * task_cputime() is not exported where Debian's configuration makes it a
 * function. What it adds to these fields, on nohz_full CPUs only, is time
 * since the last tick: that would move the ratio a little, never the sum.
 */
static void tm_add_task_cputime(struct task_struct *task,
				struct tm_cputime *sum)
{
	sum->utime += READ_ONCE(task->utime);
	sum->stime += READ_ONCE(task->stime);
	sum->runtime += READ_ONCE(task->se.sum_exec_runtime);
}

static void tm_get_task_cputime(struct task_struct *task,
				struct tm_cputime *sum)
{
	*sum = (struct tm_cputime){ };
	tm_add_task_cputime(task, sum);
}

/* Storms of exiting threads that a sample waits out before it gives up. */
#define TM_CPUTIME_TRIES	8

/*
 * The CPU time of all threads of @task's group, the dead ones included.
 *
 * A thread that exits moves its time to the group and leaves the list in one
 * section of stats_lock. The sums are read outside of such a section and before
 * the threads are, so nothing counts twice. A thread that exits after that would
 * not count at all: then all is read again, as thread_group_cputime() does it,
 * which is not exported. Where threads exit all the time it is given up: too
 * little, which the next sample makes good. stats_lock is not held while the
 * threads are read, for an exit would wait until that is done.
 */
static void tm_get_group_cputime(struct task_struct *task,
				 struct tm_cputime *sum)
{
	unsigned int seq, tries = TM_CPUTIME_TRIES;
	struct signal_struct *signal = task->signal;
	struct task_struct *thread;

	do {
		do {
			seq = read_seqbegin(&signal->stats_lock);
			sum->utime = signal->utime;
			sum->stime = signal->stime;
			sum->runtime = signal->sum_sched_runtime;
		} while (read_seqretry(&signal->stats_lock, seq));
		/* for_each_thread() names tasklist_lock to lockdep: not exported. */
		list_for_each_entry_rcu(thread, &signal->thread_head,
					thread_node)
			tm_add_task_cputime(thread, sum);
	} while (read_seqretry(&signal->stats_lock, seq) && --tries);
}

/*
 * Split the time that ran as the ticks say, as cputime_adjust() in
 * kernel/sched/cputime.c does it for /proc: neither part ever falls below what
 * @baseline says, and their sum is the time that ran. @baseline becomes the
 * result.
 */
static void tm_scale_cputime(const struct tm_cputime *now,
			     struct tm_cputime *baseline)
{
	u64 utime = now->utime, stime = now->stime, runtime = now->runtime;

	if (baseline->utime + baseline->stime >= runtime)
		return;

	if (!stime)
		stime = 0;
	else if (!utime)
		stime = runtime;
	else
		/* Architectures that only approximate may exceed the sum. */
		stime = min(mul_u64_u64_div_u64(stime, runtime, utime + stime),
			    runtime);

	stime = max(stime, baseline->stime);
	utime = runtime - stime;
	if (utime < baseline->utime) {
		utime = baseline->utime;
		stime = runtime - utime;
	}
	baseline->utime = utime;
	baseline->stime = stime;
}

/*
 * Fill @sample with what wait4() tells of @task, which has ended: of a process the
 * leader, of a thread its own.
 */
static void tm_get_end(enum pid_type type, struct task_struct *task,
		       struct task_sample *sample)
{
	struct signal_struct *signal = task->signal;
	u32 exit = READ_ONCE(task->exit_code);
	unsigned long peak = 0;

	if (type == PIDTYPE_TGID) {
		/* As wait_task_zombie() has it. */
		if (READ_ONCE(signal->flags) & SIGNAL_GROUP_EXIT)
			exit = READ_ONCE(signal->group_exit_code);
		peak = READ_ONCE(signal->maxrss);
	}
	sample->state = TM_STATE_ENDED;
	sample->threads = 0;
	sample->data = 0;
	sample->exit = exit;
	sample->peak = tm_saturate(peak, TM_RSS_BITS);
}

/*
 * Fill @sample with what @task, whom @monitor watches, has used up to now, or had
 * used when it @ended.
 *
 * Context: RCU read-side critical section, which keeps @task and its signal
 * struct.
 */
static void tm_get_sample(struct task_monitor *monitor,
			  struct task_struct *task, bool ended,
			  struct task_sample *sample)
	__must_hold(&monitor->history_lock)
{
	bool group = monitor->type == PIDTYPE_TGID;
	struct tm_cputime now;
	unsigned int threads, state;

	lockdep_assert_held(&monitor->history_lock);
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "the task may go");

	if (group)
		tm_get_group_cputime(task, &now);
	else
		tm_get_task_cputime(task, &now);
	tm_scale_cputime(&now, &monitor->baseline);
	sample->usr = monitor->baseline.utime;
	sample->sys = monitor->baseline.stime;
	if (ended) {
		tm_get_end(monitor->type, task, sample);
		return;
	}

	threads = group ? READ_ONCE(task->signal->nr_threads) : 1;
	state = task_state_index(task);
	/* A leader whose place another of its threads takes by exec, just now. */
	if (state == TM_STATE_ENDED)
		state = TM_STATE_ZOMBIE;
	tm_get_memory(task, sample);
	/* With @data one word, which is written at once. */
	sample->threads = threads;
	sample->state = state;
}

/*
 * The eviction order: every monitor that has samples, by the time of its oldest.
 *
 * All samples of a round have the same time, so monitors share places: a bucket
 * is all monitors whose oldest samples are of one time. One of them stands for it
 * in the tree, the others are its peers. Joining and leaving a bucket as a peer
 * does not touch the tree.
 */

static struct task_sample *tm_oldest_sample(struct tm_context *tm,
					    const struct task_monitor *monitor)
	__must_hold(&tm->list_lock)
{
	lockdep_assert_held(&tm->list_lock);

	return list_first_entry(&monitor->samples, struct task_sample, node);
}

static int tm_bucket_cmp(struct rb_node *a, const struct rb_node *b)
{
	u64 x = rb_entry(a, struct task_monitor, evict_node)->oldest_time;
	u64 y = rb_entry(b, struct task_monitor, evict_node)->oldest_time;

	return x < y ? -1 : x > y;
}

/*
 * Enter the bucket of the oldest sample; the first to enter stands for it. Inline,
 * as the next and tm_history_evict(): a tenth of what an eviction costs.
 */
static inline void tm_bucket_join(struct tm_context *tm,
				  struct task_monitor *monitor)
	__must_hold(&tm->list_lock)
{
	struct rb_node *node;

	lockdep_assert_held(&tm->list_lock);

	monitor->oldest_time = tm_oldest_sample(tm, monitor)->time;
	node = rb_find_add(&monitor->evict_node, &tm->evict_tree.rb_root,
			   tm_bucket_cmp);
	if (node)
		hlist_add_head(&monitor->bucket_peer,
			       &rb_entry(node, struct task_monitor,
					 evict_node)->bucket_peers);
	else if (!rb_prev(&monitor->evict_node))
		tm->evict_tree.rb_leftmost = &monitor->evict_node;
}

/* Leave it. Who stands for a bucket is replaced by a peer, the successor. */
static inline void tm_bucket_leave(struct tm_context *tm,
				   struct task_monitor *monitor)
	__must_hold(&tm->list_lock)
{
	struct task_monitor *successor;

	lockdep_assert_held(&tm->list_lock);

	if (!hlist_unhashed(&monitor->bucket_peer)) {
		hlist_del_init(&monitor->bucket_peer);
		return;
	}
	if (hlist_empty(&monitor->bucket_peers)) {
		rb_erase_cached(&monitor->evict_node, &tm->evict_tree);
		return;
	}
	successor = hlist_entry(monitor->bucket_peers.first,
				struct task_monitor, bucket_peer);
	hlist_del_init(&successor->bucket_peer);
	hlist_move_list(&monitor->bucket_peers, &successor->bucket_peers);
	rb_replace_node_cached(&monitor->evict_node, &successor->evict_node,
			       &tm->evict_tree);
}

/* One of those that have the oldest samples: a peer, for that costs less. */
static struct task_monitor *tm_bucket_first(struct tm_context *tm)
	__must_hold(&tm->list_lock)
{
	struct task_monitor *first;

	lockdep_assert_held(&tm->list_lock);

	first = rb_entry(rb_first_cached(&tm->evict_tree), struct task_monitor,
			 evict_node);
	if (hlist_empty(&first->bucket_peers))
		return first;
	return hlist_entry(first->bucket_peers.first, struct task_monitor,
			   bucket_peer);
}

static bool tm_has_samples(const struct tm_context *tm)
	__must_hold(&tm->list_lock)
{
	lockdep_assert_held(&tm->list_lock);

	return !RB_EMPTY_ROOT(&tm->evict_tree.rb_root);
}

/*
 * Count @sample, or with -1 count it no more, on the node that it lies on. Inline: most
 * machines have one.
 */
static inline void tm_count_on_node(struct tm_context *tm,
				    struct task_sample *sample, int diff)
	__must_hold(&tm->list_lock)
{
	unsigned long *nr;

	lockdep_assert_held(&tm->list_lock);

	if (nr_node_ids == 1)
		return;
	nr = &tm->on_node[page_to_nid(virt_to_page(sample))];
	WRITE_ONCE(*nr, *nr + diff);
}

/*
 * Histories. These three keep the number of samples and the eviction order; what
 * they take out of a history is freed later, with no lock held.
 */

/* Link @sample as the newest; its reference becomes the history's. */
static void tm_history_add(struct tm_context *tm, struct task_monitor *monitor,
			   struct task_sample *sample)
	__must_hold(&monitor->history_lock)
	__must_hold(&tm->list_lock)
{
	lockdep_assert_held(&monitor->history_lock);
	lockdep_assert_held(&tm->list_lock);

	list_add_tail(&sample->node, &monitor->samples);
	if (!monitor->nr_samples++)
		tm_bucket_join(tm, monitor);
	tm_count_on_node(tm, sample, 1);
	WRITE_ONCE(tm->stats.samples, tm->stats.samples + 1);
	tm->stats.taken++;
}

/*
 * Evict the oldest sample of a history that is not empty, and count it in
 * @counter. If the reference was the last, the object goes to @batch, which has
 * room for it; a reader may still have one.
 */
static inline void tm_history_evict(struct tm_context *tm,
				    struct task_monitor *monitor, u64 *counter,
				    struct tm_batch *batch)
	__must_hold(&tm->list_lock)
{
	struct task_sample *sample = tm_oldest_sample(tm, monitor);

	lockdep_assert_held(&tm->list_lock);

	tm_bucket_leave(tm, monitor);
	list_del_init(&sample->node);
	if (--monitor->nr_samples)
		tm_bucket_join(tm, monitor);
	tm_count_on_node(tm, sample, -1);
	WRITE_ONCE(tm->stats.samples, tm->stats.samples - 1);
	(*counter)++;
	if (kref_put(&sample->ref, tm_sample_release))
		batch->samples[batch->nr++] = sample;
}

/**
 * tm_history_cut() - take a whole history off its monitor
 * @tm: the task monitor
 * @monitor: whose history it is; it may be empty
 * @samples: its samples go to the end of this list, for tm_history_free()
 *
 * Context: @tm->list_lock held; takes as long for any history.
 */
void tm_history_cut(struct tm_context *tm, struct task_monitor *monitor,
		    struct list_head *samples)
	__must_hold(&tm->list_lock)
{
	lockdep_assert_held(&tm->list_lock);

	if (!monitor->nr_samples)
		return;
	tm_bucket_leave(tm, monitor);
	WRITE_ONCE(tm->stats.samples, tm->stats.samples - monitor->nr_samples);
	tm->stats.removed += monitor->nr_samples;
	monitor->nr_samples = 0;
	list_splice_tail_init(&monitor->samples, samples);
}

/**
 * tm_evict_oldest() - evict the oldest samples of all histories
 * @tm: the task monitor
 * @want: how many, up to TM_BULK_MAX
 * @batch: becomes the objects to which there is no reference any more
 *
 * An ended process's entry goes with its last sample.
 *
 * Context: takes @tm->list_lock; may be called in reclaim.
 * Return: how many were evicted; fewer than @want only if there are no more.
 */
unsigned int tm_evict_oldest(struct tm_context *tm, unsigned int want,
			     struct tm_batch *batch)
{
	struct task_monitor *monitor;
	unsigned int evicted;
	LIST_HEAD(gone);

	batch->nr = 0;
	raw_spin_lock(&tm->list_lock);
	for (evicted = 0; evicted < want && tm_has_samples(tm); evicted++) {
		monitor = tm_bucket_first(tm);
		tm_history_evict(tm, monitor, &tm->stats.reclaimed, batch);
		if (monitor->ended && !monitor->nr_samples)
			tm_monitor_unlink(tm, monitor, &gone);
	}
	raw_spin_unlock(&tm->list_lock);
	tm_monitors_free(&gone);
	return evicted;
}

/**
 * tm_history_free() - free a history that has been taken off its monitor
 * @tm: the task monitor
 * @samples: the samples, which no lock protects any more
 *
 * Context: may sleep.
 */
void tm_history_free(struct tm_context *tm, struct list_head *samples)
{
	struct task_sample *sample, *next;
	struct tm_batch batch = { };

	list_for_each_entry_safe(sample, next, samples, node) {
		/* Not while it was cut, which takes as long for any history. */
		if (nr_node_ids > 1) {
			raw_spin_lock(&tm->list_lock);
			tm_count_on_node(tm, sample, -1);
			raw_spin_unlock(&tm->list_lock);
		}
		list_del_init(&sample->node);
		if (kref_put(&sample->ref, tm_sample_release))
			batch.samples[batch.nr++] = sample;
		if (batch.nr == TM_BULK_MAX) {
			tm_batch_free(tm, &batch);
			cond_resched();
		}
	}
	tm_batch_free(tm, &batch);
}

/*
 * A sample to fill for @monitor: a new one or, when slab and reserve are both
 * empty, its own oldest one. That takes more than one only when readers hold
 * the oldest. NULL if it has none left; then the sample is dropped.
 */
static struct task_sample *
tm_sample_get_or_recycle(struct tm_context *tm, struct task_monitor *monitor,
			 struct tm_supply *supply)
	__must_hold(&monitor->history_lock)
{
	struct task_sample *sample;
	bool empty;

	lockdep_assert_held(&monitor->history_lock);

	while (!(sample = tm_sample_alloc(tm, supply))) {
		raw_spin_lock(&tm->list_lock);
		empty = !monitor->nr_samples;
		if (empty)
			tm->stats.dropped++;
		else
			tm_history_evict(tm, monitor, &tm->stats.recycled,
					 &supply->batch);
		raw_spin_unlock(&tm->list_lock);
		if (empty)
			break;
	}
	return sample;
}

/*
 * Drop what a history has beyond max_samples, as many as one hold may. What is
 * freed goes to @batch, to be filled next. Returns whether more are to go.
 */
static bool tm_history_cap(struct tm_context *tm, struct task_monitor *monitor,
			   struct tm_batch *batch)
	__must_hold(&tm->list_lock)
{
	unsigned long max = READ_ONCE(tm->max_samples);
	unsigned int room;

	lockdep_assert_held(&tm->list_lock);

	if (!max || monitor->nr_samples <= max)
		return false;
	for (room = TM_BULK_MAX - batch->nr; room; room--) {
		tm_history_evict(tm, monitor, &tm->stats.capped, batch);
		if (monitor->nr_samples <= max)
			return false;
	}
	return true;
}

/* Add @sample to the history, which holds no more than max_samples then. */
static void tm_history_store(struct tm_context *tm,
			     struct task_monitor *monitor,
			     struct task_sample *sample, struct tm_batch *batch)
	__must_hold(&monitor->history_lock)
{
	bool more;

	lockdep_assert_held(&monitor->history_lock);

	raw_spin_lock(&tm->list_lock);
	tm_history_add(tm, monitor, sample);
	more = tm_history_cap(tm, monitor, batch);
	raw_spin_unlock(&tm->list_lock);

	/* The cap was lowered: one hold after the other. */
	while (more) {
		tm_batch_free(tm, batch);
		cond_resched();
		raw_spin_lock(&tm->list_lock);
		more = tm_history_cap(tm, monitor, batch);
		raw_spin_unlock(&tm->list_lock);
	}
}

/**
 * tm_monitored_task() - the task that a monitor watches
 * @monitor: the monitor
 *
 * Context: RCU read-side critical section, which keeps the task.
 * Return: the task, of a process the leader; NULL once it has been reaped.
 */
struct task_struct *tm_monitored_task(const struct task_monitor *monitor)
{
	struct task_struct *task;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "the task may go");

	/* Dead: perhaps a leader that another thread replaces by exec. */
	do {
		task = pid_task(monitor->pid, monitor->type);
	} while (task && READ_ONCE(task->exit_state) == EXIT_DEAD &&
		 task != pid_task(monitor->pid, monitor->type));
	return task;
}

/**
 * tm_has_ended() - whether a process, or thread, has ended
 * @type: PIDTYPE_TGID: the process of @task, with its last thread; PIDTYPE_PID:
 *	@task alone
 * @task: the task
 *
 * Context: RCU read-side critical section, and what keeps @task.
 * Return: that. It cannot come back.
 */
bool tm_has_ended(enum pid_type type, struct task_struct *task)
{
	struct task_struct *thread;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "threads may go");

	if (type == PIDTYPE_PID)
		return READ_ONCE(task->exit_state);
	if (atomic_read(&task->signal->live))
		return false;
	/* All have begun to exit: have they come to the point? */
	list_for_each_entry_rcu(thread, &task->signal->thread_head, thread_node)
		if (!READ_ONCE(thread->exit_state))
			return false;
	return true;
}

/* Whether @task, which exits, will never run again: all its time is charged. */
static bool tm_task_is_off_cpu(struct task_struct *task)
{
#ifdef CONFIG_SMP
	/* Pairs with finish_task(). */
	if (smp_load_acquire(&task->on_cpu))
		return false;
#endif
	return READ_ONCE(task->__state) == TASK_DEAD;
}

/**
 * tm_is_off_cpu() - whether the CPU time of what has ended is all charged
 * @type: as of tm_has_ended(), which said true
 * @task: likewise
 *
 * Context: likewise.
 * Return: that. The time of threads that have left the group is in its sums; a
 * leader that was reaped while it was on its way out has left, too.
 */
bool tm_is_off_cpu(enum pid_type type, struct task_struct *task)
{
	struct task_struct *thread;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "threads may go");

	if (type == PIDTYPE_PID)
		return tm_task_is_off_cpu(task);
	list_for_each_entry_rcu(thread, &task->signal->thread_head, thread_node)
		if (!tm_task_is_off_cpu(thread))
			return false;
	return true;
}

/*
 * Note how @task is called. It is read without a lock: a process that is just being
 * renamed may show parts of both names, once. Up to 6.12 at least a long name has no
 * NUL for a moment: the last byte is left out, and ours is always one.
 */
static void tm_note_comm(struct tm_context *tm, struct task_monitor *monitor,
			 const struct task_struct *task)
	__must_hold(&monitor->history_lock)
{
	lockdep_assert_held(&monitor->history_lock);

	/* It is written under both locks, so it may be read under one. */
	if (!memcmp(monitor->comm, task->comm, TASK_COMM_LEN))
		return;
	raw_spin_lock(&tm->list_lock);
	memcpy(monitor->comm, task->comm, TASK_COMM_LEN - 1);
	raw_spin_unlock(&tm->list_lock);
}

/* A sample of the process as it is now, or as @ended left it; not in its history yet. */
static struct task_sample *tm_take_sample(struct tm_context *tm,
					  struct task_monitor *monitor,
					  struct task_struct *ended,
					  struct tm_supply *supply)
	__must_hold(&monitor->history_lock)
{
	struct task_sample *sample = ERR_PTR(-ESRCH);
	struct task_struct *task;

	lockdep_assert_held(&monitor->history_lock);

	rcu_read_lock();
	task = ended ?: tm_monitored_task(monitor);
	if (task) {
		sample = tm_sample_get_or_recycle(tm, monitor, supply);
		if (sample)
			tm_get_sample(monitor, task, ended, sample);
		tm_note_comm(tm, monitor, task);
		/* Asked last, so that no figure is that of a dead process. */
		if (sample && !ended && tm_has_ended(monitor->type, task)) {
			supply->batch.samples[supply->batch.nr++] = sample;
			sample = ERR_PTR(-ESRCH);
		}
	}
	rcu_read_unlock();
	return sample ?: ERR_PTR(-ENOMEM);
}

/**
 * tm_save_sample() - take a sample of a process and add it to its history
 * @tm: the task monitor
 * @monitor: whom to sample
 * @ended: NULL; for the final sample the task that has ended, see tm_has_ended(), of
 *	a process the leader, to which the caller has a reference
 * @time: when the round began, in ns of CLOCK_BOOTTIME
 * @supply: samples to fill; what is dropped to make room goes there, to be reused
 *
 * Context: round_lock held. May sleep, but never waits for memory.
 * Return: the sample with a reference of the caller's own, besides the
 * history's, so that it can be used without a lock. ERR_PTR(-ESRCH) if the
 * process has ended and @ended is NULL, ERR_PTR(-ENOMEM) if there was no memory,
 * not even to reuse.
 */
struct task_sample *tm_save_sample(struct tm_context *tm,
				   struct task_monitor *monitor,
				   struct task_struct *ended, u64 time,
				   struct tm_supply *supply)
	__must_hold(&tm->round_lock)
{
	struct task_sample *sample;

	lockdep_assert_held(&tm->round_lock);

	mutex_lock(&monitor->history_lock);
	sample = tm_take_sample(tm, monitor, ended, supply);
	if (!IS_ERR(sample)) {
		sample->time = time;
		/* One reference is the history's, the other the caller's. */
		refcount_set(&sample->ref.refcount, 2);
		tm_history_store(tm, monitor, sample, &supply->batch);
		trace_task_sample(monitor, sample);
	}
	mutex_unlock(&monitor->history_lock);
	return sample;
}

#ifdef TASKMONITOR_KUNIT
#include "tests/kunit/sample_cache_kunit.h"
#endif

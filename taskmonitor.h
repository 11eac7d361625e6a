/* SPDX-License-Identifier: GPL-2.0 */
/*
 * taskmonitor - the history of chosen processes, sampled by a kthread
 *
 * Locks, outermost first:
 *
 *   thread_lock -> round_lock -> list_lock -> history_lock -> RCU -> task_lock
 *                                                                \-> stats_lock
 *
 *   thread_lock   who samples: the kthread and its life.
 *   round_lock    when: rounds never overlap, nor does a writer's first sample,
 *                 and no living process is removed during one.
 *   list_lock     who is monitored: the list of monitors, the eviction order,
 *                 the counters.
 *   history_lock  one history, one lock in each monitor. It changes under
 *                 list_lock and history_lock, so holding either is enough to
 *                 read it.
 *
 * The shrinker takes list_lock and history_lock, and waits for them. So nobody
 * who holds one of them allocates with direct reclaim, and nobody holds one for
 * longer than a slice of a round, a scan, or the filling of one read buffer.
 * thread_lock and round_lock are never taken in reclaim.
 */
#ifndef _TASKMONITOR_H
#define _TASKMONITOR_H

#include <linux/hashtable.h>
#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pid.h>
#include <linux/rbtree.h>
#include <linux/types.h>

struct kmem_cache;
struct shrinker;
struct task_struct;

/* Widths of the narrow figures of a sample: pages that do not fit saturate. */
#define TM_TOTAL_BITS	36	/* pages: 256 TiB, the whole 48-bit address space */
#define TM_STACK_BITS	28	/* pages: 1 TiB */
#define TM_DATA_BITS	36	/* pages */
#define TM_RSS_BITS	32	/* pages: 16 TiB */
#define TM_THREADS_BITS	24	/* PID_MAX_LIMIT has 22 */
#define TM_STATE_BITS	4	/* task_state_index() */

/**
 * struct task_sample - what one process used up to one moment
 * @node: in &task_monitor.samples, oldest first; empty once the sample has left
 *	the history. Protected by &task_monitor.history_lock.
 * @ref: one reference is the history's, which ends with its place in the list;
 *	the others belong to whoever uses the sample without the lock: the
 *	kthread that prints it, a reader that stopped at it.
 * @rss: resident pages
 * @total: mapped pages
 * @stack: pages of @total in stacks
 * @data: pages of @total that are private and writable
 * @threads: live threads
 * @state: as task_state_index() numbers it
 * @usr: CPU time in user mode, in ns, scaled as /proc scales it
 * @sys: CPU time in the kernel, likewise
 * @time: when its round began, in ns of CLOCK_BOOTTIME
 *
 * All but @node and @ref is written once, before the sample is linked.
 */
struct task_sample {
	struct list_head node;
	struct kref ref;
	u32 rss;
	u64 total : TM_TOTAL_BITS;
	u64 stack : TM_STACK_BITS;
	u64 data : TM_DATA_BITS;
	u64 threads : TM_THREADS_BITS;
	u64 state : TM_STATE_BITS;
	u64 usr;
	u64 sys;
	u64 time;
};

/* Samples that are taken, or given back, under one lock. */
#define TM_BULK_MAX	32

/**
 * struct tm_batch - samples that are allocated, or freed, together
 * @nr: how many
 * @samples: the objects, which hold nothing; not typed, for the allocator
 *
 * Belongs to one thread, on whose stack it is: __uninitialized where it costs,
 * for Debian's kernels zero what is on a stack, a fifth of a small round.
 */
struct tm_batch {
	unsigned int nr;
	void *samples[TM_BULK_MAX];
};

/**
 * struct tm_cputime - CPU time of a task or a thread group, in ns
 * @utime: time in user mode
 * @stime: time in the kernel
 * @runtime: the time that it ran, as the scheduler knows it. The other two are
 *	ticks in most configurations: only their ratio is of use.
 */
struct tm_cputime {
	u64 utime;
	u64 stime;
	u64 runtime;
};

/**
 * struct task_monitor - one monitored process and its history
 * @node: in &tm_context.tasks; protected by &tm_context.list_lock
 * @living_node: in &tm_context.living while the process has not ended, as far as
 *	rounds know; &tm_context.list_lock, and while it is there
 *	&tm_context.round_lock too
 * @ended_node: in &tm_context.ended from then on; &tm_context.list_lock
 * @ref: one reference is the list's; the others belong to the reader and to
 *	the round that stopped at this monitor without a lock
 * @id: rises in the order of adding, never used again; constant
 * @pid: who is monitored: an identity, which a number is not; constant, owned
 * @type: PIDTYPE_TGID: the whole process; PIDTYPE_PID: one thread; constant
 * @prev: the CPU time of the newest sample, below which none may fall:
 *	@utime and @stime; protected by &tm_context.round_lock
 * @history_lock: protects the history: @samples, @nr_samples, @removed
 * @samples: list of &task_sample, oldest first
 * @nr_samples: their number
 * @removed: no longer in the list of monitors, and its history is gone
 * @ended_time: time of the round that found the process gone, 0 before; nothing
 *	is added any more; &tm_context.list_lock
 * @indexed: in &tm_context.index, by its number; &tm_context.list_lock
 * @oldest_time: time of the oldest sample while there is one, which is the key in
 *	the eviction order; &tm_context.list_lock
 * @evict_node: in &tm_context.evict_tree, if it stands for its bucket;
 *	&tm_context.list_lock
 * @bucket_peers: the others of its bucket, if it stands for it;
 *	&tm_context.list_lock
 * @bucket_peer: in the @bucket_peers of the one that does, if it does not;
 *	&tm_context.list_lock
 */
struct task_monitor {
	struct list_head node;
	struct list_head living_node;
	struct list_head ended_node;
	struct kref ref;
	u64 id;
	struct pid *pid;
	enum pid_type type;
	struct tm_cputime prev;

	struct mutex history_lock;	/* one history */
	struct list_head samples;
	unsigned long nr_samples;
	bool removed;

	u64 ended_time;
	struct hlist_node indexed;
	u64 oldest_time;
	struct rb_node evict_node;
	struct hlist_head bucket_peers;
	struct hlist_node bucket_peer;
};

/**
 * struct tm_stats - what became of every sample
 * @monitors: monitors in the list
 * @samples: samples in their histories
 * @taken: samples ever added to a history; all of them are still there or
 *	counted in one of the next four
 * @reclaimed: given back to the shrinker
 * @recycled: reused because nothing could be allocated
 * @capped: dropped because of max_samples
 * @removed: freed with their monitor
 * @dropped: samples that could not be taken at all
 * @late: periods missed
 * @tick_ns: how long the last round took
 * @tick_ns_max: how long the longest took
 *
 * Protected by &tm_context.list_lock; the shrinker reads @samples without it.
 */
struct tm_stats {
	u64 monitors;
	u64 samples;
	u64 taken;
	u64 reclaimed;
	u64 recycled;
	u64 capped;
	u64 removed;
	u64 dropped;
	u64 late;
	u64 tick_ns;
	u64 tick_ns_max;
};

/* 1024 chains: those of 10,000 monitors have ten links each. */
#define TM_INDEX_BITS	10

/**
 * struct tm_context - everything the module knows
 * @period_ms: sampling period; written by its parameter at any time
 * @max_samples: cap of one history, 0 for none; likewise
 * @thread_lock: protects @thread
 * @thread: the kthread, NULL while sampling is stopped
 * @round_lock: held for a round; protects @round_time and @sampling
 * @round_time: when the last round began
 * @sampling: someone samples: a process that is added gets its first sample
 * @list_lock: protects all that follows, up to @stats
 * @tasks: list of &task_monitor, in the order of adding
 * @living: those that rounds sample, in the order of adding; it changes under
 *	@round_lock and @list_lock, so holding either is enough to read it
 * @ended: the others, in the order in which rounds found out
 * @index: the same, by their number in the initial PID namespace
 * @next_id: id of the next monitor
 * @evict_tree: the eviction order: one monitor for each bucket, by
 *	&task_monitor.oldest_time
 * @stats: the counters
 * @slab: cache of &task_sample; constant while anything else works
 * @pool: the reserve on top of @slab; likewise
 * @shrinker: likewise
 * @oom: likewise
 */
struct tm_context {
	unsigned int period_ms;
	unsigned long max_samples;

	struct mutex thread_lock;	/* who samples */
	struct task_struct *thread;

	struct mutex round_lock;	/* when */
	u64 round_time;
	bool sampling;

	struct mutex list_lock;	/* who is monitored */
	struct list_head tasks;
	struct list_head living;
	struct list_head ended;
	DECLARE_HASHTABLE(index, TM_INDEX_BITS);
	u64 next_id;
	struct rb_root evict_tree;
	struct tm_stats stats;

	struct kmem_cache *slab;
	mempool_t *pool;
	struct shrinker *shrinker;
	struct notifier_block oom;
};

/* taskmonitor.c: who is monitored, and when */

void tm_context_init(struct tm_context *tm);
int tm_monitor_add(struct tm_context *tm, pid_t nr);
int tm_monitor_remove(struct tm_context *tm, pid_t nr);
struct task_monitor *tm_monitor_next(struct tm_context *tm,
				     struct task_monitor *monitor);
void tm_monitor_unlink(struct tm_context *tm, struct task_monitor *monitor);
void tm_monitor_put(struct task_monitor *monitor);
int tm_start(struct tm_context *tm);
bool tm_stop(struct tm_context *tm);

static inline void tm_monitor_get(struct task_monitor *monitor)
{
	kref_get(&monitor->ref);
}

/* sample_cache.c: what a sample is, where it lives, which goes first */

int tm_cache_init(struct tm_context *tm, unsigned int reserve);
void tm_cache_exit(struct tm_context *tm);
bool tm_sample_put(struct task_sample *sample, struct tm_context *tm);
void tm_batch_fill(struct tm_context *tm, struct tm_batch *batch,
		   unsigned int nr, gfp_t gfp);
void tm_batch_free(struct tm_context *tm, struct tm_batch *batch);
struct task_sample *tm_save_sample(struct tm_context *tm,
				   struct task_monitor *monitor, u64 time,
				   struct tm_batch *batch);
void tm_history_cut(struct tm_context *tm, struct task_monitor *monitor,
		    struct list_head *samples);
unsigned int tm_evict_oldest(struct tm_context *tm, unsigned int want,
			     struct tm_batch *batch);
void tm_history_free(struct tm_context *tm, struct list_head *samples);

/* shrinker.c: giving back */

int tm_shrinker_init(struct tm_context *tm);
void tm_shrinker_exit(struct tm_context *tm);
void tm_shrinker_may_lock(struct mutex *lock);
/* debugfs_seq.c: showing and telling */

int tm_files_init(struct tm_context *tm);
void tm_files_exit(struct tm_context *tm);

#endif /* _TASKMONITOR_H */

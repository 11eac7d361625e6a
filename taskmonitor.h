/* SPDX-License-Identifier: GPL-2.0 */
/*
 * taskmonitor - the history of chosen processes, sampled by a kthread
 *
 * Locks, outermost first:
 *
 *   thread_lock -> round_lock -> history_lock -> RCU -> list_lock, task_lock,
 *                                                       stats_lock
 *
 *   thread_lock   mutex: who samples, the kthread and its life.
 *   round_lock    mutex: when. Rounds do not overlap, nor does a writer's first
 *                 sample, and no monitor is removed on request during one.
 *   history_lock  mutex, one in each monitor: held while a sample is taken and
 *                 added. A history grows under it, and is otherwise protected by
 *                 list_lock.
 *   list_lock     raw spinlock: the lists of monitors, the links of all
 *                 histories, the eviction order, the counters.
 *
 * Reclaim takes list_lock only. With any number of monitors and samples a hold
 * ends after a slice: TM_BULK_MAX monitors or evictions, or TM_PIN_MAX
 * references. Nothing is allocated, freed, formatted or printed under
 * it. It is a raw spinlock because a task that holds it must not lose the CPU: a
 * mutex that a SCHED_IDLE reader holds while it is preempted stops sampling and
 * reclaim for seconds, and priority inheritance does not help, since the tasks
 * that wait are not real-time ones. A writer holds round_lock for a sample or a
 * removal; one that is starved there delays rounds, and nothing else.
 */
#ifndef _TASKMONITOR_H
#define _TASKMONITOR_H

#include <linux/hashtable.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/numa.h>
#include <linux/pid.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

/* A task's CPU times are u64, which 32-bit CPUs read in two halves. */
#ifndef CONFIG_64BIT
#error "taskmonitor is for 64-bit kernels only"
#endif

struct kmem_cache;
struct shrinker;

/* Widths of the narrow figures of a sample: pages that do not fit saturate. */
#define TM_TOTAL_BITS	36	/* pages: 256 TiB, the whole 48-bit address space */
#define TM_STACK_BITS	28	/* pages: 1 TiB */
#define TM_DATA_BITS	36	/* pages */
#define TM_RSS_BITS	32	/* pages: 16 TiB */
#define TM_THREADS_BITS	24	/* PID_MAX_LIMIT has 22 */
#define TM_STATE_BITS	4	/* task_state_index() */

/* X, the state of a final sample, and of no other; and Z. */
#define TM_STATE_ENDED	(ilog2(EXIT_DEAD) + 1)
#define TM_STATE_ZOMBIE	(ilog2(EXIT_ZOMBIE) + 1)

/**
 * struct task_sample - what one process used up to one moment
 * @node: in &task_monitor.samples, oldest first; empty once the sample has left
 *	the history, unless that was cut off whole and is being freed. Protected by
 *	&tm_context.list_lock while it is in a history.
 * @ref: one reference is the history's, which ends with its place in the list;
 *	the others belong to those who use the sample without the lock: the
 *	kthread that prints it, a reader that shows it or stopped at it.
 * @rss: resident pages
 * @peak: of a final sample, in its place: the most pages ever resident
 * @total: mapped pages
 * @stack: pages of @total in stacks
 * @exit: of a final sample, in the place of these two: the wait status
 * @data: pages of @total that are private and writable
 * @threads: live threads
 * @state: as task_state_index() numbers it; TM_STATE_ENDED: a final sample
 * @usr: CPU time in user mode, in ns, scaled as /proc scales it
 * @sys: CPU time in the kernel, likewise
 * @time: when its round began, in ns of CLOCK_BOOTTIME
 *
 * All but @node and @ref is written once, before the sample is linked.
 */
struct task_sample {
	struct list_head node;
	struct kref ref;
	union {
		u32 rss;
		u32 peak;
	};
	union {
		struct {
			u64 total : TM_TOTAL_BITS;
			u64 stack : TM_STACK_BITS;
		};
		u32 exit;
	};
	u64 data : TM_DATA_BITS;
	u64 threads : TM_THREADS_BITS;
	u64 state : TM_STATE_BITS;
	u64 usr;
	u64 sys;
	u64 time;
};

/* Monitors that are passed, or samples that are evicted, in one hold of list_lock. */
#define TM_BULK_MAX	32

/* Samples that a reader references in one hold of list_lock. */
#define TM_PIN_MAX	64

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
 * struct tm_supply - where the samples of one round come from
 * @batch: objects at hand
 * @slab_failed: the slab could not fill a batch: it is not asked for another
 * @pool_failed: slab and reserve are empty: from now on samples are reused
 *
 * Belongs to one thread, and is valid for one round: the next tries anew.
 */
struct tm_supply {
	struct tm_batch batch;
	bool slab_failed;
	bool pool_failed;
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
 * struct tm_monitor_number - a number of a monitor in one PID namespace
 * @node: in &tm_context.index, by that number, while the process has not ended;
 *	&tm_context.list_lock, or RCU for those who only look
 * @ended: in &tm_context.ended_index from then on; &tm_context.list_lock
 * @monitor: constant
 */
struct tm_monitor_number {
	struct hlist_node node;
	struct rb_node ended;
	struct task_monitor *monitor;
};

/**
 * struct task_monitor - one monitored process and its history
 * @node: in &tm_context.tasks; of a spare one in &tm_context.spares
 * @living_node: in &tm_context.living while the end of the process has not been
 *	recorded; removed on request only under &tm_context.round_lock too
 * @rcu: frees it, once those who look at the index have gone on
 * @ended_node: in &tm_context.ending while @ending is set, and in
 *	&tm_context.ended after that
 * @walks: walks that stand at it. It stays in its lists until they have moved
 *	on, so that they find the next one.
 * @pid: who is monitored: an identity, which a number is not; constant, owned
 * @type: PIDTYPE_TGID: the whole process; PIDTYPE_PID: one thread; constant
 * @history_lock: held while a sample is taken and added
 * @baseline: the CPU time of the newest sample ever, below which none may fall:
 *	@utime and @stime; protected by @history_lock
 * @comm: the name of the process when it was last looked at; written under
 *	@history_lock too
 * @samples: list of &task_sample, oldest first; grows under @history_lock
 * @nr_samples: their number; likewise
 * @removed: not monitored any more, and the history is gone
 * @ending: its last thread exits, and the end is to be recorded: a reference to
 *	the task, or the leader of the process; NULL otherwise. Set by the hook,
 *	cleared under &tm_context.round_lock too
 * @ended: the end has been recorded; nothing is added any more
 * @serial: its place in the order of adding, from 1 on
 * @walk_nr: which walk over the processes of the machine added it; 0: none
 * @ended_newest: time of the newest sample that this one, or one before it in
 *	&tm_context.ended, had when it was added there
 * @oldest_time: time of the oldest sample while there is one, which is the key in
 *	the eviction order
 * @evict_node: in &tm_context.evict_tree, if it stands for its bucket
 * @bucket_peers: the others of its bucket, if it stands for it
 * @bucket_peer: in the @bucket_peers of the one that does, if it does not
 * @numbers: its numbers in the PID namespaces that see it, the initial one first
 *
 * All but what is constant, @history_lock and @baseline is protected by
 * &tm_context.list_lock.
 */
struct task_monitor {
	struct list_head node;
	union {
		struct list_head living_node;
		struct rcu_head rcu;
	};
	struct list_head ended_node;
	unsigned int walks;
	struct pid *pid;
	enum pid_type type;

	struct mutex history_lock;	/* who adds */
	struct tm_cputime baseline;
	char comm[TASK_COMM_LEN];
	struct list_head samples;
	unsigned long nr_samples;
	bool removed;

	struct task_struct *ending;
	bool ended;
	u64 serial;
	u64 walk_nr;
	u64 ended_newest;
	u64 oldest_time;
	struct rb_node evict_node;
	struct hlist_head bucket_peers;
	struct hlist_node bucket_peer;

	struct tm_monitor_number numbers[];
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
 * @late: deadlines at which no round began
 * @tick_ns: how long the last round took
 * @tick_ns_max: how long the longest took
 * @ended: final samples ever taken
 * @followed: children ever added
 * @refused: children not added because of max_monitors, or because there was no memory
 * @missed: children that were born and ended unseen, as far as is known
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
	u64 ended;
	u64 followed;
	u64 refused;
	u64 missed;
};

/* 4096 chains: 10,000 monitors in one PID namespace make chains of three. */
#define TM_INDEX_BITS	12

/**
 * struct tm_context - everything the module knows
 * @period_ms: sampling period; written by its parameter at any time
 * @max_samples: cap of one history, 0 for none; likewise
 * @max_monitors: bound of @nr_living, 0 for none; likewise
 * @thread_lock: protects @thread, @follow and @hooked
 * @follow: what a monitored process forks is monitored, too
 * @hooked: the hooks of exits are there, and those of forks if @follow
 * @thread: the kthread, NULL while sampling is stopped
 * @waker: the same thread, for hooks that wake it; RCU
 * @round_lock: held for a round; protects @round_time and @resumed
 * @round_time: when the last round began
 * @resumed: no round since sampling began: what is found dead died before that
 * @published: @round_time of the last round that is over; written under @round_lock,
 *	read without it once the samples are wanted
 * @pipes: wait queue of those who wait for @published to rise
 * @list_lock: protects all that follows, up to @stats
 * @sampling: the kthread samples: a process that is added gets its first sample,
 *	one that ends its last; written under @round_lock too
 * @tasks: list of &task_monitor, in the order of adding
 * @living: those whose end has not been recorded, in the order of adding
 * @ending: those of them whose end is to be recorded, in the order of exit
 * @nr_ending: their number
 * @nr_living: the number of all monitors whose end has not been recorded
 * @serial: of the monitor that was added last
 * @following: the hook of forks adds children, while @sampling
 * @spares: monitors for it, which cannot allocate
 * @nr_spares: their number
 * @nr_unrecorded: children for which there was none, and no walk has found yet
 * @walk_nr: walks over all processes that have begun
 * @chores: there are children to look for, or few spares
 * @ended: the others, in the order of recording
 * @index: the living, by their numbers: list of &tm_monitor_number. The hooks look
 *	at it under RCU
 * @ended_index: the ended, likewise, apart, so that they cost the hooks nothing
 * @evict_tree: the eviction order: one monitor for each bucket, by
 *	&task_monitor.oldest_time
 * @on_node: samples on each NUMA node, until they are evicted or, of removed
 *	monitors, freed; not counted on a machine with one. The shrinker reads it
 *	without the lock
 * @stats: the counters
 * @slab: cache of &task_sample; constant while anything else works
 * @pool: the reserve on top of @slab; likewise
 * @shrinker: likewise
 * @oom: likewise
 */
struct tm_context {
	unsigned int period_ms;
	unsigned long max_samples;
	unsigned long max_monitors;

	struct mutex thread_lock;	/* who samples */
	unsigned int follow;
	bool hooked;
	struct task_struct *thread;
	struct task_struct __rcu *waker;

	struct mutex round_lock;	/* when */
	u64 round_time;
	bool resumed;
	u64 published;
	wait_queue_head_t pipes;

	raw_spinlock_t list_lock;	/* who is monitored, all histories */
	bool sampling;
	struct list_head tasks;
	struct list_head living;
	struct list_head ending;
	unsigned int nr_ending;
	unsigned long nr_living;
	u64 serial;
	bool following;
	struct list_head spares;
	unsigned int nr_spares;
	u64 nr_unrecorded;
	u64 walk_nr;
	bool chores;
	struct list_head ended;
	DECLARE_HASHTABLE(index, TM_INDEX_BITS);
	struct rb_root ended_index;
	struct rb_root_cached evict_tree;
	unsigned long on_node[MAX_NUMNODES];
	struct tm_stats stats;

	struct kmem_cache *slab;
	mempool_t *pool;
	struct shrinker *shrinker;
	struct notifier_block oom;
};

/*
 * Which monitors a walk passes: all, or one of the two kinds; the ended by their end,
 * newest first or oldest first.
 */
enum tm_walk_over {
	TM_WALK_ALL,
	TM_WALK_LIVING,
	TM_WALK_ENDED,
	TM_WALK_ENDED_SINCE,
};

/**
 * struct tm_walk - a walk over monitors, in many holds of list_lock
 * @tm: the task monitor
 * @over: which monitors it passes
 * @monitor: where it stands, one of &task_monitor.walks; NULL before the first
 *	and after the last
 *
 * Belongs to one thread at a time; @monitor is valid without a lock.
 */
struct tm_walk {
	struct tm_context *tm;
	enum tm_walk_over over;
	struct task_monitor *monitor;
};

/* taskmonitor.c: who is monitored, and when */

void tm_context_init(struct tm_context *tm);
int tm_monitor_add(struct tm_context *tm, pid_t nr);
int tm_monitor_remove(struct tm_context *tm, pid_t nr);
void tm_monitor_unlink(struct tm_context *tm, struct task_monitor *monitor,
		       struct list_head *gone);
void tm_monitors_free(struct list_head *gone);
struct task_monitor *tm_walk_following(const struct tm_walk *walk,
				       struct task_monitor *at);
void tm_walk_move(struct tm_walk *walk, struct task_monitor *monitor,
		  struct list_head *gone);
struct task_monitor *tm_walk_next(struct tm_walk *walk, struct list_head *gone);
void tm_walk_end(struct tm_walk *walk);
int tm_start(struct tm_context *tm);
bool tm_stop(struct tm_context *tm);

/* sample_cache.c: what a sample is, where it lives, which goes first */

int tm_cache_init(struct tm_context *tm, unsigned int reserve);
void tm_cache_exit(struct tm_context *tm);
bool tm_sample_put(struct task_sample *sample, struct tm_context *tm);
void tm_supply_fill(struct tm_context *tm, struct tm_supply *supply,
		    unsigned int nr, gfp_t gfp);
void tm_batch_free(struct tm_context *tm, struct tm_batch *batch);
struct task_sample *tm_save_sample(struct tm_context *tm,
				   struct task_monitor *monitor,
				   struct task_struct *ended, u64 time,
				   struct tm_supply *supply);
bool tm_has_ended(enum pid_type type, struct task_struct *task);
bool tm_is_off_cpu(enum pid_type type, struct task_struct *task);
struct task_struct *tm_monitored_task(const struct task_monitor *monitor);
void tm_history_cut(struct tm_context *tm, struct task_monitor *monitor,
		    struct list_head *samples);
unsigned int tm_evict_oldest(struct tm_context *tm, unsigned int want,
			     struct tm_batch *batch);
void tm_history_free(struct tm_context *tm, struct list_head *samples);

/* shrinker.c: giving back */

int tm_shrinker_init(struct tm_context *tm);
void tm_shrinker_exit(struct tm_context *tm);

/* debugfs_seq.c: showing and telling */

int tm_files_init(struct tm_context *tm);
void tm_files_exit(void);

#endif /* _TASKMONITOR_H */

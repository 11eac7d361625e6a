// SPDX-License-Identifier: GPL-2.0
/*
 * Giving back: the order in which samples are evicted, and the shrinker that
 * evicts them under memory pressure.
 */

#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/version.h>

#include "taskmonitor.h"

/*
 * Reclaim counts our objects but stops at pages, so a sweep with the default
 * takes nearly all of a history when a few megabytes are wanted. With this it
 * leaves most, and a sweep that got too little comes again.
 */
#define TM_SEEKS (16 * DEFAULT_SEEKS)

/*
 * A sweep asks for less than this of a small history not at all: the kernel's
 * default of 128 would spare every history of up to 1000 samples.
 */
#define TM_SHRINK_BATCH 8

/*
 * What is given before a process is killed. A zone's minimum can rise by two
 * megabytes at once, see boost_watermark() in mm/page_alloc.c.
 */
#define TM_OOM_SIZE SZ_4M

static u64 tm_oldest_time(const struct task_monitor *monitor)
{
	return list_first_entry(&monitor->samples, struct task_sample,
				node)->time;
}

static int tm_order_cmp(struct rb_node *a, const struct rb_node *b)
{
	const struct task_monitor *x = rb_entry(a, struct task_monitor, order);
	const struct task_monitor *y = rb_entry(b, struct task_monitor, order);

	return x->oldest < y->oldest ? -1 : x->oldest > y->oldest;
}

/*
 * Enter the eviction order. A round is one time for all, so histories that are
 * evicted together go from one place to the next together: places are few, the
 * tree of them is low, and whoever comes to a place second leaves it untouched.
 */
static void tm_order_enter(struct tm_context *tm, struct task_monitor *monitor)
{
	struct rb_node *leader = rb_find_add(&monitor->order, &tm->order,
					     tm_order_cmp);

	if (leader)
		hlist_add_head(&monitor->peer,
			       &rb_entry(leader, struct task_monitor,
					 order)->peers);
}

/* Leave it. A leader who goes is followed by one of its peers. */
static void tm_order_leave(struct tm_context *tm, struct task_monitor *monitor)
{
	struct task_monitor *heir;

	if (!hlist_unhashed(&monitor->peer)) {
		hlist_del_init(&monitor->peer);
	} else if (hlist_empty(&monitor->peers)) {
		rb_erase(&monitor->order, &tm->order);
	} else {
		heir = hlist_entry(monitor->peers.first, struct task_monitor,
				   peer);
		hlist_del_init(&heir->peer);
		hlist_move_list(&monitor->peers, &heir->peers);
		rb_replace_node(&monitor->order, &heir->order, &tm->order);
	}
}

/**
 * tm_order_update() - note that a history has changed
 * @tm: the task monitor
 * @monitor: whose history it is
 *
 * Keeps @monitor's place in the eviction order: that is the cost of a sample that
 * is evicted, at most the logarithm of the number of monitors, and never a walk
 * over them.
 *
 * Context: @tm->list_lock and @monitor->history_lock held; does not sleep.
 */
void tm_order_update(struct tm_context *tm, struct task_monitor *monitor)
	__must_hold(&tm->list_lock)
	__must_hold(&monitor->history_lock)
{
	lockdep_assert_held(&tm->list_lock);
	lockdep_assert_held(&monitor->history_lock);

	if (monitor->ordered)
		tm_order_leave(tm, monitor);
	monitor->ordered = monitor->nr_samples;
	if (monitor->ordered) {
		monitor->oldest = tm_oldest_time(monitor);
		tm_order_enter(tm, monitor);
	}
}

static struct task_monitor *tm_order_entry(struct rb_node *node)
{
	return rb_entry_safe(node, struct task_monitor, order);
}

/*
 * Move @monitor, a peer at its place, to the next place, which @next leads. What
 * tm_order_update() does, at a fifth of it.
 */
static void tm_order_move(struct task_monitor *monitor,
			  struct task_monitor *next)
{
	hlist_del(&monitor->peer);
	hlist_add_head(&monitor->peer, &next->peers);
	monitor->oldest = next->oldest;
}

/* Whether @monitor, its oldest sample evicted, is at the place of @next. */
static bool tm_order_follows(const struct task_monitor *monitor,
			     const struct task_monitor *next)
{
	struct task_sample *oldest = list_first_entry(&monitor->samples,
						      struct task_sample, node);

	return next && monitor->nr_samples > 1 &&
	       list_next_entry(oldest, node)->time == next->oldest;
}

/*
 * Evict up to @want samples of @monitor, as long as they are not younger than
 * @limit, and @monitor with the last. Returns how many; adds to @freed those
 * that went to @batch.
 */
static unsigned long tm_evict(struct tm_context *tm,
			      struct task_monitor *monitor, u64 limit,
			      unsigned long want, unsigned long *freed,
			      struct tm_batch *batch)
	__must_hold(&tm->list_lock)
{
	unsigned long evicted = 0;

	lockdep_assert_held(&tm->list_lock);

	mutex_lock(&monitor->history_lock);
	do {
		*freed += tm_history_drop(tm, monitor, &tm->stats.reclaimed,
					  batch);
		evicted++;
	} while (evicted < want && monitor->nr_samples &&
		 tm_oldest_time(monitor) <= limit);
	tm_order_update(tm, monitor);
	mutex_unlock(&monitor->history_lock);
	if (!monitor->nr_samples)
		tm_monitor_reap(tm, monitor);
	return evicted;
}

/*
 * Evict up to @want samples at the first place of the eviction order. Returns
 * how many: none when nobody has anything to give, or fewer than there are if
 * the places have changed. Peers go first, for a leader is more to move.
 */
static unsigned long tm_evict_first(struct tm_context *tm, unsigned long want,
				    unsigned long *freed,
				    struct tm_batch *batch)
	__must_hold(&tm->list_lock)
{
	struct task_monitor *monitor, *leader, *next;
	unsigned long evicted = 0;

	leader = tm_order_entry(rb_first(&tm->order));
	if (!leader)
		return 0;
	next = tm_order_entry(rb_next(&leader->order));
	while (!hlist_empty(&leader->peers)) {
		monitor = hlist_entry(leader->peers.first, struct task_monitor,
				      peer);
		if (evicted == want)
			return evicted;
		if (!tm_order_follows(monitor, next))
			return evicted + tm_evict(tm, monitor, leader->oldest,
						  want - evicted, freed, batch);
		mutex_lock(&monitor->history_lock);
		*freed += tm_history_drop(tm, monitor, &tm->stats.reclaimed,
					  batch);
		mutex_unlock(&monitor->history_lock);
		tm_order_move(monitor, next);
		evicted++;
	}
	if (evicted == want)
		return evicted;
	return evicted + tm_evict(tm, leader, next ? next->oldest : U64_MAX,
				  want - evicted, freed, batch);
}

/* Lockless: called on every reclaim pass of every caller. */
static unsigned long tm_count(struct tm_context *tm)
{
	return READ_ONCE(tm->stats.samples) ?: SHRINK_EMPTY;
}

/*
 * Evict the @want oldest samples of all. Returns how many, and in @freed how
 * many of them nobody holds any more.
 *
 * Waits for the locks: giving up when they are taken would end the pass of
 * reclaim, and enough of those end in the OOM killer. It cannot deadlock, for
 * nobody enters direct reclaim with one of them held.
 */
static unsigned long tm_reclaim(struct tm_context *tm, unsigned long want,
				unsigned long *freed)
{
	unsigned long evicted = 0, n;
	struct tm_batch batch __uninitialized;

	batch.nr = 0;
	*freed = 0;
	mutex_lock(&tm->list_lock);
	while (evicted < want) {
		n = tm_evict_first(tm, want - evicted, freed, &batch);
		if (!n)
			break;
		evicted += n;
	}
	mutex_unlock(&tm->list_lock);
	tm_batch_free(tm, &batch);
	return evicted;
}

static unsigned long tm_scan(struct tm_context *tm, struct shrink_control *sc)
{
	unsigned long freed;

	sc->nr_scanned = tm_reclaim(tm, sc->nr_to_scan, &freed);
	return sc->nr_scanned ? freed : SHRINK_STOP;
}

/*
 * Direct reclaim ends after 32 pages. If that was too little, whether it is
 * tried again depends on the page cache that is left, whatever a shrinker has,
 * and a process is killed for want of what we would have given. Unless somebody
 * gives it here.
 */
static int tm_oom_notify(struct notifier_block *block, unsigned long unused,
			 void *pages)
{
	struct tm_context *tm = container_of(block, struct tm_context, oom);
	unsigned long left = TM_OOM_SIZE / sizeof(struct task_sample);
	unsigned long evicted, freed, given = 0;

	do {
		evicted = tm_reclaim(tm, min(left, 0UL + TM_BULK_MAX), &freed);
		given += freed;
		left -= evicted;
	} while (evicted && left);
	*(unsigned long *)pages += given * sizeof(struct task_sample) /
				   PAGE_SIZE;
	return NOTIFY_OK;
}

/*
 * Until c42d50aefd17 ("mm: shrinker: add infrastructure for dynamically
 * allocating shrinker") in 6.7 the shrinker was the caller's own memory, had no
 * private data, and its registration could fail.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)

struct tm_shrinker {
	struct shrinker shrinker;
	struct tm_context *tm;
};

static struct tm_context *tm_from_shrinker(struct shrinker *shrinker)
{
	return container_of(shrinker, struct tm_shrinker, shrinker)->tm;
}

static struct shrinker *tm_shrinker_alloc(struct tm_context *tm)
{
	struct tm_shrinker *own = kzalloc(sizeof(*own), GFP_KERNEL);

	if (!own)
		return NULL;
	own->tm = tm;
	return &own->shrinker;
}

static int tm_shrinker_register(struct shrinker *shrinker)
{
	return register_shrinker(shrinker, "taskmonitor");
}

static void tm_shrinker_free(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
	kfree(container_of(shrinker, struct tm_shrinker, shrinker));
}

#else

static struct tm_context *tm_from_shrinker(struct shrinker *shrinker)
{
	return shrinker->private_data;
}

static struct shrinker *tm_shrinker_alloc(struct tm_context *tm)
{
	struct shrinker *shrinker = shrinker_alloc(0, "taskmonitor");

	if (shrinker)
		shrinker->private_data = tm;
	return shrinker;
}

static int tm_shrinker_register(struct shrinker *shrinker)
{
	shrinker_register(shrinker);
	return 0;
}

static void tm_shrinker_free(struct shrinker *shrinker)
{
	shrinker_free(shrinker);
}

#endif

static unsigned long tm_count_objects(struct shrinker *shrinker,
				      struct shrink_control *sc)
{
	return tm_count(tm_from_shrinker(shrinker));
}

static unsigned long tm_scan_objects(struct shrinker *shrinker,
				     struct shrink_control *sc)
{
	return tm_scan(tm_from_shrinker(shrinker), sc);
}

/**
 * tm_shrinker_init() - offer the histories to reclaim, and to the OOM killer
 * @tm: the task monitor, ready to be scanned
 *
 * Context: may sleep.
 * Return: 0, or -ENOMEM.
 */
int tm_shrinker_init(struct tm_context *tm)
{
	int err;

	tm->shrinker = tm_shrinker_alloc(tm);
	if (!tm->shrinker)
		return -ENOMEM;

	tm->shrinker->count_objects = tm_count_objects;
	tm->shrinker->scan_objects = tm_scan_objects;
	tm->shrinker->seeks = TM_SEEKS;
	tm->shrinker->batch = TM_SHRINK_BATCH;
	err = tm_shrinker_register(tm->shrinker);
	if (err)
		goto err_free;
	tm->oom.notifier_call = tm_oom_notify;
	err = register_oom_notifier(&tm->oom);
	if (err)
		goto err_free;
	return 0;

err_free:
	tm_shrinker_free(tm->shrinker);
	return err;
}

/**
 * tm_shrinker_exit() - take the offer back; waits for scans under way
 * @tm: the task monitor
 *
 * Context: may sleep, with no lock held that a scan takes.
 */
void tm_shrinker_exit(struct tm_context *tm)
{
	unregister_oom_notifier(&tm->oom);
	tm_shrinker_free(tm->shrinker);
}

/**
 * tm_shrinker_may_lock() - tell lockdep that the shrinker takes a lock
 * @lock: the lock, not yet in use
 *
 * From then on an allocation with direct reclaim under @lock is reported at
 * once, without the memory pressure that would make it deadlock.
 *
 * Context: may sleep.
 */
void tm_shrinker_may_lock(struct mutex *lock)
{
	fs_reclaim_acquire(GFP_KERNEL);
	might_lock(lock);
	fs_reclaim_release(GFP_KERNEL);
}

#ifdef TASKMONITOR_KUNIT
#include "tests/shrinker_kunit.h"
#endif

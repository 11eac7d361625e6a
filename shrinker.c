// SPDX-License-Identifier: GPL-2.0
/*
 * Giving back: the shrinker and the OOM notifier, which evict samples under memory
 * pressure.
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

/* Lockless: called on every reclaim pass of every caller. */
static unsigned long tm_count(struct tm_context *tm)
{
	return READ_ONCE(tm->stats.samples) ?: SHRINK_EMPTY;
}

/*
 * Evict the @want oldest samples. Returns how many, and in @freed how many of
 * them nobody holds any more.
 *
 * Waits for the lock: giving up when it is taken would end the pass of reclaim,
 * and enough of those end in the OOM killer. It cannot deadlock, since nobody
 * enters direct reclaim with a lock held that eviction takes.
 */
static unsigned long tm_reclaim(struct tm_context *tm, unsigned long want,
				unsigned long *freed)
{
	unsigned long evicted = 0;
	struct tm_batch batch __uninitialized;
	unsigned int slice, n;

	*freed = 0;
	do {
		slice = min_t(unsigned long, want - evicted, TM_BULK_MAX);
		n = tm_evict_oldest(tm, slice, &batch);
		*freed += batch.nr;
		tm_batch_free(tm, &batch);
		evicted += n;
	} while (n == slice && evicted < want);
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
	unsigned long given;

	tm_reclaim(tm, TM_OOM_SIZE / sizeof(struct task_sample), &given);
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

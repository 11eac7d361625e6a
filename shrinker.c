// SPDX-License-Identifier: GPL-2.0
/*
 * Giving back: the shrinker and the OOM notifier, which evict samples under memory
 * pressure.
 */

#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/vmstat.h>

#include "taskmonitor.h"

/*
 * What do_shrink_slab() makes of these two and of the count: in each pass it asks
 * for freeable * 4 / seeks objects, more as priority rises, in scans of batch
 * objects, and keeps what is less than a batch for a later pass.
 *
 * seeks: it counts objects, while reclaim stops once enough pages came free, and
 * 64 samples share a page. With DEFAULT_SEEKS a pass for a few MB would evict
 * most of the history; a pass that got too little is repeated.
 *
 * batch: with SHRINK_BATCH, 128, a history of up to 1,000 samples would hardly
 * ever be scanned. Fewer than TM_SEEKS / 4 samples may stay for ever.
 */
#define TM_SEEKS (16 * DEFAULT_SEEKS)
#define TM_SHRINK_BATCH 12

/* What a pass for one node may cost the others, if it comes by no other: 8 KiB. */
#define TM_ELSEWHERE_MAX 128

/*
 * What is evicted before a process is killed. A zone's minimum can rise by two
 * megabytes at once, see boost_watermark() in mm/page_alloc.c.
 */
#define TM_OOM_SIZE SZ_4M

/*
 * The number of samples on the node @nid.
 *
 * Lockless: called on every reclaim pass of every caller.
 */
static unsigned long tm_count(struct tm_context *tm, int nid)
{
	unsigned long nr = nr_node_ids == 1 ? READ_ONCE(tm->stats.samples) :
					      READ_ONCE(tm->on_node[nid]);

	return nr ?: SHRINK_EMPTY;
}

/*
 * Evict the @want oldest samples. Returns how many, and in @freed how many of
 * them were freed: a reader may have a reference to the others.
 *
 * Waits for the lock, which is held for a slice at most: giving up when it is
 * taken would end the pass of reclaim, and enough of those end in the OOM killer.
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

/*
 * The oldest samples go wherever they lie, for there is one order. Those of other
 * nodes are no help for the one that reclaim asks for: a scan passes over some, and
 * if it comes by no other it is the last of its pass.
 */
static unsigned long tm_scan(struct tm_context *tm, struct shrink_control *sc)
{
	unsigned long before = READ_ONCE(tm->on_node[sc->nid]);
	unsigned long scanned = 0, freed = 0, n, slice;
	bool elsewhere;

	do {
		n = tm_reclaim(tm, sc->nr_to_scan, &slice);
		scanned += n;
		freed += slice;
		elsewhere = nr_node_ids > 1 &&
			    READ_ONCE(tm->on_node[sc->nid]) >= before;
	} while (elsewhere && n && scanned < TM_ELSEWHERE_MAX);
	sc->nr_scanned = min(scanned, sc->nr_to_scan);
	return scanned && !elsewhere ? freed : SHRINK_STOP;
}

/* Pages of @zone that any allocation may have before reclaim begins. */
static unsigned long tm_zone_spare(struct zone *zone)
{
	unsigned long spare = zone_page_state(zone, NR_FREE_PAGES);
	unsigned long kept = zone_page_state(zone, NR_FREE_CMA_PAGES) +
			     high_wmark_pages(zone);
	long reserve = 0;
	int i;

	for (i = 0; i < MAX_NR_ZONES; i++)
		reserve = max(reserve, zone->lowmem_reserve[i]);
	kept += reserve;
	return spare > kept ? spare - kept : 0;
}

/*
 * Whether no node has memory to spare. A task that is bound to a node or to a zone
 * can run that full while there is plenty elsewhere: the history cannot help it.
 * Nor is it given where free memory is only in pieces too small: the notifier is
 * not told what was asked for.
 */
static bool tm_memory_is_short(void)
{
	unsigned long spare = 0;
	int nid, i;

	for_each_online_node(nid)
		/* ZONE_MOVABLE is none of the kernel's. */
		for (i = 0; i < ZONE_MOVABLE; i++)
			if (populated_zone(&NODE_DATA(nid)->node_zones[i]))
				spare += tm_zone_spare(&NODE_DATA(nid)->node_zones[i]);
	return spare < TM_OOM_SIZE / PAGE_SIZE;
}

/* Pages of all slabs like ours, with what the CPUs have not added up yet. */
static long tm_slab_pages(void)
{
	long pages = global_node_page_state_pages(NR_SLAB_RECLAIMABLE_B);
	struct per_cpu_nodestat *stat;
	int nid, cpu;

	for_each_online_node(nid)
		for_each_online_cpu(cpu) {
			stat = per_cpu_ptr(NODE_DATA(nid)->per_cpu_nodestats,
					   cpu);
			pages += stat->vm_node_stat_diff[NR_SLAB_RECLAIMABLE_B];
		}
	return pages;
}

/*
 * Direct reclaim stops after SWAP_CLUSTER_MAX pages, and should_reclaim_retry()
 * looks at LRU pages only, not at shrinkers. So the OOM killer can run while
 * samples are reclaimable; this notifier evicts TM_OOM_SIZE of them first, and
 * reports the pages that left the slab: what went to the reserve or to slabs that
 * are still in part used is no memory yet. Then more is evicted.
 */
static int tm_oom_notify(struct notifier_block *block, unsigned long unused,
			 void *freed_pages)
{
	struct tm_context *tm = container_of(block, struct tm_context, oom);
	unsigned long want = TM_OOM_SIZE / sizeof(struct task_sample);
	unsigned long freed, evicted;
	long before, pages;

	if (!tm_memory_is_short())
		return NOTIFY_OK;
	before = tm_slab_pages();
	do {
		evicted = tm_reclaim(tm, want, &freed);
		pages = before - tm_slab_pages();
	} while (pages <= 0 && evicted == want);
	pr_debug("before a process is killed: %ld pages left the slab\n", pages);
	if (pages > 0)
		*(unsigned long *)freed_pages += pages;
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
	own->shrinker.flags = SHRINKER_NUMA_AWARE;
	return &own->shrinker;
}

static int tm_shrinker_register(struct shrinker *shrinker)
{
	return register_shrinker(shrinker, "taskmonitor");
}

static void tm_shrinker_free(struct shrinker *shrinker)
{
	/* Passes over one whose registration failed. */
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
	struct shrinker *shrinker = shrinker_alloc(SHRINKER_NUMA_AWARE,
						   "taskmonitor");

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
	return tm_count(tm_from_shrinker(shrinker), sc->nid);
}

static unsigned long tm_scan_objects(struct shrinker *shrinker,
				     struct shrink_control *sc)
{
	return tm_scan(tm_from_shrinker(shrinker), sc);
}

/*
 * Tell lockdep that reclaim takes @lock. From then on an allocation with direct
 * reclaim under it is reported at once, without the memory pressure that would
 * make it deadlock.
 */
static void tm_reclaim_may_lock(raw_spinlock_t *lock)
{
	fs_reclaim_acquire(GFP_KERNEL);
	might_lock(lock);
	fs_reclaim_release(GFP_KERNEL);
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

	tm_reclaim_may_lock(&tm->list_lock);
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

#ifdef TASKMONITOR_KUNIT
#include "tests/kunit/shrinker_kunit.h"
#endif

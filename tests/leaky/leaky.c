// SPDX-License-Identifier: GPL-2.0
/*
 * A module that loses memory on purpose: the positive control of scripts/leakcheck.
 *
 *   insmod leaky.ko leak=WAY,...       each use loses what it gets
 *   insmod leaky.ko innocent=WAY,...   the same calls, and all is given back: the first
 *                                      LEAKY_KEPT uses are kept until the module goes,
 *                                      as by a cache that warms up, later ones at once
 *   echo N > /proc/leaky               N uses of each
 *
 * Never load it outside a VM: what is lost stays lost until the next boot.
 */
#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#define LEAKY_KEPT	64
#define LEAKY_BATCH	16
#define LEAKY_WAYS	16

static char *leak[LEAKY_WAYS];
static int nr_leak;
module_param_array(leak, charp, &nr_leak, 0444);
MODULE_PARM_DESC(leak, "the ways in which memory is lost");

static char *innocent[LEAKY_WAYS];
static int nr_innocent;
module_param_array(innocent, charp, &nr_innocent, 0444);
MODULE_PARM_DESC(innocent, "the ways in which it is used, and nothing is lost");

/* What a way takes its objects from. */
enum leaky_source { LEAKY_KERNEL, LEAKY_SLAB, LEAKY_MERGED, LEAKY_POOL, LEAKY_INIT };

/**
 * struct leaky_way - one way to use memory
 * @name: value of the parameter
 * @get: allocates one object, or takes a reference
 * @put: gives it back
 * @every: uses for one that is lost; 0: @get loses by itself, or nothing does
 * @source: what there has to be before @get is called
 * @leaks: it is to lose memory
 * @used: it is to use memory at all
 * @slab: its cache; set while the file does not exist, as is @pool
 * @pool: its mempool
 * @nr_kept: how many of @kept there are; under leaky_lock
 * @uses: how often it was used; under leaky_lock
 * @kept: what an innocent one keeps; under leaky_lock
 */
struct leaky_way {
	const char *name;
	void *(*get)(struct leaky_way *way);
	void (*put)(struct leaky_way *way, void *object);
	unsigned int every;
	enum leaky_source source;
	bool leaks;
	bool used;
	struct kmem_cache *slab;
	mempool_t *pool;
	unsigned int nr_kept;
	unsigned int uses;
	void *kept[LEAKY_KEPT];
};

struct leaky_counted {
	struct kref kref;
	char text[100];
};

static DEFINE_MUTEX(leaky_lock);

static noinline void *leaky_kmalloc(struct leaky_way *way)
{
	return kmalloc(200, GFP_KERNEL);
}

static noinline void *leaky_slow(struct leaky_way *way)
{
	return kmalloc(300, GFP_KERNEL);
}

static void leaky_kfree(struct leaky_way *way, void *object)
{
	kfree(object);
}

static noinline void *leaky_kstrdup(struct leaky_way *way)
{
	return kstrdup("a text of no importance, but of forty-two", GFP_KERNEL);
}

static noinline void *leaky_cache(struct leaky_way *way)
{
	return kmem_cache_alloc(way->slab, GFP_KERNEL);
}

static noinline void *leaky_merged(struct leaky_way *way)
{
	return kmem_cache_alloc(way->slab, GFP_KERNEL);
}

static void leaky_cache_free(struct leaky_way *way, void *object)
{
	kmem_cache_free(way->slab, object);
}

static noinline void *leaky_mempool(struct leaky_way *way)
{
	return mempool_alloc(way->pool, GFP_KERNEL);
}

static void leaky_mempool_free(struct leaky_way *way, void *object)
{
	mempool_free(object, way->pool);
}

/* Of a batch the first object is kept; the leak forgets that there are others. */
static noinline void *leaky_batch(struct leaky_way *way)
{
	static void *batch[LEAKY_BATCH];
	void *first;

	lockdep_assert_held(&leaky_lock);
	if (!kmem_cache_alloc_bulk(way->slab, GFP_KERNEL, LEAKY_BATCH, batch))
		return NULL;
	first = batch[0];
	if (!way->leaks)
		kmem_cache_free_bulk(way->slab, LEAKY_BATCH - 1, batch + 1);
	/* What points to an object hides it from kmemleak. */
	memset(batch, 0, sizeof(batch));
	return first;
}

static noinline void *leaky_vmalloc(struct leaky_way *way)
{
	return vmalloc(4 * PAGE_SIZE);
}

static void leaky_vfree(struct leaky_way *way, void *object)
{
	vfree(object);
}

static noinline void *leaky_pages(struct leaky_way *way)
{
	return alloc_pages(GFP_KERNEL, 2);
}

static void leaky_pages_free(struct leaky_way *way, void *object)
{
	__free_pages(object, 2);
}

static noinline void *leaky_percpu(struct leaky_way *way)
{
	return (void __force *)__alloc_percpu(256, 8);
}

static void leaky_percpu_free(struct leaky_way *way, void *object)
{
	free_percpu((void __percpu __force *)object);
}

static noinline void *leaky_kref(struct leaky_way *way)
{
	struct leaky_counted *counted = kzalloc(sizeof(*counted), GFP_KERNEL);

	if (counted)
		kref_init(&counted->kref);
	return counted;
}

static void leaky_kref_release(struct kref *kref)
{
	kfree(container_of(kref, struct leaky_counted, kref));
}

static void leaky_kref_put(struct leaky_way *way, void *object)
{
	struct leaky_counted *counted = object;

	kref_put(&counted->kref, leaky_kref_release);
}

/* Nothing is allocated here: a struct pid outlives its process. */
static noinline void *leaky_pid(struct leaky_way *way)
{
	return get_pid(task_pid(current));
}

static void leaky_pid_put(struct leaky_way *way, void *object)
{
	put_pid(object);
}

static struct leaky_way leaky_ways[] = {
	{ "kmalloc", leaky_kmalloc, leaky_kfree, 1 },
	{ "cache", leaky_cache, leaky_cache_free, 1, LEAKY_SLAB },
	{ "merged", leaky_merged, leaky_cache_free, 1, LEAKY_MERGED },
	{ "mempool", leaky_mempool, leaky_mempool_free, 1, LEAKY_POOL },
	{ "kstrdup", leaky_kstrdup, leaky_kfree, 1 },
	{ "vmalloc", leaky_vmalloc, leaky_vfree, 1 },
	{ "init", NULL, leaky_vfree, 0, LEAKY_INIT },
	{ "pages", leaky_pages, leaky_pages_free, 1 },
	{ "percpu", leaky_percpu, leaky_percpu_free, 1 },
	{ "kref", leaky_kref, leaky_kref_put, 1 },
	{ "pid", leaky_pid, leaky_pid_put, 1 },
	{ "batch", leaky_batch, leaky_cache_free, 0, LEAKY_SLAB },
	{ "slow", leaky_slow, leaky_kfree, 1000 },
};

static struct leaky_way *leaky_next(struct leaky_way *way)
{
	struct leaky_way *end = leaky_ways + ARRAY_SIZE(leaky_ways);

	for (way = way ? way + 1 : leaky_ways; way < end; way++)
		if (way->used)
			return way;
	return NULL;
}

static int leaky_use(struct leaky_way *way)
{
	void *object;

	lockdep_assert_held(&leaky_lock);
	if (!way->get)
		return 0;
	object = way->get(way);
	if (!object)
		return -ENOMEM;
	way->uses++;
	if (way->leaks && way->every && way->uses % way->every == 0)
		return 0;
	if (!way->leaks && way->nr_kept < LEAKY_KEPT)
		way->kept[way->nr_kept++] = object;
	else
		way->put(way, object);
	return 0;
}

static ssize_t leaky_write(struct file *file, const char __user *text, size_t size,
			   loff_t *pos)
{
	struct leaky_way *way;
	unsigned int uses;
	int err;

	err = kstrtouint_from_user(text, size, 10, &uses);
	if (err)
		return err;
	mutex_lock(&leaky_lock);
	while (uses-- && !err) {
		for (way = leaky_next(NULL); way && !err; way = leaky_next(way))
			err = leaky_use(way);
		cond_resched();
	}
	mutex_unlock(&leaky_lock);
	return err ?: size;
}

static const struct proc_ops leaky_proc_ops = {
	.proc_write = leaky_write,
};

static void leaky_free(void)
{
	struct leaky_way *way;

	for (way = leaky_next(NULL); way; way = leaky_next(way)) {
		while (way->nr_kept)
			way->put(way, way->kept[--way->nr_kept]);
		mempool_destroy(way->pool);
		kmem_cache_destroy(way->slab);
	}
}

static noinline void *__init leaky_vmalloc_in_init(void)
{
	return vmalloc(64 * 1024);
}

/* A name of its own for each load: a cache that was lost keeps the one it has. */
static int __init leaky_slab_init(struct leaky_way *way)
{
	unsigned int usersize = way->source == LEAKY_MERGED ? 0 : 72;
	char name[40];

	snprintf(name, sizeof(name), "leaky_%s_%llx", way->name, ktime_get_ns());
	/* A cache with a part for user space is never merged. */
	way->slab = kmem_cache_create_usercopy(name, 72, 0, 0, 0, usersize, NULL);
	return way->slab ? 0 : -ENOMEM;
}

static int __init leaky_way_init(struct leaky_way *way)
{
	void *area;
	int err;

	switch (way->source) {
	case LEAKY_KERNEL:
		return 0;
	case LEAKY_INIT:
		area = leaky_vmalloc_in_init();
		if (!area)
			return -ENOMEM;
		if (!way->leaks)
			way->kept[way->nr_kept++] = area;
		return 0;
	case LEAKY_POOL:
		err = leaky_slab_init(way);
		if (err)
			return err;
		way->pool = mempool_create_slab_pool(LEAKY_KEPT, way->slab);
		return way->pool ? 0 : -ENOMEM;
	default:
		return leaky_slab_init(way);
	}
}

static int __init leaky_choose(char **names, int nr, bool leaks)
{
	int i, j;

	for (i = 0; i < nr; i++) {
		for (j = 0; j < ARRAY_SIZE(leaky_ways); j++)
			if (!strcmp(leaky_ways[j].name, names[i]))
				break;
		if (j == ARRAY_SIZE(leaky_ways) || leaky_ways[j].used)
			return -EINVAL;
		leaky_ways[j].used = true;
		leaky_ways[j].leaks = leaks;
	}
	return 0;
}

static int __init leaky_init(void)
{
	struct leaky_way *way;
	int err;

	err = leaky_choose(leak, nr_leak, true);
	if (!err)
		err = leaky_choose(innocent, nr_innocent, false);
	if (err)
		return err;
	for (way = leaky_next(NULL); way && !err; way = leaky_next(way))
		err = leaky_way_init(way);
	if (!err && !proc_create("leaky", 0200, NULL, &leaky_proc_ops))
		err = -ENOMEM;
	if (err)
		leaky_free();
	return err;
}

static void __exit leaky_exit(void)
{
	remove_proc_entry("leaky", NULL);
	leaky_free();
}

module_init(leaky_init);
module_exit(leaky_exit);

MODULE_DESCRIPTION("Leaks to be found, and their innocent twins");
MODULE_LICENSE("GPL");

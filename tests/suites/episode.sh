#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# One episode of memory pressure, on a long history: it gives what is wanted, and
# not much more.
#
# Suite:
#   kernels  6.1 6.12
#   memory   192M
#   seconds  14
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

# want KIB: a process takes all memory that is free, and KIB more.
want() {
	tmtool hog "$(($(kib MemFree) + $1))" || fail 'the memory hog failed'
}

# The sampler is stopped, and there is no page cache to take instead.
a_few_pages() {
	monitored_crowd 120
	produce 655360
	drop_page_cache
	had=$(stat_of samples)
	want 4096
	left=$(stat_of samples)
	note "$left of $had samples left"
	cmp_int "$left" -lt "$had" 'samples left'
	cmp_int "$left" -gt "$((had / 2))" 'samples left'
	no_oom_kill
	balanced
	gives_memory
}
t 'trap 31 4 MB are wanted: most of a history of 40 MB stays; T2Q3 what is given is free' a_few_pages

# What the shrinker says it gave is there to be used.
gives_memory() {
	free=$(kib MemFree)
	slab=$(kib SReclaimable)
	had=$(stat_of samples) reclaimed=$(stat_of reclaimed)
	drop_caches
	given=$(($(stat_of reclaimed) - reclaimed))
	balanced
	cmp_int "$given" -gt "$((had / 4))" 'samples reclaimed'
	# 64 bytes each; the oldest of all lie side by side.
	given_kib=$((given / 16))
	cmp_int "$((slab - $(kib SReclaimable)))" -gt "$((given_kib * 3 / 4))" \
		'KiB of reclaimable slab less'
	cmp_int "$(($(kib MemFree) - free))" -gt "$((given_kib / 2))" 'KiB more free'
}

run_tests

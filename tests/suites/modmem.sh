#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# scripts/modmem, on a module with known allocations and on one of the kernel's own;
# with -a all on more of those, on ours, and for machines.
#
# Suite:
#   kernels  -
#   by-name  6.1 6.12 *-rt *-debug
#   memory   512M
#   needs    leaky drivers
#   seconds  60
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

dmesg -n 1
trap 'rmmod leaky 2>/dev/null' EXIT
modmem=$(command -v modmem)

# tidy: all that was switched on is off again.
tidy() {
	is "$(ls /sys/kernel/tracing/instances)" '' 'trace instances that are left'
	is "$(grep -Lx '# Available triggers:' /sys/kernel/tracing/events/kmem/*/trigger)" '' 'triggers'
	[ ! -e /proc/sys/vm/mem_profiling ] ||
		is "$(cat /proc/sys/vm/mem_profiling)" 0 'mem_profiling'
}

# held ARGUMENT...: modmem's answer is in /tmp/said.
held() {
	"$modmem" "$@" >/tmp/said 2>&1 || fail "modmem $* fails: $(cat /tmp/said)"
	tidy
}

# broken FILE EXPRESSION: modmem shall be one whose FILE sed has edited.
broken() {
	rm -rf /tmp/broken
	mkdir /tmp/broken
	cp "$(command -v modmem)" "$(dirname "$(command -v modmem)")/memory.sh" /tmp/broken
	sed -i "$2" "/tmp/broken/$1"
	! cmp -s "/tmp/broken/$1" "$(dirname "$(command -v modmem)")/$1" ||
		fail "nothing of $1 was broken"
	modmem=/tmp/broken/modmem
}

# of KIND COLUMN: a figure of the first table; 2 bytes, 3 objects, 4 the mark.
of() {
	awk -v kind="$1" -v column="$2" '$1 == kind { print $column; exit }' /tmp/said
}

# by FUNCTION: "BYTES OBJECTS" of it in the second table, by the source that is exact for
# what it asks for: allocinfo adds what vmalloc() needs for itself, and counts pages.
by() {
	awk -v function_="$1" '$4 == function_ && !/\((histogram|allocinfo)/ { print $1, $2; exit }' \
		/tmp/said
}

# room CACHE: bytes of an object; leaky_WAY for that with the time in its name. A kernel
# that looks for mistakes puts more into it.
room() {
	cat "/sys/kernel/slab/$1"/slab_size "/sys/kernel/slab/${1}_"*/slab_size 2>/dev/null
}

# What it is told to do, 50 times: then it holds 50 of each, and 64 in the mempool.
known() {
	held leaky -- sh -c 'insmod /leaky.ko innocent=kmalloc,merged,mempool,kstrdup,vmalloc,init,pages,percpu,kref
		echo 50 >/proc/leaky'
	is "$(of static 2)" "$(cat /sys/module/leaky/coresize)" 'bytes of code and data'
	is "$(by leaky_kmalloc)" "$((50 * $(room kmalloc-256))) 50" 'kmalloc, in its bucket'
	is "$(by leaky_mempool)" "$((50 * $(room leaky_mempool))) 50" 'from the mempool'
	is "$(by leaky_merged)" "$((50 * $(room leaky_merged))) 50" 'of a merged cache'
	is "$(by leaky_kstrdup)" "$((50 * $(room kmalloc-64))) 50" 'kstrdup'
	is "$(by leaky_kref)" "$((50 * $(room kmalloc-128))) 50" 'counted objects'
	is "$(by leaky_vmalloc)" '819200 50' 'vmalloc'
	is "$(by leaky_pages)" '819200 50' 'pages'
	is "$(by leaky_percpu | cut -d ' ' -f 2)" 50 'per-CPU objects'
	is "$(of vmalloc 2)" 884736 'vmalloc in all, that of init included'
	for kind in static slab vmalloc pages percpu; do
		is "$(of $kind 4)" exact "mark of $kind"
	done
	! grep -q '^cross-check: do not trust' /tmp/said ||
		fail "the sources disagree: $(cat /tmp/said)"
	held leaky -- sh -c 'echo 14 >/proc/leaky'
	is "$(by leaky_kmalloc)" "$((14 * $(room kmalloc-256))) 14" 'what a command has added'
	is "$(of static 2)" 0 'bytes of code and data that it has added'
	held leaky -- sh -c 'echo 20 >/proc/leaky'
	is "$(by leaky_kmalloc)" '' 'kept by a cache that is full'
	held leaky
	is "$(of vmalloc 2)" 1114112 'what it holds now: 64 areas, and that of init'
	if [ -e /sys/kernel/debug/slab/pid/alloc_traces ] &&
		grep -q pid= /sys/kernel/debug/slab/pid/alloc_traces; then
		is "$(by leaky_kmalloc)" "$((64 * $(room kmalloc-256))) 64" 'what it holds now'
	else
		grep -q '^  slab .* not visible .*slub_debug=U' /tmp/said ||
			fail "what would make slab objects visible: $(cat /tmp/said)"
	fi
	rmmod leaky
}
t 'known allocations: each with its function, to the object' known -

# What is freed again at once, by a modmem that does not subtract it.
a_wrong_figure() {
	insmod /leaky.ko innocent=pages
	echo 64 >/proc/leaky
	held leaky -- sh -c 'echo 20 >/proc/leaky'
	is "$(by leaky_pages)" '' 'pages that were freed again'
	broken memory.sh 's,event ~ /free/ {.*,event ~ /free/ { next },'
	held leaky -- sh -c 'echo 20 >/proc/leaky'
	[ -n "$(by leaky_pages)" ] || fail 'a modmem that subtracts nothing is right too'
	! grep -q 'do not trust' /tmp/said || fail 'it is trusted no more'
	if grep -q '^  slab .* gross' /tmp/said; then
		rmmod leaky
		# shellcheck disable=SC2016 # an awk program's $3
		broken modmem 's/count = \$3; bytes = 0/count = 0; bytes = 0/'
		held leaky -- sh -c 'insmod /leaky.ko innocent=kmalloc; echo 20 >/proc/leaky'
		grep -q '^cross-check: do not trust the events:.* leaky_kmalloc 20 of 0' /tmp/said ||
			fail "a histogram of nothing agrees: $(cat /tmp/said)"
	fi
	rmmod leaky
}
t 'control: a figure that is wrong is noticed' a_wrong_figure -

json() {
	insmod /leaky.ko innocent=kmalloc
	held --json leaky -- sh -c 'echo 3 >/proc/leaky'
	tr -d '\n' </tmp/said | grep -qE '^\{"module": "leaky", .*"sites": \[.*\{"kind": "slab", "bytes": 768, "objects": 3, .*"function": "leaky_kmalloc", .*"merged": \[.*\]\}$' ||
		fail "the JSON: $(cat /tmp/said)"
	is "$(tr -cd '{' </tmp/said | wc -c)" "$(tr -cd '}' </tmp/said | wc -c)" 'braces'
	rmmod leaky
}

drivers=loop
if [ "${1:-}" = all ]; then
	t 'the same for machines' json -
	drivers='loop zram nbd dm-mod btrfs'
fi

# Each is one of the kernel's modules, with what it is known to allocate at load.
theirs() {
	for module in $drivers; do
		modinfo "$module" >/dev/null 2>&1 || skip "this kernel has no module $module"
		held "$module" -- modprobe "$module"
		cmp_int "$(of static 2)" -gt 16384 "bytes of $module"
		cmp_int "$(of slab 2)" -gt 500 "bytes in slabs of $module"
		note "$module: static $(of static 2), slab $(of slab 2), pages $(of pages 2)"
	done
	[ "$drivers" != loop ] || return 0
	held zram -- sh -c 'echo 16M >/sys/block/zram0/disksize
		dd if=/dev/urandom of=/dev/zram0 bs=64k count=16'
	grep -q 'disksize_store' /tmp/said || fail "the table of zram: $(cat /tmp/said)"
}
t 'modules that are not ours tell what they hold' theirs -

# Ours counts for itself: the samples of its history and the reserve.
ours() {
	held taskmonitor -- sh -c 'insmod /taskmonitor.ko reserve=100 period_ms=3600000'
	reserve=$(awk '$4 == "tm_cache_init" && !/histogram/ { print $2; exit }' /tmp/said)
	cmp_int "${reserve:-0}" -ge 100 'objects of the reserve'
	crowd 32
	held taskmonitor -- sh -c "for pid in \$(cat /tmp/crowd); do echo \$pid >$file; done"
	is "$(stat_of samples)" 32 'samples'
	note "$(sed -n '/by function/,$p' /tmp/said | tr '\n' '|')"
}
[ "$drivers" = loop ] || t 'ours: what it holds is what it says' ours -

refused() {
	for wrong in '' '--json' 'nonsense' 'leaky --' 'leaky --x true' '/leaky.ko'; do
		# shellcheck disable=SC2086 # the arguments are words
		modmem $wrong >/tmp/said 2>&1
		is "$?" 2 "status of modmem $wrong"
		grep -q '^modmem: ' /tmp/said || fail "modmem $wrong gives no reason"
	done
	insmod /leaky.ko innocent=kmalloc
	modmem leaky -- false >/tmp/said 2>&1
	is "$?" 2 'status when the command failed'
	tidy
	modmem leaky -- sleep 1000 >/tmp/said 2>&1 &
	kill_at_end $!
	wait_for 120 pidof sleep >/dev/null || fail 'the command does not run'
	kill "$pid"
	killall sleep
	wait_for 120 gone "$pid" || fail 'modmem does not end'
	tidy
	ctrl_c modmem leaky -- sleep 1000
	is "$status" 130 'status after Ctrl-C'
	tidy
	rmmod leaky
}
t 'a wrong call, a command that fails, a signal: nothing is left switched on' refused -

# A modmem that does not clean up leaves what the tests above look for.
left_on() {
	broken modmem '/^trap clean_up EXIT/d'
	insmod /leaky.ko innocent=kmalloc
	"$modmem" leaky -- false >/tmp/said 2>&1
	(tidy) 3>/tmp/noticed
	is "$?" 1 'an instance that is left'
	grep -q 'trace instances that are left' /tmp/noticed ||
		fail "what was noticed: $(cat /tmp/noticed)"
	# shellcheck source=scripts/memory.sh
	. /tmp/broken/memory.sh
	for instance in /sys/kernel/tracing/instances/*; do
		remove_events "$instance"
	done
	[ ! -e "$tm_profiling" ] || echo 0 >"$tm_profiling"
	tidy
	rmmod leaky
}
t 'control: what is left switched on is noticed' left_on -

run_tests

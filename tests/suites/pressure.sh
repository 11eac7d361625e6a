#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Memory pressure, in a VM of 128 MB: the history gives way, oldest first and no
# more than needed, and sampling goes on.
#
# Suite:
#   kernels  6.1 6.12
#   memory   128M
#   needs    disk
#   seconds  75
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

before=/tmp/before
after=/tmp/after
tracing=/sys/kernel/tracing

goes_on() {
	was=$(stat_of taken)
	wait_for 30 stat_is taken -gt "$((was + $1))" || fail 'sampling does not go on'
}

# fewer_than_peak: whether the history is shorter than it has ever been seen.
fewer_than_peak() {
	find_stat samples
	now=$found
	[ "$now" -le "$peak" ] || peak=$now
	tell_answer pressure echo "$(uptime_cs) $now $(kib MemFree)"
	[ "$now" -lt "$peak" ] && stat_is reclaimed -gt 0
}

read_disk() {
	find /mnt -type f -exec cat {} + >/dev/null
	echo >>/tmp/disk_reads
}

disk_is_read() {
	tell_answer pressure echo "$(uptime_cs) $(stat_of samples) $(kib MemFree)"
	[ "$(wc -l </tmp/disk_reads)" -ge "$nr_reads" ]
}

files_are_read() {
	[ "$(find /mnt -type f | wc -l)" -gt 0 ] || skip 'no disk with files at /mnt'
	monitored_crowd 120
	period 1
	wait_for 100 stat_is samples -ge 150000 || fail 'no history'
	drop_page_cache
	cached=$(kib Cached)
	: >/tmp/disk_reads
	peak=0
	# For a picture: until it has settled.
	nr_reads=1
	[ -z "${answers:-}" ] || nr_reads=4
	loop read_disk
	tell_answer pressure echo "$(uptime_cs) $(stat_of samples) $(kib MemFree)"
	wait_for 100 fewer_than_peak ||
		fail "nothing of $(stat_of samples) samples is reclaimed"
	wait_for 100 disk_is_read || fail 'the disk cannot be read'
	end_loops
	note "reclaimed $(stat_of reclaimed) of $(stat_of taken) samples, $(stat_of samples) left, $(kib Cached) KiB cached after $cached"
	cmp_int "$(kib Cached)" -gt "$cached" 'KiB of files in the cache'
	goes_on 1000
	no_oom_kill
	is "$(stat_of dropped)" 0 'samples dropped'
	balanced
}
t 'T2Q3 reading a disk while sampling fast: the history gives way, no process is killed' files_are_read

# lowest_until N: follows the history until N samples are reclaimed; sets
# $peak and $lowest, the least that was left after that.
lowest_until() {
	peak=0
	while stat_is reclaimed -lt "$1"; do
		find_stat samples
		left=$found
		if [ "$left" -ge "$peak" ]; then
			peak=$left
			lowest=$left
		fi
		[ "$left" -ge "$lowest" ] || lowest=$left
		usleep 10000
	done
}

# Here is nothing but the history and the processes, so the sampler itself is
# what makes memory short.
no_page_cache() {
	drop_page_cache
	monitored_crowd 120
	period 1
	lowest_until 150000
	goes_on 20000
	note "peak about $peak samples, then at least $lowest; $(stat_of reclaimed) reclaimed, $(stat_of recycled) recycled"
	cmp_int "$peak" -gt 300000 'samples at the peak'
	cmp_int "$lowest" -gt "$((peak * 6 / 10))" 'samples left at the least'
	is "$(stat_of dropped)" 0 'samples dropped'
	no_oom_kill
	balanced
}
t 'traps 2, 27 the history fills memory: most of it stays, and no process is killed' no_page_cache

# scans: how often drop_caches had our shrinker scan, and what it said it freed.
scans() {
	grep 'tm_scan_objects' "$tracing/trace" |
		sed -n 's/.*mm_shrink_slab_end.*last shrinker return val \(-*[0-9]*\).*/\1/p' |
		awk '{ n += $1 } END { print NR, n + 0 }'
}

traced_drop() {
	echo >"$tracing/trace"
	echo 1 >"$tracing/events/vmscan/mm_shrink_slab_end/enable"
	drop_caches
	echo 0 >"$tracing/events/vmscan/mm_shrink_slab_end/enable"
}

# dropped_samples N PIDS: with N samples of PIDS processes, and the
# sampler stopped.
dropped_samples() {
	monitored_crowd "$2"
	period 1
	start
	echo "$(($1 / $2))" >"$parameters/max_samples"
	wait_for 60 stat_is samples -eq "$1" || fail "$(stat_of samples) samples"
	stop
	rows >"$before"
	given=$(stat_of reclaimed)
	traced_drop
	given=$(($(stat_of reclaimed) - given))
	rows >"$after"
	scanned=$(scans)
	note "of $1 samples of $2 processes $given reclaimed in ${scanned% *} scans"
	cmp_int "${scanned% *}" -le 64 'times that drop_caches scanned'
	is "${scanned#* }" "$given" 'samples that the shrinker said it freed'
	is "$(wc -l <"$after")" "$(($1 - given))" 'rows left'
	is "$(stat_of samples)" "$(wc -l <"$after")" 'samples of all rows'
	balanced
	oldest_first
	while read -r p; do
		remove "$p"
	done </tmp/crowd
}

# What was evicted is older than, or of the same round as, all that is left.
oldest_first() {
	awk '
	which == "after" { left[$2 " " $20]; next }
	!($2 " " $20 in left) {
		if ($20 > evicted)
			evicted = $20
		next
	}
	!kept || $20 < kept { kept = $20 }
	END {
		if (kept && evicted > kept)
			print "evicted " evicted ", kept " kept
	}' which=after "$after" which=before "$before" >/tmp/judged
	[ ! -s /tmp/judged ] || fail "not the oldest first: $(cat /tmp/judged)"
}

drops() {
	[ -d "$tracing/events/vmscan" ] || skip 'no trace events'
	dropped_samples 1 1
	dropped_samples 100 1
	is "$((given > 0))" 1 'whether some of 100 samples were reclaimed'
	dropped_samples 10000 10
	cmp_int "$given" -ge 1000 'samples reclaimed of 10000'
}
t 'trap 3 drop_caches with the sampler stopped ends, and takes the oldest' drops

# Histories that begin and end at different times.
all_ages() {
	monitored_crowd 5
	period 1
	start
	wait_for 20 stat_is samples -gt "$(scaled 2000)" || fail 'no samples'
	sleeper
	add "$pid"
	remove "$(nth 2)"
	add "$(nth 2)"
	kill -9 "$(nth 3)"
	wait_for 20 stat_is samples -gt "$(scaled 5000)" || fail 'no samples after a removal'
	sleeper
	add "$pid"
	kill -9 "$(nth 4)"
	wait_for 20 stat_is samples -gt "$(scaled 6000)" || fail 'no samples after an end'
	stop
	sleeper
	add "$pid"
	i=0
	until [ "$(stat_of samples)" -lt 8 ]; do
		i=$((i + 1))
		[ "$i" -le 100 ] ||
			fail "after $i drop_caches there are $(stat_of samples) samples"
		rows >"$before"
		given=$(stat_of reclaimed)
		drop_caches
		rows >"$after"
		is "$(wc -l <"$after")" "$(($(wc -l <"$before") - $(stat_of reclaimed) + given))" \
			'rows left'
		oldest_first
	done
	cmp_int "$(stat_of reclaimed)" -gt "$(scaled 3000)" 'samples reclaimed'
}
t 'trap 4 the oldest samples of all processes go first, down to the last few' all_ages

one_sample() {
	sleeper
	add "$pid"
	stop
	is "$(stat_of samples)" 1 'samples'
	traced_drop
	scanned=$(scans)
	cmp_int "${scanned% *}" -le 8 'times that drop_caches scanned for one sample'
	balanced
}
t 'trap 3 one sample may go or stay, and no scan spins' one_sample period_ms=3600000

one_list_each() {
	monitored_crowd 3
	produce 3000
	rows >"$before"
	drop_caches
	for i in 1 2 3; do
		p=$(nth $i)
		cmp_int "$(nr_rows "$p")" -lt \
			"$(awk -v p="$p" '$2 == p' "$before" | wc -l)" "rows of PID $p"
	done
}
t 'trap 4 each of three histories shrinks' one_list_each

# drop_until N: has the caches dropped until N processes are monitored.
drop_until() {
	i=0
	until [ "$(stat_of monitors)" -le "$1" ]; do
		i=$((i + 1))
		[ "$i" -le 100 ] ||
			fail "still $(stat_of monitors) entries, samples: $(rows | field pid | uniq -c | tr '\n' ' ')"
		drop_caches
	done
	is "$(stat_of monitors)" "$1" 'processes monitored'
}

# kill_nth NUMBER...: and waits until they are gone.
kill_nth() {
	for i; do
		kill -9 "$(nth "$i")"
		wait_for 20 gone "$(nth "$i")" || fail 'a killed process is still there'
	done
}

ended_whole() {
	monitored_crowd 4
	period 1
	wait_for 20 stat_is samples -gt 400 || fail 'no samples'
	kill_nth 1
	wait_for 20 stat_is samples -gt 800 || fail 'no samples after an end'
	stop
	kill_nth 2
	one_round
	# Younger samples of the others, so that there is more to evict.
	produce "$(($(stat_of samples) + 400))"
	is "$(stat_of monitors)" 4 'processes monitored, with the ended ones'
	drop_until 2
	is "$(rows | field pid | uniq | tr '\n' ' ')" "$(nth 3) $(nth 4) " \
		'the PIDs that have rows'
	balanced
}
t 'an ended process is forgotten with its last sample' ended_whole

# No round notices the end; what it has goes all the same, and the next round
# removes the entry.
ended_while_stopped() {
	monitored_crowd 4
	produce 1000
	sleeper
	add "$pid"
	kill_nth 1 2 3 4
	i=0
	until [ "$(stat_of samples)" -lt 8 ]; do
		i=$((i + 1))
		[ "$i" -le 100 ] || fail "$(stat_of samples) samples stay"
		drop_caches
	done
	is "$(stat_of monitors)" 5 'processes monitored before a round'
	one_round
	# What is left of theirs may be too little for a scan: more to evict.
	produce "$(($(stat_of samples) + 400))"
	drop_until 1
	is "$(stat_of monitors)" 1 'processes monitored after a round'
	is "$(nr_rows "$pid")" "$(stat_of samples)" 'rows of the living process'
	balanced
}
t 'an end while sampling is stopped is noticed by the next round' ended_while_stopped

# The entry of an ended process that has no sample goes with the next round.
ended_empty() {
	stop
	monitored_crowd 2
	sleeper
	add "$pid"
	kill_nth 1 2
	is "$(stat_of monitors)" 3 'processes monitored'
	one_round
	is "$(stat_of monitors)" 1 'processes monitored after a round'
	is "$(stat_of samples)" 1 'samples'
}
t 'an ended process without a sample is forgotten by the next round' ended_empty

# What the sampler itself allocates pages with: no reserve that others need when
# memory is short, and no reclaim.
modest() {
	[ -d "$tracing/events/kmem" ] || skip 'no trace events'
	monitored_crowd 60
	echo "common_pid == $(kernel_thread)" >"$tracing/events/kmem/mm_page_alloc/filter"
	echo >"$tracing/trace"
	echo 1 >"$tracing/events/kmem/mm_page_alloc/enable"
	period 1
	wait_for 60 stat_is samples -ge 10000 || fail 'no 10000 samples'
	echo 0 >"$tracing/events/kmem/mm_page_alloc/enable"
	echo 0 >"$tracing/events/kmem/mm_page_alloc/filter"
	grep -o 'gfp_flags=.*' "$tracing/trace" | sort | uniq -c >/tmp/flags
	cmp_int "$(awk '{ n += $1 } END { print n + 0 }' /tmp/flags)" -ge 100 \
		'allocations seen'
	! grep -E 'ATOMIC|HIGH|MEMALLOC|GFP_KERNEL|DIRECT' /tmp/flags >/tmp/bad ||
		fail "allocated with $(head -n 1 /tmp/bad)"
}
t 'trap 1 a round takes nothing from the emergency reserves, and never reclaims' modest

hog_memory() {
	tmtool hog "$hog_kib"
	echo >>/tmp/hogs
}

never_ends() {
	drop_page_cache
	hog_kib=$(($(kib MemFree) / 2))
	: >/tmp/hogs
	monitored_crowd 60
	period 1
	loop hog_memory
	loop drop_caches
	loop read_disk
	i=0
	while [ "$i" -lt 10 ]; do
		goes_on 100
		pause_ms 500
		i=$((i + 1))
	done
	end_loops
	note "$(wc -l </tmp/hogs) times $hog_kib KiB were taken; $(stat_of taken) samples, $(stat_of reclaimed) reclaimed"
	cmp_int "$(wc -l </tmp/hogs)" -ge 2 'times that a hog took memory'
	no_oom_kill
	is "$(stat_of dropped)" 0 'samples dropped'
	balanced
}
t 'trap 1 memory hogs, drop_caches and fast sampling: it never stops' never_ends

# spare_kib: what any allocation may have before reclaim begins, of all zones.
spare_kib() {
	awk '
	function zone_ends() {
		if (zone != "" && zone != "Movable" && free > high + kept)
			spare += free - high - kept
	}
	/^Node/ { zone_ends(); zone = $4; free = high = kept = 0 }
	$1 == "pages" && $2 == "free" { free = $3 }
	$1 == "high" { high = $2 }
	$1 == "protection:" {
		gsub(/[(),]/, " ")
		for (i = 2; i <= NF; i++)
			if ($i + 0 > kept)
				kept = $i + 0
	}
	END { zone_ends(); print spare * 4 }' /proc/zoneinfo
}

# kill_asked: sysrq asks for a process to be killed, and that comes all the same.
# Sets $given: how many samples went.
kill_asked() {
	sleeper
	echo 1000 >"/proc/$pid/oom_score_adj"
	given=$(stat_of reclaimed)
	echo f >/proc/sysrq-trigger
	wait_for 20 gone "$pid" || fail 'no process is killed'
	given=$(($(stat_of reclaimed) - given))
	balanced
}

given_when_short() {
	monitored_crowd 60
	produce 200000
	drop_page_cache
	# What others free in between is taken as well.
	spare=$(spare_kib)
	while [ "$spare" -ge 4096 ]; do
		tool map touch "$((spare / 1024 - 2))"
		spare=$(spare_kib)
	done
	echo 'func tm_oom_notify +p' >/proc/dynamic_debug/control
	kill_asked
	cmp_int "$given" -ge 65536 'samples evicted, 4 MB of them'
	pages=$(dmesg | sed -n 's/.*taskmonitor: before a process is killed: \(-*[0-9]*\) pages.*/\1/p' |
		tail -n 1)
	note "$given samples went, $pages pages left the slab"
	cmp_int "$pages" -ge 100 'pages that left the slab'
	cmp_int "$pages" -le "$((given / 64 + 100))" 'pages that left the slab'
}
t 'trap 41 before the OOM killer strikes 4 MB of history are given, and told in pages' given_when_short

# The same with memory to spare, as for a cpuset or a node that is full. These two
# are the last tests, for the kills count.
given_to_none() {
	monitored_crowd 20
	produce 100000
	drop_page_cache
	cmp_int "$(spare_kib)" -gt 8192 'KiB to spare'
	kill_asked
	is "$given" 0 'samples evicted'
}
t 'trap 41 a kill with memory to spare takes no sample' given_to_none

run_tests

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What things cost, in a VM where a nanosecond is an instruction: a row, an
# evicted sample, a monitored process each cost the same, with any number of them.
#
# Suite:
#   kernels  6.1 6.12
#   memory   512M
#   needs    icount
#   seconds  130
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

few=20000
many=200000

# within PERCENT A B WHAT
within() {
	note "$4: $2 and $3"
	cmp_int "$(($2 * (100 + $1) / 100))" -ge "$3" "$4, with few and with many"
	cmp_int "$(($3 * (100 + $1) / 100))" -ge "$2" "$4, with many and with few"
}

# row_cost SIZE: hundredths of a ns that a row takes, read in such pieces. The
# quickest of three, for at times the kernel does other things besides.
row_cost() {
	: >/tmp/costs
	for _ in 1 2 3; do
		tmtool timed-read "$file" "$1" >/tmp/timed
		read -r rows ns </tmp/timed
		is "$rows" "$(stat_of samples)" 'rows read'
		echo "$((ns * 100 / rows))" >>/tmp/costs
	done
	sort -n /tmp/costs | head -n 1
}

# Few processes: a walk over one history would show.
reading() {
	monitored_crowd 20
	produce "$few"
	for size in 4096 65536; do
		row_cost "$size" >"/tmp/few.$size"
	done
	produce "$many"
	for size in 4096 65536; do
		within 5 "$(cat "/tmp/few.$size")" "$(row_cost "$size")" \
			"hundredths of a ns for a row in pieces of $size bytes"
	done
}
t 'trap 14 a row costs the same in a history of 20000 and of 200000' reading

# timed_write FILE WORD: the ns that it takes.
timed_write() {
	echo "$2" | tmtool timed-write "$1" | awk '{ print $2 - $1 }'
}

# What else the kernel drops is gone after the first time.
eviction_cost() {
	drop_caches
	produce "$1"
	given=$(stat_of reclaimed)
	ns=$(timed_write /proc/sys/vm/drop_caches 2)
	given=$(($(stat_of reclaimed) - given))
	cmp_int "$given" -gt "$(($1 / 4))" 'samples evicted'
	echo "$((ns * 100 / given))"
}

evicting() {
	monitored_crowd 100
	cost=$(eviction_cost "$few")
	within 25 "$cost" "$(eviction_cost "$many")" \
		'hundredths of a ns for an evicted sample'
}
t 'evicting a sample costs the same of 20000 and of 200000' evicting

# round_ns N: sets $ns to the quickest of ten rounds of N living, for in some the kernel
# does other things besides.
round_ns() {
	start
	taken=$(stat_of taken)
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		taken=$((taken + $1))
		wait_for 20 stat_is taken -ge "$taken" || fail 'no round'
		stat_of tick_ns
	done >/tmp/ticks
	stop
	ns=$(sort -n /tmp/ticks | head -n 1)
}

rounds() {
	stop
	monitored_crowd 100
	round_ns 100
	few_ns=$ns
	mv /tmp/crowd /tmp/first
	monitored_crowd 900
	round_ns 1000
	within 25 "$((few_ns / 100))" "$((ns / 1000))" \
		'ns for a process in a round'
}
t 'a round costs the same for each of 100 and of 1000 processes' rounds period_ms=50

# read_ns FILE: the least ns that a page of it takes, of five times.
read_ns() {
	for _ in 1 2 3 4 5; do
		tmtool timed-read "$1" 4096 | awk '{ print $2 }'
	done | sort -n | head -n 1
}

ended_ones() {
	monitored_crowd 10
	round_ns 10
	few_ns=$ns
	add_ended 100
	one_round
	few_read=$(read_ns "$attribute")
	add_ended 2900
	one_round
	is "$(stat_of monitors)" 3010 'processes monitored'
	period 50
	round_ns 10
	within 25 "$few_ns" "$ns" 'ns for a round of 10 living'
	within 25 "$few_read" "$(read_ns "$attribute")" 'ns to read the attribute'
}
t 'trap 40 three thousand ended processes cost a round and the attribute nothing' ended_ones period_ms=50

# A process of a child PID namespace, which ends: two rows, beside hidden ones that are
# sampled on: what a reader in there may not see costs it nothing.
# shellcheck disable=SC2016 # the shell inside expands this
inside='
	sleep 100000 &
	echo $! >$file
	kill -9 $!
	wait
	: >/tmp/inside.ready
	for n in few many; do
		until [ -e /tmp/inside.$n ]; do usleep 20000; done
		for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
			tmtool timed-read $attribute 4096
		done >/tmp/inside.read
		mv /tmp/inside.read /tmp/inside.$n.ns
	done
'

# inside_ns few|many: what it takes inside now.
inside_ns() {
	: >"/tmp/inside.$1"
	wait_for 60 test -e "/tmp/inside.$1.ns" || fail 'nothing is read inside'
	awk '$1 != 2 { print "rows: " $1 } { print $2 }' "/tmp/inside.$1.ns" |
		sort -n | head -n 1
}

hidden_ones() {
	unshare -f -p true || skip 'no PID namespaces in this kernel'
	rm -f /tmp/inside.*
	monitored_crowd 20
	file=$file attribute=$attribute unshare -f -p sh -c "$inside" &
	kill_at_end $!
	wait_for 60 test -e /tmp/inside.ready || fail 'nothing happens inside'
	produce "$few"
	few_ns=$(inside_ns few)
	produce "$many"
	within 25 "$few_ns" "$(inside_ns many)" \
		'ns to read the attribute beside a hidden history'
}
t 'trap 38 a history that the reader may not see costs it nothing' hidden_ones

# Rounds of 2500 processes take longer than the period: half of the CPU is left.
half_a_cpu() {
	monitored_crowd 2500
	late=$(stat_of late)
	period 1
	cpu=$(awk '{ print $14 + $15 }' "/proc/$(kernel_thread)/stat")
	began=$(uptime_cs)
	taken=$(stat_of taken)
	wait_for 60 stat_is taken -ge "$((taken + 300000))" || fail 'no rounds'
	cpu=$(($(awk '{ print $14 + $15 }' "/proc/$(kernel_thread)/stat") - cpu))
	passed=$(($(uptime_cs) - began))
	note "$cpu of $passed hundredths of a second; a round takes $(stat_of tick_ns) ns"
	cmp_int "$(stat_of tick_ns)" -gt 1000000 'ns of a round'
	cmp_int "$cpu" -le "$((passed * 55 / 100))" 'hundredths of a second of sampling'
	cmp_int "$(stat_of late)" -gt "$late" 'deadlines missed'
}
t 'however much there is to sample, half of one CPU is left to others' half_a_cpu period_ms=3600000

# One CPU, and no other work: what makes a period late is the reader.
reader_and_sampler() {
	monitored_crowd 10
	produce 50000
	start
	wait_for 20 stat_is taken -gt 50000 || fail 'no 50000 samples are taken'
	late=$(stat_of late)
	taken=$(stat_of taken)
	for size in 4096 1048576; do
		tmtool timed-read "$file" "$size" >/tmp/timed
	done
	note "late: $(($(stat_of late) - late)), in $((($(stat_of taken) - taken) / 10)) rounds"
	cmp_int "$((($(stat_of taken) - taken) / 10))" -ge 10 'rounds during the readings'
	is "$(stat_of late)" "$late" 'periods missed'
}
t 'trap 33 a reader of the whole history costs the sampler no period' reader_and_sampler

run_tests

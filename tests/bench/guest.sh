#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# guest.sh GROUP: measures the figures of one group, in a VM where a nanosecond
# is an instruction, and writes them to fd 3: "NAME VALUE". One group a VM, so
# that a figure does not depend on the others that are asked for.
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

# No multiple of a tick: rounds and ticks do not keep meeting. As many as there
# are samples in some pages.
round_ms=11
rounds=128

figure() {
	echo "$1 $2" >&3
}

# ratio A B
ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f\n", a / b }'
}

# Also in a subshell it is the end of it all, if later.
fail() {
	note "$*"
	: >/tmp/failed
	exit 1
}

bench() {
	tmbench "$@" || fail "tmbench $* failed"
}

# is_quiet: twenty million instructions in a row, and no other task wanted the CPU.
is_quiet() {
	bench spin 10000000 >/tmp/spun
	read -r took _ </tmp/spun
	[ "$took" -lt 20200000 ]
}

# crowd N MICROSECONDS: starts N processes; their numbers are in /tmp/crowd.
crowd() {
	tmbench crowd "$1" "$2" >/tmp/crowd.all &
	wait_for 600 grep -q '^ready' /tmp/crowd.all || fail "no $1 processes"
	sed '$d' /tmp/crowd.all >/tmp/crowd
	wait_for 30 is_quiet || fail 'the system does not come to rest'
}

# monitor FIRST LAST: those of them.
monitor() {
	sed -n "$1,$2p" /tmp/crowd >/tmp/some
	bench add "$file" /tmp/some
}

# sampled NAME PIDS: the cost of a sample in rounds of PIDS.
sampled() {
	bench rounds "$rounds" "$2" >/tmp/round
	read -r ns _ </tmp/round
	figure "$1" "$(ratio "$ns" "$2")"
}

# grow N: samples as fast as can be until there are N more.
grow() {
	period 1
	start
	bench await taken "$(($(stat_of taken) + $1))"
	stop
}

nothing_given() {
	bench drop >/tmp/drop
	grep -q ' 0$' /tmp/drop
}

# What a drop takes that finds nothing; what else there was is gone then.
empty_drop() {
	wait_for 10 nothing_given || fail 'there is always something to give back'
	for _ in 1 2 3 4 5; do
		bench drop
	done | awk '{ print $1 }' | sort -n | head -n 1
}

# given_back SAMPLES: what one of those costs to give back. Not all are: each
# process keeps its newest, and the kernel does not insist. The best of three, for
# at times the kernel does other things besides.
given_back() {
	for _ in 1 2 3; do
		base=$(empty_drop)
		grow "$1"
		bench drop >/tmp/drop
		read -r ns given </tmp/drop
		note "a drop takes $base for nothing, $ns for $given of $1 samples"
		cmp_int "$given" -ge "$(($1 / 2))" 'samples given back'
		ratio "$((ns - base))" "$given"
	done | sort -n | head -n 1
}

# read_cost SIZE: what a row costs, read in such pieces; the best of five.
read_cost() {
	for _ in 1 2 3 4 5; do
		bench read "$file" "$1"
	done | sort -n | head -n 1 >/tmp/cost
	read -r ns _ </tmp/cost
	ratio "$ns" "$(stat_of samples)"
}

slab() {
	awk '$1 == "task_sample" {
		printf "bytes %d\n", $4
		printf "slab %.1f\n", 100 * $4 * $5 / ($6 * 4096)
	}' /proc/slabinfo >&3
}

group_sample() {
	crowd 500 1000
	load period_ms="$round_ms"
	monitor 1 1
	sampled sample_1 1
	monitor 2 10
	sampled sample_10 10
	monitor 11 100
	sampled sample_100 100
	monitor 101 500
	sampled sample_500 500
	slab
}

group_giveback() {
	crowd 500 1000
	load
	stop
	monitor 1 500
	figure giveback_10000 "$(given_back 10000)"
	figure giveback_100000 "$(given_back 100000)"
}

# At the cap a sample is taken, stored, and the oldest given back for it.
group_cap() {
	crowd 500 1000
	load period_ms="$round_ms" max_samples=200
	monitor 1 500
	bench rounds "$rounds" 500 >/tmp/growing
	[ "$(stat_of capped)" -eq 0 ] || fail 'the cap came too soon'
	period 1
	bench await capped 10000
	period "$round_ms"
	bench rounds "$rounds" 500 >/tmp/capped
	read -r growing _ </tmp/growing
	read -r capped _ </tmp/capped
	figure sample_capped "$(ratio "$capped" 500)"
	figure giveback_cap "$(ratio "$((capped - growing))" 500)"
}

# Every process has used up 20 ms: its rows are as long as real ones.
group_row() {
	crowd 100 20000
	load
	stop
	monitor 1 100
	grow 1000
	is "$(nr_rows)" "$(stat_of samples)" 'rows'
	figure row_1000 "$(read_cost 65536)"
	figure row_1000_1M "$(read_cost 1048576)"
	read -r ns bytes </tmp/cost
	figure row_bytes "$(ratio "$bytes" "$(stat_of samples)")"
}

# threaded N: a round of twenty processes with N threads each.
threaded() {
	load period_ms="$round_ms"
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		tool threads "$(($1 - 1))"
		add "$pid"
	done
	bench rounds "$rounds" 20
	is "$(rows "$pid" | tail -n 1 | field threads)" "$1" 'threads in the last row'
	rmmod taskmonitor
}

group_threads() {
	threaded 1 >/tmp/one
	threaded 10 >/tmp/ten
	threaded 100 >/tmp/hundred
	read -r _ one </tmp/one
	read -r _ ten </tmp/ten
	read -r _ hundred </tmp/hundred
	figure thread_10 "$(ratio "$((ten - one))" $((20 * 9)))"
	figure thread_100 "$(ratio "$((hundred - one))" $((20 * 99)))"
}

# A second of one CPU, if undisturbed.
turns=500000000

lost() {
	awk -v alone="$1" -v took="$2" \
		'BEGIN { printf "%.3f\n", 100 * (took - alone) / alone }'
}

# spin: what the program that is disturbed takes, and samples taken in that time.
spin() {
	bench spin "$turns" >/tmp/spun
	read -r took taken </tmp/spun
}

# daemon FORMAT NAME: the same job done from outside, each $daemon_us.
daemon() {
	tmbench daemon "$1" "$daemon_us" /tmp/watched &
	daemon=$!
	ms 100
	spin
	kill "$daemon"
	figure "$2" "$(lost "$alone" "$took")"
}

# watched NAME COUNT PERIOD_MS LEAST: what the program loses beside those who watch the
# first COUNT of the crowd that often: daemons, and the module, with LEAST samples.
watched() {
	sed -n "1,$2p" /tmp/crowd >/tmp/watched
	daemon_us=${3}000
	spin
	alone=$took
	daemon statm "$1_statm"
	daemon status "$1_status"
	load period_ms="$3"
	monitor 1 "$2"
	ms 100
	spin
	cmp_int "$taken" -gt "$4" 'samples taken'
	figure "$1_module" "$(lost "$alone" "$took")"
}

group_spin() {
	crowd 500 1000
	watched spin 10 1 9900
	period "$round_ms"
	monitor 11 500
	ms 100
	spin
	figure sample_outside "$(ratio "$((took - alone))" "$taken")"
}

# add_remove NAME: the cost for one process beside those that are there.
add_remove() {
	bench add-remove "$file" "$(tail -n 1 /tmp/crowd)" 101 >/tmp/cost
	read -r adding removing </tmp/cost
	figure "add_$1" "$adding"
	figure "remove_$1" "$removing"
}

group_scale() {
	crowd 10001 0
	load period_ms=3600000
	monitor 1 10
	add_remove 10
	monitor 11 1000
	period 50
	sampled sample_1000 1000
	period 3600000
	monitor 1001 10000
	add_remove 10000
	period 50
	sampled sample_10000 10000
}

# A long history: its reader must not cost the sampler a round.
group_million() {
	crowd 100 20000
	load
	stop
	monitor 1 100
	grow 1000000
	bench read "$file" 131072 >/tmp/cost
	read -r ns bytes </tmp/cost
	cmp_int "$bytes" -gt "$(($(stat_of samples) * 90))" 'bytes read'
	figure row_1000000 "$(ratio "$ns" "$(stat_of samples)")"
	period 10
	start
	bench await taken "$(($(stat_of taken) + 500))"
	late=$(stat_of late)
	taken=$(stat_of taken)
	bench read "$file" 131072 >/tmp/cost
	late=$(($(stat_of late) - late))
	note "$((($(stat_of taken) - taken) / 100)) rounds while it was read"
	read -r _ bytes </tmp/cost
	cmp_int "$bytes" -gt 90000000 'bytes read'
	figure missed "$late"
}

# pidstat_cpu TIMES: the CPU time of pidstat, looking so often.
pidstat_cpu() {
	bench run pidstat -u -r -p "$(paste -s -d , /tmp/crowd)" 1 "$1"
}

# The same processes by other means.
group_others() {
	crowd 500 1000
	figure proc_statm "$(ratio "$(bench proc statm 21 /tmp/crowd)" 500)"
	figure proc_status "$(ratio "$(bench proc status 21 /tmp/crowd)" 500)"
	is "$(cat /proc/sys/net/core/bpf_jit_enable)" 1 'the JIT of BPF'
	figure bpf "$(ratio "$(taskiter 21 /tmp/crowd)" 500)"
	taskiter 1 /tmp/crowd show >/tmp/shown
	is "$(wc -l </tmp/shown)" 500 'rows of the iterator'
	note "as BPF shows it: $(tail -n 1 /tmp/shown)"
	once=$(pidstat_cpu 1)
	figure pidstat "$(ratio "$(($(pidstat_cpu 6) - once))" 2500)"
}

# forks NAME: one more series, of what a fork takes, and an exit.
forks() {
	bench forks 501 >>"/tmp/forks.$1"
}

# middle NAME FIELD: of its eight series, for one may be slower by a hundred.
middle() {
	cut -d ' ' -f "$2" "/tmp/forks.$1" | sort -n |
		awk 'NR == 4 || NR == 5 { n += $1 } END { printf "%.0f", n / 2 }'
}

# dearer NAME: than without the module.
dearer() {
	note "$1: a fork $(middle "$1" 1), an exit $(middle "$1" 2)"
	figure "fork_$1" "$(($(middle "$1" 1) - $(middle none 1)))"
	figure "exit_$1" "$(($(middle "$1" 2) - $(middle none 2)))"
}

# In turn, for what a series takes drifts.
group_forks() {
	crowd 10 1000
	bench forks 501 >/dev/null
	for _ in 1 2 3 4 5 6 7 8; do
		forks none
		load period_ms=3600000
		monitor 1 10
		forks off
		echo 1 >$parameters/follow
		forks follow
		add $$
		forks child
		rmmod taskmonitor
	done
	for name in off follow child; do
		dearer $name
	done
}

# A hundredth of a second each, all processes of a machine.
group_machine() {
	crowd 150 1000
	figure machine_bpf "$(awk -v ns="$(taskiter 21 /tmp/crowd)" \
		'BEGIN { printf "%.3f\n", 100 * ns / 10000000 }')"
	watched machine 150 10 14500
}

# A round of the living, and an add, with and without 100,000 that have ended.
group_ended() {
	crowd 151 1000
	load period_ms=3600000 follow=1
	monitor 1 150
	period "$round_ms"
	bench rounds "$rounds" 150 >/tmp/round
	read -r none _ </tmp/round
	period 3600000
	add_remove beside_none
	bench children "$file" 100000
	bench await ended 100001
	period "$round_ms"
	bench rounds "$rounds" 150 >/tmp/round
	read -r ended _ </tmp/round
	period 3600000
	add_remove beside_ended
	note "a round of 150 takes $none, and $ended beside $(stat_of ended) ended ones"
	figure round_ended "$(awk -v none="$none" -v ended="$ended" \
		'BEGIN { printf "%.1f\n", 100 * (ended - none) / none }')"
}

# Waits until the kernel has its random numbers: before that each page of a slab
# costs it thousands of instructions, in a state that no machine is in for long.
head -c 1 /dev/random >/dev/null

version=$(uname -v | sed -n 's/.*Debian \([^ ]*\).*/\1/p')
echo "kernel ${version:-$(uname -r)}" >&3
"group_$1" || exit 1
[ ! -e /tmp/failed ]

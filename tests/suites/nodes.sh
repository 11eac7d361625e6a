#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Two NUMA nodes: what one of them wants is not given by the other.
#
# Suite:
#   kernels  6.1 6.12
#   memory   512M
#   needs    numa
#   seconds  22
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

# node_kib NODE: what it has free.
node_kib() {
	awk '$3 == "MemFree:" { print $4 }' "/sys/devices/system/node/node$1/meminfo"
}

# slabs_on NODE: pages of samples there.
slabs_on() {
	nr=$(tr ' ' '\n' <$sample_slab/slabs | sed -n "s/^N$1=//p")
	echo "${nr:-0}"
}

# on_node_0 N: N samples of 100 processes, all on node 0.
on_node_0() {
	[ -d /sys/devices/system/node/node1 ] || fail 'there is one node'
	stop
	# An object is allocated where its sample is taken, and CPU 0 is of node 0.
	taskset -p 1 $$ >/dev/null || fail 'taskset'
	monitored_crowd 100
	start
	taskset -p 1 "$(kernel_thread)" >/dev/null || fail 'taskset'
	period 1
	wait_for 100 stat_is samples -ge "$1" || fail "$(stat_of samples) samples"
	stop
	note "slabs: $(cat $sample_slab/slabs)"
	cmp_int "$(slabs_on 0)" -ge "$(($1 / 70))" 'slabs on node 0'
}

# A process that is bound to node 1 and wants more than that has: it is killed, and
# no sample of node 0 could have saved it. The few that lie on node 1 may go.
bound() {
	on_node_0 500000
	kept=$(stat_of samples)
	few=$((64 * $(slabs_on 1)))
	! tmtool bound-hog 1 "$(($(node_kib 1) + 65536))" || fail 'node 1 had so much'
	note "$((kept - $(stat_of samples))) of $kept samples went, node 0 has $(node_kib 0) KiB free"
	is "$(oom_kills)" 1 'processes killed'
	cmp_int "$few" -lt 1000 'samples that may lie on node 1'
	cmp_int "$((kept - $(stat_of samples)))" -le "$few" 'samples that went'
	balanced
}
t 'trap 41 a node that a process runs full takes no sample of the other' bound period_ms=3600000

# The same on the node of the samples: there they are given, behind a few older
# ones that lie on the other.
own_node() {
	taskset -p 2 $$ >/dev/null || fail 'taskset'
	monitored_crowd 100
	on_node_0 500000
	kept=$(stat_of samples)
	killed=$(oom_kills)
	tmtool bound-hog 0 "$(($(node_kib 0) + 4096))" || fail 'the hog was killed'
	note "$((kept - $(stat_of samples))) of $kept samples went"
	cmp_int "$(stat_of reclaimed)" -gt 0 'samples reclaimed'
	is "$(oom_kills)" "$killed" 'processes killed'
	balanced
}
t 'the node of the samples takes them, and no process is killed' own_node period_ms=3600000

# drop_caches goes from node to node until little comes free.
dropped() {
	on_node_0 100000
	drop_caches
	cmp_int "$(stat_of reclaimed)" -gt 2000 'samples reclaimed'
	balanced
}
t 'drop_caches reclaims with two nodes as with one' dropped period_ms=3600000

run_tests

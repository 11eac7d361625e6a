#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Children: what a monitored process forks is monitored from its birth.
#
# Suite:
#   kernels  6.1 6.12-rt newest-debug
#   by-name  *-rt *-debug *-kcsan
#   seconds  90
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

hour=period_ms=3600000
follow="follow=1 $hour"

# forker COUNT: is monitored, and forks COUNT times at SIGUSR1. Sets $forker.
forker() {
	tool forks "$1" usr1
	forker=$pid
	add "$forker"
}

# followed N: that many children, each with its final row, and none missed.
followed() {
	wait_for 120 has_final "$forker" || fail 'the parent does not end'
	wait_for 20 stat_is ended -eq $(($1 + 1)) ||
		fail "$(stat_of ended) final rows, $1 children"
	is "$(stat_of followed)" "$1" 'children'
	is "$(stat_of missed)" 0 'children that were missed'
	is "$(stat_of refused)" 0 'children that were refused'
	is "$(stat_of monitors)" $(($1 + 1)) 'monitors'
	balanced
}

children() {
	forker 100
	kill -USR1 "$forker"
	followed 100
	rows | awk -v parent="$forker" '$2 != parent' >/tmp/children
	is "$(wc -l </tmp/children)" 100 'rows of children'
	is "$(grep -c ' state X ' /tmp/children)" 100 'final rows of children'
	# The first that was born exits with 99, the last with 0.
	is "$(field exit </tmp/children | sed -n '1p;$p' | tr '\n' ' ')" \
		"$((99 << 8)) 0 " 'exit statuses of the first and the last child'
	is "$(field comm </tmp/children | sort -u)" tmtool 'their name'
}
t 'children that live for a moment each have a final row' children "$follow"

# The kernel counts forks, too.
forks_so_far() {
	awk '$1 == "processes" { print $2 }' /proc/stat
}

ten_thousand() {
	n=$(scaled 10000)
	# On one CPU: of two one may rest while the other does not, on a busy host.
	taskset -p 1 "$(kernel_thread)"
	taskset -p 1 $$
	forker "$n"
	forks=$(forks_so_far)
	kill -USR1 "$forker"
	wait_for 300 has_final "$forker" || fail 'the parent does not end'
	cmp_int "$(($(forks_so_far) - forks))" -ge "$n" 'forks that the kernel counted'
	followed "$n"
	wait_for 60 few_samples 8 || fail "$(stat_of samples) samples stay"
	cmp_int "$(stat_of monitors)" -le "$(stat_of samples)" 'entries without a sample'
	balanced
}

t 'ten thousand short children in a row: none lost, and their entries go with their history' \
	ten_thousand "$follow"

# family: a process, its child, and two children of that. Sets $family and $members.
family() {
	tool family
	family=$pid
	members=$(sed -n 's/^member //p' "$tool_out" | tr '\n' ' ')
}

descendants() {
	family
	add "$family"
	is "$(stat_of monitors)" 4 'monitors'
	stop
	start
	wait_for 20 stat_is taken -ge 5 || fail 'no round'
	is "$(rows | field pid | uniq | tr '\n' ' ')" "$family $members" \
		'PIDs with rows, parents first'
	is "$(stat_of followed)" 3 'descendants'
	one=${members%% *}
	is "$(printf %s "$one" | tmtool write $file)" EEXIST 'adding one of them'
}
t 'adding a PID adds its living descendants, parents first' descendants "$follow"

off() {
	family
	add "$family"
	is "$(stat_of monitors)" 1 'monitors with follow=0'
	is "$(printf 2 | tmtool write $parameters/follow)" EINVAL 'follow=2'
	echo 1 >$parameters/follow
	is "$(cat $parameters/follow)" 1 'the parameter'
	is "$(stat_of monitors)" 4 'monitors with follow=1'
	forker 10
	echo 0 >$parameters/follow
	kill -USR1 "$forker"
	wait_for 20 has_final "$forker" || fail 'the parent does not end'
	is "$(stat_of monitors)" 5 'monitors with follow=0'
	is "$(stat_of followed)" 3 'descendants'
}
t 'follow can be turned on and off; turned on it looks for them' off $hour

resumes() {
	tool family usr1
	family=$pid
	add "$family"
	stop
	kill -USR1 "$family"
	tool_ready 2
	is "$(stat_of monitors)" 1 'monitors while sampling is stopped'
	start
	is "$(stat_of monitors)" 4 'monitors'
	wait_for 20 stat_is samples -ge 5 || fail 'no round'
	is "$(stat_of followed)" 3 'descendants'
}
t 'start looks for those that were born while sampling was stopped' resumes "$follow"

bounded() {
	family
	is "$(printf %s "$family" | tmtool write $file)" "${#family}" 'adding the first'
	is "$(stat_of monitors)" 3 'monitors'
	is "$(stat_of refused)" 1 'descendants that were refused'
	sleeper
	cat $file $stats >/tmp/before
	is "$(printf %s "$pid" | tmtool write $file)" ENOSPC 'a process too many'
	cat $file $stats | cmp - /tmp/before || fail 'a refused write changed something'
	tool zombie
	add "$child"
	is "$(rows "$child" | field state)" X 'the state of a zombie'
	remove "$family"
	tool forks 5 usr1
	add "$pid"
	kill -USR1 "$pid"
	wait_for 20 has_final "$pid" || fail 'no final row'
	is "$(stat_of refused)" 6 'children that were refused'
	is "$(stat_of missed)" 0 'children that were missed'
	sleeper
	add "$pid"
}
t 'max_monitors bounds the living: ENOSPC for a PID, children are counted' bounded \
	"$follow max_monitors=3"

# No spare has room for more than four PID namespaces: those further down are walked
# for, and some of those that live for a moment only are missed.
deep() {
	tool deep 6 200
	add "$pid"
	kill -USR1 "$pid"
	tool_ready 2
	wait_for 20 stat_is followed -eq 6 || fail "$(stat_of followed) descendants of 6"
	is "$(stat_of missed)" 0 'children that were missed'
	stop
	start
	wait_for 20 stat_is samples -ge 8 || fail 'no round'
	kill -USR1 "$(rows | field pid | tail -n 1)"
	tool_ready 3
	wait_for 20 all_counted || fail "$(stat_of followed) and $(stat_of missed) of 206"
	cmp_int "$(stat_of missed)" -gt 0 'children that were missed'
	is "$(stat_of refused)" 0 'children that were refused'
	balanced
}

all_counted() {
	[ $(($(stat_of followed) + $(stat_of missed))) -eq 206 ]
}
t 'children for which there was no spare are found, or counted as missed' deep "$follow"

everything() {
	wait_for 20 stat_is monitors -gt 1 || fail 'no descendant of the first process'
	sleeper
	one=$pid
	wait_for 20 has_rows 1 "$one" || fail 'no row of a new process'
	kill -9 "$one"
	wait_for 20 has_final "$one" || fail 'no final row of a new process'
	is "$(stat_of missed)" 0 'processes that were missed'
}
t 'follow=1 target=1 at load: every user process' everything \
	'follow=1 target=1 period_ms=100'

storm() {
	load "$@"
	tool forks 1000000 usr1
	kill -USR1 "$pid"
	add "$pid"
	tool storm
	add "$pid"
	wait_for 20 stat_is ended -gt 30 || fail 'nothing ends'
	echo 0 >$parameters/follow
	echo 1 >$parameters/follow
	rmmod taskmonitor || fail 'rmmod failed'
	nothing_left
	while read -r one; do
		kill -9 "$one" || :
	done <$started
	: >$started
}

unload() {
	before=$(tasks)
	storm follow=1 period_ms=5
	storm follow=1 period_ms=1000 max_samples=1
	wait_for 60 few_tasks $((before + 60)) || fail "$(tasks) tasks, $before before"
}
t 'trap 5 the module is unloaded in a storm of forks and exits' unload -

run_tests

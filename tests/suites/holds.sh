#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# How long list_lock is held, the lock that reclaim, a reader and a writer wait
# for: in a VM with one CPU where a nanosecond is an instruction, seen by kprobes.
# The longest hold is the same however much there is of anything.
#
# Suite:
#   kernels  6.1
#   by-name  6.12
#   memory   512M
#   needs    icount
#   seconds  119
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

tracing=/sys/kernel/tracing
longest=/tmp/longest

# lock_address: of list_lock: the one spinlock in the module's own data that the
# module's own code takes.
lock_address() {
	text=$(cat /sys/module/taskmonitor/sections/.text)
	data=$(cat /sys/module/taskmonitor/sections/.data)
	awk -v text="$text" -v data="$data" '
	function hex(s,   i, n) {
		# Differences count, and those of the low 40 bits fit a number.
		s = substr(tolower(s), 3)
		if (length(s) > 10)
			s = substr(s, length(s) - 9)
		for (i = 1; i <= length(s); i++)
			n = 16 * n + index("0123456789abcdef", substr(s, i, 1)) - 1
		return n
	}
	/lock=0x/ {
		split($0, a, "lock="); split(a[2], b, " caller=")
		sub(/ .*/, "", b[2])
		if (hex(b[1]) >= hex(data) && hex(b[1]) - hex(data) < 65536 &&
		    hex(b[2]) >= hex(text) && hex(b[2]) - hex(text) < 65536)
			print b[1]
	}' "$tracing/trace" | sort -u
}

trace_on() {
	for event in kprobes/tm_lock kprobes/tm_unlock irq_vectors irq; do
		echo 1 >"$tracing/events/$event/enable"
	done
}

trace_off() {
	for event in kprobes/tm_lock kprobes/tm_unlock irq_vectors irq; do
		echo 0 >"$tracing/events/$event/enable"
	done
}

# probes: has list_lock watched from now on. Its clock counts instructions.
probes() {
	[ -e "$tracing/kprobe_events" ] || skip 'no kprobes'
	echo x86-tsc >"$tracing/trace_clock"
	echo 30000 >"$tracing/buffer_size_kb"
	# shellcheck disable=SC2016 # $stack is the tracer's
	echo 'p:tm_lock _raw_spin_lock lock=%di:x64 caller=+0($stack):x64' \
		>"$tracing/kprobe_events"
	echo 'p:tm_unlock _raw_spin_unlock lock=%di:x64' \
		>>"$tracing/kprobe_events"
	trace_on
	stat_of samples >/dev/null
	trace_off
	lock_address >/tmp/address
	is "$(wc -l </tmp/address)" 1 'locks that the module takes'
	for event in tm_lock tm_unlock; do
		echo "lock == $(cat /tmp/address)" \
			>"$tracing/events/kprobes/$event/filter"
	done
}

no_probes() {
	trace_off
	echo >"$tracing/kprobe_events"
}

# held COMMAND...: runs it; adds the longest hold of that time to $longest. A hold
# that an interrupt fell into is left out: that is not ours.
held() {
	echo >"$tracing/trace"
	trace_on
	"$@"
	trace_off
	awk -v what="$*" '
	/ tm_lock: / { at = 0; for (i = 1; i < NF; i++) if ($(i + 1) == "tm_lock:") at = $i + 0; next }
	/ tm_unlock: / {
		for (i = 1; i < NF; i++)
			if (at && $(i + 1) == "tm_unlock:") {
				n++
				if ($i - at > max)
					max = $i - at
			}
		at = 0
		next
	}
	at { at = 0; left_out++ }
	END {
		print max + 0, n + 0, left_out + 0, what
	}' "$tracing/trace" >>"$longest"
}

read_all() {
	cat "$file" >/dev/null
}

read_attribute() {
	cat "$attribute" >/dev/null
}

# everything: all that takes the lock, with what is there now.
everything() {
	: >"$longest"
	period 3600000
	held one_round
	held read_all
	held read_attribute
	held drop_caches
	held remove "$(nth 2)"
	held add "$(nth 2)"
	echo 1 >"$parameters/max_samples"
	held one_round
	echo 0 >"$parameters/max_samples"
	sort -n "$longest" | tail -n 1 >/tmp/max
	note "$1: longest hold $(cut -d ' ' -f 1 /tmp/max) ($(cut -d ' ' -f 4- /tmp/max)), of $(awk '{ n += $2 } END { print n }' "$longest") holds; $(awk '{ n += $3 } END { print n }' "$longest") interrupted"
	cmp_int "$(awk '{ n += $2 } END { print n }' "$longest")" -ge 50 'holds seen'
	cut -d ' ' -f 1 /tmp/max >"/tmp/$2"
}

# flat WHAT: the longest of /tmp/few and /tmp/many differ by a fifth at most.
flat() {
	no_probes
	cmp_int "$(cat /tmp/many)" -le "$(($(cat /tmp/few) * 12 / 10))" \
		"instructions of the longest hold, $1, after $(cat /tmp/few)"
}

samples() {
	monitored_crowd 20
	produce 4000
	probes
	everything '4000 samples' few
	produce 200000
	everything '200000 samples' many
	flat 'with 200,000 samples'
}
t 'the longest hold is the same with 4,000 samples and 200,000' samples

ended() {
	monitored_crowd 100
	produce 20000
	probes
	everything 'none ended' few
	add_ended 3000
	produce "$(($(stat_of samples) + 20000))"
	is "$(stat_of monitors)" 3100 'processes monitored'
	everything '3000 ended' many
	flat 'with 3,000 ended processes'
}
t 'trap 40 the longest hold is the same with no and with 3,000 ended processes' ended

processes() {
	monitored_crowd 100
	produce 20000
	probes
	everything '100 processes' few
	mv /tmp/crowd /tmp/first
	monitored_crowd 900
	produce 100000
	everything '1000 processes' many
	flat 'with 1000 processes'
}
t 'the longest hold is the same with 100 processes and 1000' processes

threads() {
	monitored_crowd 20
	tool threads 1
	add "$pid" || fail 'it cannot be added'
	produce 20000
	probes
	everything 'a thread' few
	tool threads 1000
	add "$pid" || fail 'it cannot be added'
	produce "$(($(stat_of samples) + 20000))"
	everything '1000 threads' many
	flat 'with 1000 threads'
}
t 'the longest hold is the same with a thread and with 1000' threads

# A history that most of is dropped for, a little at a time.
cap_lowered() {
	monitored_crowd 20
	produce 20000
	probes
	everything 'no cap' few
	echo 3 >"$parameters/max_samples"
	period 1
	start
	wait_for 20 stat_is samples -le 60 || fail 'the cap is not kept'
	stop
	echo 0 >"$parameters/max_samples"
	produce 100000
	: >"$longest"
	period 3600000
	echo 1 >"$parameters/max_samples"
	held one_round
	is "$(stat_of samples)" 20 'samples left'
	sort -n "$longest" | tail -n 1 | cut -d ' ' -f 1 >/tmp/many
	note "the cap lowered: $(cat /tmp/many)"
	flat 'with the cap lowered'
}
t 'trap 39 a cap that is lowered after a long history makes no longer hold' cap_lowered

# A reader that sees none of it.
hidden() {
	unshare -f -p true || skip 'no PID namespaces in this kernel'
	monitored_crowd 20
	produce 20000
	probes
	everything 'all seen' few
	produce 100000
	: >"$longest"
	held unshare -f -p cat "$attribute"
	held unshare -f -p cat "$file"
	sort -n "$longest" | tail -n 1 | cut -d ' ' -f 1 >/tmp/many
	note "from another namespace: $(cat /tmp/many)"
	flat 'by a reader in another namespace'
}
t 'trap 38 a reader in another namespace makes no longer hold' hidden

run_tests

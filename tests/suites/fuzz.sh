#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# fuzz.sh [SEED [COUNT]]: generated inputs, against a model of what is promised;
# fewer on a kernel that looks for mistakes.
#
# Suite:
#   kernels  6.1 6.12 newest-debug
#   by-name  *-debug
#   seconds  25
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

seed=${1:-1}
count=${2:-$(($(scaled 4000) + 1000))}

answers='accepted EINVAL ERANGE EFAULT ESRCH EEXIST ENOENT'

fuzz() {
	tmtool fuzz "$seed" "$count" >/tmp/fuzz || {
		note "$(cat /tmp/fuzz)"
		fail "tmtool fuzz $seed $count"
	}
	note "seed $seed, $count inputs: $(tr '\n' ' ' </tmp/fuzz)"
	for answer in $answers; do
		cmp_int "$(sed -n "s/^$answer //p" /tmp/fuzz)" -ge "$((count / 500))" \
			"inputs that were answered with $answer"
	done
	balanced
	# There may be no monitor by now.
	sleeper
	add "$pid"
	start
	period 10
	taken=$(stat_of taken)
	wait_for 20 stat_is taken -gt "$((taken + 10))" || fail 'sampling stands still'
}
t 'trap 11 each of thousands of generated inputs is answered as promised' fuzz \
	period_ms=3600000

run_tests

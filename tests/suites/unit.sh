#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The unit tests in tests/kunit: the kernel runs them as the module that
# they are built into is loaded. Each of their cases is a test here.
#
# Suite:
#   kernels  newest-debug
#   by-name  *-debug
#   needs    kunit
#   seconds  22
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

results=/sys/kernel/debug/kunit

# What tests/kunit holds, one name a line.
suites=$(cat /tests/kunit-suites)

# cases SUITE: its cases, each after the lines that say why it failed.
cases() {
	awk -v suite="$1" '
		/^ +(KTAP|1\.\.|# (Subtest|module|Totals):)/ { next }
		/^ +(not )?ok [0-9]+ / {
			verdict = $1 == "ok" ? "ok" : "not ok"
			sub(/^ *(not )?ok [0-9]+ (- )?/, "")
			print verdict " - KUnit " suite ": " $0
			next
		}
		/^ / {
			# Where the tests were built says nothing.
			sub(/[^ ]*\/tests\//, "tests/")
			sub(/^ *(# )?/, "# ")
			print
		}' "$results/taskmonitor_$1/results"
}

# Everything is run by the time that insmod returns.
run_units() {
	insmod /taskmonitor-kunit.ko >/tmp/out 2>&1 || {
		echo 'not ok - KUnit: the module with the unit tests loads'
		sed 's/^/# /' /tmp/out
	}
	for suite in $suites; do
		cases "$suite" >"/tmp/$suite" 2>/dev/null
		cat "/tmp/$suite"
		grep -q 'ok - ' "/tmp/$suite" ||
			echo "not ok - KUnit $suite: no case of it was run"
	done
	rmmod taskmonitor && echo 'ok - KUnit: the module unloads' ||
		echo 'not ok - KUnit: the module unloads'
}

run_units >/tmp/units
echo 'KTAP version 1' >&3
echo "1..$(grep -c 'ok - ' /tmp/units)" >&3
awk '/^(not )?ok - / { sub(/ok/, "ok " ++n) } { print }' /tmp/units >&3
! grep -q '^not ok' /tmp/units

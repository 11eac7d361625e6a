#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# /dev/taskmonitor: the history once more, for a group, and for a machine that is
# locked down as with Secure Boot. That cannot be undone, so it comes last.
#
# Suite:
#   kernels  6.1 6.12
#   by-name  *-debug *-rt *-kcsan
#   seconds  8
# shellcheck source=tests/guest/lib.sh
. "${0%/*}/lib.sh"

device=/dev/taskmonitor
hour=period_ms=3600000

# answer TEXT [FILE]: what a write of it says.
answer() {
	printf '%b' "$1" | tmtool write "${2:-$device}"
}

same() {
	is "$(stat -c %a $device)" 600 'mode'
	sleeper
	one=$pid
	is "$(answer "$one\n")" $((${#one} + 1)) 'adding a PID'
	sleeper
	add "$pid"
	is "$(cat $device)" "$(cat $file)" 'the rows'
	is "$(nr_rows)" 2 'rows'
	for text in "$one" 0 +5 words '1 2' "$one\n\n" '5\0' 99999999999 -77777 \
		12345678901234567890 2147483647; do
		is "$(answer "$text")" "$(answer "$text" $file)" "the answer to '$text'"
	done
	exec 5<$device 6<$file
	is "$(dd bs=7 count=1 status=none <&5)" "$(dd bs=7 count=1 status=none <&6)" \
		'a piece'
	is "$(tmtool seek set 3 <&5)" ESPIPE 'lseek() to 3'
	is "$(tmtool pread 0 10 <&5)" ESPIPE 'pread()'
	is "$(tmtool seek set 0 <&5)" 0 'lseek() to 0'
	is "$(cat <&5)" "$(cat $file)" 'the rows, read again'
	exec 6<&-
	! rmmod taskmonitor 2>/dev/null || fail 'the module goes while the device is open'
	exec 5<&-
	is "$(answer "-$one")" $((${#one} + 1)) 'removing a PID'
	is "$(nr_rows "$one")" 0 'rows that are left of it'
	rmmod taskmonitor || fail 'the module does not go'
	[ ! -e $device ] || fail 'the device stays'
}
t 'the device has the same rows, the same writes and the same errors' same $hour

# What a udev rule does: a group, and mode 0640.
group() {
	sleeper
	add "$pid"
	! tmtool as-nobody cat $device 2>/dev/null || fail 'a user who is not root reads it'
	chgrp 65534 $device
	chmod 640 $device
	is "$(tmtool as-nobody cat $device)" "$(cat $file)" 'what the group reads'
	! tmtool as-nobody sh -c "echo 1 >$device" 2>/dev/null || fail 'the group may write'
}
t 'a group that is let in reads, and does not write; others are refused' group $hour

locked() {
	mount -t securityfs securityfs /sys/kernel/security 2>/dev/null || :
	[ -e /sys/kernel/security/lockdown ] || skip 'this kernel knows no lockdown'
	echo integrity >/sys/kernel/security/lockdown
	! cat $file 2>/dev/null || fail 'debugfs is not locked'
	sleeper
	is "$(answer "$pid")" ${#pid} 'adding a PID'
	is "$(awk -v pid="$pid" '$2 == pid' $device | wc -l)" 1 'rows of it'
	is "$(answer "-$pid")" $((${#pid} + 1)) 'removing it'
	is "$(wc -l <$device)" 0 'rows'
}
t 'with lockdown=integrity debugfs is shut, and the device works' locked $hour

run_tests

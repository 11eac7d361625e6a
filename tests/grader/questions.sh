# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# The lab's questions, as far as the answer can be observed, for any module.
# Sourced by guest.sh, which runs ask_QUESTION in a process of its own and has
# what these functions use. Traps are numbered as in traps.py.
# shellcheck disable=SC2154 # guest.sh sets what is not set here

ask_t1q2() {
	pulse
	fresh "$watched"
	wait_for 20 grown_from_nothing || bad - 'no sample within 20 seconds'
	lines=$(dmesg | wc -l)
	had=$(nr_rows)
	periods 5
	now=$(nr_rows)
	case $((now - had)) in
	4 | 5 | 6) ;;
	*) bad - "$((now - had)) rows more after 5 periods of $period ms" ;;
	esac
	ok "a row a period of $period ms: $((now - had)) in 5"
	if [ "$(rows | sums | uniq -d)" != '' ]; then
		part - 'rows that are equal though the process ran in between'
	fi
	if [ $(($(dmesg | wc -l) - lines)) -gt 3 ]; then
		tell prints - "$(($(dmesg | wc -l) - lines)) lines logged in 5 periods"
	fi
	target_ends
	number_is_reused
	parameters_at_load
	[ -z "$history" ] || [ "$quick" != yes ] || [ -z "$phase" ] || keeps_phase
}

# A process, in $victim, that end_victim kills and reaps.
start_victim() {
	sleep 100000 &
	victim=$!
}

end_victim() {
	kill -9 "$victim"
	wait "$victim"
}

# The process that is monitored dies, and is a zombie first.
target_ends() {
	step 7 'the monitored process ends'
	unload
	tool zombie
	if [ -n "$control" ] || [ -n "$parameter" ]; then
		insert "$child" 2>/dev/null
		periods 2
		loaded && unload
	fi
	start_victim
	watched=$victim
	fresh "$victim"
	periods 2
	end_victim
	lines=$(dmesg | wc -l)
	periods 4
	if [ "$(dmesg | tail -n "+$((lines + 1))" | grep -vcE 'usr|sys|utime')" -ge 3 ]; then
		part 7 'a line logged each period once the process has ended'
	fi
	unload || part 7 'rmmod fails once the process has ended'
}

# Its number goes to another process.
number_is_reused() {
	step 9 'the number of an ended process is used again'
	start_victim
	watched=$victim
	fresh "$victim"
	periods 2
	end_victim
	periods 2
	had=$(nr_rows "$victim")
	tmtool fork-as "$victim" tmtool pulse 6 "$((period * 2 / 3))" &
	kill_at_end $!
	wait_for 5 test -d "/proc/$victim" || {
		unload
		return
	}
	echo "$victim" >>"$started"
	periods 4
	if [ "$(nr_rows "$victim")" -gt "$had" ]; then
		part 9 "the history of $victim goes on with another process of that number"
	fi
	unload
}

# Every parameter that can be set is set at load, when nothing is ready yet.
parameters_at_load() {
	step 32 'parameters are given at load'
	for word in $settable; do
		sleeper
		watched=$pid
		insert "$watched" "$word" 2>/dev/null && periods 1
		! loaded || unload
	done
}

# edge: waits for the next row; sets $edge_at, in ms, and $edge_rows.
edge() {
	had=$(nr_rows)
	wait_for $((period * 3 / 1000 + 5)) grown 1
	edge_at=$(($(uptime_cs) * 10))
	edge_rows=$(nr_rows)
}

# 100 rounds: a period that is counted from the end of a round drifts. By the clock, ten
# rounds at a time, and with a margin in rows: a reader that loses some is another mistake.
keeps_phase() {
	sleeper
	watched=$pid
	fresh "$watched"
	periods 2
	edge
	first_at=$edge_at first_rows=$edge_rows
	drift=0
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		last_at=$edge_at
		pause_ms $((period * 9 + period / 2))
		edge
		drift=$((drift + (edge_at - last_at + period / 2) % period - period / 2))
	done
	rounds=$(((edge_at - first_at + period / 2) / period))
	seen=$((edge_rows - first_rows))
	# A tick of 4 ms each time is 400 ms; what polling costs is 20 ms.
	if [ "$drift" -gt 200 ]; then
		part 30 "$rounds periods took $drift ms too long"
	elif [ "$seen" -lt $((rounds - 5)) ]; then
		part 30 "$seen samples in the time of $rounds periods"
	else
		ok "$rounds periods, $drift ms from where they should be"
	fi
}

ask_t1q3() {
	[ -n "$page" ] || bad - 'no file in /sys shows samples'
	pulse
	fresh "$watched"
	wait_for 20 grown_from_nothing || bad - 'no sample within 20 seconds'
	length=$(head -n 1 "$page" | wc -c)
	step 23 'the history is longer than a page'
	periods $((4096 / length + 15))
	timeout 10 head -c 65536 "$page" >/tmp/page
	size=$(wc -c </tmp/page)
	[ "$size" -le 4096 ] || bad 23 "$size bytes, beyond a page"
	[ "$size" -ge $((4096 - 3 * length)) ] ||
		part 23 "$size bytes, where the history fills a page of 4096"
	[ "$(tail -c 1 /tmp/page | tr -d '\n')" = '' ] ||
		part 23 "the last row is cut: $(tail -n 1 /tmp/page)"
	canon "$watched" </tmp/page >/tmp/canon
	! grep -q '^?' /tmp/canon || part 23 "what is no row: $(grep -m 1 '^?' /tmp/canon)"
	proc=$(awk '{ sub(/.*\) /, ""); printf "%.0f", ($12 + $13) * 10 }' \
		"/proc/$watched/stat")
	newest=$(head -n 1 /tmp/canon | sums)
	oldest=$(tail -n 1 /tmp/canon | sums)
	if [ "$((newest / 1000000 + 200))" -lt "$proc" ]; then
		part 23 "the first row has $((newest / 1000000)) ms of CPU, the process $proc"
	fi
	if sort_is_newest_first /tmp/canon; then
		ok "$size bytes, newest first, from $newest ns of CPU to $oldest"
	else
		part 23 'not the newest first'
	fi
	words
}

sort_is_newest_first() {
	awk '$4 + $6 > last && NR > 1 { bad = 1 } { last = $4 + $6 } END { exit bad }' "$1"
}

# Lab 05's words: with and without a newline, once and again.
words() {
	[ -n "$switch" ] || {
		part 22 'no file takes stop and start'
		return
	}
	step 22 'stop and start'
	count_all_kthreads
	kthreads_before=$nr_all
	printf stop >"$switch" || part 22 'stop without a newline is refused'
	periods 2
	had=$(rows | tail -n 1)
	periods 3
	[ "$(rows | tail -n 1)" = "$had" ] || part 22 'it samples on after stop'
	echo stop >"$switch" || part 22 'a second stop is refused'
	echo start >"$switch" || part 22 'start is refused'
	periods 3
	[ "$(rows | tail -n 1)" != "$had" ] || part 22 'no sample after start'
	step 21 'start and stop from four shells at once'
	shells=
	for _ in 1 2 3 4; do
		(for _ in 1 2 3 4 5 6 7 8; do
			echo start >"$switch"
			echo stop >"$switch"
		done) 2>/dev/null &
		shells="$shells $!"
	done
	for shell in $shells; do
		wait_for 60 is_dead "$shell" || part 21 'stop or start does not return'
	done
	echo start >"$switch"
	periods 1
	count_all_kthreads
	[ "$nr_all" -le $((kthreads_before + 1)) ] ||
		part 21 'more than one kthread after start and stop at once'
}

# Sets $nr_all: kernel threads that have not ended.
count_all_kthreads() {
	nr_all=0
	for stat in /proc/[0-9]*/stat; do
		flags=$(sed 's/.*) //' "$stat" 2>/dev/null | cut -d ' ' -f 7)
		# PF_KTHREAD, and not PF_EXITING; kworkers come and go.
		[ $((${flags:-0} & 0x200004)) -ne $((0x200000)) ] ||
			! grep -qv kworker "${stat%stat}comm" 2>/dev/null ||
			nr_all=$((nr_all + 1))
	done
}

free_kib() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	kib MemFree
}

# life: the module is loaded, takes a few samples, and is unloaded.
life() {
	fresh "$watched"
	periods 3
	rows >/dev/null
	step 28 'rmmod'
	began=$(uptime_cs)
	unload || bad 28 'rmmod fails, or does not return in 30 seconds'
	took=$(($(uptime_cs) - began))
	[ "$took" -le "$slowest" ] || slowest=$took
}

ask_t1q4() {
	pulse
	slowest=0
	life
	life
	files | sort >/tmp/files
	for f in "$history" "$page" "$control" "$switch"; do
		[ ! -e "${f:-/nothing}" ] || bad 19 "$f is still there after rmmod"
	done
	[ -z "$new_cache" ] || ! caches | grep -qx "$new_cache" ||
		bad 19 "the slab cache $new_cache is still there after rmmod"
	if [ "$quick" = yes ]; then
		before=$(free_kib)
		life
		life
		life
	fi
	if [ "$((slowest * 10))" -gt $((period / 2)) ] && [ "$slowest" -gt 20 ]; then
		part 28 "rmmod takes up to $((slowest * 10)) ms: it waits out the period"
	fi
	if [ "$quick" != yes ]; then
		leaks_nothing
	else
		lost=$((before - $(free_kib)))
		[ "$lost" -lt 2000 ] || bad - "$lost KiB less free memory after three lives"
		ok "five lives; $lost KiB less free memory after three of them"
	fi
	ended_before_unload
	loads_fail_cleanly
	! loaded || unload
}

# kmemleak sees an object that nothing points to: twice, and not before 5 seconds.
leaks_nothing() {
	kmemleak=/sys/kernel/debug/kmemleak
	echo clear >$kmemleak
	life
	life
	pause_ms 7000
	echo scan >$kmemleak
	pause_ms 7000
	echo scan >$kmemleak
	cat $kmemleak >/tmp/leaks
	leaked=$(grep -c '^unreferenced' /tmp/leaks)
	[ "$leaked" -eq 0 ] ||
		bad - "$leaked objects leaked: $(grep -v -E 'hex dump|^ +[0-9a-f]{2} |crc' \
			/tmp/leaks | head -n 9 | tr -s '\n ' '; ')"
	ok 'kmemleak finds nothing after two lives'
}

ended_before_unload() {
	step 21 'the process has ended before stop, start and rmmod'
	start_victim
	fresh "$victim"
	periods 1
	end_victim
	periods 3
	stop 2>/dev/null
	start 2>/dev/null
	periods 1
	unload || bad 21 'rmmod fails once the process has ended'
}

# The last allocations of a load, which are the init function's, fail one by one.
loads_fail_cleanly() {
	[ -d /sys/kernel/debug/failslab ] || return 0
	step 20 'an allocation of the init function fails'
	faults_on
	sleeper
	watched=$pid
	set -- "${parameter:+$parameter=$watched}"
	tmtool fail-nth 1000000 insmod "$object" "$1" >/tmp/answer 2>&1
	last=$((1000000 - $(tail -n 1 /tmp/answer)))
	! loaded || unload
	n=$((last - 24))
	while [ "$n" -lt "$last" ]; do
		n=$((n + 1))
		tmtool fail-nth "$n" insmod "$object" "$1" >/tmp/answer 2>&1
		! loaded || unload
		drop_caches
		for f in $history $page; do
			[ ! -e "$f" ] || part 20 "$f stays after a load that failed"
		done
	done
	faults_off
	insert "$watched" 2>/dev/null || part 20 'no load succeeds after one that failed'
	! loaded || unload
}

proc_figures() {
	awk '/^Vm(Size|Stk|Data)/ { printf "%s %s ", $1, $2 }' "/proc/$1/status"
}

ask_t1q5() {
	# shellcheck disable=SC2086 # one word per number is meant
	set -- $map
	[ "${4:-0}" -gt 0 ] || bad - 'the rows have no figures of memory'
	tool map touch 3 write 20 none 70
	watched=$pid
	fresh "$watched"
	for n in 1 2 3; do
		tool_ready "$n"
		periods 3
		if ! equal_to_proc "$watched"; then
			if [ "${5:-0}" -eq 0 ] || [ "${6:-0}" -eq 0 ]; then
				bad - 'the rows do not tell total, stack and data'
			fi
			bad - "$(cat /tmp/last), where /proc says $(proc_figures "$watched")"
		fi
		kill -USR1 "$watched"
	done
	ok "as /proc has it, three times: $(cat /tmp/last)"
	unload
	huge
	step 8 'a kernel thread is the target'
	watched=2
	fresh 2
	periods 3
	rows 2 | tail -n 1 >/tmp/last
	[ "$(awk '{ print $8 + $10 + $12 }' /tmp/last)" = 0 ] ||
		part 8 "a kernel thread has no memory of its own, but: $(cat /tmp/last)"
}

# 20 TiB mapped.
huge() {
	step 35 'a process with 20 TiB mapped'
	echo 1 >/proc/sys/vm/overcommit_memory
	tool map none 20971520
	watched=$pid
	fresh "$watched"
	periods 3
	equal_to_proc "$watched" || part 35 "20 TiB mapped, but: $(cat /tmp/last)"
	unload
}

ask_t2q2() {
	[ -d "$scan_event" ] || none 'this kernel cannot trace shrinkers'
	long_history 10
	scans /tmp/before
	step 5 'rmmod with the shrinker registered'
	unload || bad 5 'rmmod fails'
	scans /tmp/after
	grep -q "\\[$module\\]" /tmp/before || bad - 'reclaim does not ask the module'
	asked_when_gone "$module" /tmp/after || bad 5 'the shrinker stays after rmmod'
	ok "reclaim asks $(grep -o '[a-z_0-9]*+0x[^ ]* \['"$module"'\]' /tmp/before |
		head -n 1), and no more after rmmod"
}

ask_t2q3() {
	long_history 60
	stop 2>/dev/null
	periods 2
	rows >/tmp/before
	step 3 'drop_caches'
	scans /tmp/scans &
	asking=$!
	if ! wait_for 5 is_dead $asking; then
		kill -9 $asking
		bad 3 'one drop_caches asks for ever: it is told of progress that there is not'
	fi
	calls=$(grep -c "\\[$module\\]" /tmp/scans)
	# What a short history is asked for may have to add up first.
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ "$(nr_rows)" -ge "$(wc -l </tmp/before)" ] || break
		drop_caches
	done
	rows >/tmp/after
	before=$(wc -l </tmp/before) after=$(wc -l </tmp/after)
	if [ "$calls" -eq 0 ] || [ "$after" -ge "$before" ]; then
		bad - "$before rows before drop_caches, $after after it"
	fi
	[ "$calls" -le 40 ] ||
		part 3 "one drop_caches asks $calls times: it is told of progress that there was not"
	if [ "$after" -gt 0 ] && [ -n "$history" ] &&
		! tail -n "$after" /tmp/before | cmp -s - /tmp/after; then
		part 3 'what was dropped is not the oldest'
	fi
	ok "$before rows before drop_caches, $after after it"
	start 2>/dev/null
	had=$(nr_rows)
	wait_for $((period * 5 / 1000 + 5)) grown 2 ||
		bad 1 'no more samples after reclaim'
	[ -z "$several" ] || every_history_shrinks
	under_pressure
}

# nr_rows_of_each: of the processes in $three.
nr_rows_of_each() {
	for pid in $three; do
		nr_rows "$pid"
	done
}

every_history_shrinks() {
	step 4 'drop_caches with three processes'
	three=$watched
	for _ in 1 2; do
		sleeper
		add "$pid" && three="$three $pid"
	done
	periods 30
	nr_rows_of_each >/tmp/each_before
	drop_caches
	nr_rows_of_each >/tmp/each_after
	if ! paste /tmp/each_before /tmp/each_after | awk '$2 >= $1 { exit 1 }'; then
		part 4 "rows of three processes before: $(tr '\n' ' ' </tmp/each_before)" \
			"and after drop_caches: $(tr '\n' ' ' </tmp/each_after)"
	fi
}

# As the lab has it: every file of a disk is read, while little memory is free. What
# is read can always be dropped, so the OOM killer has no reason to strike.
under_pressure() {
	step "$pressure_trap" 'every file of a disk is read while memory is short'
	grep -q ' /mnt ' /proc/mounts || return 0
	start 2>/dev/null
	periods 20
	killed=$(oom_kills)
	taken=$((($(kib MemAvailable) - 49152) / 1024))
	[ "$taken" -lt 8 ] || tool map touch "$taken"
	find /mnt -type f -exec cat {} + >/dev/null 2>&1
	[ "$(oom_kills)" = "$killed" ] || part 2 'the OOM killer struck while files were read'
	had=$(rows "$watched" | tail -n 1)
	periods 4
	[ "$(rows "$watched" | tail -n 1)" != "$had" ] || bad 2 'no more samples after memory was short'
	ok 'sampling goes on while memory is short'
}

ask_t3q1() {
	sleeper
	fresh "$pid"
	periods 2
	tell logged - "$(dmesg | grep -iE 'size' | tail -n 1)"
}

ask_t3q2() {
	[ -n "$new_cache" ] || bad - 'no slab cache is new in /proc/slabinfo'
	long_history 60
	objects=$(slab_objects "$new_cache")
	size=$(awk -v c="$new_cache" '$1 == c { print $4 }' /proc/slabinfo)
	nr=$(nr_rows)
	[ -n "$history" ] || nr=1
	[ "$objects" -ge "$nr" ] || bad - "$objects objects in $new_cache, $nr samples"
	# The reserve, and what the CPUs hold back.
	[ "$objects" -le $((nr + 800)) ] || [ -z "$history" ] ||
		part 36 "$objects objects in $new_cache for $nr samples"
	ok "$new_cache: $objects objects of $size bytes for $nr samples"
}

ask_t4q2() {
	[ -d /sys/kernel/debug/failslab ] || none 'no fault injection in this kernel'
	faults_on
	pulse
	fresh "$watched"
	periods 3
	step 6 'every allocation from the slab cache fails'
	[ -n "$new_cache" ] || bad - 'no slab cache is new in /proc/slabinfo'
	# shellcheck disable=SC2034 # fail_samples looks there
	sample_slab=/sys/kernel/slab/$new_cache
	fail_samples
	before=$(rows | tail -n 1)
	periods 5
	after=$(rows | tail -n 1)
	periods 90
	later=$(rows | tail -n 1)
	periods 3
	last=$(rows | tail -n 1)
	began=$(uptime_cs)
	unload || bad 6 'rmmod does not return while allocations fail'
	took=$(($(uptime_cs) - began))
	faults_off
	[ "$after" != "$before" ] || bad 6 'no sample any more once allocations fail'
	if [ "$took" -gt $((period / 10 + 500)) ]; then
		part 6 "rmmod takes $((took * 10)) ms while allocations fail"
	fi
	if [ "$last" = "$later" ]; then
		ok 'samples come from the reserve while there is one, and then no more'
	else
		ok 'samples go on for 98 periods in which every allocation fails'
	fi
}

ask_t5q2() {
	long_history 5
	step 18 'samples are evicted while they are used'
	for _ in 1 2 3 4 5 6 7 8; do
		drop_caches
		rows >/dev/null
		periods 1
	done
	had=$(nr_rows)
	wait_for $((period * 5 / 1000 + 5)) grown 1 || bad 18 'no more samples'
	ok 'samples come and go, and nothing breaks'
}

# pieces SIZE: the history, read so.
pieces() {
	dd if="$history" bs="$1" 2>/dev/null
}

ask_t6q3() {
	[ -n "$history" ] || bad - 'no file in debugfs shows samples'
	step 15 'cat of the history'
	long_history 5
	length=$(head -n 1 "$history" | wc -c)
	periods $((6000 / length))
	stop 2>/dev/null
	pause_ms 100
	cat "$history" >/tmp/whole
	size=$(wc -c </tmp/whole)
	[ "$size" -gt 4096 ] || bad - "$size bytes, where the history is longer than a page"
	canon "$watched" </tmp/whole >/tmp/canon
	! grep '^?' /tmp/canon || bad - 'rows that are cut'
	sums </tmp/canon >/tmp/sums
	[ "$order" = oldest ] || { reversed </tmp/sums >/tmp/turned && mv /tmp/turned /tmp/sums; }
	sort -n /tmp/sums | cmp -s - /tmp/sums || bad 13 'the rows are not in order'
	ok "$(wc -l </tmp/whole) rows in order, $size bytes"
	step 13 'reads of other sizes'
	for bs in ${quick:+1} 16 777 1048576; do
		pieces "$bs" | head -c "$size" | cmp -s - /tmp/whole || {
			part 13 "read in pieces of $bs bytes it is another history"
			break
		}
	done
	two_readers
	opens_leak_nothing
	stays_linear
	open_at_unload
}

two_readers() {
	step 16 'two readers at once'
	exec 5<"$history" 6<"$history"
	: >/tmp/five
	: >/tmp/six
	while dd bs=512 count=1 <&5 2>/dev/null >/tmp/piece5 && [ -s /tmp/piece5 ]; do
		cat /tmp/piece5 >>/tmp/five
		dd bs=512 count=1 <&6 2>/dev/null >>/tmp/six
	done
	exec 5<&- 6<&-
	if ! cmp -s /tmp/five /tmp/whole || ! cmp -s /tmp/six /tmp/whole; then
		part 16 'two readers at once do not see the same'
	fi
}

slab_bytes() {
	awk '/^kmalloc-/ { n += $2 * $4 } END { printf "%.0f", n / 1024 }' /proc/slabinfo
}

opens_leak_nothing() {
	[ "$quick" = yes ] || return 0
	before=$(slab_bytes)
	tmtool opens "$history" 2000 >/dev/null
	grew=$(($(slab_bytes) - before))
	[ "$grew" -lt 24 ] || part 24 "2000 opens of the history cost $grew KiB for good"
}

# ns_a_row: of a reader in small pieces.
ns_a_row() {
	tmtool timed-read "$history" 64 | awk '{ printf "%.0f", $2 / $1 }'
}

# Seven times as long a history: a row may not cost much more.
stays_linear() {
	[ "$quick" = yes ] || return 0
	drop_caches
	start 2>/dev/null
	unload
	sleeper
	watched=$pid
	fresh "$watched"
	periods 100
	short=$(ns_a_row)
	periods 600
	long=$(ns_a_row)
	[ "$long" -lt $((short * 3)) ] ||
		part 14 "a row costs $short ns with 100 rows, and $long ns with 700"
}

open_at_unload() {
	step 17 'rmmod while the file is open'
	exec 5<"$history"
	head -c 100 <&5 >/dev/null
	if rmmod "$module" 2>/dev/null; then
		cat <&5 >/dev/null 2>&1
		exec 5<&-
	else
		exec 5<&-
		unload || part 17 'rmmod fails after the file was closed'
	fi
}

ask_t7q2() {
	[ -n "$several" ] || bad - 'no file takes a second process'
	pulse
	fresh "$watched"
	three=$watched
	for _ in 1 2; do
		sleeper
		add "$pid" || bad - "adding $pid fails"
		three="$three $pid"
	done
	periods 3
	nr_rows_of_each >/tmp/each_before
	periods 10
	nr_rows_of_each >/tmp/each_after
	if [ "$(paste /tmp/each_before /tmp/each_after |
		awk '$2 - $1 < 9 || $2 - $1 > 11' | wc -l)" -ne 0 ]; then
		bad - "rows of three processes: $(tr '\n' ' ' </tmp/each_before), and" \
			"10 periods later $(tr '\n' ' ' </tmp/each_after)"
	fi
	ok 'three processes, ten samples each in ten periods'
}

# answer TEXT: what writing that gives: a number of bytes, or an error.
answer() {
	printf %b "$1" | tmtool write "$control"
}

# refuses TEXT WHY: it must be refused, and change nothing.
refuses() {
	said=$(answer "$1" 2>&1)
	case $said in
	E*) ;;
	*) part 11 "$2 ('$1') is accepted: $said" ;;
	esac
}

ask_t7q3() {
	[ -n "$several" ] || bad - 'no file takes a second process'
	pulse
	fresh "$watched"
	sleeper
	one=$pid
	step 12 'a process is added'
	said=$(answer "$one\n")
	[ "$said" = $((${#one} + 1)) ] ||
		part 12 "write(2) of $((${#one} + 1)) bytes returns $said"
	periods 3
	[ "$(nr_rows "$one")" -ge 1 ] || bad - "no rows of $one, which was added"
	said=$(answer "-$one\n")
	periods 1
	[ "$(nr_rows "$one")" = 0 ] || bad - "$one was removed ($said), and its rows are there"
	add "$one" || bad - "$one cannot be added again"
	periods 2
	ok "$one was added, removed and added again"
	step 26 'a process is added twice'
	answer "$one" >/dev/null 2>&1
	periods 2
	had=$(nr_rows "$one")
	periods 5
	[ $(($(nr_rows "$one") - had)) -le 6 ] ||
		part 26 "$one was added twice, and has $(($(nr_rows "$one") - had)) rows in 5 periods"
	step 11 'input that makes no sense'
	refuses '' 'nothing'
	refuses '\n' 'an empty line'
	refuses 'abc' 'a word'
	refuses '0' 'zero'
	refuses '-0' 'minus zero'
	refuses '+5' 'a plus sign'
	refuses '0x1' 'a hexadecimal number'
	refuses '1 x' 'a number and a word'
	refuses '99999999999' 'a number that is too long'
	refuses '4194304' 'a process that is not there'
	refuses '-4194304' 'removing what is not monitored'
	head -c 70000 /dev/zero | tr '\0' 1 | tmtool write "$control" >/tmp/answer 2>&1
	case $(cat /tmp/answer) in
	E*) ;;
	*) part 11 "70000 digits are accepted: $(cat /tmp/answer)" ;;
	esac
	said=$(tmtool write-from "$control" 4096 4 2>&1)
	[ "$said" = EFAULT ] || part 11 "an address that cannot be read: $said, not EFAULT"
	said=$(tmtool write-from "$control" 0xffffffff81000000 4 2>&1)
	[ "$said" = EFAULT ] || part 11 "an address of the kernel: $said, not EFAULT"
	dead_process
	namespace
	reader_goes_on
	many_at_once
	references
}

dead_process() {
	step 7 'a monitored process that has ended is removed'
	start_victim
	add "$victim"
	periods 1
	end_victim
	periods 2
	answer "-$victim" >/dev/null 2>&1
}

# A number is that of the writer's namespace.
namespace() {
	step 29 'a number of another PID namespace'
	unshare -f -p true || return 0
	rows | field pid | sort -u >/tmp/pids
	# shellcheck disable=SC2016 # the shell in there expands it
	unshare -f -p sh -c 'echo $$ >"$0"; exec sleep "$1"' "$control" \
		$((period * 3 / 1000 + 5)) 2>/tmp/ns &
	kill_at_end $!
	had=$(nr_rows "$watched")
	periods 2
	# Where nothing is sampled any more, as after another mistake, it cannot be seen.
	grown 1 "$watched" || return 0
	new=$(rows | field pid | sort -u | grep -vxFf /tmp/pids | tr '\n' ' ')
	case $new in
	'' | '1 ') part 29 "1, written in a namespace of its own, is taken for ${new:-nothing}" ;;
	esac
}

# The process that is being shown is removed. By a file that is open already and stays
# so: what opening and closing does to other readers is another question.
reader_goes_on() {
	step 34 'the process that is being read is removed'
	sleeper
	late=$pid
	add "$late"
	periods 90
	# Nothing is sampled any more: that is another mistake.
	[ "$(nr_rows "$late")" -gt 0 ] || return 0
	exec 5<"$history"
	# A second open may be refused, which is no mistake and would end this shell.
	if ! (: >"$control") 2>/dev/null; then
		exec 5<&-
		return 0
	fi
	exec 6>"$control"
	dd bs=256 count=1 <&5 2>/dev/null >/dev/null
	echo "-$watched" >&6
	timeout 10 cat <&5 >/tmp/rest
	exec 5<&- 6>&-
	canon "$watched" </tmp/rest | awk -v pid="$late" '$2 == pid' | grep -q . ||
		part 34 'the file ends where the process is removed that is being read'
}

# Everything at once.
many_at_once() {
	step 5 'adding, removing, killing, reading and reclaim at once'
	crowd 8
	loop add_all
	loop drop_caches
	loop cat "$history" >/dev/null
	pause_ms 1500
	end_loops
}

add_all() {
	while read -r pid; do
		echo "$pid" >"$control"
		echo "-$pid" >"$control"
	done </tmp/crowd 2>/dev/null
}

slab_objects() {
	awk -v c="$1" '$1 == c { print $2 }' /proc/slabinfo
}

# 400 processes come and go.
references() {
	[ "$quick" = yes ] || return 0
	step 10 '400 processes are added, end and are removed'
	churn
	tasks=$(slab_objects task_struct) pids=$(slab_objects pid) mms=$(slab_objects mm_struct)
	churn
	churn
	for pair in "task_struct $tasks" "pid $pids" "mm_struct $mms"; do
		now=$(slab_objects "${pair% *}")
		[ $((${now:-0} - ${pair#* })) -lt 250 ] ||
			part 10 "$((now - ${pair#* })) more ${pair% *} objects after 400 processes" \
				'were added, ended and were removed'
	done
}

churn() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		tmtool crowd 20 >/tmp/churn &
		leader=$!
		kill_at_end $leader
		wait_for 20 grep -q '^ready' /tmp/churn
		sed '$d' /tmp/churn >/tmp/churn.pids
		while read -r pid; do
			echo "$pid" >"$control"
		done </tmp/churn.pids 2>/dev/null
		periods 1
		kill -9 $leader
		wait $leader
		while read -r pid; do
			echo "-$pid" >"$control"
		done </tmp/churn.pids 2>/dev/null
	done
	pause_ms 500
}

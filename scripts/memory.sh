# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What leakcheck and modmem share; sourced, never run. busybox is enough.
#
# Each source of figures is turned into records, a line each, fields by tabs:
#
#   METHOD KIND COUNT BYTES LABEL FRAMES
#
# KIND is slab, pages, vmalloc, percpu or object (kmemleak does not tell which);
# LABEL a cache's name or -; FRAMES the stack, innermost first, joined by ";". Then
# attribute() keeps what the module has allocated, and names its function.

tm_debug=/sys/kernel/debug
tm_traces=$tm_debug/slab
tm_kmemleak=$tm_debug/kmemleak
tm_profiling=/proc/sys/vm/mem_profiling
tm_tracing=/sys/kernel/tracing
[ -e "$tm_tracing/events" ] || tm_tracing=$tm_debug/tracing

# Caches whose objects belong to processes: with as many processes as before, more
# objects are references that were not put.
tm_counted='pid task_struct mm_struct cred_jar files_cache signal_cache sighand_cache'

have_traces() {
	[ -e "$tm_traces/pid/alloc_traces" ] &&
		! grep -q 'No data' "$tm_traces/pid/alloc_traces"
}

have_kmemleak() {
	[ -e "$tm_kmemleak" ] && echo scan=off >"$tm_kmemleak"
} 2>/dev/null

# have_sheaves: from 7.0 on a cache keeps free objects in arrays, where a pointer stays
# when its object is handed out: to kmemleak that object is in use.
have_sheaves() {
	read -r capacity <"/sys/kernel/slab/kmalloc-64/sheaf_capacity" &&
		[ "$capacity" -gt 0 ]
} 2>/dev/null

have_allocinfo() {
	[ -e /proc/allocinfo ] && [ -e "$tm_profiling" ]
}

have_events() {
	[ -d "$tm_tracing/instances" ] && [ -e "$tm_tracing/events/kmem/kmalloc" ]
}

# module_is_loaded NAME
module_is_loaded() {
	grep -q "^$1 " /proc/modules
}

# module_place NAME: sets $place to "BASE SIZE INIT": where its code is, and was.
# The sections of 6.1 may lack .text, so the kernel's list of modules it is.
module_place() {
	place=$(awk -v name="$1" '$1 == name { print $6, $2 }' /proc/modules)
	# The file is read whole or not at all, and read takes a byte at a time.
	init=$(cat "/sys/module/$1/sections/.init.text" 2>/dev/null) || init=
	place="$place ${init:-0x0}"
}

# module_symbols NAME: "ADDRESS FUNCTION" of each, by address.
module_symbols() {
	awk -v mark="[$1]" '$NF == mark && $2 ~ /^[tT]$/ { print $1, $3 }' \
		/proc/kallsyms | sort
}

# init_symbols FILE.ko: "OFFSET FUNCTION" of those in .init.text, whose names the
# kernel forgets with the code. Reads the ELF file, as nm would.
init_symbols() {
	# shellcheck disable=SC2016 # od's shell expands it
	TM_FILE=$1 awk '
	function load(offset, size,   command, line, part, n, i, at) {
		command = "od -An -v -tu1 -w16 -j " offset " -N " size " \"$TM_FILE\""
		while ((command | getline line) > 0) {
			n = split(line, part, " ")
			for (i = 1; i <= n; i++)
				byte[at++] = part[i]
		}
		close(command)
	}
	function number(at, size,   n) {
		while (size--)
			n = n * 256 + byte[at + size]
		return n + 0
	}
	function text(at,   s) {
		for (; byte[at]; at++)
			s = s sprintf("%c", byte[at] + 0)
		return s
	}
	BEGIN {
		load(0, 64)
		if (number(0, 4) != 1179403647 || byte[4] != 2)
			exit
		nr = number(60, 2); names = number(62, 2)
		load(number(40, 8), nr * 64)
		for (i = 0; i < nr; i++) {
			name[i] = number(i * 64, 4)
			type[i] = number(i * 64 + 4, 4)
			from[i] = number(i * 64 + 24, 8)
			size[i] = number(i * 64 + 32, 8)
			link[i] = number(i * 64 + 40, 4)
			if (type[i] == 2)
				table = i
		}
		load(from[names], size[names])
		for (i = 0; i < nr; i++)
			if (text(name[i]) == ".init.text")
				section = i
		load(from[table], size[table])
		for (i = 0; i < size[table]; i += 24)
			if (number(i + 6, 2) == section && byte[i + 4] % 16 == 2) {
				at[++found] = number(i + 8, 8)
				name[found] = number(i, 4)
			}
		strings = link[table]
		load(from[strings], size[strings])
		for (i = 1; i <= found; i++)
			printf "%d %s\n", at[i], text(name[i])
	}'
}

# Addresses are compared by their last 48 bits, which awk counts exactly.
tm_awk='
function hex(s,   i, n) {
	s = substr(s, length(s) - 11)
	for (i = 1; i <= length(s); i++)
		n = n * 16 + index("123456789abcdef", substr(s, i, 1))
	return n + 0
}
# Above these frames it is not the module that runs, but what has interrupted it.
function interrupts(frame) {
	return frame ~ /^(asm_)?(sysvec|exc|common_interrupt)_?|irq_exit_rcu|do_softirq/
}
# What the kernel keeps of each allocation for itself, and slabs, and pages that
# another kind counts.
function is_ours_to_count(frame) {
	return frame !~ /^(stack_depot|__stack_depot|depot_|kasan_|__kasan|set_track|kmemleak|__create_object|create_object|fill_pool|debug_object|__debug_object|new_slab|allocate_slab|alloc_slab|__vmalloc|vmalloc|pcpu_|__d_alloc|d_alloc|alloc_inode|new_inode|trace_event|ftrace_|__alloc_tag|alloc_slab_obj_exts|obj_cgroup|memcg_alloc)/
}
'

# shrink_cache CACHE: what of it is freed and not yet given back, is. KASAN keeps
# freed objects for a while, to notice their use; until then they count as allocated.
shrink_cache() {
	echo 1 >"/sys/kernel/slab/$1/shrink"
} 2>/dev/null

# slab_records NAME: what the slab caches hold whose stack names the module, or an
# address without a name, which is code of a module that has gone.
slab_records() {
	mark=[$1]
	# awk takes three times as long as grep to find that there is nothing.
	# shellcheck disable=SC2046 # one word per file is meant
	set -- $(grep -lF -e "$mark" -e ' 0xf' "$tm_traces"/*/alloc_traces)
	[ $# -gt 0 ] || return 0
	for traces_of in "$@"; do
		shrink_cache "$(basename "${traces_of%/*}")"
	done
	awk -v mark="$mark" '
	function flush() {
		if (wanted)
			printf "alloc_traces\tslab\t%d\t0\t%s\t%s\n", count, cache, frames
		wanted = 0; frames = ""
	}
	FNR == 1 { flush(); n = split(FILENAME, path, "/"); cache = path[n - 1] }
	/^ *[0-9]+ [^ ]/ { flush(); count = $1; next }
	/^        / {
		if (index($0, mark) || $1 ~ /^0x/)
			wanted = 1
		sub(/^ */, "")
		frames = frames $0 ";"
	}
	END { flush() }' "$@"
}

# counted_records: how many objects of what processes have there are now.
counted_records() {
	for cache in $tm_counted; do
		shrink_cache "$cache"
	done
	# A process more than before, such as a worker, has a pid and a task more.
	read -r _ _ _ tasks _ </proc/loadavg
	for cache in $tm_counted; do
		[ -e "$tm_traces/$cache/alloc_traces" ] || continue
		awk -v cache="$cache" -v tasks="${tasks#*/}" '/^ *[0-9]+ [^ ]/ {
			count[$2] += $1
		} END {
			for (site in count)
				printf "%s %s %d\n", cache, site, count[site] - \
					(cache ~ /^(pid|task_struct)$/ ? tasks : 0)
		}' "$tm_traces/$cache/alloc_traces"
	done
}

vmalloc_records() {
	awk '$3 ~ /^0x|\+0x/ {
		bytes = $2
		for (i = 4; i <= NF; i++)
			if ($i ~ /^pages=/)
				bytes = substr($i, 7) * 4096
		printf "vmallocinfo\tvmalloc\t1\t%d\t%s\t%s %s;\n", bytes, $1, $3,
			$4 ~ /^\[/ ? $4 : ""
	}' /proc/vmallocinfo
}

# now_jiffies: the clock of kmemleak; nothing where it cannot be read.
now_jiffies() {
	sed -n 's/^jiffies: //p' /proc/timer_list 2>/dev/null | head -n 1
}

# kmemleak_search UPTIME: of what nothing points to any more, if it is no younger than
# that, in seconds. The first scan only notes checksums, for what changes is in use; and
# what is younger than five seconds is not looked at.
kmemleak_search() {
	echo scan >"$tm_kmemleak" || return 1
	while read -r up _ </proc/uptime && [ "${up%.*}" -le $(($1 + 5)) ]; do
		sleep 1
	done
	echo scan >"$tm_kmemleak"
}

# kmemleak_records SINCE [UNTIL]: what was found of what was allocated then or later, and
# before UNTIL. What is older was lost before, even if it is only found now. By dd, since
# debugfs knows nothing of sendfile().
kmemleak_records() {
	dd if="$tm_kmemleak" bs=4096 2>/dev/null | awk -v since="${1:-0}" -v until="${2:-}" '
	function flush() {
		if (size)
			printf "kmemleak\tobject\t1\t%d\t-\t%s\n", size, frames
		size = 0; frames = ""
	}
	/^unreferenced/ { flush(); size = $NF; sub(/\).*/, "", size); next }
	match($0, / jiffies [0-9]+/) {
		at = substr($0, RSTART + 9, RLENGTH - 9) + 0
		if (at < since + 0 || (until != "" && at >= until + 0))
			size = 0
	}
	/^  backtrace/ { inside = 1; next }
	/^    / && inside {
		sub(/^ *(\[<[^>]*>\] )?/, "")
		frames = frames $0 ";"
		next
	}
	{ inside = 0 }
	END { flush() }'
}

# log_records MARK: objects left in caches that were to be destroyed, from the kernel
# log behind the last line with MARK. Without slub_debug=U it lists them, and no stack.
log_records() {
	dmesg | awk -v mark="$1" '
	function flush() {
		if (left) {
			split(where, place, "+")
			printf "log\tslab\t1\t%d\t%s\t%s\n", bytes, cache, \
				frames == "" ? "?;" : frames
		}
		left = 0; frames = ""; inside = 0
	}
	function start() {
		flush()
		for (i in seen)
			delete seen[i]
	}
	index($0, mark) { restart = NR; kept = 0; next }
	{ line[++kept] = $0 }
	END {
		for (i = 1; i <= kept; i++) {
			text = line[i]
			sub(/^\[ *[0-9.]+\] ?/, "", text)
			if (text ~ /^BUG .*Objects remaining/) {
				cache = text
				sub(/^BUG /, "", cache); sub(/ .*/, "", cache)
			} else if (text ~ /^Object 0x/) {
				flush()
				left = 1
			} else if (text ~ /^Allocated in / && left) {
				frames = text
				sub(/^Allocated in /, "", frames)
				sub(/ age=.*/, "", frames)
				first = frames; frames = ""
				inside = 1
			} else if (inside && text ~ /^ +[^ ]/) {
				sub(/^ +/, "", text)
				frames = frames text ";"
			} else if (text ~ /^(Freed|Slab|Disabling)/) {
				if (inside && frames == "")
					frames = first ";"
				inside = 0
			} else if (left) {
				flush()
			}
		}
		flush()
	}'
}

# make_events DIRECTORY KIB [slab]: is to record what is allocated, with stacks, and what
# is freed, once its tracing_on is 1: pages and per-CPU memory, and slab objects if it
# is asked for.
make_events() {
	tm_events='kmem/mm_page_alloc kmem/mm_page_free percpu/percpu_alloc_percpu
		percpu/percpu_free_percpu'
	[ -z "${3:-}" ] || tm_events="$tm_events kmem/kmalloc kmem/kmalloc_node
		kmem/kmem_cache_alloc kmem/kmem_cache_alloc_node kmem/kfree
		kmem/kmem_cache_free"
	mkdir "$1" || return 1
	echo 0 >"$1/tracing_on"
	echo "$2" >"$1/buffer_size_kb"
	# By the clocks of two CPUs a free could seem older than what it frees.
	echo counter >"$1/trace_clock"
	# The names of a stack do not tell their module, the addresses do.
	echo 1 >"$1/options/sym-addr"
	# An address is printed as it is, not as a hash, which early on are all the same.
	[ ! -e "$1/options/hash-ptr" ] || echo 0 >"$1/options/hash-ptr"
	for event in $tm_events; do
		[ -d "$1/events/$event" ] || continue
		wanted=
		case $event in
		# 1 is movable: the pages of programs and files.
		*mm_page_alloc) wanted='migratetype != 1' ;;
		# What kmemleak keeps of each object, a third of all. 6.12 has no field name.
		*kmem_cache_alloc)
			! grep -q ' name;' "$1/events/$event/format" ||
				wanted='name != "kmemleak_object"'
			;;
		esac
		[ -z "$wanted" ] || echo "$wanted" >"$1/events/$event/filter"
		case $event in
		*alloc*) echo "stacktrace${wanted:+ if $wanted}" >"$1/events/$event/trigger" ;;
		esac
		echo 1 >"$1/events/$event/enable"
	done
}

# end_allocations DIRECTORY: from now on only what is freed is recorded. A module that has
# gone allocates nothing, and what others do takes long to read.
end_allocations() {
	for event in "$1"/events/kmem/*alloc*/enable "$1"/events/percpu/*alloc_percpu/enable; do
		echo 0 >"$event"
	done
} 2>/dev/null

# lost_events DIRECTORY: how many did not fit.
lost_events() {
	cat "$1"/per_cpu/cpu*/stats |
		awk '/^(overrun|commit overrun|dropped events):/ { n += $NF } END { print n + 0 }'
}

remove_events() {
	[ -d "$1" ] || return 0
	echo 0 >"$1/tracing_on"
	echo 0 >"$1/events/enable"
	for trigger in "$1"/events/kmem/*/trigger "$1"/events/percpu/*/trigger; do
		while read -r what _; do
			case $what in
			'#'*) ;;
			*) echo "!$what" >"$trigger" ;;
			esac
		done <"$trigger"
	done
	rmdir "$1"
}

# event_records DIRECTORY: what was allocated and not freed since. To be read when
# nothing is recorded any more: a reader's own pages would be, without an end.
event_records() {
	awk '
	# A pattern that is put together would be compiled anew for each line.
	function field(name,   at, s) {
		at = index($0, " " name "=")
		if (!at)
			return ""
		s = substr($0, at + length(name) + 2)
		sub(/ .*/, "", s)
		return s
	}
	# CPUs take turns in the file, and interrupts come, also between an event and its
	# stack: that belongs to the last event of the same task in the same context. The
	# third flag is that: none, softirq, hardirq.
	# Nine lines of ten are frames, so they are only kept.
	substr($0, 1, 4) == " => " {
		if (key != "")
			stack[key] = stack[key] substr($0, 5) "\n"
		next
	}
	match($0, /-[0-9]+ +\[[0-9]+\] [^ ]+ /) {
		split(substr($0, RSTART + 1, RLENGTH - 1), part, " ")
		# The idle tasks of all CPUs are 0.
		who = part[1] (part[1] + 0 ? "" : part[2]) substr(part[3], 3, 1)
	}
	/: <stack trace>$/ { key = last[who]; delete last[who]; next }
	!match($0, /[0-9]: [a-z_]+: /) { key = ""; next }
	{
		event = substr($0, RSTART + 3, RLENGTH - 5)
		key = ""
	}
	event == "mm_page_free" || event == "mm_page_alloc" {
		key = "pages " field("pfn")
		bytes = 4096
		for (i = field("order"); i > 0; i--)
			bytes *= 2
	}
	event ~ /^percpu_/ { key = "percpu " field("ptr"); bytes = field("bytes_alloc") }
	event ~ /^(kmalloc|kmem_cache_alloc|kfree|kmem_cache_free)/ {
		key = "slab " field("ptr")
		bytes = field("bytes_alloc") + 0
		# More than two pages come from the page allocator, which tells as well.
		if (bytes > 8192)
			key = ""
	}
	key == "" { next }
	event ~ /free/ { delete size[key]; delete stack[key]; key = ""; next }
	{ size[key] = bytes; stack[key] = ""; last[who] = key; key = "" }
	END {
		for (key in size) {
			split(key, kind, " ")
			frames = ""
			n = split(stack[key], frame, "\n")
			for (i = 1; i < n; i++) {
				at = match(frame[i], / <[0-9a-f]+>$/)
				name = frame[i]
				sub(/ .*/, "", name)
				frames = frames (at ? name " at 0x" \
					substr(frame[i], at + 2, RLENGTH - 3) : frame[i]) ";"
			}
			printf "events\t%s\t1\t%d\t-\t%s\n", kind[1], size[key], frames
		}
	}' "$1/trace"
}

# fewer BEFORE AFTER: the records of AFTER less those of BEFORE, by all but the count.
fewer() {
	awk -F '\t' '
	{ key = $1 "\t" $2 "\t%d\t" $4 "\t" $5 "\t" $6 "\n" }
	# A caller that had no name may by now have that of another module.
	$1 == "vmallocinfo" {
		if (FILENAME == ARGV[1])
			area[$5] = $6
		else if (!($5 in area) || (area[$5] != $6 && area[$5] !~ /^0x/))
			print
		next
	}
	FILENAME == ARGV[1] { before[key] += $3; next }
	{ after[key] += $3 }
	END {
		for (key in after)
			if (after[key] > before[key])
				printf key, after[key] - before[key]
	}' "$1" "$2"
}

# attribute NAME PLACE SYMBOLS INITS: records on stdin to "METHOD KIND COUNT BYTES
# LABEL FUNCTION" of what NAME has allocated, summed up.
attribute() {
	awk -F '\t' -v mark="[$1]" -v place="$2" -v symbols="$3" -v inits="$4" "$tm_awk"'
	# The name of an address in a table sorted by addresses, from low to high.
	function name_of(at, table,   i) {
		for (i = nr[table]; i && at < address[table, i]; i--)
			;
		return i ? symbol[table, i] : ""
	}
	function site(frame,   at, s) {
		if (index(frame, mark)) {
			sub(/ *\[[^]]*\].*/, "", frame)
			sub(/\+0x.*/, "", frame)
			if (frame !~ /^0x/)
				return frame
		}
		# Of an event: the name, and where that is.
		sub(/^.* at 0x/, "0x", frame)
		if (frame !~ /^0x/)
			return ""
		sub(/ .*/, "", frame)
		if ((frame, starting) in known)
			return known[frame, starting]
		at = hex(frame); s = ""
		# The size is that of all parts, so what begins last before it is it.
		if (starting && init && at >= init && at < init + 65536 && (base > at || base < init)) {
			s = name_of(at - init, "init")
			if (s == "")
				s = "the-init-function"
		} else if (at >= base && at < end) {
			s = name_of(at, "core")
			if (s == "")
				s = frame
		}
		known[frame, starting] = s
		return s
	}
	function read_table(file, table,   line, part) {
		while ((getline line < file) > 0) {
			split(line, part, " ")
			nr[table]++
			address[table, nr[table]] = table == "core" ? hex(part[1]) : part[1]
			symbol[table, nr[table]] = part[2]
		}
		close(file)
	}
	BEGIN {
		split(place, part, " ")
		base = hex(part[1]); end = base + part[2]
		init = hex(part[3])
		read_table(symbols, "core")
		if (inits != "")
			read_table(inits, "init")
	}
	{
		n = split($6, frame, ";")
		found = ""; kind = $2
		# Where the init function was may have been another module since; of that the
		# caller is not the kernel starting a module. An area has no stack.
		starting = $2 == "vmalloc" || $6 ~ /(^|;)do_one_initcall/
		if (frame[1] == "?")
			found = "?"
		for (i = 1; i < n && (found == "" || found ~ /_noprof/); i++) {
			# From 7.0 on a cache keeps free objects in sheaves, and may get one more
			# when an object is taken: that belongs to the cache.
			if (interrupts(frame[i]) || frame[i] ~ /^__pcs_replace_/)
				break
			# Of a cache that was not destroyed its descriptor tells; files in
			# sysfs and all the rest went lost with it.
			if (frame[i] ~ /^(__|do_)?kmem_cache_create/) {
				if ($5 != "kmem_cache")
					break
				kind = "cache"
			}
			if ($2 != "vmalloc" && $2 != "object" && !is_ours_to_count(frame[i]))
				# That of per-CPU memory itself is what is asked for.
				if ($2 != "percpu" || frame[i] !~ /^(pcpu_|trace_event)/)
					if (frame[i] !~ /^trace_event/)
						break
			# A wrapper of the header that the compiler did not inline calls itself
			# so: its caller is meant.
			s = site(frame[i])
			if (found == "" || s != "")
				found = s
			else
				break
		}
		if (found == "")
			next
		key = $1 "\t" kind "\t" ($2 == "vmalloc" ? "-" : $5) "\t" found
		count[key] += $3
		bytes[key] += $4
	}
	END {
		for (key in count) {
			split(key, part, "\t")
			printf "%s\t%s\t%d\t%d\t%s\t%s\n", part[1], part[2], count[key], \
				bytes[key], part[3], part[4]
		}
	}'
}

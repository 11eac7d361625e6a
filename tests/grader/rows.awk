# SPDX-License-Identifier: GPL-2.0
#
# Reads the rows of a module whose words, order and units are its own.
#
# With -v survey=1: prints which number of a row is what, as map="P U S T K D", and
# the units, as cpu= (nanoseconds) and memory= (KiB); it takes the process to look
# for from -v target=, and what /proc says of it from cputime=, vmsize= and vmdata=.
# With -v map=... -v cpu=... -v memory=...: prints the rows in the lab's words and
# units, and marks what has no numbers with "?".

# numbers(): of the line, into value[], and the word before each into word[].
function numbers(	i, n, part, last) {
	gsub(/[^A-Za-z0-9_.+-]+/, " ")
	gsub(/_/, "")
	n = split($0, part, " ")
	count = 0
	last = ""
	for (i = 1; i <= n; i++)
		if (part[i] ~ /^-?[0-9]+(\.[0-9]+)?[A-Za-z]*$/) {
			value[++count] = part[i] + 0
			word[count] = tolower(last)
			last = ""
		} else {
			last = part[i]
		}
}

# meaning(): what a word stands for.
function meaning(w) {
	if (w ~ /stk|stack/)
		return "stack"
	if (w ~ /data/)
		return "data"
	if (w ~ /total|vmsize|virt|^vm$|mapped|^size$|^vsz$|^mem(ory)?$/)
		return "total"
	if (w ~ /^u(sr|ser|time|sertime)?$|user|utime/)
		return "usr"
	if (w ~ /^s(ys|time|ystem|ystime)?$|system|stime|kern/)
		return "sys"
	if (w ~ /pid|process|^task$|^id$/)
		return "pid"
	return ""
}

# ratio(): how many times larger one is than the other.
function ratio(a, b) {
	if (a <= 0 || b <= 0)
		return 1e18
	return a > b ? a / b : b / a
}

function survey_row(	i, m, unnamed, names, at) {
	for (m in place)
		delete place[m]
	split("usr sys total stack data", names, " ")
	for (i = 1; i <= count; i++) {
		m = meaning(word[i])
		if (m == "" && value[i] == target && !("pid" in place))
			m = "pid"
		if (m == "" && word[i] == "" && unnamed < 5)
			m = names[++unnamed]
		if (m != "" && !(m in place))
			place[m] = i
	}
	if (!("usr" in place))
		return
	last_sum = value[place["usr"]] + ("sys" in place ? value[place["sys"]] : 0)
	last_total = "total" in place ? value[place["total"]] : 0
	found = 1
	answer = ""
	split("pid usr sys total stack data", names, " ")
	for (i = 1; i <= 6; i++)
		answer = answer (i > 1 ? " " : "") (names[i] in place ? place[names[i]] : 0)
}

function best(list, seen, truth,	n, unit, i, chosen) {
	n = split(list, unit, " ")
	chosen = 1
	for (i = 1; i <= n; i++)
		if (ratio(seen * unit[i], truth) < ratio(seen * chosen, truth))
			chosen = unit[i]
	return chosen
}

BEGIN {
	split(map, at, " ")
}

{
	whole = $0
	numbers()
}

survey {
	if (count >= 2)
		survey_row()
	next
}

# A line with one number names the process of those that follow.
count == 1 && meaning(word[1]) == "pid" {
	heading = value[1]
	next
}

count < 2 || at[2] > count {
	print "? " whole
	next
}

{
	printf "pid %d usr %.0f sys %.0f total %.0f stack %.0f data %.0f\n",
		at[1] ? value[at[1]] : heading ? heading : target,
		value[at[2]] * cpu, (at[3] ? value[at[3]] : 0) * cpu,
		(at[4] ? value[at[4]] : 0) * memory,
		(at[5] ? value[at[5]] : 0) * memory,
		(at[6] ? value[at[6]] : 0) * memory
}

END {
	if (!survey || !found)
		exit survey && !found
	print "map=\"" answer "\""
	print "cpu=" best("1 1000 1000000 4000000 10000000 1000000000", last_sum, cputime)
	print "memory=" best("1 4 1024 0.0009765625", last_total, vmsize)
}

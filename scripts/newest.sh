# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# The newest kernel source that Debian has ready: the one in the backports of the
# next Debian, which every Debian can unpack and compile. Sourced, after lib.sh.
#
# apt gets a root of its own for this in the cache. The system's sources and lists
# are not touched; its proxy and other settings of apt's are honoured.

# shellcheck disable=SC2154 # lib.sh has it
newest_root=$cache/apt/newest

debian_codename() (
	# shellcheck source=/dev/null
	. /etc/os-release
	printf '%s\n' "${VERSION_CODENAME-}"
)

# The suite, in the one place that knows which Debian comes next.
newest_suite() {
	case $(debian_codename) in
	bookworm) echo trixie-backports ;;
	*) echo "$(debian_codename)-backports" ;;
	esac
}

# The mirror that the system's own sources name.
newest_mirror() {
	# shellcheck disable=SC2016 # apt fills it in
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
		'Origin: Debian' "Codename: $(debian_codename)" 2>/dev/null |
		sed -n 's,^\(https*://.*\)/$,\1,p' | head -n 1 | grep . ||
		echo http://deb.debian.org/debian
}

# From now on apt works in its own root. Signatures are checked, as ever.
newest_enter() {
	suite=$(newest_suite)
	mirror=$(newest_mirror)
	mkdir -p "$newest_root/state/lists/partial" \
		"$newest_root/cache/archives/partial"
	printf 'deb [signed-by=%s] %s %s main\n' \
		/usr/share/keyrings/debian-archive-keyring.gpg \
		"$mirror" "$suite" >"$newest_root/sources.list.$$"
	mv "$newest_root/sources.list.$$" "$newest_root/sources.list"
	cat >"$newest_root/apt.conf.$$" <<-END
		Dir::Etc::sourcelist "$newest_root/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::State "$newest_root/state";
		Dir::State::status "/dev/null";
		Dir::Cache "$newest_root/cache";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::http::Timeout "20";
	END
	mv "$newest_root/apt.conf.$$" "$newest_root/apt.conf"
	APT_CONFIG=$newest_root/apt.conf
	export APT_CONFIG
}

is_fresh() {
	[ -n "$(find "$newest_root/asked" -mmin "-$1" 2>/dev/null)" ]
}

# newest_update MINUTES: asks the mirror, unless this process did or any did no
# longer ago than that. Without an answer the lists stay as they are, and $no_answer
# says why.
newest_update() {
	[ -z "${newest_asked-}" ] && ! is_fresh "$1" || return 0
	newest_asked=yes
	lock newest
	is_fresh "$1" || newest_ask
	unlock
}

newest_ask() {
	say "asking $mirror for the newest kernel in $suite"
	apt-get -qq --error-on=any update >"$newest_root/log" 2>&1 ||
		no_answer=$(sed -n 's/^[EW]: //p' "$newest_root/log" | head -n 1)
	# With lists it can do without an answer for as long.
	[ -n "$(newest_version)" ] || return 0
	: >"$newest_root/asked"
	[ -z "${no_answer-}" ] ||
		warn "taking the kernels known before: $no_answer"
}

# newest_version: 7.3, say: of all kernel sources that apt knows here the one with
# the highest version. Nothing where it knows none.
newest_version() {
	highest=
	for p in $(apt-cache pkgnames linux-source- 2>/dev/null |
		grep -x 'linux-source-[0-9]*\.[0-9]*'); do
		v=$(package_field "$p" Version)
		if [ -n "$v" ] && dpkg --compare-versions "$v" gt "$highest"; then
			highest=$v
			printf '%s\n' "${p#linux-source-}"
		fi
	done | tail -n 1
}

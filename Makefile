# SPDX-License-Identifier: GPL-2.0

KDIR ?= /lib/modules/$(shell uname -r)/build

all: modules

modules: | $(KDIR)/Makefile
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

$(KDIR)/Makefile:
	@echo 'No kernel build tree at $(KDIR).'
	@echo 'Name one with KDIR=PATH; make demo and make test fetch their own.'
	@exit 1

# Works without a build tree, as kbuild's own does not.
clean:
	rm -f *.o *.ko *.mod *.mod.c .*.cmd .*.d Module.symvers modules.order
	rm -rf tests/runner/__pycache__

demo vm:
	@scripts/lab.sh $@

# The runner is in Python, which a bare machine may lack.
test:
	@scripts/setup.sh test
	@tests/run.py

# Both tools of docs/memory.md on our own module, in a VM.
leakcheck:
	@scripts/setup.sh test
	@tests/run.py -k 6.12+traces -s selfcheck

# For the time between two edits: two minutes, with the cache.
check: lint
	@tests/run.py -k 6.12 -s lab -s input -s reader -s lifecycle

# The packages taskmonitor-dkms and taskmonitor; OUT= where they go.
deb:
	@scripts/deb.sh $(OUT)

bench:
	@scripts/setup.sh bench
	@tests/run.py bench

lint:
	@scripts/lint.sh

mutants:
	@scripts/setup.sh test
	@tests/run.py mutants

# M=DIR, a .c, a .tar.gz; KO=FILE.ko; KERNEL=6.1; OUT= where the pages go.
grade:
	@scripts/setup.sh grade
	@tests/grade.py $(if $(KERNEL),-k $(KERNEL)) $(if $(OUT),-o $(OUT)) \
		$(or $(KO),$(M),$(error make grade M=DIR, or KO=FILE.ko))

grade-class:
	@scripts/setup.sh grade
	@tests/grade.py $(if $(KERNEL),-k $(KERNEL)) $(if $(OUT),-o $(OUT)) class \
		$(or $(DIR),$(error make grade-class DIR=submissions))

# The grader, by submissions whose scores are known.
grade-check:
	@scripts/setup.sh grade
	@tests/grade.py check

# The kernels, sources and disk that the scripts have fetched and built.
distclean: clean
	@scripts/distclean.sh

help:
	@echo 'make                 build taskmonitor.ko for the running kernel'
	@echo 'make KDIR=PATH       build it for another one, by its build tree'
	@echo 'make demo            see it work in a lab VM, from a bare machine'
	@echo 'make vm              a shell in the lab VM, to play in'
	@echo 'make test            run every test, from a bare machine'
	@echo 'make check           lint and the core suites on one kernel: two minutes'
	@echo 'make leakcheck       does the module leak, and do its figures agree, in a VM'
	@echo 'make bench           what the module costs, and others for the same'
	@echo 'make mutants         show that the tests notice mistakes'
	@echo 'make grade M=DIR     grade a solution of the lab: points, evidence, hints'
	@echo 'make grade-class DIR=D  all solutions in a directory, with a page each'
	@echo 'make lint            checkpatch, sparse, W=1, kernel-doc, shellcheck'
	@echo 'make deb             Debian packages: the module for DKMS, and the command'
	@echo 'make clean           remove what make built here'
	@echo 'make distclean       and the cache: kernels, sources, logs (2 GB)'
	@echo
	@echo 'demo and vm take KERNEL=6.1, 6.12 (Debian), host, or the path of a'
	@echo 'build tree; MEM=128M; CPUS=2; vm also CMDLINE=slub_debug=U. What they'
	@echo 'fetch is kept in'
	@echo '$${TASKMONITOR_CACHE:-~/.cache/taskmonitor}.'

.PHONY: all modules clean distclean bench check deb demo vm leakcheck lint mutants test help \
	grade grade-class grade-check

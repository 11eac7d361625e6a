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

demo vm:
	@scripts/lab.sh $@

test:
	@tests/run.sh

bench:
	@tests/bench.sh

lint:
	@scripts/lint.sh

mutants:
	@tests/mutants.sh

help:
	@echo 'make                 build taskmonitor.ko for the running kernel'
	@echo 'make KDIR=PATH       build it for another one, by its build tree'
	@echo 'make demo            see it work in a lab VM, from a bare machine'
	@echo 'make vm              a shell in the lab VM, to play in'
	@echo 'make test            run every test, from a bare machine'
	@echo 'make bench           what the module costs, and others for the same'
	@echo 'make mutants         show that the tests notice mistakes'
	@echo 'make lint            checkpatch, sparse, W=1, kernel-doc, shellcheck'
	@echo 'make clean           remove what make built here'
	@echo
	@echo 'demo and vm take KERNEL=6.1, 6.12 (Debian), host, or the path of a'
	@echo 'build tree; MEM=128M; CPUS=2. What they fetch is kept in'
	@echo '$${TASKMONITOR_CACHE:-~/.cache/taskmonitor}.'

.PHONY: all modules clean bench demo vm lint mutants test help

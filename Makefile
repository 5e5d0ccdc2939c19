# 'make help' lists what there is to do. 'make demo' and 'make test' install what is missing on
# Debian and Ubuntu; the other targets install nothing.

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo

# A user may have one target directory for all projects.
BIN := $(or $(CARGO_TARGET_DIR),target)/release/virt-patch
bindir := $(DESTDIR)$(PREFIX)/bin
share := $(DESTDIR)$(PREFIX)/share

# Where rustup puts cargo; a shell that was open before does not know yet.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

# Where it lies next to the project, as it does for its developers.
ifneq ($(wildcard ../shared/corpus),)
export VIRT_PATCH_CORPUS ?= $(abspath ../shared/corpus)
endif

# In CI the versions are those of Cargo.lock, or it fails.
LOCKED := $(if $(CI),--locked)

.PHONY: help demo build test lint unit libvirt-test bench doc man install uninstall clean
.PHONY: demo-deps test-deps
.NOTPARALLEL:

help: ## this list (the default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: demo-deps ## builds, and shows what turns the default machine into a MacPro7,1 for this host
	$(CARGO) build --release $(LOCKED)
	@printf '\n$$ virt-patch diff --template -p macpro7,1\n'
	@$(BIN) diff --template -p macpro7,1 || [ $$? -eq 1 ]
	@echo
	@echo "Next, for a machine of yours:  virsh dumpxml --inactive --security-info NAME | $(BIN) diff"
	@echo "What each step does, and why:  $(BIN) list"

build: ## builds the release binaries
	$(CARGO) build --release $(LOCKED)

test: test-deps check ## everything CI runs: formatting, lints, documentation, scripts, all tests
	$(CARGO) test --no-fail-fast $(LOCKED)

.PHONY: check
check: lint doc

lint: ## formatting, clippy, shell scripts, forbidden words
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets $(LOCKED) -- -D warnings
	$(CARGO) clippy --all-targets --no-default-features $(LOCKED) -- -D warnings
	shellcheck .ci/run scripts/*
	scripts/forbid

unit: ## the fast tests: the library alone
	$(CARGO) test --lib $(LOCKED)

libvirt-test: ## the tests that run a private libvirt; they need root
	$(CARGO) test --test 'libvirt_*' --no-fail-fast $(LOCKED)

bench: ## time per document, as a multiple of parsing it
	$(CARGO) bench $(LOCKED)

doc: ## the library's documentation, in target/doc
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps $(LOCKED)

man: build ## the manual page, in target/virt-patch.1
	@mkdir -p target
	$(BIN) man >target/virt-patch.1

# Does not build: it is run as root, whose PATH has no cargo.
install: ## installs what 'make build' built, below $(DESTDIR)$(PREFIX)
	@[ -x $(BIN) ] || { echo "nothing to install: run 'make build' first" >&2; exit 1; }
	install -d '$(bindir)' '$(share)/man/man1' '$(share)/bash-completion/completions' \
	    '$(share)/zsh/site-functions' '$(share)/fish/vendor_completions.d'
	install -m 0755 $(wildcard $(BIN) $(BIN)-libvirt) '$(bindir)'
	$(BIN) man >'$(share)/man/man1/virt-patch.1'
	$(BIN) completions bash >'$(share)/bash-completion/completions/virt-patch'
	$(BIN) completions zsh >'$(share)/zsh/site-functions/_virt-patch'
	$(BIN) completions fish >'$(share)/fish/vendor_completions.d/virt-patch.fish'

uninstall: ## removes what 'make install' installed
	rm -f '$(bindir)/virt-patch' '$(bindir)/virt-patch-libvirt' \
	    '$(share)/man/man1/virt-patch.1' \
	    '$(share)/bash-completion/completions/virt-patch' \
	    '$(share)/zsh/site-functions/_virt-patch' \
	    '$(share)/fish/vendor_completions.d/virt-patch.fish'

clean: ## removes what was built
	$(CARGO) clean

demo-deps:
	@scripts/install-deps demo

test-deps:
	@scripts/install-deps test

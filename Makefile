# What is rendered here is served from build/.

PORT ?= 8000
DEMO := build/task-service
PROJECT := {{cookiecutter.project_slug}}
# A file's tests share what they set up, and the longest files begin first.
PARALLEL := --numprocesses=auto --dist=loadfile --no-loadscope-reorder

# uv from the PATH, or one of the template's own. Not in .venv, which uv makes with its own Python.
ifeq ($(shell command -v uv 2>/dev/null),)
SETUP := .uv/bin/uv
export PATH := $(CURDIR)/.uv/bin:$(PATH)
endif

# Caches inside the template's folder would be rendered into projects.
export PYTHONDONTWRITEBYTECODE := 1
export RUFF_NO_CACHE := true
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint format bench site clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.uv/bin/uv:
	@echo "No uv on the PATH: installing it into .uv"
	@python3 -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv

demo: $(SETUP)  ## Render with the defaults into build/, set up, migrate, serve on http://127.0.0.1:8000
	@uv run --quiet cookiecutter . --no-input --overwrite-if-exists --output-dir build
	@echo
	@echo "Serving $(DEMO) on http://127.0.0.1:$(PORT), its docs on /docs; Ctrl-C ends it. Try:"
	@echo "  curl -X POST localhost:$(PORT)/tasks -H 'content-type: application/json' -d '{\"title\":\"first\"}'"
	@echo
	@$(MAKE) --no-print-directory -C $(DEMO) run PORT=$(PORT)

test: lint  ## Run every test, those of the rendered project included
	@# Nothing else writes the bytecode of the packages, which the tests' commands import each time.
	@uv sync --quiet --compile-bytecode
	@uv run --quiet pytest $(PARALLEL) $(args)

test-fast: $(SETUP)  ## Run the tests that set nothing up
	@uv run --quiet pytest $(PARALLEL) -m "not slow" $(args)

lint: $(SETUP)  ## Check the template's own code
	@uv run --quiet ruff check hooks tests benchmarks template_update
	@uv run --quiet ruff format --check hooks tests benchmarks template_update
	@uv run --quiet mypy

format: $(SETUP)  ## Format the template's own code
	@uv run --quiet ruff format hooks tests benchmarks template_update
	@uv run --quiet ruff check --fix hooks tests benchmarks template_update

bench: $(SETUP)  ## Measure, and print ratios; only=api for one part, see benchmarks/README.md
	@set -e; for part in $(or $(only),render migrations stall backfill image api); do \
		uv run --quiet --group bench python -m benchmarks.$$part $(args); done

site: $(SETUP)  ## Build the pages of the documentation into build/site
	@rm -rf build/pages build/site && mkdir -p build/pages/project/docs
	@cp -r README.md CONTRIBUTING.md CHANGELOG.md docs build/pages
	@mkdir build/pages/benchmarks && cp benchmarks/*.md benchmarks/*.svg build/pages/benchmarks
	@cp $(foreach page,migrations updating schema,'$(PROJECT)/docs/$(page).md') build/pages/project/docs
	@find build/pages -name '*.md' -exec sed -i.old 's|$(PROJECT)/docs|project/docs|g; s|{{cookiecutter._site}}/\(docs/recipes/[a-z-]*\)/|../../\1.md|' {} + && find build/pages -name '*.old' -delete
	@uv run --quiet --group docs zensical build --strict --clean

clean:  ## Delete what demo and site have made
	rm -rf build

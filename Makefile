# Every target works alone and first, in a fresh clone with Python, git and make: it makes the environment it needs.

PYTHON ?= python3
# Where pip finds PyTorch beside PyPI. On Linux, PyPI's is a CUDA build of 2.7 GB; the CPU build is at
# https://download.pytorch.org/whl/cpu:  make lab TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# One thread, unless you ask for more (course_lib/threads.py says why):  make course COURSE_THREADS=4
COURSE_THREADS ?= $(or $(OMP_NUM_THREADS),1)
export OMP_NUM_THREADS := $(COURSE_THREADS)
# Some notebooks instead of all:  make notebooks NOTEBOOKS="03 04"
NOTEBOOKS ?=
# What to grade, and where to:  make grade FOLDER=handed_in TO=grades.csv
FOLDER ?=
TO ?= grades.csv
GRADE_OPTIONS ?=
# Passed on to JupyterLab:  make lab LAB_OPTIONS=--no-browser
LAB_OPTIONS ?=

# nbgrader's menus are for who makes homework, and lead a student astray: JupyterLab starts without them, and shows Markdown
# as a page. docs/instructor.md says how they come back.
NBGRADER := formgrader validate_assignment assignment_list course_list

VENV := .venv
RUN := $(VENV)/bin/python -m
# Written last, with whose it is: an environment without it is half made, one older than what it was made from is out of date.
COMPLETE := $(VENV)/.complete
# A folder, which of two makes only one can make: the other would clear the environment under its hands.
LOCK := $(VENV).lock
# First line of what writes caches here; the other commands say it themselves.
WRITABLE = @[ -w . ] || { \
	echo "You may not write in this folder. Clone the course into one of your own:"; echo "  git clone '$(CURDIR)' ~/course"; exit 1; }

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help lab course test quick env doctor lint format notebooks slides homework grade site clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  The environment is made in $(VENV) when first needed. On Linux, spare yourself PyTorch's CUDA build:"
	@echo "  make lab TORCH_INDEX=https://download.pytorch.org/whl/cpu"

lab: $(COMPLETE)  ## make the environment and open JupyterLab on the course
	$(RUN) jupyter lab --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/notebooks/00_counts.ipynb $(LAB_OPTIONS)

course: $(COMPLETE)  ## run the whole course; executed copies, pages and figures in build/
	$(RUN) course_lib.tooling.execute --course $(NOTEBOOKS)

test: lint  ## every check: lint, types, tests, and every notebook run against its outputs
	$(RUN) pytest -n 2 --dist loadscope --hypothesis-seed=0 --continue-on-collection-errors --nbval-lax --nbval-current-env tests notebooks

quick: lint  ## lint, types and the tests that are not marked slow: no notebooks, no deliberate mistakes
	$(RUN) pytest -n 2 --dist loadscope --hypothesis-seed=0 -m "not slow" tests

env: $(COMPLETE)  ## make the environment, or make it anew after its definition has changed

doctor: $(COMPLETE)  ## look at the installation, and say what is wrong and what to type
	$(RUN) course_lib.tooling.doctor

lint: $(COMPLETE)  ## check style and types, notebooks included
	$(WRITABLE)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

format: $(COMPLETE)  ## put code and notebooks into the one style
	$(WRITABLE)
	$(RUN) ruff check --fix-only --exit-zero .
	$(RUN) ruff format .

notebooks: $(COMPLETE)  ## execute the notebooks in place and normalise them, ready to commit
	$(RUN) course_lib.tooling.execute --in-place $(NOTEBOOKS)

slides: $(COMPLETE)  ## the talk in each notebook as slides, in build/slides/
	$(RUN) course_lib.tooling.render --slides $(NOTEBOOKS)

homework: $(COMPLETE)  ## homework for students and for instructors, with a zip of each, in build/homework/
	$(WRITABLE)
	$(RUN) course_lib.homework make
	@echo "Hand out build/homework/students.zip, or a notebook of build/homework/students/; the other zip has the solutions."
	@echo "Grade what comes back:  make grade FOLDER=handed_in TO=grades.csv    (docs/instructor.md says the rest)"

grade: $(COMPLETE)  ## grade a folder of handed-in homework: make grade FOLDER=handed_in TO=grades.csv
	@[ -n "$(FOLDER)" ] || { echo "Which folder?  make grade FOLDER=handed_in TO=grades.csv"; exit 1; }
	$(RUN) course_lib.homework grade "$(FOLDER)" --to "$(TO)" $(GRADE_OPTIONS)

site: $(COMPLETE)  ## the course as a site: lessons, quizzes, homework, slides, guides, the library; in build/site/
	$(WRITABLE)
	$(RUN) course_lib.site
	@echo "Open it in a browser. For a search that quotes, serve it:  $(VENV)/bin/python -m http.server -d build/site"

clean:  ## remove build/ and the caches of the tools (the environment stays: rm -r .venv)
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(COMPLETE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null || { \
		echo "$(PYTHON) is missing or much too old. The course needs $$(sed -n 's/^requires-python = /Python /p' pyproject.toml)."; \
		echo "Install one of these, or name the one you have:  make env PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m course_lib.tooling.doctor --python
	$(WRITABLE)
	@mkdir $(LOCK) 2>/dev/null || { \
		echo "Another make is making the environment: wait until it has ended, then type this again."; \
		echo "If there is none, one was killed; then type first:  rmdir $(LOCK)"; exit 1; }; \
	trap 'rmdir $(LOCK)' EXIT; trap 'exit 130' HUP INT TERM; \
	[ ! -e $(VENV) ] || [ -f $(VENV)/pyvenv.cfg ] || rmdir $(VENV) 2>/dev/null || { \
		echo "$(VENV) holds something that is no environment, and would be cleared: move it elsewhere."; exit 1; }; \
	owner=$$(cat $(COMPLETE) 2>/dev/null); [ "$${owner:-$$(pwd)}" = "$$(pwd)" ] || [ ! -d "$$owner" ] || { \
		echo "$(VENV) is the environment of the clone in $$owner, and would be cleared: take one of your own."; exit 1; }; \
	echo "Making the environment in $(VENV): some minutes, once."; \
	$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make environments. On Debian and Ubuntu:  sudo apt install python3-venv"; exit 1; }; \
	set -ex; \
	$(RUN) pip install --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt torch; \
	$(RUN) pip install --disable-pip-version-check -c constraints.txt -e '.[test,peer,pyro,classroom,benchmark,browser,site]'; \
	$(RUN) pip check; \
	$(RUN) jupyter labextension disable @jupyter/nbgrader --level=sys_prefix; \
	$(RUN) jupyter server extension disable --sys-prefix $(NBGRADER:%=nbgrader.server_extensions.%); \
	mkdir -p $(VENV)/etc/jupyter/labconfig; \
	echo '{"@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"markdown": "Markdown Preview"}}}' \
		> $(VENV)/etc/jupyter/labconfig/default_setting_overrides.json; \
	pwd > $@

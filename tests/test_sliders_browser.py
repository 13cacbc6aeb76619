"""The four figures with sliders in a real JupyterLab, in a browser: a key moves a slider, and the picture changes."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from browser import chromium, skip_if_missing

from course_lib.tooling.files import ROOT

pytestmark = pytest.mark.slow
SECONDS = 120  # until a server that does not answer counts as hanging

IMPORTS = """import numpy as np
import pandas as pd

from course_lib.figures import count_shapes, differential_expression, elbo, reparameterization
from course_lib.sliders import sliders"""
COUNTS = """sliders(
    count_shapes.count_shape,
    mu=("mean μ", [1.0, 5.0], 1.0), theta=("inverse dispersion θ", [0.5, 2.0], 2.0), pi=("share π", [0.0, 0.3], 0.0),
)"""
BOUND = """z = np.linspace(-4, 4, 201)


def bell(mean, sd):
    return np.exp(-0.5 * ((z - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))


def bound(mean, sd):
    kl = 0.5 * (mean**2 + sd**2 - 1 - 2 * np.log(sd))
    named = {"yours": bell(mean, sd), "the posterior": bell(0, 1)}
    return elbo.bound_of_each_q(z, bell(0, 1), named, [-2 - kl, -2], -2)


sliders(bound, mean=("mean of q", [0.0, 1.0], 0.0), sd=("standard deviation of q", [0.5, 1.0], 0.5))"""
TRAVERSAL = """draws, kinds = np.random.default_rng(0).normal(size=(200, 3)), np.repeat(["B cells", "NK cells"], 100)


def traversal(first, second):
    z = np.array([first, second, 0.0])
    return reparameterization.traversal(draws, np.array([3.0, 2.0, 1.0]), kinds, z, {"LYZ": 2 + first, "NKG7": second})


sliders(traversal, first=("z₁", [-1.0, 0.0], -1.0), second=("z₂", [0.0, 1.0], 0.0))"""
FDR = """lfc = np.random.default_rng(0).normal(size=300)


def called(delta, target):
    p = np.where(np.abs(lfc) > delta, 1.0, 0.0)
    table = pd.DataFrame({"lfc_mean": lfc, "proba_de": p, f"is_de_fdr_{target}": p > target})
    return differential_expression.running_fdr(table, delta, target)


sliders(called, delta=("δ, log₂", [0.25, 0.5], 0.25), target=("target FDR", [0.05, 0.1], 0.05))"""
FAILS = """def fails(value):
    if value > 1:
        raise ValueError("no figure beyond one")
    return count_shapes.count_shape(value, 2.0)


sliders(fails, value=("mean μ", [1.0, 2.0], 1.0))"""
CELLS = {"counts": COUNTS, "bound": BOUND, "traversal": TRAVERSAL, "false discoveries": FDR}


def notebook() -> nbformat.NotebookNode:
    sources = [IMPORTS, *CELLS.values(), FAILS]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in sources], metadata={"kernelspec": kernel}
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[str]:
    """The address of a JupyterLab of its own, which knows nothing of this machine's settings and asks nobody."""
    skip_if_missing()
    folder: Path = tmp_path_factory.mktemp("lab")
    (folder / "work").mkdir()
    nbformat.write(notebook(), folder / "work" / "sliders.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR",
           "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")  # fmt: skip
    places = {name: str(folder / name.lower()) for name in own}
    environment = os.environ | places | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.root_dir={folder / 'work'}",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True", "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    with (folder / "log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/api/status", server, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()  # and its kernels with it
            server.wait(SECONDS)


def wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab does not answer:\n{log.read_text(encoding='utf-8')[-2_000:]}")


@pytest.fixture(scope="module")
def page(lab) -> Iterator:
    """The notebook in JupyterLab, all cells run; ``page.faults`` are its errors and requests elsewhere, so far."""
    with chromium(height=6_000, offline=False) as window:  # so high that no cell is put off until it is scrolled to
        page = window.new_page()
        page.faults = []
        page.on("console", lambda told: page.faults.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.route(lambda url: not url.startswith((lab, "data:", "blob:")), lambda route: refuse(page, route))
        page.goto(f"{lab}/lab/tree/sliders.ipynb")
        page.wait_for_function("window.jupyterapp?.shell.currentWidget?.context?.sessionContext.session?.kernel")
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        yield page


def refuse(page, route) -> None:
    page.faults.append(f"asks {route.request.url}")
    route.abort()


def outputs(page, cell: int):
    """The sliders with their words, and the figure below them."""
    area = page.locator(".jp-CodeCell").nth(cell).locator(".jp-Cell-outputArea")
    area.locator("img").wait_for()
    area.locator(".widget-vbox").first.wait_for()
    return area


def press(page, slider, key: str) -> None:
    slider.focus()
    page.keyboard.press(key)


CHANGED = "([panel, source]) => panel.querySelector('img') && panel.querySelector('img').src !== source"


@pytest.mark.parametrize("name", CELLS)
def test_a_key_on_any_slider_changes_the_picture_and_the_words(name, page):
    shown = outputs(page, 1 + [*CELLS].index(name))
    handles = shown.locator("[role=slider]")
    assert handles.count() == CELLS[name].split("sliders(")[-1].count('("')
    for index in range(handles.count()):
        picture, words = shown.locator("img").get_attribute("src"), shown.inner_text()
        starts_last = handles.nth(index).get_attribute("aria-valuenow") == "1.0"
        press(page, handles.nth(index), "ArrowLeft" if starts_last else "ArrowRight")
        page.wait_for_function(CHANGED, arg=[shown.element_handle(), picture])
        page.wait_for_function("([panel, words]) => panel.innerText !== words", arg=[shown.element_handle(), words])
        assert shown.locator("img").count() == 1


def test_an_error_stands_where_the_words_stood_and_goes_when_the_slider_does(page):
    shown = outputs(page, 1 + len(CELLS))
    slider = shown.locator("[role=slider]")
    press(page, slider, "ArrowRight")
    shown.get_by_text("ValueError: no figure beyond one").wait_for()
    press(page, slider, "ArrowLeft")
    shown.get_by_text("mean 1, variance 1.50").wait_for()
    assert "no figure beyond one" not in shown.inner_text()


def test_nothing_went_wrong_in_the_browser_and_nothing_was_asked_elsewhere(page):
    assert page.faults == []


def test_a_saved_copy_that_is_opened_without_a_kernel_shows_the_figures(page, lab):
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.evaluate("window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()")
    page.goto(f"{lab}/lab/tree/sliders.ipynb?reset")
    for index in range(1, 1 + len(CELLS)):
        page.locator(".jp-CodeCell").nth(index).locator(".jp-Cell-outputArea img").wait_for()

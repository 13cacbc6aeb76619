"""Figures that a slider moves, and that are pictures where nothing moves.

A cell has two outputs: ipywidgets' sliders, with the figure's text in words below them, and the figure as `show` would
display it. In JupyterLab, while a kernel runs, a slider redraws the figure. Every other reader (GitHub, a page, a
slide, a saved copy that is opened again) shows the figure as it was left. Committed is the figure of the starting
values alone: ``course_lib.tooling.normalise`` drops the sliders.
"""

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.figure import Figure

from course_lib.figures.style import as_output

VIEW = "application/vnd.jupyter.widget-view+json"
Draw = Callable[..., tuple[Figure, str]]  # values → a figure and its alternative text
Range = tuple[str, Sequence[float], float]  # what the slider says, its positions, where it starts


def sliders(draw: Draw, **ranges: Range) -> None:
    """Show the figure that ``draw`` makes of the starting values, with a slider for each of its arguments.

    Parameters
    ----------
    draw : values of all sliders, by name → a figure and its alternative text, which stands below the sliders as well.
    ranges : name of the argument → what the slider says (with its unit), its positions, the one where it starts.

    Raises
    ------
    ValueError : a slider does not start at one of its positions, or there is none; the message names it.

    Notes
    -----
    A slider acts when it is let go, or at each press of an arrow key: drawing may take a second. What ``draw`` raises
    stands in place of the words; the figure stays as it was.
    """
    if not ranges:
        raise ValueError("ranges: expected a slider for each argument of draw, found none; use show(fig, alt=…).")
    controls = {name: _slider(name, *described) for name, described in ranges.items()}
    fig, alt = draw(**{name: control.value for name, control in controls.items()})
    # Given and not captured: programs that execute a notebook and know no widgets would show captured words twice.
    words = ipywidgets.Output(outputs=[{"output_type": "stream", "name": "stdout", "text": f"{_told(alt)}\n"}])
    panel = ipywidgets.VBox([*controls.values(), words])
    display({VIEW: {"version_major": 2, "version_minor": 0, "model_id": panel.model_id}, "text/plain": ""}, raw=True)
    data, metadata = as_output(fig, alt)
    shown = display(data, metadata=metadata, raw=True, display_id=True)

    @words.capture(clear_output=True, wait=True)
    def redraw(_: Any) -> None:
        data, metadata, alt = _drawn(draw, {name: control.value for name, control in controls.items()})
        shown.update(data, metadata=metadata, raw=True)
        print(_told(alt))

    for control in controls.values():
        control.observe(redraw, "value")


def _slider(name: str, label: str, positions: Sequence[float], start: float) -> ipywidgets.SelectionSlider:
    options = [(f"{value:g}", value) for value in positions]
    if start not in [value for _, value in options]:
        told = ", ".join(text for text, _ in options)
        raise ValueError(f"{name}: expected to start at one of its positions, {told}, found {start:g}; add it there.")
    return ipywidgets.SelectionSlider(
        options=options,
        value=start,
        description=label,
        continuous_update=False,
        style={"description_width": "20em"},
        layout={"width": "48em", "max_width": "100%"},
    )


def _drawn(draw: Draw, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], str]:
    before = plt.get_fignums()
    try:
        fig, alt = draw(**values)
        return *as_output(fig, alt), alt
    finally:
        for number in set(plt.get_fignums()) - set(before):  # begun before an error
            plt.close(number)


def _told(alt: str) -> str:
    return textwrap.fill(alt, 110)

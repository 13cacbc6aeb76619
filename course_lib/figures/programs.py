"""The pictures of notebook 12: programs and their traces, shards and gradients, hours and machines.

Each function takes what was measured and returns (figure, alternative text). Axes: N cells, P weights, R processes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from course_lib.figures.cell_types import colour_of
from course_lib.figures.graphs import Box, Edge, Sides, boxes_and_arrows, empty_panel
from course_lib.figures.style import BLACK, COLOUR, GREY, finding, label_lines


def guide_found(
    bounds: ArrayLike, log_evidence: float, grid: NDArray, densities: Mapping[str, NDArray]
) -> tuple[Figure, str]:
    """Left: the ELBO of each step of SVI against log p(x). Right: what is believed of z, before and after.

    Parameters
    ----------
    bounds : one estimate for each step, nats.   log_evidence : log p(x).
    grid : (K,) values of z.   densities : name → (K,), the prior first, then the guide, then the exact posterior.
    """
    bounds = np.asarray(bounds)
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.4))
    left.plot(np.arange(1, len(bounds) + 1), bounds, color=COLOUR["model"], lw=0.8)
    left.axhline(log_evidence, color=BLACK, ls="--", lw=1.5)
    left.text(
        len(bounds), log_evidence + 0.9, f"log p(x) = {log_evidence:.2f}".replace("-", "−"), ha="right", va="bottom"
    )
    low, high = np.quantile(bounds, [0.02, 1])
    left.set(xlabel="step of SVI", ylabel="estimated ELBO, nats",
             ylim=(min(low, log_evidence) - 1, max(high, log_evidence) + 2.5))  # fmt: skip
    last = float(bounds[-len(bounds) // 5 :].mean())
    finding(left, f"The estimate ends at {last:.2f} nats".replace("-", "−"))
    spread = {}
    for (name, density), (colour, style) in zip(
        densities.items(), ((GREY, "-"), (COLOUR["model"], "-"), (BLACK, "--")), strict=True
    ):
        right.plot(grid, density, color=colour, ls=style, lw=2.6 if style == "-" else 1.6)
        weight = density / density.sum()
        spread[name] = float(np.sqrt((weight * (grid - (weight * grid).sum()) ** 2).sum()))
    prior, guide, exact = densities
    top = grid[int(np.argmax(densities[guide]))]
    peak = float(max(densities[guide].max(), densities[exact].max()))
    right.text(grid[0], densities[prior].max(), prior, color=GREY, va="bottom")
    right.text(top - 2.6 * spread[exact], 0.75 * peak, guide, color=COLOUR["model"], ha="right")
    right.text(top + 2.6 * spread[exact], 0.75 * peak, exact, color=BLACK)
    right.set(xlabel="z, log level of the clone", ylabel="density")
    finding(right, "The guide has become the posterior")
    told = ", ".join(f"{name} {value:.2f}" for name, value in spread.items())
    return fig, (
        f"Left: ELBO of {len(bounds)} steps, rising to log p(x) = {log_evidence:.2f}; the last fifth averages "
        f"{last:.2f}. Right: densities of z, standard deviations {told}."
    )


# ------------------------------------------------------------------------------------------------ the program's graph

SITES = {"z": ("z", 0.22, 0.65), "log_library": ("log ℓ", 0.22, 0.27), "x": ("x", 0.76, 0.46)}  # its name, and where
THETA = ("θ > 0, learned", 0.49, 0.92)


def program_graph(
    sites: Mapping[str, Mapping[str, Any]], parents: Mapping[str, Sequence[str]], plate: str
) -> tuple[Figure, str]:
    """The course's scVI as its trace shows it: sites, what each depends on, and the plate around them.

    Parameters
    ----------
    sites : nodes of a trace by name: "z", "log_library" and "x".   parents : site → names of what it depends on, other
        sites and "theta".   plate : the name of the plate.
    """
    boxes: dict[str, Box] = {"theta": (THETA[1], THETA[2], THETA[0], "parameter")}
    told = []
    for name, site in sites.items():
        word, x, y = SITES[name]
        law = type(getattr(site["fn"], "base_dist", site["fn"])).__name__
        shape = f"batch {tuple(site['fn'].batch_shape)}, event {tuple(site['fn'].event_shape)}"
        boxes[name] = (x, y, f"{word} ∼ {law}\n{shape}", "data" if site["is_observed"] else "draw")
        told.append(f"{word} ∼ {law}, {'observed' if site['is_observed'] else 'sampled'}, {shape}")
    edges: list[Edge] = [(parent, name) for name, above in parents.items() for parent in above]
    sides: dict[Edge, Sides] = {("log_library", "x"): ((1, 0.5), (0, 0.3)), ("z", "x"): ((1, 0.5), (0, 0.7)),
                                ("theta", "x"): ((1, 0.5), (0.5, 1))}  # fmt: skip
    fig, ax = empty_panel(11, 4.2)
    ax.add_patch(Rectangle((0.02, 0.04), 0.96, 0.78, fill=False, ec=COLOUR["reference"], lw=1.5))
    ax.text(0.96, 0.07, f'plate "{plate}": once for each cell', ha="right", va="bottom", color=GREY)
    observed = [name for name in sites if sites[name]["is_observed"]]
    boxes_and_arrows(ax, boxes, edges, sides, heavy=observed, fontsize=14.5)
    words = {name: SITES[name][0] for name in sites} | {"theta": "θ"}
    arrows = ", ".join(f"{words[a]} to {words[b]}" for a, b in edges)
    return fig, f"The program as a graph. In the plate {plate}: {'; '.join(told)}. Arrows: {arrows}."


# ------------------------------------------------------------------------------------------------- beside the course's

WAYS = {
    "fit": "the course's fit",
    "lightning": "Lightning",
    "pyro": "Pyro, Trace_ELBO",
    "pyro_mean_field": "Pyro, exact KL",
}
WAY_COLOUR = {
    "fit": COLOUR["model"], "lightning": COLOUR["pca"], "pyro": COLOUR["other"], "pyro_mean_field": COLOUR["highlight"],
}  # fmt: skip


def ways_compared(
    table: pd.DataFrame, lines: pd.DataFrame, live: Mapping[str, float], ways: Sequence[str]
) -> tuple[Figure, str]:
    """Bound of held-out cells, seconds and lines of code of each way: dots for seeds, a ring for the live run.

    Parameters
    ----------
    table : columns ``seed``, ``way``, ``elbo`` (−ELBO, nats per cell) and ``cpu_s``.
    lines : columns ``way``, ``part``, ``lines``; a way without rows is left out of the third panel.
    live : way → −ELBO of the live run.   ways : from top to bottom, what the others are compared with first.
    """
    fig, axes = plt.subplots(1, 3, figsize=(13.5, 0.55 * len(ways) + 2.2), sharey=True, width_ratios=(1.15, 1, 1.25))
    medians: dict[str, dict[str, float]] = {"elbo": {}, "cpu_s": {}}
    for ax, (column, values_of) in zip(axes, medians.items(), strict=False):
        for row, way in enumerate(ways):
            values = table.loc[table["way"] == way, column].to_numpy()
            jitter = np.linspace(-0.16, 0.16, len(values))
            ax.plot(values, row + jitter, "o", color=WAY_COLOUR[way], ms=7, alpha=0.85)
            values_of[way] = float(np.median(values))
        ax.grid(axis="x")
    by_seed = table.pivot(index="seed", columns="way", values="elbo")[[*ways]]
    for rank, (_, values) in enumerate(by_seed.iterrows()):  # the seeds' test cells differ: compare along a line
        jitter = np.linspace(-0.16, 0.16, len(by_seed))[rank]
        axes[0].plot(values, np.arange(len(ways)) + jitter, color=GREY, lw=0.8, zorder=0)
    for way, value in live.items():
        axes[0].plot(value, ways.index(way), "o", mfc="none", mec=BLACK, mew=1.8, ms=15)
    written = {way: lines[lines["way"] == way] for way in ways if (lines["way"] == way).any()}
    for way, parts in written.items():
        _stacked_lines(axes[2], ways.index(way), parts, WAY_COLOUR[way])
    axes[0].set_yticks(range(len(ways)), [WAYS[way] for way in ways])
    axes[0].set_ylim(len(ways) - 0.4, -0.6)
    bounds, seconds = medians.values()
    apart = max(abs(bounds[way] / bounds[ways[0]] - 1) for way in ways)
    cpu = table.pivot(index="seed", columns="way", values="cpu_s")[[*ways]]
    slower = cpu.div(cpu[ways[0]], axis=0).median()  # within a seed: the machine was not always as fast
    finding(axes[0], f"Bounds within {np.ceil(1_000 * apart) / 1_000:.1%}")
    finding(axes[1], f"Seconds: up to ×{slower.max():.1f}")
    totals = {way: int(parts["lines"].sum()) for way, parts in written.items()}
    finding(axes[2], f"{min(totals.values())} to {max(totals.values())} lines")
    axes[0].set_xlabel("−ELBO of test cells, nats per cell")
    axes[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[1].set(xlabel="seconds of one core", xlim=(0, 1.08 * table["cpu_s"].max()))
    axes[2].set(xlabel="lines that the course had to write", xlim=(0, 1.02 * max(totals.values())))
    told = "; ".join(
        f"{WAYS[w]} {bounds[w]:.1f} nats, {seconds[w]:.1f} s" + (f", {totals[w]} lines" if w in totals else "")
        for w in ways
    )
    return fig, f"Held-out −ELBO, seconds and lines of each way, medians of {table['seed'].nunique()} seeds: {told}."


def _stacked_lines(ax: Axes, row: int, parts: pd.DataFrame, colour: str) -> None:
    """The parts of one way behind one another, each with its number of lines and, where it fits, its name."""
    start = 0
    for k, (part, n) in enumerate(zip(parts["part"], parts["lines"], strict=True)):
        ax.barh(row, n, left=start, height=0.62, color=colour, alpha=(0.85, 0.5, 0.22)[k % 3], ec="white", lw=1.5)
        first = str(part).replace(" and ", ",").split(",")[0].split(" ")[0]
        ax.text(start + n / 2, row, f"{first}\n{n}", ha="center", va="center", fontsize=10, linespacing=0.95)
        start += n


SLIPS = {
    "swapped": "ρ where ℓρ belongs",
    "no_library_in_guide": "no ℓ in the guide",
    "scale_in_guide_only": "plate's size in the guide only",
    "no_log1p": "no log1p",
    "prior_of_genes": "library prior from genes",
    "prior_of_totals": "library prior from totals",
    "no_plate_scale": "plate's size nowhere",
    "variance_for_sd": "variance for sd",
}


def cost_of_slips(table: pd.DataFrame, noise: float) -> tuple[Figure, str]:
    """What each slip costs on held-out cells, against the program without it: as trained, and carried over.

    Parameters
    ----------
    table : columns ``seed``, ``slip`` (keys of ``SLIPS``, and "right"), ``bound``: −ELBO per cell of the model as the
        slip left it, and ``elbo``: of the right model, with the weights that were learned.
    noise : by how much two right runs of one seed differ, nats.
    """
    right = table[table["slip"] == "right"].set_index("seed")
    rows = {name: table[table["slip"] == name].set_index("seed") for name in SLIPS}
    own = {name: (part["bound"] - right["bound"]).dropna().to_numpy() for name, part in rows.items()}
    carried = {name: float((part["elbo"] - right["elbo"]).median()) for name, part in rows.items()}
    order = sorted(own, key=lambda name: -float(np.median(own[name])))
    fig, ax = plt.subplots(figsize=(12, 0.52 * len(order) + 1.9))
    ax.axvspan(-noise, noise, color=COLOUR["reference"], alpha=0.18, lw=0)
    told = []
    for row, name in enumerate(order):
        middle = float(np.median(own[name]))
        colour = COLOUR["wrong"] if middle > noise else GREY
        ax.plot(own[name], row + np.linspace(-0.14, 0.14, len(own[name])), "o", ms=8, color=colour, alpha=0.85)
        ax.plot(carried[name], row, "D", mfc="none", mec=BLACK, ms=10, mew=1.5)
        ax.text(1.0, row, f"{middle:+,.1f}", transform=ax.get_yaxis_transform(), va="center", color=colour)
        told.append(f"{SLIPS[name]} {middle:+,.1f} (carried over {carried[name]:+,.1f})")
    ax.set_xscale("symlog", linthresh=10)
    ax.set_xticks([-10, 0, 10, 100, 1_000, 10_000], ["−10", "0", "10", "100", "1,000", "10,000"])
    ax.set_xlim(-10, 12_000)
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.set_yticks(range(len(order)), [SLIPS[name] for name in order])
    ax.grid(axis="x")
    ax.set_xlabel(
        "nats per held-out cell lost (straight to 10, then logarithmic); grey: two right runs\n"
        "dot: the program as it is   diamond: its weights in the right model"
    )
    dear = [name for name in order if np.median(own[name]) > noise]
    finding(
        ax,
        f"{len(dear)} of {len(order)} slips cost more than chance, up to {max(map(np.median, own.values())):,.0f} nats",
    )
    return fig, (
        f"Nats per held-out cell lost by each slip, medians over {len(right)} seeds: {'; '.join(told)}. Two right runs "
        f"of one seed differ by up to {noise:.1f}."
    )


# ---------------------------------------------------------------------------------------------- out of one machine


def shards(labels: NDArray, dealt: Mapping[str, Sequence[ArrayLike]]) -> tuple[Figure, str]:
    """Which cells of a file each process reads: one strip for the file, and one for each process and way of dealing.

    Parameters
    ----------
    labels : (N,) kind of each cell, in the order of the file.   dealt : way → positions, one array for each process.
    """
    kinds, codes = np.unique(labels, return_inverse=True)
    n_processes = len(next(iter(dealt.values())))
    rows = [("the file", np.arange(len(labels)), 0.0)]
    for k, (way, parts) in enumerate(dealt.items()):
        for r, part in enumerate(parts):
            rows.append((f"{way}, process {r}", np.asarray(part), 1.5 + k * (n_processes + 0.5) + r))
    fig, ax = plt.subplots(figsize=(11.5, 0.62 * (rows[-1][2] + 1) + 1.2))
    table = np.array([to_rgb(colour_of(kind)) for kind in kinds])
    shares = {}
    for name, part, y in rows:
        strip = np.ones((1, len(labels), 3))
        strip[0, part] = table[codes[part]]
        ax.imshow(strip, extent=(0, len(labels), y + 0.4, y - 0.4), aspect="auto", interpolation="nearest")
        ax.plot([0, len(labels), len(labels), 0, 0], [y - 0.4, y - 0.4, y + 0.4, y + 0.4, y - 0.4], color=GREY, lw=0.8)
        shares[name] = len(np.unique(codes[part]))
    ax.set_yticks([y for *_, y in rows], [name for name, *_ in rows])
    ax.set(xlabel="position in the file", ylim=(rows[-1][2] + 0.6, -0.6), xlim=(0, len(labels)))
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    fewest = {way: min(n for name, n in shares.items() if name.startswith(way)) for way in dealt}
    seen = "; ".join(f"{way} {n}" for way, n in fewest.items())
    finding(ax, f"Of {len(kinds)} kinds of cell the poorer process sees: {seen}")
    told = "; ".join(f"{name} {n} kinds" for name, n in shares.items())
    return (
        fig,
        f"A file of {len(labels):,} cells, coloured by kind, and the cells that each process reads: {told}.",
    )


def averaged_gradients(whole: Mapping[str, NDArray], averaged: Mapping[str, NDArray]) -> tuple[Figure, str]:
    """The mean of two processes' gradients against the gradient of all their cells, weight by weight; a panel each.

    Parameters
    ----------
    whole, averaged : words for the panel → (P,) nats per unit of the weight.
    """
    fig, axes = plt.subplots(1, len(whole), figsize=(4.4 * len(whole), 4.7))
    told = []
    for ax, (name, exact), mean in zip(np.atleast_1d(axes), whole.items(), averaged.values(), strict=True):
        some = np.linspace(0, len(exact) - 1, 4_000).astype(int)
        ends = [float(exact.min()), float(exact.max())]
        ax.plot(ends, ends, color=BLACK, lw=1.2, ls="--")
        ax.plot(exact[some], mean[some], ".", ms=4, color=COLOUR["model"], alpha=0.5, mew=0, rasterized=True)
        off = float(np.linalg.norm(mean - exact) / np.linalg.norm(exact))
        ax.set(xlabel="gradient of all cells (symlog)", xscale="symlog", yscale="symlog")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(FixedLocator([-100, 0, 100]))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}".replace("-", "−")))
        ax.set_title(f"{name}:\noff by {off:.0%}")
        told.append(f"{name} {off:.1e}")
    np.atleast_1d(axes)[0].set_ylabel("mean of two halves' gradients")
    return fig, (
        f"Mean of the gradients of two halves against the gradient of the whole minibatch, each weight a dot. Distance "
        f"relative to the gradient's length: {'; '.join(told)}."
    )


RUNS = {  # BatchNorm, shards and processes → words
    ("own", "dealt", 1): "BatchNorm, one process",
    ("own", "dealt", 2): "BatchNorm, two",
    ("own", "halves", 2): "BatchNorm, two, file cut",
    ("none", "dealt", 1): "no BatchNorm, one",
    ("none", "dealt", 2): "no BatchNorm, two",
}


def out_of_one_process(table: pd.DataFrame, seconds: pd.DataFrame) -> tuple[Figure, str]:
    """Left: bound of held-out cells by one process and by two. Right: cells per second, by processes and threads.

    Parameters
    ----------
    table : columns ``seed``, ``processes``, ``batch_norm`` ("own" or "none"), ``shards`` ("dealt" or
        "halves") and ``elbo`` (−ELBO, nats per cell).
    seconds : columns ``repeat``, ``processes``, ``threads``, ``total_batch``, ``cells_per_second``.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(13.5, 4.6))
    colour = {1: COLOUR["model"], 2: COLOUR["other"]}
    places = {key: row for row, key in enumerate(RUNS)}
    keys = [*zip(table["batch_norm"], table["shards"], table["processes"], strict=True)]
    table = table.assign(row=[places[key] for key in keys])
    jitter = dict(zip(sorted(table["seed"].unique()), np.linspace(-0.15, 0.15, table["seed"].nunique()), strict=True))
    for seed, runs in table.sort_values("row").groupby("seed"):
        left.plot(runs["elbo"], runs["row"] + jitter[seed], color=GREY, lw=0.8, zorder=0)
    for (_, shards_, n), row in places.items():
        runs = table[table["row"] == row]
        left.plot(runs["elbo"], row + runs["seed"].map(jitter), "o" if shards_ == "dealt" else "s", ms=9,
                  color=colour[n] if shards_ == "dealt" else COLOUR["wrong"], alpha=0.85)  # fmt: skip
    left.set_yticks([*places.values()], [*RUNS.values()])
    left.set_ylim(len(places) - 0.5, -0.5)
    left.set_xlabel("−ELBO of held-out cells, nats per cell; a line for each seed")
    left.grid(axis="x")
    by_run = table.pivot(index="seed", columns="row", values="elbo")
    apart = float(max((by_run[1] - by_run[0]).abs().max(), (by_run[4] - by_run[3]).abs().max()))
    cut = float((by_run[2] - by_run[1]).median())
    finding(left, f"Dealt: within {apart:.2f} nats. Cut: {cut:+.1f}")
    settings = [*seconds[["total_batch", "processes", "threads"]].drop_duplicates().itertuples(index=False)]
    by_setting = seconds.groupby(["total_batch", "processes", "threads"])["cells_per_second"]
    rate = by_setting.median().to_dict()
    names, gain = [], {}
    for row, (batch, n, threads) in enumerate(settings):
        values = by_setting.get_group((batch, n, threads)).to_numpy()
        # one process with as many cells a step, or else with as many in each process
        alone = rate.get((batch, 1, 1), rate.get((batch // n, 1, 1)))
        faster = rate[batch, n, threads] / alone
        right.barh(row, rate[batch, n, threads], height=0.6, color=colour[n], alpha=0.35)
        right.plot(values, [row] * len(values), "o", color=colour[n], ms=7)
        right.text(0, row, f" ×{faster:.2f}", va="center")
        names.append(f"1 process, {threads} threads: {batch}" if threads > 1 else f"1 process: {batch}")
        if n > 1:
            gain[batch] = faster
            names[-1] = f"{n} processes: {batch // n} each"
    right.set_yticks(range(len(settings)), names)
    right.set_ylim(len(settings) - 0.5, -0.5)
    right.set_xlabel("cells per second of the clock, by cells a step")
    right.xaxis.set_major_locator(MaxNLocator(5))
    right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    finding(right, f"Two processes: ×{min(gain.values()):.2f} to ×{max(gain.values()):.2f}")
    bounds = "; ".join(f"{words}: {by_run[places[key]].median():.2f}" for key, words in RUNS.items())
    speeds = "; ".join(f"{name}: {value:,.0f}" for name, value in zip(names, (rate[s] for s in settings), strict=True))
    return fig, (
        f"Held-out −ELBO by number of processes, medians of {table['seed'].nunique()} seeds: {bounds}. Cells per "
        f"second: {speeds}."
    )


def on_paper(table: pd.DataFrame, sizes: pd.Series, n_cells: int, memory: float) -> tuple[Figure, str]:
    """Left: bytes of all cells, by how they are kept. Right: hours of one training against the number of processes.

    Parameters
    ----------
    table : index ``processes``, columns ``hours`` and ``dollars``.   sizes : way of keeping → bytes.
    memory : bytes of one machine, drawn as a line.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.4), width_ratios=(1, 1.25))
    words = {"file": "in the file, packed", "sparse": "in memory, sparse", "dense": "in memory, dense"}
    for row, size in enumerate(sizes):
        left.barh(row, size / 1e9, height=0.6, color=COLOUR["model"] if size < memory else COLOUR["reference"])
        left.text(5, row, f" {size / 1e9:,.0f} GB", va="center", color="white", weight="bold")
    left.axvline(memory / 1e9, color=COLOUR["highlight"], ls="--", lw=1.6)
    left.text(memory / 1e9, -0.62, f" {memory / 1e9:.0f} GB", color=COLOUR["highlight"], va="bottom")
    left.set_yticks(range(len(sizes)), [words[str(way)] for way in sizes.index])
    left.set(xscale="log", xlabel="gigabytes (log scale)", xlim=(5, 2 * sizes.max() / 1e9))
    left.set_ylim(len(sizes) - 0.5, -0.9)
    fitting = [words[str(way)] for way in sizes.index if sizes[way] < memory]
    finding(left, f"Below {memory / 1e9:.0f} GB: " + (" and ".join(fitting) or "none"))
    processes, hours = table.index.to_numpy(), table["hours"].to_numpy()
    right.plot(processes, hours[0] / processes, color=GREY, ls="--", lw=1.4, label="no loss")
    right.plot(processes, hours, "o-", color=COLOUR["model"], ms=8, label=f"planned: {60 * hours[-1]:.0f} min")
    for p, h in zip(processes[:-1], hours[:-1], strict=True):
        right.annotate(f"{h:.1f} h", (p, h), xytext=(4, 7), textcoords="offset points", fontsize=11)
    right.set(xscale="log", yscale="log", xlabel="processes, one core each (log scale)", ylabel="hours of the clock")
    right.xaxis.set_major_locator(FixedLocator(processes))
    right.xaxis.set_minor_locator(NullLocator())
    right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    label_lines(right, gap=0.02)
    finding(right, f"{processes[-1]} processes: {hours[0] / hours[-1]:.0f} times sooner")
    told = ", ".join(f"{p}: {h:.1f} h, ${d:.2f}" for p, h, d in zip(processes, hours, table["dollars"], strict=True))
    kept = ", ".join(f"{words[str(way)]} {size / 1e9:,.0f} GB" for way, size in sizes.items())
    return fig, f"A plan for {n_cells:,} cells. Bytes: {kept}. Processes, hours and dollars: {told}."

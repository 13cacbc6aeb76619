"""The pictures of contests draw a dot for each seed where it belongs, and their words carry the medians."""

import numpy as np
import pandas as pd
import pytest
from drawn import lines, title, words

from course_lib.figures import de_contests as draw

SEEDS = 3


@pytest.fixture
def table():
    """Every setting, way and measure; a value says its setting (tenths), way (hundredths) and seed (thousandths)."""
    rows = []
    for s, setting in enumerate(draw.SETTINGS):
        for w, (mode, over) in enumerate(draw.WAYS):
            for measure in draw.MEASURES:
                rows += [(setting, k, mode, over, measure, 0.1 * s + 0.01 * w + 0.001 * k) for k in range(SEEDS)]
    for w, (mode, over) in enumerate(draw.WAYS):
        rows += [
            ("thinned", k, mode, over, "fraction_called", 0.0 if w < 2 else 0.1 * w + 0.01 * k) for k in range(SEEDS)
        ]
    return pd.DataFrame(rows, columns=["setting", "seed", "mode", "over", "measure", "value"])


def test_easy_stands_beside_hard_for_every_way(table):
    fig, alt = draw.easy_beside_hard(table)
    assert words(fig.axes[0].get_yticklabels()) == [*draw.WAYS.values()]
    for ax in fig.axes:
        dots = lines(ax)
        np.testing.assert_allclose(dots["Wilcoxon, hard"].get_xdata(), [0.55, 0.551, 0.552])
        np.testing.assert_allclose(dots["Wilcoxon, easy"].get_xdata(), [0.05, 0.051, 0.052])
        assert np.round(dots["Wilcoxon, easy"].get_ydata()).tolist() == [5, 5, 5]
        assert dots["Wilcoxon, easy"].get_ydata().mean() < dots["Wilcoxon, hard"].get_ydata().mean()
    assert "Wilcoxon, auc: easy 0.05, hard 0.55" in alt
    assert "Wilcoxon, all four, fdp: easy 0.10, hard 0.60" in alt
    assert title(fig.axes[0]) == "Best AUC: easy 0.10, hard 0.60"
    assert title(fig.axes[1]) == "Most power with calls mostly true: easy 0.10, hard nan"  # hard: false in half
    assert title(fig.axes[2]) == "Above 0.05: 6 of 11 ways when easy, 11 when hard"  # easy: ways 5 (.051) to 10


def test_one_thing_harder_has_a_row_for_each_setting(table):
    fig, alt = draw.one_thing_harder(table)
    assert words(fig.axes[0].get_yticklabels()) == [*draw.SETTINGS.values()]
    np.testing.assert_allclose(lines(fig.axes[1])["zeros .9, Wilcoxon"].get_xdata(), [0.45, 0.451, 0.452])
    assert [text.get_text() for text in fig.legends[0].get_texts()] == [draw.WAYS[way] for way in draw.FEW]
    assert [title(ax) for ax in fig.axes] == [
        "Hardest to rank: fold 1.3",
        "Hardest to find: fold 1.3",
        "Most misleading: zeros .9",
    ]
    assert "fold 1.3, power: scVI, change of means 0.10, scVI, vanilla, pairs 0.13, Wilcoxon 0.15" in alt


def test_where_nothing_was_to_be_found_there_is_no_dot(table):
    table.loc[(table["setting"] == "hard") & (table["measure"] == "power") & (table["seed"] < 2), "value"] = np.nan
    fig, alt = draw.easy_beside_hard(table)
    assert len(lines(fig.axes[1])["Wilcoxon, hard"].get_xdata()) == 1
    table.loc[(table["setting"] == "hard") & (table["measure"] == "power"), "value"] = np.nan
    _, alt = draw.easy_beside_hard(table)
    assert "Wilcoxon, power: easy 0.05, hard nan" in alt


def test_the_null_counts_the_ways_that_call_nothing_and_puts_the_loudest_first(table):
    fig, alt = draw.null_contest(table)
    assert words(fig.axes[0].get_yticklabels())[0] == "Wilcoxon, all four"
    assert title(fig.axes[0]) == "Only depth differs: 2 of 11 ways call nothing in any run"
    assert "in 3 runs" in alt
    assert "Wilcoxon 0.510, at most 0.520" in alt


def test_a_table_without_a_setting_is_named(table):
    with pytest.raises(ValueError, match=r"table: expected rows of setting 'hard', mode 'change', .* found none"):
        draw.easy_beside_hard(table[table["setting"] != "hard"])

"""The pictures of notebook 03 show the numbers they are given, and their texts say them."""

import numpy as np
import pandas as pd
import pytest
from drawn import lines, title, untidy, words
from matplotlib.text import Text

from course_lib.figures import elbo as draw
from course_lib.figures import style

Z = np.linspace(-4, 4, 201)


def gaussian(mu: float, sigma: float) -> np.ndarray:
    return np.exp(-0.5 * ((Z - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


TWO_HILLS = 0.3 * gaussian(-1.6, 0.2) + 0.7 * gaussian(1.2, 0.2)
HISTORY = pd.DataFrame(
    {
        "validation_log_evidence": [-9.0, -7.0, -5.0, -4.0, -3.5],
        "validation_elbo": [-14.0, -7.5, -6.25, -5.0, -4.25],
        "validation_gap": [5.0, 0.5, 1.25, 1.0, 0.75],
    },
    index=pd.RangeIndex(1, 6, name="epoch"),
)

DRAWN = {
    "joint_and_slices": lambda: draw.joint_and_slices(
        Z, np.linspace(-2, 5, 50), np.outer(np.ones(50), gaussian(0, 1)), np.ones(50), np.zeros(10), 2.0, TWO_HILLS
    ),
    "bound_of_each_q": lambda: draw.bound_of_each_q(
        Z, TWO_HILLS, {"left": gaussian(-1.6, 0.2), "the posterior": TWO_HILLS}, [-3.25, -2.0], -2.0
    ),
    "landscape": lambda: draw.landscape(
        np.linspace(-3, 3, 31),
        np.linspace(0.1, 1, 11),
        -3 - np.add.outer(np.linspace(-3, 3, 31) ** 2, np.zeros(11)),
        [(1.0, 0.2), (-1.5, 0.25)],
        -2.0,
    ),
    "two_directions": lambda: draw.two_directions(Z, TWO_HILLS, gaussian(1.2, 0.2), gaussian(0.2, 1.4)),
    "diagonal_gap": lambda: draw.diagonal_gap(
        [0.0, 0.5, 0.9], [0.0, 0.1, 0.75], [0.0, 0.1, 0.75], [[1, -0.8], [-0.8, 1]], [[0.4, 0], [0, 0.4]]
    ),
    "training_watched": lambda: draw.training_watched(HISTORY, -3.0, "The bound rises, the gap grows", "truth"),
    "where_the_gap_sits": lambda: draw.where_the_gap_sits(
        np.random.default_rng(0).normal(size=(9, 2)), np.arange(1, 10) / 4, np.eye(2), np.eye(2)
    ),
    "encoder_cannot_jump": lambda: draw.encoder_cannot_jump(
        [0.5, -0.5, 1.0, -1.0],
        {
            "epoch 5": ([1.0, -1.5, 1.25, -2.0], [0.25, -0.25, 1.0, -1.0], 0.125, 3.5),
            "epoch 9": (*[[0, 1, 2, 3]] * 2, 1, 7),
        },
    ),
    "categorical_decoder": lambda: draw.categorical_decoder(
        Z, np.full((201, 3), 1 / 3), HISTORY, 3.25, ["gene A", "gene B", "gene C"]
    ),
}

SAID = {
    "joint_and_slices": ["-1.60", "1.20", "2.3 times"],
    "bound_of_each_q": ["left 1.25", "the posterior 0.00"],
    "landscape": ["mean 1.00, standard deviation 0.20", "smallest gap is 1.00"],
    "two_directions": ["z = 1.20", "mean at 0.20", "7.0 times lower"],
    "diagonal_gap": ["0.75", "cosine 0.90"],
    "training_watched": ["1: 5.00, 2: 0.50, 3: 1.25, 5: 0.75"],
    "where_the_gap_sits": ["median 1.250", "up to 2.2"],
    "encoder_cannot_jump": [
        "epoch 5",
        "own q lie up to 2.5 apart (mean gap 0.12 nats)",
        "encoder's up to 0.8 (3.5 nats)",
    ],
    "categorical_decoder": ["3 categories", "from 14.000 and 9.000 to 4.250 and 3.500", "3.250"],
}


@pytest.mark.parametrize("name", DRAWN)
def test_the_figure_is_titled_labelled_and_its_text_holds_the_values(name):
    fig, alt = DRAWN[name]()
    fig.canvas.draw()
    findings = [title(ax) for ax in fig.axes] + [fig.get_suptitle()]
    assert any(len(finding.split()) >= 4 for finding in findings)
    assert any(ax.get_xlabel() for ax in fig.axes)
    assert [value for value in SAID[name] if value not in alt] == []


@pytest.mark.parametrize("name", [*DRAWN, "vae_as_a_graph"])
def test_every_text_reads_on_white_once_letters_are_darkened(name):
    fig, _ = DRAWN.get(name, draw.vae_as_a_graph)()
    style.darken_letters(fig)
    fig.canvas.draw()
    written = [text for text in fig.findobj(Text) if text.get_text()]
    assert written
    assert {text.get_text(): text.get_color() for text in written if style.contrast(text.get_color()) < 4.5} == {}


def test_every_public_function_is_tested_here():
    public = {
        name for name, item in vars(draw).items() if callable(item) and getattr(item, "__module__", "") == draw.__name__
    }
    graphs = {"vae_as_a_graph"}  # without axes, and with a test of its own below
    assert {name for name in public if not name.startswith("_")} == set(DRAWN) | graphs


def test_the_gap_that_is_filled_in_is_the_one_between_the_curves():
    fig, _ = DRAWN["training_watched"]()
    upper, lower = fig.axes
    curves = {label: line.get_ydata() for label, line in lines(upper).items()}
    np.testing.assert_allclose(curves["log p(x)"] - curves["ELBO"], lower.get_lines()[0].get_ydata())


def test_valley_and_hill_of_the_gap_are_marked_and_an_epoch_above_the_frame_is_named():
    shown = words(DRAWN["training_watched"]()[0].axes[1].texts)
    assert [text.strip() for text in shown] == ["↑ epoch 1: 5.0", "epoch 2: 0.50", "epoch 3: 1.25"]
    falling = HISTORY.assign(validation_gap=[5.0 - k for k in range(len(HISTORY))])  # no hill behind the valley
    fig, _ = draw.training_watched(falling, -3.0, "The gap falls all the way", "truth")
    assert [text for text in words(fig.axes[1].texts) if "↑" not in text] == []


def test_a_cell_of_a_larger_gap_is_a_larger_dot():
    fig, _ = draw.where_the_gap_sits(np.eye(2)[[0, 1, 0]], [20.0, 0.05, 1.0], np.eye(2), np.eye(2))
    sizes = fig.axes[0].collections[0].get_sizes()  # drawn from the smallest gap to the largest
    assert len(sizes) == 3
    assert (np.diff(sizes) > 0).all()


def test_the_two_faults_are_filled_in_between_their_curves():
    fig, _ = DRAWN["categorical_decoder"]()
    inference, model = (band.get_paths()[0].vertices[:, 1] for band in fig.axes[1].collections)
    assert (inference.min(), inference.max()) == (3.5, 14.0)  # −log p(x) at the end, −ELBO at the start
    assert (model.min(), model.max()) == (3.25, 9.0)  # the entropy, and −log p(x) at the start


def test_the_vae_is_drawn_with_both_terms_of_the_elbo_and_tidily():
    fig, alt = draw.vae_as_a_graph()
    shown = words(fig.axes[0].texts)
    for part in ("$KL(q(z|x)\\,‖\\,p(z))$", "$E_q[\\log p(x|z)]$", "$z = μ_φ + σ_φ\\,ε$", "prior\n$p(z) = N(0, I)$"):
        assert part in shown
    assert untidy(fig) == []
    assert "the KL reads q(z∣x) and the prior p(z)" in alt

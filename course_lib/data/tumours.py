"""Bulk tumour profiles for GENEEX: RTCGA cohorts and files of the Genomic Data Commons (GDC).

Axes: N samples (a piece of tumour or of normal tissue, not a cell), G genes. No number of genes is written here:
it follows from the files, and differs between releases of the GDC.

Nothing of these data is committed with the course. They are read from a folder that you name, or downloaded to the
cache with the hashes recorded below.

- RTCGA: RSEM-normalised expression of TCGA cohorts as R data frames, https://github.com/RTCGA/RTCGA.rnaseq.
- GDC, today: one STAR-counts table per sample, https://docs.gdc.cancer.gov/Data/Bioinformatics_Pipelines/Expression_mRNA_Pipeline/.
- GDC, until 2022: one HTSeq-counts table per sample.
"""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import anndata as ad
import numpy as np
import pandas as pd
import rdata

from course_lib.data.fetch import fetch, is_plain_name

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

LARGEST_COUNT = 2**32 - 1  # what uint32 holds; no sample has so many reads
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
        raise ValueError(f"cohorts: expected one or more names, each once, found {names}.")
    tables = [read_rtcga(_rtcga_path(name, folder)) for name in names]
    for name, table in zip(names, tables, strict=True):
        if not table.var_names.equals(tables[0].var_names):
            raise ValueError(
                f"cohorts: expected the same genes in all, found others in {name} than in {names[0]}; "
                "load them one at a time."
            )
    together = ad.concat(tables, merge="same")
    together.obs["cohort"] = pd.Categorical(together.obs["cohort"], categories=names)
    return together


def _rtcga_path(cohort: str, folder: Path | str | None) -> Path:
    name = f"{cohort}.rnaseq.rda"
    if not is_plain_name(name):
        raise ValueError(f"cohorts: expected names such as 'ACC', found {cohort!r}; name the folder with folder=….")
    if folder is not None:
        return _existing(Path(folder), name, r"*.rnaseq.rda")
    if cohort not in RTCGA_SHA256:
        raise ValueError(
            f"cohorts: expected some of {', '.join(RTCGA_SHA256)}, whose hashes are recorded, found {cohort!r}; "
            f"choose from these, or put {name} into a folder and pass folder=…."
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
            f"{path}: expected an R data file, found what does not read as one ({type(error).__name__}: {error}). "
            "It is cut short, damaged or of another format: delete it and download it again."
        ) from error
    frames = [value for value in contents.values() if isinstance(value, pd.DataFrame)]
    if len(frames) != 1:
        raise ValueError(
            f"{path}: expected one data frame, found {len(frames)} (objects: {', '.join(contents)}); "
            "is this a table of RTCGA.rnaseq?"
        )
    frame = frames[0]

    barcodes = frame.iloc[:, 0].astype(str).tolist() if frame.shape[1] else []
    if not barcodes or not all(barcode.startswith("TCGA-") for barcode in barcodes):
        raise ValueError(
            f"{path}: expected TCGA barcodes in the first column, found {barcodes[:1] or 'no rows'}; "
            "is this a table of RTCGA.rnaseq?"
        )
    genes = [str(gene) for gene in frame.columns[1:]]
    try:
        values = frame.iloc[:, 1:].to_numpy(dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path}: expected numbers in the columns after the barcode, found something else ({error}); "
            "is this a table of RTCGA.rnaseq?"
        ) from error
    wrong = np.argwhere(~(values >= 0))  # NaN compares false
    if wrong.size:
        row, column = wrong[0]
        raise ValueError(
            f"{path}: expected expression ≥ 0, found {values[row, column]} for sample {barcodes[row]}, "
            f"gene {genes[column]}; download the file again."
        )

    types = [_sample_type_code(barcode) for barcode in barcodes]
    symbols, _, entrez = zip(*(gene.partition("|") for gene in genes), strict=True)
    return ad.AnnData(
        X=values,
        obs=pd.DataFrame(
            {
                "cohort": path.name.split(".")[0],
                "barcode": barcodes,
                "sample_type": [SAMPLE_TYPES.get(code, f"code {code:02d}") for code in types],
                "is_normal": [_is_normal(code) for code in types],
            },
            index=barcodes,
        ),
        var=pd.DataFrame({"symbol": symbols, "entrez": entrez}, index=genes),
    )


def _sample_type_code(barcode: str) -> int:
    """TCGA-OR-A5J1-01A-11R-A29S-07 → 1."""
    fields = barcode.split("-")
    if len(fields) < 4 or not fields[3][:2].isdigit():
        raise ValueError(
            f"barcode: expected one of a TCGA sample, such as TCGA-OR-A5J1-01A-11R-A29S-07, found {barcode!r}; "
            "is this a table of TCGA samples?"
        )
    return int(fields[3][:2])


def _is_normal(code: int) -> bool:
    return 10 <= code < 20


def fetch_gdc_star(name: str = next(iter(GDC_STAR_FILES))) -> Path:
    """Download a GDC STAR-counts file whose hash is recorded, once, and return its path.

    Raises
    ------
    ValueError : a name that is not in ``GDC_STAR_FILES``.
    DownloadError : the file could not be downloaded.
    """
    if name not in GDC_STAR_FILES:
        raise ValueError(
            f"name: expected a file whose hash is recorded, {', '.join(GDC_STAR_FILES)}, found {name!r}; "
            "download others with the GDC's client, and read them with read_star_counts."
        )
    identifier, md5 = GDC_STAR_FILES[name]
    return fetch(_GDC_URL + identifier, f"md5:{md5}", name)


def read_star_counts(path: Path | str) -> pd.DataFrame:
    """One GDC STAR-counts table, without its ``N_`` rows (reads that belong to no gene).

    A file that was cut exactly between two rows looks whole: compare its md5 with the one that the GDC lists, or load
    it with others through ``load_gdc_star``, which wants the same genes in all.

    Returns
    -------
    Data frame indexed by ``gene_id`` with ``gene_name``, ``gene_type`` and ``unstranded`` (int64 counts).

    Raises
    ------
    ValueError : columns that are missing, no genes, other than four ``N_`` rows, a row that is cut, the same gene
        twice, or values that are not counts below 2³².
    """
    path = Path(path)
    table = _read_table(path)
    missing = [column for column in _STAR_COLUMNS if column not in table]
    if missing:
        raise ValueError(
            f"{path}: expected columns {', '.join(_STAR_COLUMNS)}, found {', '.join(map(str, table.columns[:6]))}, "
            f"without {', '.join(missing)}; take a GDC file named *.augmented_star_gene_counts.tsv."
        )
    is_summary = table["gene_id"].str.startswith("N_")
    if is_summary.sum() != 4:
        raise ValueError(
            f"{path}: expected 4 rows N_… (unmapped, multimapping, no feature, ambiguous), found {is_summary.sum()}; "
            "take the original file."
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
        them the file is not whole), the same gene twice, or values that are not counts below 2³².
    """
    path = Path(path)
    rows = [line.split("\t") for line in _read_lines(path)]
    for number, row in enumerate(rows, start=1):
        if len(row) != 2:
            raise ValueError(f"{path}, line {number}: expected a gene and a count, found {len(row)} fields.")
    table = pd.Series(
        [row[1] for row in rows], index=pd.Index([row[0] for row in rows], name="gene_id"), name="counts", dtype=str
    )
    is_summary = table.index.str.startswith("__")
    if is_summary.sum() != 5:
        raise ValueError(
            f"{path}: expected 5 rows __… at the end (no feature, ambiguous, too low quality, not aligned, not "
            f"unique), found {is_summary.sum()}; the file is cut short or of another format: download it again."
        )
    return _as_counts(table[~is_summary], path)


def read_sample_sheet(path: Path | str) -> pd.DataFrame:
    """A GDC sample sheet as its portal exports it, one row per file, indexed by ``File Name``.

    Raises
    ------
    ValueError : columns that are missing, no rows, the same file twice, or a file whose name or identifier leads out of
        the folder it is looked for in.
    """
    path = Path(path)
    sheet = _read_table(path)
    missing = [column for column in _SHEET_COLUMNS if column not in sheet]
    if missing:
        raise ValueError(
            f"{path}: expected columns {', '.join(_SHEET_COLUMNS)}, found none named {', '.join(missing)}; "
            "is this a GDC sample sheet?"
        )
    if sheet.empty or any(sheet[column].duplicated().any() for column in ("File Name", "File ID")):
        raise ValueError(
            f"{path}: expected rows that each name another file, found {len(sheet)} rows with "
            f"{sheet['File Name'].nunique()} names and {sheet['File ID'].nunique()} IDs; export the sheet again."
        )
    for column in ("File Name", "File ID"):
        odd = [entry for entry in sheet[column] if not is_plain_name(entry)]
        if odd:
            raise ValueError(
                f"{path}: expected a plain name in column {column!r}, found {odd[0]!r}, which leads elsewhere; "
                "export the sheet again, and keep its files in one folder."
            )
    return sheet.set_index("File Name")


def load_gdc_star(
    sheet: Path | str, folder: Path | str, *, missing: Literal["refuse", "leave out"] = "refuse"
) -> ad.AnnData:
    """The STAR counts of every file of a sample sheet, (N, G).

    A file lies in ``folder`` itself or, as the GDC's client leaves it, in a folder named by its File ID.

    Parameters
    ----------
    missing : whether files of the sheet that are not in ``folder`` are refused, or left out.

    Returns
    -------
    AnnData with ``X`` uint32; ``obs`` (index: file identifier): ``cohort`` (project), ``barcode`` (the sheet's Sample
    ID), ``sample_type``, ``is_normal``; ``var`` (index: gene identifier): ``gene_name``, ``gene_type``.

    Raises
    ------
    ValueError : files that are not there, two files that list different genes, or one that cannot be read.
    """
    if missing not in ("refuse", "leave out"):
        raise ValueError(f"missing: expected 'refuse' or 'leave out', found {missing!r}.")
    folder = Path(folder)
    rows, tables, absent = [], [], []
    for name, row in read_sample_sheet(sheet).iterrows():
        path = next((p for p in (folder / str(name), folder / row["File ID"] / str(name)) if p.is_file()), None)
        if path is None:
            absent.append(str(name))
            continue
        rows.append(row)
        tables.append(read_star_counts(path))
        if not tables[-1].index.equals(tables[0].index):
            raise ValueError(
                f"{path}: expected the genes of the files before it, found others; take files of one GDC release, and "
                "download again one that may be cut short."
            )
    if not tables or (absent and missing == "refuse"):
        raise ValueError(
            f"folder: expected the {len(tables) + len(absent)} files of {sheet} in {folder}, found {len(tables)}; "
            f"missing: {', '.join(absent[:3])}{' …' if len(absent) > 3 else ''}. Download them with the GDC's client"
            f"{', or pass missing=' + repr('leave out') if tables else ''}."
        )
    return ad.AnnData(
        X=np.stack([table["unstranded"].to_numpy() for table in tables]).astype(np.uint32),
        obs=pd.DataFrame(
            {
                "cohort": [row["Project ID"] for row in rows],
                "barcode": [row["Sample ID"] for row in rows],
                "sample_type": [row["Sample Type"] for row in rows],
                "is_normal": [_is_normal(_sample_type_code(row["Sample ID"])) for row in rows],
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
    ValueError : the file is not in ``folder``, is cut short or damaged, or its arrays do not fit each other or hold
        something else than counts below 2³².
    """
    path = _existing(Path(folder), "gdc_htseq_80x60483.npz", "*.npz")
    try:
        with path.open("rb") as file, np.load(file) as arrays:  # arrays only: nothing pickled is opened
            counts, genes, samples, site = (arrays[key] for key in ("counts", "genes", "samples", "site"))
    except Exception as error:  # zipfile, zlib, numpy: each has its own errors for a broken archive
        raise ValueError(
            f"{path}: expected a NumPy archive with counts, genes, samples and site, found what does not read as one "
            f"({type(error).__name__}: {error}); get it again."
        ) from error
    if counts.shape != (len(samples), len(genes)) or len(site) != len(samples):
        raise ValueError(
            f"{path}: expected counts for each sample and gene, found {counts.shape} with {len(samples)} samples, "
            f"{len(genes)} genes and {len(site)} sites; the file is damaged: get it again."
        )
    if counts.dtype.kind not in "iu" or counts.min(initial=0) < 0 or counts.max(initial=0) > LARGEST_COUNT:
        raise ValueError(
            f"{path}: expected counts from 0 to {LARGEST_COUNT:,}, found {counts.dtype} from {counts.min(initial=0)} "
            f"to {counts.max(initial=0)}; the file is damaged or normalised: get it again."
        )
    return ad.AnnData(
        X=counts.astype(np.uint32),
        obs=pd.DataFrame({"site": pd.Categorical(site.astype(str))}, index=samples.astype(str)),
        var=pd.DataFrame(index=genes.astype(str)),
    )


def _existing(folder: Path, name: str, pattern: str) -> Path:
    path = folder / name
    if not path.is_file():
        there = ", ".join(sorted(found.name for found in folder.glob(pattern))) or f"no {pattern}"
        raise ValueError(f"folder: expected {name} in {folder}, found {there}; put it there or name another folder.")
    return path


def _read_lines(path: Path) -> list[str]:
    """The lines of a text, unpacked if its content is gzip, whatever its name says; the last one must be ended."""
    raw = path.read_bytes()
    try:
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: expected text, found a file that is cut short, damaged or no text ({error}); download it again."
        ) from error
    lines = text.replace("\r\n", "\n").split("\n")  # splitlines would also split at characters within a field
    if lines.pop():
        raise ValueError(f"{path}: expected an end of line at the end, found none; it is cut short: download it again.")
    return lines


def _read_table(path: Path) -> pd.DataFrame:
    """A tab-separated table as text: what is a number is decided by who knows, not guessed.

    Lines before the header that begin with # are comments. Quotes are characters here, never brackets round a field.
    """
    lines = _read_lines(path)
    first = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    if first == len(lines):
        raise ValueError(f"{path}: expected a table with a header, found none; download it again.")
    header, *rows = (line.split("\t") for line in lines[first:])
    for number, row in enumerate(rows, start=first + 2):
        if len(row) != len(header):
            raise ValueError(
                f"{path}, line {number}: expected {len(header)} fields, as in the header, found {len(row)}; "
                "the file is cut short or damaged: download it again."
            )
    return pd.DataFrame(rows, columns=header, dtype=str)


def _as_counts(values: pd.Series, path: Path) -> pd.Series:
    """Text to int64, one row per gene; no row may be missing its number, and no gene may come twice."""
    if values.empty:
        raise ValueError(f"{path}: expected genes, found none; download it again.")
    wrong = ~values.str.fullmatch("[0-9]{1,10}").to_numpy(dtype=bool)
    if not wrong.any():
        wrong = values.astype(np.int64).to_numpy() > LARGEST_COUNT
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            f"{path}: expected counts from 0 to {LARGEST_COUNT:,}, found {values.iloc[first]!r} for gene "
            f"{values.index[first]} (and {wrong.sum() - 1} others that are none); the file is cut short, damaged or "
            "normalised: take the counts file."
        )
    repeated = values.index[values.index.duplicated()]
    if len(repeated):
        raise ValueError(
            f"{path}: expected each gene once, found {repeated[0]} twice (and {len(repeated) - 1} others); "
            "download it again."
        )
    return values.astype(np.int64)

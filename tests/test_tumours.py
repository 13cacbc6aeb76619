"""Parsers of tumour files: on small files made here, and on real ones where COURSE_ORIGINALS names their folder."""

import gzip
import hashlib
import os
import urllib.parse
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdata

from course_lib.data import tumours
from course_lib.data.cells import cells_from_counts, cells_from_expression

STAR_HEADER = "# gene-model: GENCODE v36\ngene_id\tgene_name\tgene_type\tunstranded\tstranded_first\ttpm_unstranded\n"
STAR_SUMMARY = "".join(f"N_{name}\t\t\t4\t4\t\n" for name in ["unmapped", "multimapping", "noFeature", "ambiguous"])
STAR_GENES = 'ENSG1.1\tTP53\tprotein_coding\t7\t3\t0.5\nENSG2.4\t"odd\tlncRNA\t0\t0\t0.0\n'
STAR_GENES += "ENSG3.2\tNA\tmiRNA\t12\t5\t1.5\n"
HTSEQ_SUMMARY = "__no_feature\t5\n__ambiguous\t4\n__too_low_aQual\t0\n__not_aligned\t0\n__alignment_not_unique\t9\n"
HTSEQ = "ENSG1.1\t7\nENSG2.4\t0\n" + HTSEQ_SUMMARY
SHEET_HEADER = "File ID\tFile Name\tData Category\tData Type\tProject ID\tCase ID\tSample ID\tSample Type\n"


@pytest.fixture(scope="module")
def originals():
    folder = os.environ.get("COURSE_ORIGINALS")
    if folder is None:
        pytest.skip("the environment variable COURSE_ORIGINALS names no folder with the original files")
    return Path(folder)


def _rtcga_frame(barcodes, **genes):
    return pd.DataFrame({"bcr_patient_barcode": barcodes} | genes)


BARCODES = ["TCGA-OR-A5J1-01A-11R-A29S-07", "TCGA-OR-A5J2-11A-11R-A29S-07", "TCGA-OR-A5J3-06B-11R-A29S-07"]


@pytest.fixture
def cohort(tmp_path):
    """Writes <name>.rnaseq.rda into the test's folder and returns its path."""

    def write(name="ACC", frame=None):
        if frame is None:
            frame = _rtcga_frame(BARCODES, **{"?|100130426": [0.0, 1.5, 2.0], "TP53|7157": [10.25, 0.0, 1e6]})
        path = tmp_path / f"{name}.rnaseq.rda"
        rdata.write_rda(path, {f"{name}.rnaseq": frame})
        return path

    return write


# RTCGA, files made here


def test_rtcga_reads_samples_in_rows_and_tells_normal_tissue_by_the_barcode(cohort):
    data = tumours.read_rtcga(cohort())
    np.testing.assert_array_equal(data.X, np.array([[0, 10.25], [1.5, 0], [2, 1e6]], dtype=np.float32))
    assert data.X.dtype == np.float32
    assert list(data.obs_names) == list(data.obs["barcode"]) == BARCODES
    assert list(data.obs["is_normal"]) == [False, True, False]
    assert list(data.obs["sample_type"]) == ["Primary Solid Tumor", "Solid Tissue Normal", "Metastatic"]
    assert set(data.obs["cohort"]) == {"ACC"}
    assert list(data.var["symbol"]) == ["?", "TP53"]
    assert list(data.var["entrez"]) == ["100130426", "7157"]
    cells_from_expression(data)


@pytest.mark.parametrize(("code", "normal"), [("01", False), ("09", False), ("10", True), ("14", True), ("20", False)])
def test_normal_tissue_has_codes_ten_to_nineteen(cohort, code, normal):
    frame = _rtcga_frame([f"TCGA-OR-A5J1-{code}A-11R-A29S-07"], **{"TP53|7157": [1.0]})
    assert tumours.read_rtcga(cohort("ACC", frame)).obs["is_normal"].tolist() == [normal]


def test_rtcga_cohorts_come_in_the_order_asked_for(cohort, tmp_path):
    cohort("ACC")
    cohort("UVM", _rtcga_frame(["TCGA-V3-A9ZX-01A-11R-A405-07"], **{"?|100130426": [3.0], "TP53|7157": [4.0]}))
    data = tumours.load_rtcga(["UVM", "ACC"], tmp_path)
    assert list(data.obs["cohort"]) == ["UVM", "ACC", "ACC", "ACC"]
    assert list(data.obs["cohort"].cat.categories) == ["UVM", "ACC"]
    np.testing.assert_array_equal(data.X[:, 1], np.array([4, 10.25, 0, 1e6], dtype=np.float32))
    assert list(data.var["symbol"]) == ["?", "TP53"]
    assert tumours.load_rtcga("UVM", tmp_path).n_obs == 1


def test_rtcga_downloads_what_no_folder_holds(cohort, monkeypatch):
    asked = []

    def fetch(url, known_hash, name):
        asked.append((url, known_hash, name))
        return cohort("ACC")

    monkeypatch.setattr(tumours, "fetch", fetch)
    assert tumours.load_rtcga(["ACC"]).n_obs == 3
    ((url, known_hash, name),) = asked
    assert urllib.parse.urlsplit(url).netloc == "raw.githubusercontent.com"
    assert url.endswith("/data/ACC.rnaseq.rda")
    assert known_hash == "sha256:e8539eef5b73fe8607a4b2b757eecce2f19605bba1bc6686315daa7501e413e8"
    assert name == "ACC.rnaseq.rda"


def test_rtcga_cut_short_anywhere_is_refused(cohort):
    path = cohort()
    whole = path.read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:length])
        with pytest.raises(
            ValueError, match=r"ACC.rnaseq.rda: expected an R data file, found what does not .*cut short"
        ):
            tumours.read_rtcga(path)


def test_rtcga_of_another_format_is_refused(tmp_path):
    path = tmp_path / "ACC.rnaseq.rda"
    path.write_text("<html>404: Not Found</html>")
    with pytest.raises(ValueError, match=r"expected an R data file, found what does not .*of another format"):
        tumours.read_rtcga(path)


def test_rtcga_with_other_contents_is_refused(cohort, tmp_path):
    path = tmp_path / "X.rda"
    rdata.write_rda(path, {"numbers": np.arange(3.0)})
    with pytest.raises(ValueError, match=r"expected one data frame, found 0 \(objects: numbers\)"):
        tumours.read_rtcga(path)
    genes = {"A|1": [1.0], "B|2": [2.0]}
    for frame, message in [
        (_rtcga_frame(["mouse 1"], **genes), "expected TCGA barcodes in the first column, found .*mouse 1"),
        (_rtcga_frame(["TCGA-OR-A5J1"], **genes), "barcode: expected one of a TCGA sample, .* found 'TCGA-OR-A5J1'"),
        (_rtcga_frame(BARCODES[:1], **genes | {"B|2": [-1.0]}), r"found -1.0 for sample TCGA-OR-A5J1-\S+, gene B\|2"),
        (_rtcga_frame(BARCODES[:1], **genes | {"A|1": [np.nan]}), r"found nan for sample TCGA-OR-A5J1-\S+, gene A\|1"),
        (_rtcga_frame(BARCODES[:1], **genes | {"A|1": ["high"]}), "expected numbers in the columns after the barcode"),
    ]:
        with pytest.raises(ValueError, match=message):
            tumours.read_rtcga(cohort("ACC", frame))


def test_rtcga_cohorts_with_different_genes_are_not_mixed(cohort, tmp_path):
    cohort("ACC")
    cohort("UVM", _rtcga_frame(["TCGA-V3-A9ZX-01A-11R-A405-07"], **{"TP53|7157": [4.0]}))
    with pytest.raises(ValueError, match="expected the same genes in all, found others in UVM than in ACC"):
        tumours.load_rtcga(["ACC", "UVM"], tmp_path)


def test_rtcga_cohorts_that_are_not_there_are_named(cohort, tmp_path):
    cohort("ACC")
    with pytest.raises(ValueError, match=r"folder: expected BRCA.rnaseq.rda in .*, found ACC.rnaseq.rda"):
        tumours.load_rtcga(["BRCA"], tmp_path)
    with pytest.raises(ValueError, match=r"expected some of ACC, CHOL, DLBC, STAD, UCS, UVM, .* found 'BRCA'"):
        tumours.load_rtcga(["BRCA"])
    with pytest.raises(ValueError, match="each once"):
        tumours.load_rtcga(["ACC", "ACC"], tmp_path)
    with pytest.raises(ValueError, match=r"cohorts: expected one or more names, each once, found \[\]"):
        tumours.load_rtcga([], tmp_path)
    for name in ("../ACC", "/tmp/ACC", "a/ACC"):
        with pytest.raises(ValueError, match=r"cohorts: expected names such as 'ACC', found .*folder=…"):
            tumours.load_rtcga([name], tmp_path)


# GDC STAR counts, files made here


@pytest.fixture
def star(tmp_path):
    def write(text=STAR_HEADER + STAR_SUMMARY + STAR_GENES, name="a.tsv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_star_counts_lose_their_summary_rows_and_keep_odd_names(star):
    table = tumours.read_star_counts(star())
    assert list(table.index) == ["ENSG1.1", "ENSG2.4", "ENSG3.2"]
    assert list(table["unstranded"]) == [7, 0, 12]
    assert table["unstranded"].dtype == np.int64
    assert list(table["gene_name"]) == ["TP53", '"odd', "NA"]  # a quote, and a gene called NA, stay


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a table with a header, found none"),
        ("<html>Not Found</html>\n", "expected columns gene_id, gene_name, gene_type, unstranded, found <html>"),
        (STAR_HEADER + STAR_GENES, "expected 4 rows N_… .* found 0"),
        (STAR_HEADER + STAR_SUMMARY, "expected genes, found none"),
        (STAR_HEADER + STAR_SUMMARY + STAR_GENES + "\n", "line 10: expected 6 fields, as in the header, found 1"),
        (STAR_HEADER + STAR_SUMMARY + STAR_GENES.replace("\t0.5", ""), "line 7: expected 6 fields.*found 5.*cut short"),
        (STAR_HEADER + STAR_SUMMARY + STAR_GENES.replace("\t0.5", "\t0.5\t9"), "line 7: expected 6 fields.*found 7"),
        (STAR_HEADER + STAR_SUMMARY + STAR_GENES + STAR_GENES, "expected each gene once, found ENSG1.1 twice"),
        (
            STAR_HEADER + STAR_SUMMARY + STAR_GENES.replace("\t7\t", "\t7.5\t"),
            "expected counts .* found '7.5' for gene ENSG1.1",
        ),
        (
            STAR_HEADER + STAR_SUMMARY + STAR_GENES.replace("\t7\t", "\t-7\t"),
            "expected counts .* found '-7' for gene ENSG1.1",
        ),
    ],
)
def test_star_counts_that_are_not_whole_are_refused(star, text, message):
    with pytest.raises(ValueError, match=message):
        tumours.read_star_counts(star(text))


def test_star_counts_cut_inside_a_row_are_refused_wherever_the_cut_is(star):
    """Inside a number too, where what is left is a smaller number: 12 reads were 1."""
    text = STAR_HEADER + STAR_SUMMARY + STAR_GENES
    row_ends = {position for position, character in enumerate(text, start=1) if character == "\n"}
    for length in set(range(len(text))) - row_ends:
        with pytest.raises(ValueError, match=r"a\.tsv.*expected"):
            tumours.read_star_counts(star(text[:length]))


@pytest.mark.parametrize("count", ["4294967296", "99999999999999999999999"])
def test_counts_that_uint32_would_wrap_are_refused(star, tmp_path, count):
    message = f"expected counts from 0 to 4,294,967,295, found '{count}' for gene ENSG1.1"
    with pytest.raises(ValueError, match=message):
        tumours.read_star_counts(star(STAR_HEADER + STAR_SUMMARY + STAR_GENES.replace("\t7\t", f"\t{count}\t")))
    path = tmp_path / "sample.counts"
    path.write_text(HTSEQ.replace("\t7\n", f"\t{count}\n"))
    with pytest.raises(ValueError, match=message):
        tumours.read_htseq_counts(path)


def test_the_largest_count_of_uint32_arrives(star, tmp_path):
    star(STAR_HEADER + STAR_SUMMARY + STAR_GENES.replace("\t7\t", "\t4294967295\t"))
    sheet = star(
        SHEET_HEADER + "id-a\ta.tsv\tT\tG\tTCGA-ACC\tTCGA-OR-A5J1\tTCGA-OR-A5J1-01A\tTumor\n", name="sheet.tsv"
    )
    assert tumours.load_gdc_star(sheet, tmp_path).X.tolist() == [[2**32 - 1, 0, 12]]


def test_lines_may_end_as_on_windows_and_names_hold_any_character(star):
    text = (STAR_HEADER + STAR_SUMMARY + STAR_GENES).replace("TP53", "odd#\x85name")
    table = tumours.read_star_counts(star(text.replace("\n", "\r\n")))
    assert list(table["gene_name"]) == ["odd#\x85name", '"odd', "NA"]


def test_star_samples_are_joined_to_their_sheet_and_files_not_there_are_left_out_if_you_say_so(star, tmp_path):
    star(name="a.tsv")
    star(STAR_HEADER + STAR_SUMMARY + STAR_GENES.replace("\t7\t", "\t70\t"), name="id-b/b.tsv")  # the client's way
    sheet = star(
        SHEET_HEADER
        + "id-c\tc.tsv\tT\tG\tTCGA-PCPG\tTCGA-QR-A6GO\tTCGA-QR-A6GO-01A\tPrimary Tumor\n"
        + "id-b\tb.tsv\tT\tG\tTCGA-PCPG\tTCGA-QR-A6GP\tTCGA-QR-A6GP-10A\tSolid Tissue Normal\n"
        + "id-a\ta.tsv\tT\tG\tTCGA-ACC\tTCGA-OR-A5J1\tTCGA-OR-A5J1-01A\tPrimary Tumor\n",
        name="sheet.tsv",
    )
    with pytest.raises(ValueError, match=r"the 3 files of .* found 2; missing: c\.tsv\. .*missing='leave out'"):
        tumours.load_gdc_star(sheet, tmp_path)
    with pytest.raises(ValueError, match="missing: expected 'refuse' or 'leave out', found 'ignore'"):
        tumours.load_gdc_star(sheet, tmp_path, missing="ignore")
    data = tumours.load_gdc_star(sheet, tmp_path, missing="leave out")
    assert list(data.obs_names) == ["id-b", "id-a"]
    np.testing.assert_array_equal(data.X, [[70, 0, 12], [7, 0, 12]])
    assert list(data.obs["cohort"]) == ["TCGA-PCPG", "TCGA-ACC"]
    assert list(data.obs["is_normal"]) == [True, False]
    assert data.var["gene_name"].tolist() == ["TP53", '"odd', "NA"]
    cells_from_counts(data)


def test_star_sheets_that_lead_nowhere_are_refused(star, tmp_path):
    row = "id-a\ta.tsv\tT\tG\tTCGA-ACC\tTCGA-OR-A5J1\tTCGA-OR-A5J1-01A\tPrimary Tumor\n"
    for missing in ("refuse", "leave out"):
        with pytest.raises(ValueError, match=r"expected the 1 files of .*, found 0; missing: a\.tsv\. .* client\.$"):
            tumours.load_gdc_star(star(SHEET_HEADER + row, "sheet.tsv"), tmp_path, missing=missing)
    for again in (row, row.replace("a.tsv", "b.tsv"), row.replace("id-a", "id-b")):
        with pytest.raises(ValueError, match="expected rows that each name another file, found 2 rows with"):
            tumours.read_sample_sheet(star(SHEET_HEADER + row + again, "sheet.tsv"))
    for odd in ("../a.tsv", "/tmp/a.tsv", "..\\a.tsv", "C:a.tsv", ""):
        for place in ("a.tsv", "id-a"):
            with pytest.raises(
                ValueError, match=r"expected a plain name in column 'File .*', found .* leads elsewhere"
            ):
                tumours.read_sample_sheet(star(SHEET_HEADER + row.replace(place, odd), "sheet.tsv"))
    with pytest.raises(ValueError, match=r"expected columns File ID, .* found none named File ID"):
        tumours.read_sample_sheet(star(STAR_HEADER + STAR_GENES, "sheet.tsv"))
    star(name="a.tsv")
    star(STAR_HEADER + STAR_SUMMARY + STAR_GENES.replace("ENSG1.1", "ENSG1.2"), name="b.tsv")
    sheet = star(SHEET_HEADER + row + row.replace("a.tsv", "b.tsv").replace("id-a", "id-b"), "sheet.tsv")
    with pytest.raises(ValueError, match=r"b.tsv: expected the genes of the files before it, found others"):
        tumours.load_gdc_star(sheet, tmp_path)


def test_a_star_file_without_a_recorded_hash_is_not_fetched():
    with pytest.raises(ValueError, match=r"expected a file whose hash is recorded, .*, found 'mine.tsv'"):
        tumours.fetch_gdc_star("mine.tsv")


# GDC HTSeq counts, files made here


@pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode())], ids=["plain", "gzip"])
def test_htseq_counts_lose_their_summary_rows(tmp_path, pack):
    path = tmp_path / "sample.counts"
    path.write_bytes(pack(HTSEQ))
    counts = tumours.read_htseq_counts(path)
    assert counts.to_dict() == {"ENSG1.1": 7, "ENSG2.4": 0}
    assert counts.dtype == np.int64


def test_htseq_counts_cut_short_anywhere_are_refused(tmp_path):
    path = tmp_path / "sample.counts.gz"
    packed = gzip.compress(HTSEQ.encode())
    for content in [packed[:length] for length in (5, 15, len(packed) // 2, len(packed) - 1)]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="cut short, damaged"):
            tumours.read_htseq_counts(path)
    for length in range(len(HTSEQ)):
        path.write_text(HTSEQ[:length])
        with pytest.raises(ValueError, match=r"cut short|expected a gene and a count|expected genes"):
            tumours.read_htseq_counts(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html>Not Found</html>\n", "line 1: expected a gene and a count, found 1 fields"),
        (HTSEQ_SUMMARY, "expected genes, found none"),
        ("ENSG1.1\t7\nENSG1.1\t8\n" + HTSEQ_SUMMARY, "expected each gene once, found ENSG1.1 twice"),
        ("ENSG1.1\tseven\n" + HTSEQ_SUMMARY, "expected counts .* found 'seven' for gene ENSG1.1"),
    ],
)
def test_htseq_counts_of_another_format_are_refused(tmp_path, text, message):
    path = tmp_path / "sample.counts"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        tumours.read_htseq_counts(path)


def test_gdc_htseq_archive_is_checked_before_it_is_believed(tmp_path):
    path = tmp_path / "gdc_htseq_80x60483.npz"
    with pytest.raises(ValueError, match=r"folder: expected gdc_htseq_80x60483.npz in .*, found no \*.npz"):
        tumours.load_gdc_htseq(tmp_path)
    parts = {
        "counts": np.arange(1, 7, dtype=np.uint32).reshape(2, 3),
        "genes": np.array(["a", "b", "c"]),
        "samples": np.array(["s", "t"]),
        "site": np.array(["breast", "lung"]),
    }
    np.savez(path, **parts)
    data = tumours.load_gdc_htseq(tmp_path)
    np.testing.assert_array_equal(data.X, parts["counts"])
    assert list(data.obs["site"]) == ["breast", "lung"]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="expected a NumPy archive"):
        tumours.load_gdc_htseq(tmp_path)
    np.savez(path, **parts | {"genes": np.array(["a", "b"])})
    with pytest.raises(ValueError, match=r"found \(2, 3\) with 2 samples, 2 genes"):
        tumours.load_gdc_htseq(tmp_path)
    for odd in (np.array([[0.5, 1, 2]] * 2), np.array([[-1, 0, 1]] * 2), np.array([[2**32, 0, 1]] * 2)):
        np.savez(path, **parts | {"counts": odd})
        with pytest.raises(ValueError, match=f"expected counts from 0 to 4,294,967,295, found {odd.dtype} from"):
            tumours.load_gdc_htseq(tmp_path)
    np.savez(path, counts=parts["counts"])
    with pytest.raises(ValueError, match=r"expected a NumPy archive .*genes"):
        tumours.load_gdc_htseq(tmp_path)


# the real files


@pytest.mark.parametrize("name", tumours.RTCGA_SHA256)
def test_recorded_hashes_are_those_of_the_originals(originals, name):
    content = (originals / f"{name}.rnaseq.rda").read_bytes()
    assert hashlib.sha256(content).hexdigest() == tumours.RTCGA_SHA256[name]


def test_recorded_star_hash_is_that_of_the_original(originals):
    for name, (_, md5) in tumours.GDC_STAR_FILES.items():
        assert hashlib.md5((originals / name).read_bytes()).hexdigest() == md5


def test_real_rtcga_cohorts(originals):
    data = tumours.load_rtcga(["CHOL", "DLBC"], originals)
    assert data.shape == (45 + 15, 20_531)
    table = data.obs.groupby("cohort", observed=True)["is_normal"].agg(["size", "sum"])
    assert table["size"].to_dict() == {"CHOL": 45, "DLBC": 15}
    assert table["sum"].to_dict() == {"CHOL": 9, "DLBC": 0}
    assert (data.obs["is_normal"] == data.obs["barcode"].str[13:15].eq("11")).all()
    assert data.var.loc["TP53|7157", "symbol"] == "TP53"
    # normalised: the upper quartile of a sample's expressed genes is 1,000 in RSEM's upper-quartile scale
    quartiles = [np.quantile(row[row > 0], 0.75) for row in data.X]
    assert np.median(quartiles) == pytest.approx(1000, rel=0.15)
    cells_from_expression(data, batch_key="cohort")


def test_real_rtcga_file_cut_short_is_refused(originals, tmp_path):
    path = tmp_path / "DLBC.rnaseq.rda"
    content = (originals / path.name).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="cut short"):
        tumours.read_rtcga(path)


def test_real_star_file_through_its_sample_sheet(originals):
    data = tumours.load_gdc_star(originals / "gdc_sample_sheet.2022-11-21.tsv", originals, missing="leave out")
    assert data.shape == (1, 60_660)
    assert data.obs["barcode"].tolist() == ["TCGA-QR-A70O-01A"]
    assert data.obs["cohort"].tolist() == ["TCGA-PCPG"]
    assert not data.var_names.str.startswith("N_").any()
    assert data[:, "ENSG00000000003.15"].X.item() == 32
    assert data.var.loc["ENSG00000000003.15", "gene_name"] == "TSPAN6"
    cells_from_counts(data)


def test_real_sample_sheet(originals):
    sheet = tumours.read_sample_sheet(originals / "gdc_sample_sheet.2022-11-21.tsv")
    assert len(sheet) == 150
    assert sheet["Sample Type"].value_counts()["Solid Tissue Normal"] == 3


def test_real_htseq_file_is_the_first_row_of_the_archive(originals):
    """Two roads to one sample: the archive was made from files such as this one."""
    archive = tumours.load_gdc_htseq(originals)
    assert archive.shape == (80, 60_483)
    assert archive.obs["site"].value_counts().to_dict() == {"breast": 40, "lung": 40}
    counts = tumours.read_htseq_counts(originals / "Breast_tumor_stage_i_1.htseq.counts.gz")
    assert list(counts.index) == list(archive.var_names)
    np.testing.assert_array_equal(archive["Breast_tumor_stage_i_1"].X.ravel(), counts)
    cells_from_counts(archive, batch_key="site")

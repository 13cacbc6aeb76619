"""What lies in a folder: notebooks whatever they are called, each of its own homework; and what else there is."""

import io
import json
import zipfile

import pytest
from small_homework import notebook, send, sheet

from course_lib.homework.file_kinds import what_it_is
from course_lib.homework.handed_in import look_through, neighbours, the_one_homework
from course_lib.homework.sheet import read_sheet


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()


KINDS = {  # a file's name, content → what it is
    ("a.zip", zipped("a/hw.ipynb", "b/hw.ipynb", "__MACOSX/hw.ipynb")): "a zip with 2 notebooks in it",
    ("a.zip", zipped("data.csv")): "a zip with no notebooks in it",
    ("essay.docx", zipped("word/document.xml")): "a Word document",
    ("called.txt", zipped("word/document.xml")): "a Word document",
    ("a.zip", b"PK\x03\x04"): "a zip that is broken",
    ("onlinetext.html", b"\n<!DOCTYPE html><html>"): "a web page",
    ("figure", b"\x89PNG\r\n\x1a\n"): "a picture",
    ("a.pdf", b"%PDF-1.4"): "a PDF",
    ("hw.py", b"print(1)"): "a Python script",
    ("nothing.txt", b" \n"): "empty",
    ("x", b"abc"): "",
}


@pytest.mark.parametrize("name, content", KINDS)
def test_a_file_is_told_by_what_it_holds(tmp_path, name, content):
    assert what_it_is(send(tmp_path, name, content)) == KINDS[name, content]


def test_what_could_be_a_notebook_is_a_submission_and_the_rest_is_listed_with_what_to_do(tmp_path):
    odd = json.dumps(notebook()).encode()
    send(tmp_path, "a.ipynb", notebook())
    send(tmp_path, "broken.IPYNB", b"{")
    send(tmp_path, "empty.ipynb.txt", b"")
    send(tmp_path, "group/hw (final)", odd)
    send(tmp_path, "group/hw.json", odd)
    send(tmp_path, "group/all.zip", zipped("hw.ipynb"))
    send(tmp_path, "group/essay.docx", zipped("word/document.xml"))
    send(tmp_path, "group/photo.jpg", b"\xff\xd8\xff\xe0")
    send(tmp_path, "group/settings.json", b"{}")
    found = look_through(tmp_path, sheet=sheet())
    assert list(found.paths) == ["a.ipynb", "broken.IPYNB", "empty.ipynb.txt", "group/hw (final)", "group/hw.json"]
    assert found.others == {
        "group/all.zip": "a zip with 1 notebook in it; unpack it first",
        "group/essay.docx": "a Word document; ask for the notebook itself, the .ipynb",
        "group/photo.jpg": "a picture",
        "group/settings.json": "no notebook",
    }
    assert found.n_files == 9


def test_a_folder_of_other_things_is_refused_with_their_names(tmp_path):
    send(tmp_path, "all.zip", zipped("hw.ipynb"))
    with pytest.raises(ValueError, match=r"found none\. all\.zip: a zip with 1 notebook in it; unpack it first"):
        look_through(tmp_path)


def stripped(name: str):
    """A homework's notebook without what says which one it is."""
    found = read_sheet(name).notebook
    del found.metadata["course_homework"]
    return found


def test_each_file_is_of_its_own_homework_by_its_mark_else_by_its_cells_else_by_what_they_define(tmp_path):
    unnamed = stripped("hw4_reparameterization")
    for cell in unnamed.cells:
        cell.metadata = {}
    send(tmp_path, "1.ipynb", read_sheet("hw3_elbo").notebook)
    send(tmp_path, "2.ipynb", stripped("hw5_counts"))
    send(tmp_path, "3.ipynb", unnamed)
    send(tmp_path, "4.ipynb", notebook())
    found = look_through(tmp_path)
    assert list(found.homework.values()) == ["hw3_elbo", "hw5_counts", "hw4_reparameterization", ""]


def test_several_homeworks_in_one_folder_are_refused_with_their_files(tmp_path):
    for name in ("a", "b"):
        send(tmp_path, f"{name}.ipynb", read_sheet("hw3_elbo").notebook)
    send(tmp_path, "tom/c.ipynb", read_sheet("hw5_counts").notebook)
    with pytest.raises(ValueError, match="expected one homework") as refusal:
        the_one_homework(look_through(tmp_path))
    assert "found 2: hw3_elbo (2: a.ipynb, b.ipynb); hw5_counts (1: tom/c.ipynb)" in str(refusal.value)
    assert "--homework hw3_elbo leaves the others out" in str(refusal.value)


def test_two_notebooks_in_a_students_folder_are_both_graded_with_a_remark():
    names = ["anna/final.ipynb", "anna/v1.ipynb", "bob/hw.ipynb", "c.ipynb", "d.ipynb"]
    names += [f"group/{i}.ipynb" for i in range(9)]
    assert neighbours(names) == {
        "anna/final.ipynb": "beside it in one folder, graded too: v1.ipynb.",
        "anna/v1.ipynb": "beside it in one folder, graded too: final.ipynb.",
    }

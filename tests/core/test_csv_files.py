"""CSV files in the encodings and with the separators that they come in; absent ones are offered."""

import gzip
from pathlib import Path

import pytest

from pipeline.core.csv_files import offered, read_csv

TEXT = "id,label\n007,café\n1e3,NA\n"
ROWS = {"id": ["007", "1e3"], "label": ["café", "NA"]}


def read(path: Path, raw: bytes) -> tuple:
    """Return what is read, problems, notes."""
    path.write_bytes(raw)
    problems, notes = [], []
    return read_csv(path, problems, notes), problems, notes


@pytest.mark.parametrize(
    ("raw", "separator", "said"),
    [
        (TEXT.encode(), ",", []),
        (TEXT.encode("utf-8-sig"), ",", []),
        (TEXT.replace("\n", "\r\n").encode(), ",", []),
        (TEXT.replace("\n", "\r").encode(), ",", []),
        (TEXT.encode("utf-16"), ",", ["t.csv is read in utf-16"]),
        (TEXT.encode("utf-16-le"), ",", ["t.csv is read in utf-16-le"]),
        (TEXT.encode("latin-1"), ",", ["t.csv is read in cp1252"]),
        (TEXT.replace(",", ";").encode(), ";", ["t.csv is read with ';' between cells"]),
        (TEXT.replace(",", "\t").encode(), "\t", [r"t.csv is read with '\t' between cells"]),
        (TEXT.replace(",", "|").encode(), "|", ["t.csv is read with '|' between cells"]),
        (
            TEXT.replace(",", ", ").encode(),
            ",",
            ["t.csv is read without the spaces after separators"],
        ),
        (
            TEXT.replace(",", ";").encode("utf-16"),
            ";",
            ["t.csv is read in utf-16, with ';' between cells"],
        ),
    ],
)
def test_cells_are_the_same_whatever_the_file_is_written_like(tmp_path, raw, separator, said):
    found, problems, notes = read(tmp_path / "t.csv", raw)
    assert problems == []
    assert found.rows.to_dict("list") == ROWS
    assert found.separator == separator
    assert notes == said


def test_a_packed_file_is_read(tmp_path):
    found, problems, _ = read(tmp_path / "t.csv.gz", gzip.compress(b"id,label\n1,a\n"))
    assert problems == []
    assert found.rows.to_dict("list") == {"id": ["1"], "label": ["a"]}


def test_one_column_and_semicolons_in_cells_stay_as_they_are(tmp_path):
    found, *_ = read(tmp_path / "t.csv", b"id\na;b\nc;d\n")
    assert found.rows.to_dict("list") == {"id": ["a;b", "c;d"]}
    found, *_ = read(tmp_path / "t.csv", b'id,"x;y;z"\na,b\n')
    assert list(found.rows) == ["id", "x;y;z"]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\x1f\x8brest", "it is packed (gzip), and cannot be unpacked"),
        (b"PK\x03\x04rest", "it is packed (zip), and cannot be unpacked"),
        (b"id,label\na,r\0d\n", "it holds NUL characters"),
        (b"", "No columns to parse"),
        (b"id,label\na,b,c\n", "line 2 has 3 in place of 2 cells."),
        (b"id,label\na,b\n\n" + b"a,b,c\n" * 4, "line 6 has 3 in place of 2 cells; and more."),
        (b'id,label\na,"b\n', "EOF inside string"),
    ],
)
def test_what_is_no_csv_is_said(tmp_path, raw, said):
    found, problems, _ = read(tmp_path / "t.csv", raw)
    assert found is None
    (problem,) = problems
    assert problem.startswith(f"{tmp_path / 't.csv'}: not readable as CSV: ")
    assert said in problem


def test_short_rows_are_named_by_their_line(tmp_path):
    text = b'id,label,note\na,1,"two\nlines, one cell"\n\nb,2\nc,3,\n'
    found, problems, notes = read(tmp_path / "t.csv", text)
    assert found.rows["note"].tolist() == ["two\nlines, one cell", "", ""]
    line = "t.csv: line 5 has 2 in place of 3 cells; cells that are missing count as empty"
    assert (problems, notes) == ([], [line])


def test_separator_and_encoding_may_be_given(tmp_path):
    (tmp_path / "t.csv").write_bytes("id;a,b\nж;1\n".encode("cp1251"))
    problems, notes = [], []
    found = read_csv(tmp_path / "t.csv", problems, notes, separator=";", encoding="cp1251")
    assert found.rows.to_dict("list") == {"id": ["ж"], "a,b": ["1"]}
    assert (problems, notes) == ([], ["t.csv is read in cp1251, with ';' between cells"])
    assert read_csv(tmp_path / "t.csv", problems, notes, encoding="utf-8") is None
    assert problems[0].endswith("not readable as CSV: it is not in 'utf-8', as the config says.")


def test_a_folder_is_no_csv(tmp_path):
    problems: list[str] = []
    assert read_csv(tmp_path, problems, []) is None
    assert "Is a directory" in problems[0]


@pytest.mark.parametrize(
    ("there", "wanted", "said"),
    [
        (
            ["SampleSubmission.csv"],
            "sample_submission.csv",
            "There is SampleSubmission.csv: say `k: ",
        ),
        (
            ["sample_submission_stage1.csv", "train.csv"],
            "sample_submission.csv",
            "There is sample_submission_stage1.csv: say `k: sample_submission_stage1.csv`.",
        ),
        (
            ["sample_submission.csv.zip"],
            "sample_submission.csv",
            "say `k: sample_submission.csv.zip`",
        ),
        (["train_labels.csv"], "train.csv", "There is train_labels.csv: say"),
        (["Test.tsv", "test.zip"], "test.csv", "There is Test.tsv: say"),
        (["labels/train.csv"], "train.csv", "There is labels/train.csv: say"),
        (["annotations.csv", "x.png"], "train.csv", "The folder has annotations.csv."),
        (["x.png"], "train.csv", "The folder has no CSV."),
    ],
)
def test_files_named_alike_are_offered(tmp_path, there, wanted, said):
    for name in there:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert said in offered(tmp_path / wanted, "k")


def test_a_link_to_nowhere_is_said(tmp_path):
    (tmp_path / "train.csv").symlink_to("nowhere.csv")
    assert "a link to nowhere.csv, which is not there" in offered(tmp_path / "train.csv", "k")

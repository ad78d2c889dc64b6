"""Files of rows: read whole or not at all, and each row is of the table's form or says why not."""

import pytest

from rako.core import csv_rows
from rako.core.csv_rows import BadFile, Row, read_rows
from rako.core.errors import BadRequest


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "rows.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def rows(path):
    return read_rows(path, ("a", "b"), ("c",))


def test_cells_are_stripped_and_known_by_the_number_of_their_line(file):
    assert rows(file('a,b\n 1 ,"2, 3"\n\n4,é\n')) == [Row(2, {"a": "1", "b": "2, 3"}), Row(4, {"a": "4", "b": "é"})]


def test_columns_may_be_in_any_order_and_a_file_may_begin_with_a_byte_order_mark(file):
    assert rows(file(b"\xef\xbb\xbfc,b,a\r\n3,2,1\r\n")) == [Row(2, {"a": "1", "b": "2", "c": "3"})]


def test_columns_with_several_names_are_mapped(file):
    assert read_rows(file("A,B\n1,2\n"), ("a", "b"), named=str.lower) == [Row(2, {"a": "1", "b": "2"})]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "columns are missing: a, b"),
        ("a\n1\n", "columns are missing: b"),
        ("a,b,x\n", "columns are unknown: x"),
        ("a,b,\n", "columns are unknown: "),
        ("a,b,a\n", "column a is given twice"),
        (b"a,b\n\xff,1\n", "not a UTF-8 CSV file"),
        ('a,b\n1,"2\n', "not a UTF-8 CSV file"),
        ('a,b\n"1"x,2\n', "not a UTF-8 CSV file"),
        (b"PK\x03\x04\x00\x00", "columns are missing"),
    ],
)
def test_a_file_of_another_form_is_refused_whole(file, content, error):
    with pytest.raises(BadFile, match=error):
        rows(file(content))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("1", "the row has more or fewer cells than the header"),
        ("1,2,3", "the row has more or fewer cells than the header"),
        ("1,a\x00b", "b is too long or holds a control character"),
        ('1,"a\nb"', "b is too long or holds a control character"),
        ("1," + "x" * 2001, "b is too long or holds a control character"),
    ],
    ids=["fewer", "more", "a NUL", "a line break", "too long"],
)
def test_an_odd_row_is_odd_alone(file, line, fault):
    odd, good = rows(file(f"a,b\n{line}\n1,2\n"))

    with pytest.raises(BadRequest, match=fault):
        odd.check()
    assert good.check() == {"a": "1", "b": "2"}


def test_a_huge_file_is_not_read(file, monkeypatch):
    monkeypatch.setattr(csv_rows, "LARGEST_BYTES", 7)

    with pytest.raises(BadFile, match="split it"):
        rows(file("a,b\n1,2\n"))

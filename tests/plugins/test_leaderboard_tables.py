"""Tables as people write them: what is read, and that every error names file, line and column."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.errors import DatasetError, UnknownName
from harness_plugins.leaderboard.scores import read_table

GOOD = """system,CoLA,MRPC,"QQP, all"
Human,66.4,86.3/80.8,-
T5,71.6,92.8/90.4,75.1
"a ""model"", large",-0.4,90/80,1e1
"""


@pytest.fixture
def write(tmp_path):
    def write_text(text, encoding="utf-8"):
        path = tmp_path / "t.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write_text


def test_two_metrics_are_averaged(write):
    table = read_table(write(GOOD))
    assert table.systems == ("Human", "T5", 'a "model", large')
    assert table.columns == table.tasks == ("CoLA", "MRPC", "QQP, all")
    np.testing.assert_allclose(table.scores, [[66.4, 83.55, math.nan], [71.6, 91.6, 75.1], [-0.4, 85, 10]])


def test_two_metrics_are_columns_of_one_task_where_pairs_are_split(write):
    table = read_table(write(GOOD), pairs="split")
    assert table.columns == ("CoLA", "MRPC 1", "MRPC 2", "QQP, all")
    assert table.tasks == ("CoLA", "MRPC", "MRPC", "QQP, all")
    np.testing.assert_allclose(table.scores[:, 1:3], [[86.3, 80.8], [92.8, 90.4], [90, 80]])


@pytest.mark.parametrize(("half", "mean", "split"), [("-/80", math.nan, [math.nan, 80]), ("NaN/-", math.nan, None)])
def test_half_a_pair_that_is_missing_makes_no_mean(write, half, mean, split):
    path = write(f"s,M,N\na,{half},1\nb,70/60,2\n")
    np.testing.assert_array_equal(read_table(path).scores[0], [mean, 1])
    if split:
        np.testing.assert_array_equal(read_table(path, "split").scores[0], [*split, 1])


@pytest.mark.parametrize("missing", ["", "-", "NaN", "n/a", "NA", "  "])
def test_a_missing_score_may_be_written_in_several_ways(write, missing):
    assert np.isnan(read_table(write(f"s,A,B\nx,{missing},1\ny,3,4\n")).scores[0, 0])


def test_spaces_blank_lines_a_byte_order_mark_and_windows_line_ends_do_no_harm(write):
    table = read_table(write("\r\nsystem , A\r\n x , 1.5 \r\n\r\n,\r\ny,+2.\r\n", "utf-8-sig"))
    assert (table.systems, table.columns, table.scores.tolist()) == (("x", "y"), ("A",), [[1.5], [2.0]])


def test_columns_that_are_no_scores_are_kept_apart(write):
    table = read_table(write("s,source,A\nx,a book,1\ny,,2\n"), about=("source", "absent"))
    assert table.columns == ("A",)
    assert table.about == {"source": ("a book", "")}
    assert table.with_systems([False, True]).about == {"source": ("",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; a header with the tasks' names is needed"),
        ("\n , \n", "is empty"),
        ("s,A\n", "0 systems; at least 2 are needed"),
        ("s,A\nx,1\n", "1 system; at least 2 are needed"),
        ("s\nx\ny\n", ", line 1: the header has no task beside 's'"),
        ("s;A;B\nx;1;2\ny;1;2\n", ", line 1: cells are separated by semicolons; commas are needed"),
        ("s\tA\nx\t1\ny\t1\n", ", line 1: cells are separated by tabs"),
        ("s,A,,B\nx,1,2,3\ny,1,2,3\n", ", line 1, column 3: the task has no name"),
        ("s,A,B,A\nx,1,2,3\ny,1,2,3\n", ", line 1: two columns are called 'A'"),
        ("s,A,B\nx,1,2\n\ny,1\n", ", line 4 (y): 2 cells, but the header has 3 columns"),
        ("s,A,B\nx,91,3,2\ny,1,2\n", ", line 2 (x): 4 cells, but the header has 3 columns; is it a decimal comma?"),
        ("s,A,B\nx,1,2\n,1,2\n", ", line 3, column s: the system has no name"),
        ("s,A\nx,1\ny,2\nx,3\n", ", lines 2 and 4: the system 'x' has more than one row"),
        ("s,A\nx,1\ny,good\n", ", line 3 (y), column A: 'good' is not a score; write a number such as 91.3"),
        ("s,A\nx,1\ny,91.3%\n", ", line 3 (y), column A: '91.3%' is not a score"),
        ("s,A\nx,1\ny,inf\n", ", line 3 (y), column A: 'inf' is not a score"),
        ("s,A\nx,1\ny,1e999\n", ", line 3 (y), column A: '1e999' is too large; 0 and sizes from 1e-100 to 1e+100 are"),
        ("s,A\nx,1\ny,-2e100\n", ", line 3 (y), column A: '-2e100' is too large"),
        ("s,A\nx,1\ny,9e-101\n", ", line 3 (y), column A: '9e-101' is too small"),
        ("s,A\nx,1\ny,1_000\n", ", line 3 (y), column A: '1_000' is not a score"),
        ('s,A\nx,1\ny,"91,3"\n', ", line 3 (y), column A: '91,3' has a decimal comma; write 91.3"),
        ('s,A\nx,1/2\ny,"91,3/90,1"\n', ", line 3 (y), column A: '91,3/90,1' has a decimal comma; write 91.3/90.1"),
        ("s,A\nx,1\ny,93.9|91.8\n", ", line 3 (y), column A: '93.9|91.8' is an unknown form of two metrics"),
        ("s,A\nx,1\ny,93.9 (91.8)\n", ", column A: '93.9 (91.8)' is an unknown form of two metrics; 93.9/91.8"),
        ("s,A\nx,1\ny,93.9/91.8/90\n", ", column A: '93.9/91.8/90' is an unknown form of two metrics"),
        ("s,A\nx,1/2\ny,93.9/\n", ", line 3 (y), column A: '93.9/' is an unknown form of two metrics"),
        ("s,A\nx,1\ny,2/3\nz,1\n", ", column A: one metric in line 2, but two in line 3"),
        ("s,A,B\nx,1,-\ny,2,\n", ", column B: every score is missing; leave the column out"),
        ("s,A,B\nx,1,2\ny,-,\n", ", line 3 (y): every score is missing; leave the row out"),
        ('s,A\nx,"1\ny,2\n', ": not CSV: "),
    ],
)
def test_an_error_in_a_table_names_its_place(write, text, message):
    path = write(text)
    with pytest.raises(DatasetError) as caught:
        read_table(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_a_file_that_is_no_text_or_is_absent_is_refused(write, tmp_path):
    with pytest.raises(DatasetError, match="is not UTF-8 text"):
        read_table(write("s,A\nxé,1\ny,2\n", "latin-1"))
    with pytest.raises(DatasetError, match=r"absent\.csv cannot be read: No such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(DatasetError, match="cannot be read: Is a directory"):
        read_table(tmp_path)


def test_an_unknown_system_suggests_the_nearest(write):
    with pytest.raises(UnknownName, match=r"t\.csv: unknown system 'Humn'; did you mean 'Human'"):
        read_table(write(GOOD)).row("Humn")

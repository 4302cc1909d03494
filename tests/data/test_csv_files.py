"""CSV files: encodings, separators, decimal marks and types of columns."""

from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from tabsynth.data import read, write
from tabsynth.errors import DataError, SourceError

from .csv_text import write_text


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("1,2,-3", "int64"), ("1,,3", "Int64"), ("1,NA,3", "Int64"), ("1,\"NA\",3", "Int64"), ("1.5,2", "float64"),
        ("1e3,.5", "float64"), ("9223372036854775807,1", "int64"), ("9223372036854775808,1", "object"),
        ("007,8", "object"), ("+1,2", "object"), ("00.5,1", "object"), ("0x1F,2", "object"), ("1_0,2", "object"),
        ("1e999,2", "object"), ("1;2", "object"), ("True,false", "bool"), ("TRUE,", "boolean"),
        ("T,F", "object"), ("2020-01-02,2020-12-31", "datetime64[ns]"), ("2020-01-02,2020-1-3", "object"),
        ("2020-01-02,2020-02-30", "object"), ("01/02/2020,03/04/2020", "object"), ("9999-12-31,2020-01-01", "object"),
        ("2020-01-02T03:04:05Z,2020-01-02T03:04:06Z", "datetime64[ns, UTC]"),
        ("2020-01-02T03:04:05+02:00,2020-01-02T03:04:06+02:00", "datetime64[ns, UTC+02:00]"),
        ("2020-01-02T03:04:05+02:00,2020-07-02T03:04:06+03:00", "object"), ("2020-01-02 03:04,", "datetime64[ns]"),
        ("none,None", "object"), (",", "object"), (" 1, 2", "int64"),
    ],
)  # fmt: skip
def test_a_column_is_what_all_its_values_are(tmp_path, text, dtype):
    path = write_text(tmp_path, "a,b\n" + "".join(f"{value},x\n" for value in text.split(",")))
    assert str(read(path).frame["a"].dtype) == dtype


@pytest.mark.parametrize("name", ["t.csv.gz", "t.CSV.GZ", "t.csv.Gz", "T.CSV", "t.Parquet", "t.TSV.GZ"])
def test_a_suffix_in_capitals_is_the_suffix(tmp_path, name):
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y, z", None]})
    write(frame, tmp_path / name)
    assert_frame_equal(read(tmp_path / name).frame, frame)
    with (tmp_path / name).open("rb") as file:
        assert (file.read(2) == b"\x1f\x8b") is name.lower().endswith(".gz")


def test_one_late_word_keeps_the_whole_column_text(tmp_path):
    path = write_text(tmp_path, "a\n" + "1\n" * 100_000 + "x\n")
    assert read(path).frame["a"].iloc[0] == "1"


@pytest.mark.parametrize(
    "value",
    ["2011-01-02T09:26:36Z", "2011-01-02", "2011-01-02 09:26", "2011-01-02T09:26:36.120Z", "2011-01-02T09:26:36-05:00",
     "2011-01-02T09:26:36.123456", "1901-01-02 09:26:36.999+0530"],
)  # fmt: skip
def test_dates_are_written_as_they_were(tmp_path, value):
    text = f"id,at\n1,{value}\n2,\n3,{value}\n"
    table = read(write_text(tmp_path, text))
    assert pd.api.types.is_datetime64_any_dtype(table.frame["at"].dtype)
    write(table, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == text


def test_missing_is_what_the_caller_says(tmp_path):
    path = write_text(tmp_path, 'a,b\n?,NA\n1,"NA"\n')
    assert read(path).frame["b"].tolist() == [None, "NA"]
    frame = read(path, missing=["?"]).frame
    assert frame["a"].tolist() == [pd.NA, 1]
    assert frame["b"].tolist() == ["NA", "NA"]


def test_a_single_column_with_gaps(tmp_path):
    frame = pd.DataFrame({"a": pd.array([1, None, 3, None], dtype="Int64")})
    write(frame, tmp_path / "t.csv")
    assert_frame_equal(read(tmp_path / "t.csv").frame, frame)


def test_windows_files_read_as_others(tmp_path):
    path = write_text(tmp_path, b'\xef\xbb\xbfa,b\r\n1,"x\r\ny"\r\n2,z\r\n')
    assert read(path).frame.to_dict("list") == {"a": [1, 2], "b": ["x\r\ny", "z"]}


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
def test_separators_are_detected_and_named(tmp_path, separator, word):
    path = write_text(tmp_path, f"a{separator}b\n1,5{separator}x\n12,25{separator}y\n")
    with pytest.warns(UserWarning, match=f"separated by {word}.*give encoding= or separator="):
        table = read(path)
    assert table.schema["a"].format == "0,0#"
    assert table.frame.to_dict("list") == {"a": [1.5, 12.25], "b": ["x", "y"]}
    assert list(read(path, separator=separator).frame) == ["a", "b"]
    with pytest.raises(SourceError, match="one character"):
        read(path, separator="||")


ENCODED = {
    "gb18030": [
        "姓名,诊断,入院日期,费用",
        *(f'王{c},高血压,2021年{i + 1}月5日,"¥1,23{i}.50"' for i, c in enumerate("伟芳娜敏静丽强")),
    ],
    "big5": ["姓名,診斷", *(f"張{c},糖尿病" for c in "偉芳娜敏靜麗強")],
    "cp932": ["氏名,診断", *(f"{c}さん,こうけつあつ" for c in "田中佐藤鈴木")],
    "cp949": ["이름,성별", *(f"{c},남자" for c in ("김철수", "이영희", "박민수", "최지우"))],
    "cp1252": ["Straße,Name", *(f"Königsallee {i},Jürgen" for i in range(9))],
    "cp1251": ["имя,город", *(f"{c},Москва" for c in ("Иван", "Мария", "Ольга", "Пётр"))],
    "utf-16": ["a,b", *(f"é{i},ü" for i in range(9))],
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_encodings_are_detected_and_named(tmp_path, encoding):
    lines = ENCODED[encoding]
    path = write_text(tmp_path, ("\n".join(lines) + "\n").encode(encoding))
    with pytest.warns(UserWarning, match=f"encoded in {encoding}"):
        table = read(path)
    assert list(table.frame) == lines[0].split(",")
    assert table.frame.iloc[0, 0] == lines[1].split(",")[0]
    assert len(table) == len(lines) - 1
    assert read(path, encoding=encoding).frame.equals(table.frame)
    with pytest.raises(SourceError, match="not known"):
        read(path, encoding="latin-99")


def test_a_table_as_hospitals_in_china_export_it(tmp_path):
    path = write_text(tmp_path, ("\n".join(ENCODED["gb18030"]) + "\n").encode("gb18030"))
    schema = read(path, encoding="gb18030").schema
    assert schema["姓名"].kind == "text"
    assert schema["入院日期"].format == "%Y年%-m月%d日" or schema["入院日期"].format == "%Y年%-m月%-d日"
    assert schema["费用"].format == "¥#,##0.00"


def test_the_decimal_mark_decides_what_is_ambiguous(tmp_path):
    path = write_text(tmp_path, 'a\n"1,234"\n"12,500"\n"7,125"\n')
    assert read(path).frame["a"].tolist() == [1234, 12500, 7125]
    assert read(path).schema["a"].question
    assert read(path, decimal=",").frame["a"].tolist() == [1.234, 12.5, 7.125]


def test_codes_with_an_e_stay_text(tmp_path):
    assert read(write_text(tmp_path, "a\n1e5\n2e7\n33\n")).frame["a"].tolist() == ["1e5", "2e7", "33"]
    assert read(write_text(tmp_path, "a\n1e+05\n2.5e7\n1e-05\n")).frame["a"].tolist() == [1e5, 2.5e7, 1e-5]
    assert read(write_text(tmp_path, "a\n1e5\n2.5\n33\n")).frame["a"].tolist() == [1e5, 2.5, 33]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"), ("a,b\n", "no rows"), ("a,b", "no rows"), ("a,a\n1,2\n", "duplicate column names: 'a'"),
        ("a,b\n1,2\n1,2,3\n", "line 3: 3 fields"), ("a,b\n1\n", "line 2: 1 fields"),
        ('a,b\n1,"x\n2,y\n', "never closed"), (b"a,b\n1,\xe9\n", "not UTF-8"), (b"a\xe9,b\n1,2\n", "not UTF-8"),
    ],
)  # fmt: skip
def test_unusable_csv_says_why(tmp_path, content, message):
    path = write_text(tmp_path, content)
    with pytest.raises((DataError, SourceError), match=message) as caught:
        read(path)
    assert "t.csv" in str(caught.value)


def test_long_fields_are_read_and_their_row_is_named(tmp_path: Path) -> None:
    """Python's csv module, which reads the header and finds the cause of a failure, stops at 131,072 characters."""
    path = tmp_path / "notes.csv"
    path.write_text(f"id,note\n1,{'a' * 200_000}\n2,b\n")
    assert read(path).frame["note"].str.len().tolist() == [200_000, 1]
    path.write_text(f"id,note\n1,{'a' * 200_000}\n2,b,c\n")
    with pytest.raises(DataError, match="line 3: 3 fields"):
        read(path)

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.engines.columnar.chunks import COLUMNS, logged
from watersmeet import WatersmeetError
from watersmeet.apps.learning import oulad_files
from watersmeet.apps.learning.oulad import Oulad
from watersmeet.apps.learning.topics import TOPICS
from watersmeet.engines.columnar.decode import Decoder

pytestmark = pytest.mark.data_quality

INFO = "code_module,code_presentation,id_student,gender,region,highest_education,imd_band,age_band,num_of_prev_attempts,studied_credits,disability,final_result"
FILES = {
    "courses.csv": """\
code_module,code_presentation,module_presentation_length
AAA,2013J,268
BBB,2014B,234
""",
    "assessments.csv": """\
code_module,code_presentation,id_assessment,assessment_type,date,weight
AAA,2013J,1752,TMA,19,10
AAA,2013J,1757,Exam,,100
BBB,2014B,14991,CMA,54,1
""",
    "vle.csv": """\
id_site,code_module,code_presentation,activity_type,week_from,week_to
546943,AAA,2013J,resource,,
546712,AAA,2013J,oucontent,1,2
546614,AAA,2013J,homepage,,
703721,BBB,2014B,forumng,,
703722,BBB,2014B,ouinvented,,
""",
    "studentInfo.csv": f"""\
{INFO}
AAA,2013J,11391,M,East Anglian Region,HE Qualification,90-100%,55<=,0,240,N,Pass
AAA,2013J,30268,F,North Western Region,A Level or Equivalent,,35-55,0,60,Y,Withdrawn
BBB,2014B,28400,F,Scotland,HE Qualification,20-30%,35-55,0,60,N,Distinction
BBB,2014B,7,F,Scotland,HE Qualification,20-30%,35-55,0,60,N,Fail
""",
    "studentRegistration.csv": """\
code_module,code_presentation,id_student,date_registration,date_unregistration
AAA,2013J,11391,-159,
AAA,2013J,30268,-92,12
BBB,2014B,28400,-53,
BBB,2014B,7,,
""",
    "studentAssessment.csv": """\
id_assessment,id_student,date_submitted,is_banked,score
1752,11391,18,0,78
1752,30268,11,0,
1757,11391,260,0,66.5
14991,28400,-1,1,80
14991,28400,53,0,100
""",
    "studentVle.csv": """\
code_module,code_presentation,id_student,id_site,date,sum_click
AAA,2013J,11391,546614,-10,4
AAA,2013J,11391,546712,-10,2
AAA,2013J,30268,546943,0,1
BBB,2014B,28400,703721,3,2
BBB,2014B,28400,703722,3,1
BBB,2014B,28400,703721,3,0
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small set in the published layout."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def events(of: Oulad) -> list[dict[str, Any]]:
    return [json.loads(value) for _, _, value in of.arrivals()]


def change(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))


def test_every_event_is_accepted_by_its_topic(folder: Path) -> None:
    decoder, topics = Decoder(COLUMNS), {topic.name: topic for topic in TOPICS.values()}
    found = sorted(Oulad(folder).arrivals())
    used: Counter[str] = Counter()
    for name, records in groupby(found, key=lambda record: record[0]):
        both = decoder.decode(topics[name], logged([value for _, _, value in records]))
        assert pa.table(both.dead).select(["reason", "detail"]).to_pylist() == []
        used[name] += pa.table(both.rows).num_rows
    assert used == {"course_topic": 18, "assessment_topic": 7}


def test_what_is_read_and_left_out_is_counted(folder: Path) -> None:
    oulad = Oulad(folder)
    found = events(oulad)
    types = Counter(event["event_type"] for event in found)
    assert types == {
        "COURSE_CREATED": 2,
        "COURSE_ENROLLED": 3,
        "COURSE_DROPPED": 1,
        "COURSE_VIEW": 4,
        "ITEM_CLICK": 5,
        "DOWNLOAD_MATERIAL": 1,
        "SUBMIT_ASSIGNMENT": 4,
        "GRADE_ASSIGNMENT": 3,
        "COURSE_COMPLETED": 2,
    }
    rows = {name: text.count("\n") - 1 for name, text in FILES.items()}
    reasons = {
        "registrations without a date": 1,
        "rows without a click": 1,
        "banked results": 1,
        "results without a score": 1,
        "courses that were not passed": 2,
    }
    assert oulad.counts == Counter(types) + Counter(rows) + Counter(reasons)


def test_days_count_from_the_start_of_the_presentation(folder: Path) -> None:
    def day(event: dict[str, Any]) -> dt.date:
        return dt.datetime.fromtimestamp(event["timestamp"] / 1000, dt.UTC).date()

    found = events(Oulad(folder, starts={"2014B": dt.date(2014, 2, 3)}))
    days = {(event["event_type"], event["course_id"], event["user_id"]): day(event) for event in found}
    assert days["COURSE_ENROLLED", "AAA-2013J", "SV11391"] == dt.date(2013, 4, 25)
    assert days["COURSE_VIEW", "AAA-2013J", "SV11391"] == dt.date(2013, 9, 21)
    assert days["COURSE_DROPPED", "AAA-2013J", "SV30268"] == dt.date(2013, 10, 13)
    assert days["COURSE_COMPLETED", "AAA-2013J", "SV11391"] == dt.date(2014, 6, 26)
    assert days["ITEM_CLICK", "BBB-2014B", "SV28400"] == dt.date(2014, 2, 6)
    assert days["COURSE_CREATED", "BBB-2014B", "GV0"] < min(day(event) for event in found if event["user_id"] != "GV0")


def test_a_day_is_in_order_for_each_student(folder: Path) -> None:
    change(folder, "studentVle.csv", "30268,546943,0,1", "30268,546943,12,5")
    change(folder, "studentRegistration.csv", "30268,-92,12", "30268,12,12")
    change(folder, "studentAssessment.csv", "1752,30268,11,0,", "1752,30268,12,0,50")
    found = [e for e in events(Oulad(folder)) if "SV30268" in (e["user_id"], e.get("student_id"))]
    found.sort(key=lambda event: event["timestamp"])
    assert [name for name, _ in groupby(event["event_type"] for event in found)] == [
        "COURSE_ENROLLED",
        "DOWNLOAD_MATERIAL",
        "SUBMIT_ASSIGNMENT",
        "GRADE_ASSIGNMENT",
        "COURSE_DROPPED",
    ]
    assert len({event["timestamp"] for event in found}) == len(found)


def test_the_kind_of_site_says_what_a_click_is(folder: Path) -> None:
    kinds = {
        (e["event_type"], e.get("item_id"), e.get("item_type"), e.get("material_id")) for e in events(Oulad(folder))
    }
    assert {
        ("ITEM_CLICK", "ITEM546712", "lesson", None),
        ("ITEM_CLICK", "ITEM703721", "discussion", None),
        ("ITEM_CLICK", "ITEM703722", "ouinvented", None),
        ("DOWNLOAD_MATERIAL", None, None, "MAT546943"),
        ("COURSE_VIEW", None, None, None),
    } <= kinds


def test_scores_are_exact_and_grades_belong_to_submissions(folder: Path) -> None:
    values = [value for _, _, value in Oulad(folder).arrivals() if b"GRADE" in value]
    assert [b'"score":%s,' % score in value for score, value in zip((b"78", b"66.5", b"100"), values, strict=True)]
    found = events(Oulad(folder))
    handed_in = {(e["user_id"], e["assignment_id"]): e["timestamp"] for e in found if "SUBMIT" in e["event_type"]}
    for event in found:
        if event["event_type"] == "GRADE_ASSIGNMENT":
            assert event["timestamp"] > handed_in[event["student_id"], event["assignment_id"]]


def test_ids_are_unique_and_the_same_each_time(folder: Path) -> None:
    oulad = Oulad(folder)
    first = list(oulad.arrivals())
    assert list(oulad.arrivals()) == first == list(Oulad(folder).arrivals())
    assert len({json.loads(value)["event_id"] for _, _, value in first}) == len(first)


def test_columns_may_be_quoted_and_in_another_order_and_more(folder: Path) -> None:
    before = events(Oulad(folder))
    lines = [line.split(",") for line in FILES["studentVle.csv"].splitlines()]
    text = "\r\n".join(",".join(f'"{cell}"' for cell in [*reversed(line), "more"]) for line in lines)
    (folder / "studentVle.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    change(folder, "studentAssessment.csv", "1752,30268,11,0,", "1752,30268,11,0,?")
    assert events(Oulad(folder)) == before


@pytest.mark.parametrize(
    ("name", "old", "new", "place", "remedy"),
    [
        ("studentVle.csv", "sum_click", "clicks", "line 1; ", "with its first line"),
        ("studentVle.csv", ",546712,", ",99,", "column id_site of .*, line 3; ", "from the same release"),
        ("studentVle.csv", ",-10,4", ",-10", "line 2; ", "unpack it again"),
        ("studentVle.csv", ",-10,4", ",-10,-4", "column sum_click of .*, line 2; ", "published file"),
        ("studentVle.csv", ",-10,4", ",,4", "column date of .*, line 2; ", "published file"),
        ("studentVle.csv", "11391", "1139x", "column id_student of .*, line 2; ", "published file"),
        ("studentVle.csv", "AAA,2013J,30268", "CCC,2013J,30268", "column code_presentation of .*, line 4; ", "same release"),
        ("studentVle.csv", "AAA,2013J,30268", 'AAA,"20"13J,30268', "near line 4; ", "Unpack the published file again"),
        ("studentAssessment.csv", "1752,30268", "1,30268", "column id_assessment of .*, line 3; ", "same release"),
        ("studentAssessment.csv", ",78", ",178", "column score of .*, line 2; ", "published file"),
        ("studentAssessment.csv", ",78", ",78.125", "column score of .*, line 2; ", "published file"),
        ("studentAssessment.csv", ",78", ",good", "column score of .*, line 2; ", "published file"),
        ("studentInfo.csv", "Withdrawn", "Vanished", "column final_result of .*, line 3; ", "published file"),
        ("studentRegistration.csv", "-159", "soon", "column date_registration of .*, line 2; ", "published file"),
        ("courses.csv", "2013J", "2013X", "column code_presentation of .*, line 2; ", r"starts=\{'2013X'"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_and_remedy(
    folder: Path, name: str, old: str, new: str, place: str, remedy: str
) -> None:
    change(folder, name, old, new)
    with pytest.raises(WatersmeetError, match=f"{place}.*{remedy}") as caught:
        list(Oulad(folder).arrivals())
    assert name in caught.value.subject


@pytest.mark.parametrize("name", oulad_files.COLUMNS)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(WatersmeetError, match=rf"{name}; expected a file.*seven files into"):
        list(Oulad(folder).arrivals())


def test_text_that_is_not_utf8_is_named(folder: Path) -> None:
    (folder / "vle.csv").write_bytes(FILES["vle.csv"].encode() + b"1,AAA,2013J,r\xe9source,,\n")
    with pytest.raises(WatersmeetError, match=r"vle.csv, near line .*CSV in UTF-8"):
        list(Oulad(folder).arrivals())


def test_rows_are_streamed(folder: Path) -> None:
    text = FILES["studentVle.csv"] + "AAA,2013J,11391,546614,1,1\n" * 1000 + "AAA,2013J,11391,0,1,1\n"
    (folder / "studentVle.csv").write_text(text)
    records = Oulad(folder).arrivals()
    assert sum(1 for _, _ in zip(range(900), records, strict=False)) == 900
    with pytest.raises(WatersmeetError, match="line 1008"):
        list(records)

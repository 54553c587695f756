"""Real clicks: the Open University Learning Analytics Dataset, as events of these topics.

The seven files are read as they are published, a row at a time, and kept only where others refer to them (courses,
assessments, sites). What the data do not have is not made up: no sign-ins, videos, profiles or notices come of them.

    courses              COURSE_CREATED, a year before the presentation starts
    studentRegistration  COURSE_ENROLLED and COURSE_DROPPED on their days
    studentVle           COURSE_VIEW, DOWNLOAD_MATERIAL or ITEM_CLICK by the kind of site, one for each click
    studentAssessment    SUBMIT_ASSIGNMENT, and GRADE_ASSIGNMENT if there is a score; banked results are left out
    studentInfo          COURSE_COMPLETED at the end, for Pass and Distinction

Days count from the presentation's start. The data know the day, not the hour: what happens within a day is put into an
order that makes sense (enrolling, clicking, handing in, grading, leaving), and clicks are spread over it by a hash. The
data name no teachers either; ``GV0`` stands for them. An event's id is made of file, line and place, so the same files
always give the same events, and reading them again changes nothing.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from .delivery import Delivery
from .oulad_files import Row, rows
from .topics import TOPICS

STARTS = {"B": 2, "J": 10}
"""The month in which a presentation starts, by the letter after its year; on the first day, as far as is known."""

ITEM_TYPES = {
    "forumng": "discussion",
    "oucollaborate": "discussion",
    "ouelluminate": "discussion",
    "quiz": "quiz",
    "externalquiz": "quiz",
    "questionnaire": "quiz",
    "oucontent": "lesson",
    "htmlactivity": "lesson",
    "ouwiki": "lesson",
    "subpage": "module",
    "dualpane": "module",
    "folder": "module",
    "page": "module",
}
"""Kind of site -> item type; other kinds keep their own name."""

_DOWNLOADS = ("resource", "dataplus")
_TEACHERS = "GV0"
_DAY_US = 86_400_000_000
_MORNING, _EVENING = 6 * 3600, 22 * 3600
_BEFORE_ALL = -365
_PASSED, _NOT_PASSED = ("Pass", "Distinction"), ("Fail", "Withdrawn")
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class _Course:
    id: str
    start_us: int
    days: int


class Oulad:
    """The files of a folder, as events.

    Args:
        folder: where the seven files are.
        starts: presentation, such as ``"2013J"``, -> its first day, where it is not the first of February or October.

    Attributes:
        counts: what was read and what became of it: rows by file, events by type, and by reason what gave no event.
    """

    def __init__(self, folder: Path | str, *, starts: Mapping[str, dt.date] | None = None) -> None:
        self._folder = Path(folder)
        self._starts = dict(starts or {})
        self._courses: dict[str, _Course] = {}
        self._work: dict[str, tuple[_Course, str]] = {}
        self._sites: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def arrivals(self) -> Iterator[Delivery]:
        """All events, file by file, as if each arrived when it happened; each call reads the files again.

        Raises `WatersmeetError` naming file, line and column for what is missing or cannot be read.
        """
        self.counts.clear()
        yield from self._read("courses.csv", self._course)
        for name, keep in (("assessments.csv", self._keep_work), ("vle.csv", self._keep_site)):
            for row in self._rows(name):
                keep(row)
        yield from self._read("studentRegistration.csv", self._registration)
        yield from self._read("studentVle.csv", self._clicks)
        yield from self._read("studentAssessment.csv", self._result)
        yield from self._read("studentInfo.csv", self._ending)

    def _rows(self, name: str) -> Iterator[Row]:
        for row in rows(self._folder, name):
            self.counts[name] += 1
            yield row

    def _read(self, name: str, events: Callable[[Row], Iterator[Delivery]]) -> Iterator[Delivery]:
        for row in self._rows(name):
            yield from events(row)

    def _course(self, row: Row) -> Iterator[Delivery]:
        module, presentation = row.values["code_module"], row.values["code_presentation"]
        course = _Course(
            f"{module}-{presentation}", self._start_us(row, presentation), row.whole("module_presentation_length")
        )
        self._courses[course.id] = course
        facts = {"course_name": module, "course_code": module, "semester": presentation}
        yield self._event("COURSE", "COURSE_CREATED", row, _TEACHERS, _at(course, _BEFORE_ALL, 0), course, facts)

    def _start_us(self, row: Row, presentation: str) -> int:
        day = self._starts.get(presentation)
        if day is None:
            year, letter = presentation[:-1], presentation[-1:]
            if not (len(year) == 4 and year.isdecimal() and letter in STARTS):
                remedy = f"say when it starts: Oulad(…, starts={{{presentation!r}: datetime.date(…)}})"
                raise row.refuse("code_presentation", "a year and B (February) or J (October)", remedy)
            day = dt.date(int(year), STARTS[letter], 1)
        return (day - dt.date(1970, 1, 1)).days * _DAY_US

    def _course_of(self, row: Row) -> _Course:
        name = f"{row.values['code_module']}-{row.values['code_presentation']}"
        if name not in self._courses:
            raise row.refuse(
                "code_presentation", f"{name} among courses.csv", "take all seven files from the same release"
            )
        return self._courses[name]

    def _keep_work(self, row: Row) -> None:
        self._work[row.values["id_assessment"]] = self._course_of(row), row.values["assessment_type"].lower()

    def _keep_site(self, row: Row) -> None:
        self._course_of(row)
        self._sites[row.values["id_site"]] = row.values["activity_type"]

    def _registration(self, row: Row) -> Iterator[Delivery]:
        course, student = self._course_of(row), _student(row)
        enrolled, dropped = row.perhaps("date_registration"), row.perhaps("date_unregistration")
        if enrolled is None:
            self.counts["registrations without a date"] += 1
        else:
            yield self._event("COURSE", "COURSE_ENROLLED", row, student, _at(course, enrolled, 0), course)
        if dropped is not None:
            yield self._event("COURSE", "COURSE_DROPPED", row, student, _at(course, dropped, 86_100), course)

    def _clicks(self, row: Row) -> Iterator[Delivery]:
        course, student = self._course_of(row), _student(row)
        site = row.among("id_site", self._sites, "vle.csv")
        day, clicks = row.whole("date"), row.whole("sum_click")
        if clicks < 0:
            raise row.refuse("sum_click", "0 or more")
        if clicks == 0:
            self.counts["rows without a click"] += 1
        kind = self._sites[site]
        name, facts = "ITEM_CLICK", {"item_id": f"ITEM{site}", "item_type": ITEM_TYPES.get(kind, kind)}
        if kind == "homepage":
            name, facts = "COURSE_VIEW", {}
        elif kind in _DOWNLOADS:
            name, facts = "DOWNLOAD_MATERIAL", {"material_id": f"MAT{site}", "material_type": kind}
        for place in range(clicks):
            # of one row and day, but not at one instant
            second = _MORNING + zlib.crc32(b"%d/%d" % (row.line, place)) % (_EVENING - _MORNING)
            yield self._event("COURSE", name, row, student, _at(course, day, second), course, facts, place)

    def _result(self, row: Row) -> Iterator[Delivery]:
        work = row.among("id_assessment", self._work, "assessments.csv")
        course, kind = self._work[work]
        student, day = _student(row), row.whole("date_submitted")
        if row.whole("is_banked"):
            self.counts["banked results"] += 1  # handed in for an earlier presentation
            return
        facts: dict[str, object] = {"assignment_id": f"ASM{work}", "assignment_type": kind}
        yield self._event("ASSESSMENT", "SUBMIT_ASSIGNMENT", row, student, _at(course, day, _EVENING), course, facts)
        score = row.score()
        if score is None:
            self.counts["results without a score"] += 1
            return
        facts |= {"student_id": student, "score": score, "max_score": 100}
        at_us = _at(course, day, _EVENING + 3600)
        yield self._event("ASSESSMENT", "GRADE_ASSIGNMENT", row, _TEACHERS, at_us, course, facts)

    def _ending(self, row: Row) -> Iterator[Delivery]:
        course, student, result = self._course_of(row), _student(row), row.values["final_result"]
        if result not in _PASSED + _NOT_PASSED:
            raise row.refuse("final_result", " or ".join(_PASSED + _NOT_PASSED))
        if result in _PASSED:
            yield self._event("COURSE", "COURSE_COMPLETED", row, student, _at(course, course.days, 86_000), course)
        else:
            self.counts["courses that were not passed"] += 1

    def _event(
        self,
        category: str,
        name: str,
        row: Row,
        user: str,
        at_us: int,
        course: _Course,
        facts: Mapping[str, object] | None = None,
        place: int = 0,
    ) -> Delivery:
        self.counts[name] += 1
        event = {
            "event_id": f"oulad-{Path(row.file).stem}-{row.line}-{name}-{place}",
            "event_category": category,
            "event_type": name,
            "user_id": user,
            "role": "teacher" if user == _TEACHERS else "student",
            "timestamp": at_us // 1000,
            "course_id": course.id,
        }
        return TOPICS[category].name, at_us, _encode(event | dict(facts or {}))


def _at(course: _Course, day: int, second: int) -> int:
    return course.start_us + day * _DAY_US + second * 1_000_000


def _student(row: Row) -> str:
    number = row.whole("id_student")
    if number < 0:
        raise row.refuse("id_student", "0 or more")
    return f"SV{number}"

"""Who and what is on the campus: every fact is a pure function of (seed, number).

Students are numbered in the order in which they join; teachers are the negative numbers: -1 is GV001. Each course
belongs to one teacher, and owns its assignments, quizzes, videos, items and materials. Each student takes
`COURSES_EACH` courses for good.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .draws import Ints, Words, below, seeded, words

COURSES_EACH = 4
WORK_EACH = 3  # assignments of a course in a week
QUIZZES, VIDEOS, ITEMS, MATERIALS = 6, 10, 25, 10  # of a course
SHORT_VIDEOS = 6  # of the VIDEOS: they fit into a few minutes

ASSIGNMENT_TYPES = ("homework", "project", "essay", "lab")
ITEM_TYPES = ("lesson", "module", "quiz", "assignment", "discussion")
MATERIAL_TYPES = ("slides", "reading", "exercise", "recording")
MAJORS = (
    "Computer Science",
    "Data Science",
    "Software Engineering",
    "Information Technology",
    "Cybersecurity",
)
_FAMILY = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Vũ", "Đặng", "Bùi", "Smith", "Garcia", "Novak", "Okafor")
_MIDDLE = ("Văn", "Thị", "Minh", "Quang", "Thu", "Gia", "Hồng", "Anh")
_GIVEN = ("An", "Bình", "Chi", "Dũng", "Hà", "Khánh", "Linh", "Nam", "Phương", "Sơn", "Trang", "Yến")


@dataclass(frozen=True, slots=True)
class People:
    """How many there are of each, and what belongs to whom.

    Args:
        seed: of the campus.
        students: how many join while the campus opens.
        teachers, courses: how many.
    """

    seed: int
    students: int
    teachers: int
    courses: int

    def course(self, student: Ints, which: Ints | int) -> Ints:
        """The course that a student takes in this place, 0 to ``COURSES_EACH`` - 1; the four are different."""
        word = words(seeded(self.seed, 101), student)
        first = below(word, 1, self.courses)
        stride = 1 + below(word, 2, self.courses // COURSES_EACH)
        return (first + stride * which) % self.courses

    def takes(self, student: Ints, course: Ints | int) -> Ints:
        """1 where the student takes the course, else 0."""
        taken = np.zeros(len(student), dtype=np.int64)
        for which in range(COURSES_EACH):
            taken |= self.course(student, which) == course
        return taken

    def teacher(self, course: Ints) -> Ints:
        """Who gives a course, as a user's number."""
        return -1 - course % self.teachers

    def video(self, word: Words, course: Ints, *, lecture: bool) -> Ints:
        """One of the course's videos: a short one, or a lecture."""
        place = SHORT_VIDEOS + below(word, 1, VIDEOS - SHORT_VIDEOS) if lecture else below(word, 1, SHORT_VIDEOS)
        return course * VIDEOS + place

    def video_seconds(self, video: Ints) -> Ints:
        """How long a video is: 60 to 239 s, a lecture 600 to 2,399 s."""
        drawn = below(words(seeded(self.seed, 102), video), 1, 1 << 20)
        return np.where(video % VIDEOS < SHORT_VIDEOS, 60 + drawn % 180, 600 + drawn % 1800)


def user_id(number: int) -> str:
    """SV001, SV002 … for students; GV001 … for teachers."""
    return f"SV{number + 1:03d}" if number >= 0 else f"GV{-number:03d}"


def course_id(number: int) -> str:
    """COURSE001 …"""
    return f"COURSE{number + 1:03d}"


def assignment_id(course: int, number: int) -> str:
    """ASM001-01 …: the course, then its assignments in order."""
    return f"ASM{course + 1:03d}-{number + 1:02d}"


def assignment_type(course: int, number: int) -> str:
    """The same for all who work on it."""
    return ASSIGNMENT_TYPES[(course * 7 + number * 3) % 4]


def video_id(number: int) -> str:
    """VID001 …; ten to a course."""
    return f"VID{number + 1:03d}"


def full_name(draw: int) -> str:
    """A name out of a number from 0 to 1,151."""
    return f"{_FAMILY[draw % 12]} {_MIDDLE[draw // 12 % 8]} {_GIVEN[draw // 96 % 12]}"

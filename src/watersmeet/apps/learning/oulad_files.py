"""The files of the Open University Learning Analytics Dataset, a row at a time, with errors that name the line."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from watersmeet import WatersmeetError

COLUMNS = {
    "courses.csv": "code_module code_presentation module_presentation_length",
    "assessments.csv": "code_module code_presentation id_assessment assessment_type date weight",
    "vle.csv": "id_site code_module code_presentation activity_type week_from week_to",
    "studentInfo.csv": "code_module code_presentation id_student gender region highest_education imd_band age_band "
    "num_of_prev_attempts studied_credits disability final_result",
    "studentRegistration.csv": "code_module code_presentation id_student date_registration date_unregistration",
    "studentAssessment.csv": "id_assessment id_student date_submitted is_banked score",
    "studentVle.csv": "code_module code_presentation id_student id_site date sum_click",
}
"""The columns of each file, as published; their order does not matter."""

_NOTHING = ("", "?")
_WHOLE = re.compile(r"-?[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file, that knows where it stands."""

    file: str
    line: int
    values: Mapping[str, str]

    def refuse(self, column: str, expected: str, remedy: str = "") -> WatersmeetError:
        """The error that says what is wrong with a column here."""
        return WatersmeetError(
            f"column {column} of {self.file}, line {self.line}",
            expected=expected,
            got=repr(self.values[column]),
            remedy=remedy or "compare the line with the published file, and unpack that again",
        )

    def whole(self, column: str) -> int:
        """A whole number."""
        found = self.perhaps(column)
        if found is None:
            raise self.refuse(column, "a whole number")
        return found

    def perhaps(self, column: str) -> int | None:
        """A whole number; None where the field is empty or ``?``."""
        text = self.values[column]
        if text in _NOTHING:
            return None
        if not _WHOLE.fullmatch(text):
            raise self.refuse(column, "a whole number, or nothing")
        return int(text)

    def among(self, column: str, known: Mapping[str, object], file: str) -> str:
        """One of the ids that another file names."""
        text = self.values[column]
        if text not in known:
            raise self.refuse(column, f"one that {file} names", f"take {file} and {self.file} from the same release")
        return text

    def score(self) -> Decimal | None:
        """The column ``score``; None where it is empty or ``?``."""
        text, expected = self.values["score"], "a number from 0 to 100 with two decimals at most, or nothing"
        if text in _NOTHING:
            return None
        try:
            score = Decimal(text)
        except InvalidOperation as error:
            raise self.refuse("score", expected) from error
        if not (score.is_finite() and 0 <= score <= 100 and score == round(score, 2)):
            raise self.refuse("score", expected)
        return score


def rows(folder: Path, name: str) -> Iterator[Row]:
    """The rows of one of `COLUMNS`' files.

    Raises `WatersmeetError` naming file and line if it is missing, lacks a column, is cut off, or is no CSV.
    """
    path = folder / name
    wanted = COLUMNS[name].split()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if missing := [column for column in wanted if column not in header]:
                raise WatersmeetError(
                    f"{path}, line 1",
                    expected=f"the columns {', '.join(wanted)}",
                    got=f"none called {', '.join(missing)}",
                    remedy="unpack the published file again, with its first line",
                )
            for values in reader:
                if len(values) != len(header):
                    raise WatersmeetError(
                        f"{path}, line {reader.line_num}",
                        expected=f"{len(header)} fields, as in the first line",
                        got=str(len(values)),
                        remedy="the file is cut off or edited there; unpack it again",
                    )
                yield Row(str(path), reader.line_num, dict(zip(header, values, strict=True)))
    except OSError as error:
        remedy = f"unpack the data set's seven files into {folder}"
        raise WatersmeetError(str(path), expected="a file", got=error.strerror or "", remedy=remedy) from error
    except (csv.Error, UnicodeDecodeError) as error:
        remedy = "unpack the published file again"
        raise WatersmeetError(
            f"{path}, near line {max(1, reader.line_num)}", expected="CSV in UTF-8", got=str(error), remedy=remedy
        ) from error

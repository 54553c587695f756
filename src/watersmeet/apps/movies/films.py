"""Real films: 17,472 of them from 1940 to 2014, in a SQLite file that the package ``bokeh_sampledata`` carries.

The file's tables ``omdb`` and ``tomatoes`` share the column ID. They become a `Film` so:

    id             ID
    title          Title
    release_date   Released; 1 January of Year where that is not a date. The file itself writes 1 January for the
                   11,468 films that are known to the year only
    genres         Genre, split at commas; Sci-Fi is called Science Fiction, as TMDB calls it
    runtime        Runtime, minutes
    budget         None: the file does not know
    revenue        BoxOffice, US dollars, whole. Below 1,000 None: those six are slips of the unit
    vote_average   Rating, 0 to 10
    vote_count     Reviews, the number of critics
    popularity     0.5 + Reviews ** 1.2 / 20 * (0.5 + Fresh / Reviews) * 2 ** (-(2015 - Year) / 25): what many critics
                   wrote about, liked, and lately. From 0.5 to about 95
    languages, countries, directors, writers, cast, companies
                   Language, Country, Director, Writer, Cast, Production, split at commas
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from watersmeet import UnavailableError, WatersmeetError

_QUERY = """
select o.ID, Title, Year, Released, Genre, Runtime, BoxOffice, t.Rating, Reviews, Fresh,
       Language, Country, Director, Writer, "Cast", Production
from omdb o join tomatoes t on t.ID = o.ID
order by o.ID
"""


@dataclass(frozen=True, slots=True)
class Film:
    """A film as the file knows it; ``None`` is unknown. The module tells where each field comes from."""

    id: int
    title: str
    release_date: dt.date | None
    genres: tuple[str, ...]
    runtime: int | None
    budget: int | None
    revenue: int | None
    vote_average: float | None
    vote_count: int
    popularity: float
    languages: tuple[str, ...]
    countries: tuple[str, ...]
    directors: tuple[str, ...]
    writers: tuple[str, ...]
    cast: tuple[str, ...]
    companies: tuple[str, ...]


def find_films(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Find the file where ``WATERSMEET_FILMS`` says, else in an installed ``bokeh_sampledata``; ``None`` if in neither.

    The package is never imported: it would need pandas and shapely. It can be installed without them.

    Raises:
        WatersmeetError: ``WATERSMEET_FILMS`` is set, but there is no such file.
    """
    if named := environ.get("WATERSMEET_FILMS"):
        path = Path(named)
        if not path.is_file():
            raise WatersmeetError("WATERSMEET_FILMS", expected="the path of movies.db", got=named)
        return path
    try:
        files = importlib.metadata.files("bokeh_sampledata") or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "movies.db" and (path := Path(file.locate())).is_file():
            return path
    return None


def load_films(path: Path | str) -> list[Film]:
    """All films of the file, by id.

    Raises:
        UnavailableError: the file cannot be read.
        WatersmeetError: it is a SQLite file without these tables, or no SQLite file.
    """
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as db:
            return [_film(row) for row in db.execute(_QUERY)]
    except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
        kind = UnavailableError if "unable to open" in str(error) else WatersmeetError
        raise kind(f"the films' file {path}", expected="tables omdb and tomatoes", got=str(error)) from error


def _film(row: tuple[object, ...]) -> Film:
    film_id, title, year, released, genres, runtime, box_office, rating, reviews, fresh, *names = row
    count = _whole(reviews) or 0
    return Film(
        id=_whole(film_id) or 0,
        title=str(title),
        release_date=_released(released, _whole(year)),
        genres=tuple("Science Fiction" if name == "Sci-Fi" else name for name in _split(genres)),
        runtime=_whole(runtime),
        budget=None,
        revenue=dollars if (dollars := _whole(box_office)) and dollars >= 1000 else None,
        vote_average=rating if isinstance(rating, float) else None,
        vote_count=count,
        popularity=_popularity(count, _whole(fresh) or 0, _whole(year) or 1940),
        languages=_split(names[0]),
        countries=_split(names[1]),
        directors=_split(names[2]),
        writers=_split(names[3]),
        cast=_split(names[4]),
        companies=_split(names[5]),
    )


def _popularity(reviews: int, fresh: int, year: int) -> float:
    if not reviews:
        return 0.5
    figure: float = 0.5 + float(reviews) ** 1.2 / 20 * (0.5 + fresh / reviews) * 2.0 ** (-(2015 - year) / 25)
    return round(figure, 3)


def _released(released: object, year: int | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(str(released))
    except ValueError:
        return dt.date(year, 1, 1) if year else None


def _whole(value: object) -> int | None:
    return round(value) if isinstance(value, int | float) else None


def _split(value: object) -> tuple[str, ...]:
    return tuple(part.strip() for part in str(value or "").split(",") if part.strip())

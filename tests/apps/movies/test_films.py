"""Real films, from a file like the real one and from the real one where it is."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from watersmeet import UnavailableError, WatersmeetError
from watersmeet.apps.movies.films import find_films, load_films
from watersmeet.apps.movies.world import GENRES

pytestmark = pytest.mark.data_quality

TABLES = """
create table omdb (ID integer, imdbID text, Title text, Year integer, Rating text, Runtime real, Genre text,
    Released text, Director text, Writer text, "Cast" text, Metacritic integer, imdbRating real, imdbVotes integer,
    Language text, Country text, Awards text, lastUpdated text, Oscars integer);
create table tomatoes (ID integer, Image text, Rating real, Meter integer, Reviews integer, Fresh integer,
    Rotten integer, Consensus text, userMeter integer, userRating real, userReviews integer, DVD text, BoxOffice real,
    Production text, Website text, lastUpdated text);
insert into omdb (ID, Title, Year, Runtime, Genre, Released, Director, "Cast", Language, Country) values
    (20, 'Second', 2014, 101.4, 'Drama, Sci-Fi', '2014-09-26', 'A', 'B, C,', 'English, French', 'France'),
    (10, 'First', 1999, null, null, null, '', null, null, null),
    (30, 'Third', 1980, 90.0, 'Comedy', '1980-01-01', 'A', 'B', 'Klingon', 'X');
insert into tomatoes (ID, Rating, Reviews, Fresh, BoxOffice, Production) values
    (20, 8.0, 376, 331, 369330363.4, 'Gaumont, TF1'), (10, null, null, null, null, null), (30, 3.0, 5, 0, 7.386, null);
"""


@pytest.fixture
def movies_db(tmp_path: Path) -> Path:
    path = tmp_path / "films #1?.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(TABLES)
    return path


def test_each_column_becomes_its_field(movies_db: Path) -> None:
    first, second, third = load_films(movies_db)
    assert (first.id, second.id, third.id) == (10, 20, 30)
    assert (second.title, second.release_date, second.runtime) == ("Second", dt.date(2014, 9, 26), 101)
    assert (second.genres, second.languages) == (("Drama", "Science Fiction"), ("English", "French"))
    assert (second.cast, second.directors, second.companies) == (("B", "C"), ("A",), ("Gaumont", "TF1"))
    assert (second.budget, second.revenue, second.vote_average, second.vote_count) == (None, 369_330_363, 8.0, 376)
    assert second.popularity == 83.129
    assert third.popularity == pytest.approx(0.5 + 5**1.2 / 20 * 0.5 * 2 ** (-35 / 25), abs=0.001)


def test_what_the_file_does_not_know_is_null(movies_db: Path) -> None:
    first, _, third = load_films(movies_db)
    assert (first.runtime, first.revenue, first.vote_average, first.vote_count) == (None, None, None, 0)
    assert (first.genres, first.cast, first.popularity) == ((), (), 0.5)
    assert first.release_date == dt.date(1999, 1, 1)
    assert third.revenue is None, "a box office of 7 dollars is a slip of the unit"


def test_a_file_that_is_not_there_or_not_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"nowhere\.db"):
        load_films(tmp_path / "nowhere.db")
    (tmp_path / "text.db").write_text("no database, only text that is long enough to be read as a header of one")
    with pytest.raises(WatersmeetError, match="tables omdb and tomatoes"):
        load_films(tmp_path / "text.db")
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    with pytest.raises(WatersmeetError, match="no such table"):
        load_films(tmp_path / "empty.db")


def test_the_variable_names_the_file(movies_db: Path) -> None:
    assert find_films({"WATERSMEET_FILMS": str(movies_db)}) == movies_db
    with pytest.raises(WatersmeetError, match="WATERSMEET_FILMS"):
        find_films({"WATERSMEET_FILMS": str(movies_db) + "x"})


def test_an_installed_package_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "bokeh_sampledata" / "_data" / "movies.db"
    data.parent.mkdir(parents=True)
    data.touch()
    (tmp_path / "bokeh_sampledata" / "__init__.py").write_text("raise ImportError('needs pandas and shapely')")
    info = tmp_path / "bokeh_sampledata-0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bokeh_sampledata\nVersion: 0.0\n")
    (info / "RECORD").write_text("bokeh_sampledata/__init__.py,,\nbokeh_sampledata/_data/movies.db,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_films({}) == data
    data.unlink()
    assert find_films({}) is None


def test_the_real_file_holds_what_is_said_of_it() -> None:
    path = find_films()
    if path is None:
        pytest.skip("no real films: neither bokeh_sampledata is installed nor WATERSMEET_FILMS set")
    films = load_films(path)
    assert len(films) == 17_472
    assert len({film.id for film in films}) == 17_472
    assert all(0 < film.id < 2**31 and film.title for film in films)
    assert {genre for film in films for genre in film.genres} <= GENRES.keys()
    years = [film.release_date.year for film in films if film.release_date]
    assert (len(years), min(years), max(years)) == (17_472, 1940, 2014)
    ratings = [film.vote_average for film in films if film.vote_average is not None]
    assert len(ratings) == 17_130
    assert all(0 <= rating <= 10 for rating in ratings)
    assert sum(film.revenue is not None for film in films) == 2_754
    assert 0.5 == min(film.popularity for film in films) < max(film.popularity for film in films) < 95

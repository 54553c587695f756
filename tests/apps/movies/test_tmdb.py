"""The client, against servers on loopback that behave and that do not."""

from __future__ import annotations

import datetime as dt
import email.utils
import logging
import traceback
from collections.abc import Callable, Iterator

import httpx2
import pytest

from watersmeet import UnavailableError, WatersmeetError
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.apps.movies.films import Film
from watersmeet.apps.movies.limiter import RateLimit
from watersmeet.apps.movies.sandbox import Faults, Sandbox, Server
from watersmeet.apps.movies.tmdb import BASE_URL, TmdbClient, TmdbError, _proxy

from .upstream import KEY, START_US, Upstream, page

pytestmark = pytest.mark.integration

V3_KEY = "0123456789abcdef" * 2

Connect = Callable[..., TmdbClient]


@pytest.fixture
def sandbox(films: list[Film], clock: ManualClock) -> Iterator[tuple[Sandbox, str]]:
    made = Sandbox(films, clock, seed=3, key=KEY, faults=Faults(limited=0.25, retry_after_seconds=3, broken=0.15))
    with Server(made.app) as server:
        yield made, server.url


def seconds(clock: ManualClock) -> float:
    """How much time has passed."""
    return (clock.now_us() - START_US) / 1e6


def test_every_endpoint_answers_through_failures(
    sandbox: tuple[Sandbox, str], connect: Connect, clock: ManualClock
) -> None:
    made, url = sandbox
    client = connect(url, attempts=20)
    assert client.latest().id == 600 or client.latest().title
    assert client.genres()[878] == "Science Fiction"
    assert len(client.trending().results) == 20
    assert client.top_rated().results[0].vote_average is not None
    details = client.details(10)
    assert details is not None
    assert (details.title, details.release_date, details.runtime) == ("Film 1", "1951-02-02", 81)
    assert (details.budget, details.revenue) == (None, 1_000_000)
    credits = client.credits(10)
    assert credits is not None
    assert [member.name for member in credits.cast] == ["A. Player", "B. Player"]
    assert [(member.name, member.job) for member in credits.crew] == [("Director 1", "Director")]
    reviews = client.reviews(600)
    assert reviews is not None
    assert reviews.results
    assert all(review.created_ms is not None and review.created_ms <= START_US // 1000 for review in reviews.results)
    assert (client.details(11), client.credits(11), client.reviews(11)) == (None, None, None)
    assert made.answered[429] > 0
    assert made.answered[500] > 0
    assert seconds(clock) > 1


def test_pages_together_are_the_whole_list(sandbox: tuple[Sandbox, str], connect: Connect) -> None:
    client = connect(sandbox[1], attempts=20)
    pages = [client.popular(number) for number in (1, 2, 3)]
    assert [found.pages for found in pages] == [3, 3, 3]
    assert pages[0].total == 60
    assert len({film.id for found in pages for film in found.results}) == 60
    popularity = [film.popularity or 0 for found in pages for film in found.results]
    assert popularity == sorted(popularity, reverse=True)
    assert client.popular(4).results == ()


@pytest.mark.parametrize("number", [0, 501])
def test_a_page_beyond_the_limits_is_not_asked_for(upstream: Upstream, connect: Connect, number: int) -> None:
    with pytest.raises(WatersmeetError, match="1 to 500"):
        connect(upstream.url).popular(number)
    assert not upstream.calls


def test_a_refused_key_names_its_variable(sandbox: tuple[Sandbox, str], connect: Connect) -> None:
    with pytest.raises(WatersmeetError, match="TMDB_API_KEY") as caught:
        connect(sandbox[1], key="another").genres()
    assert not isinstance(caught.value, UnavailableError | TmdbError)


def test_a_bearer_token_goes_into_the_header_and_a_v3_key_into_the_query(upstream: Upstream, connect: Connect) -> None:
    upstream.says("/movie/popular", page())
    connect(upstream.url, key=KEY).popular(2)
    connect(upstream.url, key=V3_KEY).popular(2)
    first, second = upstream.seen
    assert first.headers["Authorization"] == f"Bearer {KEY}"
    assert dict(first.query_params) == {"page": "2"}
    assert "Authorization" not in second.headers
    assert dict(second.query_params) == {"page": "2", "api_key": V3_KEY}


@pytest.mark.parametrize("key", [KEY, V3_KEY])
def test_the_key_is_in_no_log_no_error_and_no_repr(
    upstream: Upstream, connect: Connect, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    caplog.set_level(logging.DEBUG)
    client = connect(upstream.url, key=key, attempts=2, timeout_seconds=0.2)
    told = [repr(client), str(client)]
    upstream.says("/movie/popular", page())
    client.popular()
    upstream.says("/movie/1", {"status_message": f"who is {key}?"}, status=418)
    upstream.says("/movie/2", {"status_message": f"who is {key}?"}, status=401)
    upstream.says("/movie/3", {"id": key})
    upstream.says("/movie/4", "hang")
    upstream.says("/movie/5", b"", status=302, headers={"Location": f"http://example.invalid/{key}"})
    upstream.says("/movie/6", b"", headers={"Content-Encoding": key})
    upstream.says("/movie/7", b"", status=503)
    for film_id in range(1, 8):
        with pytest.raises(WatersmeetError) as caught:
            client.details(film_id)
        told += traceback.format_exception(caught.value)
    assert "HTTP Request" in caplog.text, "the log that would hold the address must be on"
    assert "example.invalid/…" in caplog.text, "the log that would hold what a redirect repeats must be on"
    assert "who is …?" in "".join(told)
    assert key not in caplog.text
    assert key not in "".join(told)


def test_retry_after_seconds_are_waited_for(upstream: Upstream, connect: Connect, clock: ManualClock) -> None:
    upstream.says("/movie/5", b"", status=429, headers={"Retry-After": "7"})
    upstream.says("/movie/5", {"id": 5})
    assert connect(upstream.url).details(5) is not None
    assert seconds(clock) == pytest.approx(7, abs=0.01)


def test_a_retry_after_date_is_waited_for(upstream: Upstream, connect: Connect, clock: ManualClock) -> None:
    moment = dt.datetime.fromtimestamp(START_US / 1e6 + 9, dt.UTC)
    upstream.says(
        "/movie/5", b"", status=503, headers={"Retry-After": email.utils.format_datetime(moment, usegmt=True)}
    )
    upstream.says("/movie/5", {"id": 5})
    assert connect(upstream.url).details(5) is not None
    assert seconds(clock) == pytest.approx(9, abs=1)


@pytest.mark.parametrize("value", ["soon", "-3", "", "Wed, 99 Nov 2026 99:99:99 GMT", "9" * 400, "²"])
def test_a_malformed_retry_after_is_ignored(
    upstream: Upstream, connect: Connect, clock: ManualClock, value: str
) -> None:
    upstream.says("/movie/5", b"", status=429, headers={"Retry-After": value})
    upstream.says("/movie/5", {"id": 5})
    assert connect(upstream.url, backoff_seconds=1.0).details(5) is not None
    assert 1 <= seconds(clock) <= 1.5


def test_a_longer_retry_after_than_one_waits_for_ends_the_call(
    upstream: Upstream, connect: Connect, clock: ManualClock
) -> None:
    upstream.says("/movie/5", b"", status=429, headers={"Retry-After": "3600"})
    with pytest.raises(UnavailableError, match="asking to wait 3600 s at attempt 1"):
        connect(upstream.url).details(5)
    assert seconds(clock) < 1


def test_attempts_are_bounded_and_further_and_further_apart(
    upstream: Upstream, connect: Connect, clock: ManualClock
) -> None:
    upstream.says("/movie/5", b"", status=500)
    with pytest.raises(UnavailableError, match="status 500 at attempt 4"):
        connect(upstream.url, attempts=4, backoff_seconds=0.5).details(5)
    assert upstream.calls["/movie/5"] == 4
    assert 0.5 + 1 + 2 <= seconds(clock) <= 1.5 * (0.5 + 1 + 2)


def test_no_wait_is_longer_than_the_longest(upstream: Upstream, connect: Connect, clock: ManualClock) -> None:
    upstream.says("/movie/5", b"", status=500)
    with pytest.raises(UnavailableError, match="at attempt 8"):
        connect(upstream.url, attempts=8, backoff_seconds=2, wait_seconds=3).details(5)
    assert 7 * 2 <= seconds(clock) <= 7 * 3


def test_a_server_that_does_not_answer_is_unavailable(upstream: Upstream, connect: Connect) -> None:
    upstream.says("/movie/5", "hang")
    with pytest.raises(UnavailableError, match="ReadTimeout"):
        connect(upstream.url, attempts=2, timeout_seconds=0.1).details(5)
    assert upstream.calls["/movie/5"] == 2


def test_a_body_that_drips_is_given_up(upstream: Upstream, connect: Connect, clock: ManualClock) -> None:
    def drip() -> Iterator[bytes]:
        yield b'{"id": 5'
        clock.advance(6)
        yield b', "title": "Slow"'
        clock.advance(6)
        yield b"}"

    upstream.says("/movie/5", drip)
    with pytest.raises(UnavailableError, match="took longer than 10 s at attempt 2"):
        connect(upstream.url, attempts=2).details(5)
    assert connect(upstream.url, attempts=2, timeout_seconds=30).details(5) is not None


def test_a_server_that_is_gone_is_unavailable(upstream: Upstream, connect: Connect, films: list[Film]) -> None:
    with Server(Sandbox(films, ManualClock(START_US)).app) as server:
        url = server.url
    with pytest.raises(UnavailableError, match="ConnectError"):
        connect(url, attempts=2).genres()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"<html>", "malformed"),
        (b'{"id": 5', "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 200_000, "recursion|Expected"),
        (b'{"id": 5, "x": ' + b"[" * 200_000, "recursion"),
        ({"title": "no number"}, "missing required field `id`"),
        ({"id": "5"}, r"Expected `int`, got `str` - at `\$.id`"),
        ({"id": 5, "genres": [{"id": 1, "name": None}]}, r"\$.genres\[0\].name"),
        ({"id": 5, "runtime": -1}, r"\$.runtime"),
        ({"id": 5, "vote_average": 11}, r"\$.vote_average"),
        ({"id": 2**31}, r"\$.id"),
        ({"id": 5, "release_date": "soon"}, "YYYY-MM-DD"),
        ({"id": 5, "release_date": "2020-02-30"}, "day is out of range"),
    ],
)
def test_a_malformed_body_is_named_with_its_path(
    upstream: Upstream, connect: Connect, body: object, complaint: str
) -> None:
    upstream.says("/movie/5", body)
    with pytest.raises(TmdbError, match=complaint):
        connect(upstream.url).details(5)
    assert upstream.calls["/movie/5"] == 1


def test_a_malformed_result_costs_only_itself(upstream: Upstream, connect: Connect) -> None:
    upstream.says("/movie/5/reviews", page({"id": "a"}, {"id": 7}, {"id": "c", "author_details": None}))
    found = connect(upstream.url).reviews(5)
    assert found is not None
    assert [review.id for review in found.results] == ["a", "c"]
    assert found.malformed == ("Expected `str`, got `int` - at `$.results[1].id`",)


def test_a_body_above_the_limit_is_not_read_to_its_end(upstream: Upstream, connect: Connect) -> None:
    upstream.says("/movie/5", {"id": 5, "title": "x" * 100_000})
    with pytest.raises(TmdbError, match="at most 50000 bytes"):
        connect(upstream.url, body_bytes=50_000).details(5)
    assert connect(upstream.url, body_bytes=200_000).details(5) is not None


def test_a_compressed_body_is_refused(upstream: Upstream, connect: Connect) -> None:
    upstream.says("/movie/5", b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    with pytest.raises(TmdbError, match="not compressed"):
        connect(upstream.url).details(5)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_not_followed(upstream: Upstream, connect: Connect, status: int) -> None:
    upstream.says("/movie/5", b"", status=status, headers={"Location": f"{upstream.url}/movie/6"})
    upstream.says("/movie/6", {"id": 6})
    with pytest.raises(TmdbError, match="redirect"):
        connect(upstream.url).details(5)
    assert not upstream.calls["/movie/6"]


def test_another_refusal_is_told_in_tmdbs_words(upstream: Upstream, connect: Connect) -> None:
    upstream.says("/movie/5", {"status_message": "Suspended \x1b[31mAPI key"}, status=403)
    with pytest.raises(TmdbError, match=r"403 Suspended \[31mAPI key"):
        connect(upstream.url).details(5)


def test_a_list_that_is_not_there_is_an_error(upstream: Upstream, connect: Connect) -> None:
    with pytest.raises(TmdbError, match="Check the base URL"):
        connect(upstream.url).popular()


def test_each_attempt_takes_a_token(upstream: Upstream, connect: Connect, clock: ManualClock) -> None:
    upstream.says("/movie/5", {"id": 5})
    client = connect(upstream.url, limit=RateLimit(clock, per_second=4, burst=10))
    for _ in range(30):
        client.details(5)
    assert seconds(clock) == pytest.approx(5.0, abs=0.01)


def test_a_closed_client_asks_nothing(upstream: Upstream, connect: Connect) -> None:
    client = connect(upstream.url)
    client.close()
    with pytest.raises(UnavailableError, match="closed"):
        client.genres()
    assert not upstream.calls


@pytest.mark.parametrize(
    "url",
    [
        "http://api.themoviedb.org/3",
        "ftp://127.0.0.1/3",
        "file:///etc/passwd",
        "https://user:secret@api.themoviedb.org/3",
        "https://",
        "http://169.254.169.254/3",
        "http://localhost.example.invalid/3",
    ],
)
def test_an_address_must_be_https_or_loopback(connect: Connect, url: str) -> None:
    with pytest.raises(WatersmeetError, match="TMDB_BASE_URL") as caught:
        connect(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "  ", "two\nlines", "schlüssel"])
def test_a_key_must_be_sendable(connect: Connect, key: str) -> None:
    with pytest.raises(WatersmeetError, match="TMDB_API_KEY") as caught:
        connect(BASE_URL, key=key)
    assert not key.strip() or key not in str(caught.value)


def test_the_environments_proxy_is_for_others_than_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    monkeypatch.setenv("no_proxy", "intern.invalid")
    assert _proxy(httpx2.URL(BASE_URL)) == "http://proxy.invalid:3128"
    assert _proxy(httpx2.URL("https://intern.invalid/3")) is None
    assert _proxy(httpx2.URL("https://127.0.0.1/3")) is None

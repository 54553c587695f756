from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.columnar.chunks import COLUMNS, logged
from watersmeet import WatersmeetError
from watersmeet.apps.learning.campus import Campus
from watersmeet.apps.learning.delivery import LONGEST_US, MALFORMED, Delivery, Mishaps
from watersmeet.apps.learning.outbreaks import Outbreak
from watersmeet.apps.learning.scenes import Events
from watersmeet.apps.learning.topics import EVENT_TYPES, TOPICS
from watersmeet.engines.columnar.decode import Decoder

pytestmark = pytest.mark.data_quality

OPENS_US = 1_764_547_200_000_000  # 2025-12-01T00:00Z, a Monday
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
CLEAN = Mishaps(late=0, duplicated=0, malformed=0)
GENERATED = {name for types in EVENT_TYPES.values() for name in types} - {"COURSE_COMPLETED"}

Event = dict[str, Any]


def campus(rate: float = 3.0, seed: int = 11, **more: Any) -> Campus:
    return Campus(rate, opens_us=OPENS_US, seed=seed, **more)


def span(of: Campus, start_us: int, end_us: int) -> list[Delivery]:
    return list(of.arrivals(OPENS_US + start_us, OPENS_US + end_us))


@lru_cache(maxsize=1)
def first_day() -> list[Event]:
    """What happens in 14 hours from the opening, in order of time."""
    found = span(campus(mishaps=CLEAN), 0, 14 * HOUR_US)
    return sorted((json.loads(value) for _, _, value in found), key=lambda event: event["timestamp"])


def decoded(records: Iterable[Delivery]) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    """Topic name, rows and dead letters, by the engine that is used in earnest."""
    decoder = Decoder(COLUMNS)
    by_topic = defaultdict(list)
    for name, arrival, value in records:
        by_topic[name].append((arrival, value))
    topics = {topic.name: topic for topic in TOPICS.values()}
    for name, pairs in by_topic.items():
        arrivals, values = zip(*pairs, strict=True)
        both = decoder.decode(topics[name], logged(values, arrivals=arrivals))
        yield name, pa.table(both.rows), pa.table(both.dead)


def test_every_event_is_accepted_by_its_topic() -> None:
    records = span(campus(2, mishaps=CLEAN), 0, 7 * HOUR_US)
    used = 0
    for name, rows, dead in decoded(records):
        assert dead.select(["reason", "detail"]).slice(0, 3).to_pylist() == [], name
        used += rows.num_rows
    assert used == len(records) > 20_000


def test_the_malformed_share_is_dead_and_nothing_else_is() -> None:
    plain = span(campus(mishaps=CLEAN), 0, 4 * HOUR_US + LONGEST_US)
    records = span(campus(mishaps=Mishaps(late=0.05, duplicated=0.03, malformed=0.02)), 0, 4 * HOUR_US + LONGEST_US)
    until = OPENS_US + 4 * HOUR_US
    reasons: Counter[str] = Counter()
    ids: list[str] = []
    for _, rows, dead in decoded(records):
        reasons.update(dead["reason"].to_pylist())
        ids += [
            event
            for event, at in zip(
                rows["event_id"].to_pylist(), rows["timestamp"].cast(pa.int64()).to_pylist(), strict=True
            )
            if at < until
        ]
    assert set(reasons) == set(MALFORMED.values())
    events = [json.loads(value) for _, _, value in plain]
    wanted = {event["event_id"] for event in events if event["timestamp"] * 1000 < until}
    assert set(ids) == wanted
    assert len(ids) - len(wanted) == pytest.approx(0.03 * len(wanted), rel=0.15)
    assert sum(reasons.values()) == pytest.approx(0.02 * len(plain), rel=0.15)


def test_late_records_arrive_in_order_of_arrival_up_to_an_hour_after_they_happened() -> None:
    records = span(campus(mishaps=Mishaps(late=0.1, duplicated=0.05, malformed=0)), 0, 6 * HOUR_US)
    arrivals = [at for _, at, _ in records]
    assert arrivals == sorted(arrivals)
    delays = [at - json.loads(value)["timestamp"] * 1000 for _, at, value in records]
    assert min(delays) > 0
    assert 20 * 60_000_000 < max(delays) <= LONGEST_US
    assert 0.05 < sum(delay > 120_000_000 for delay in delays) / len(delays) < 0.12


@settings(max_examples=8, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([0.5, 40.0, 600.0]),
    st.integers(0, 40 * 60),
    st.lists(st.integers(1, 100_000_000), min_size=1, max_size=3),
)
def test_the_bytes_do_not_depend_on_how_the_time_is_cut(seed: int, rate: float, start: int, cuts: list[int]) -> None:
    edges = [start * 1_000_000]
    for cut in cuts:
        edges.append(edges[-1] + cut)
    whole = span(campus(rate, seed), edges[0], edges[-1])
    alone = [span(campus(rate, seed), *pair) for pair in pairwise(edges)]
    assert [record for piece in alone for record in piece] == whole
    one = campus(rate, seed)
    assert [span(one, *pair) for pair in pairwise(edges)] == alone
    assert span(one, edges[0], edges[1]) == alone[0]


def test_reading_on_costs_no_more_than_what_is_read() -> None:
    of = campus(600)
    played: list[int] = []
    play = of._play

    def counted(block: int) -> Events:
        played.append(block)
        return play(block)

    of._play = counted  # type: ignore[method-assign]  # to count
    start, step = HOUR_US // 2, 700_000
    parts = [span(of, start + at * step, start + (at + 1) * step) for at in range(60)]
    assert len(played) == len(set(played))
    assert played[-1] == of._block(OPENS_US + start + 60 * step - 1)
    assert [record for part in parts for record in part] == span(campus(600), start, start + 60 * step)


def test_another_seed_is_another_campus() -> None:
    assert span(campus(seed=1), 0, HOUR_US) == span(campus(seed=1), 0, HOUR_US)
    assert span(campus(seed=1), 0, HOUR_US) != span(campus(seed=2), 0, HOUR_US)


def test_every_type_of_event_happens_and_ids_are_unique() -> None:
    assert {event["event_type"] for event in first_day()} == GENERATED
    assert len({event["event_id"] for event in first_day()}) == len(first_day())


def test_nobody_does_anything_with_a_course_before_taking_it() -> None:
    taken: set[tuple[str, str | None]] = set()
    created: set[str] = set()
    checked = 0
    for event in first_day():
        name, course = event["event_type"], event.get("course_id")
        if name == "COURSE_CREATED":
            created.add(event["course_id"])
        elif name == "COURSE_ENROLLED":
            assert course in created
            taken.add((event["user_id"], event["course_id"]))
        elif event["role"] == "student" and name in (*EVENT_TYPES["ASSESSMENT"], *EVENT_TYPES["VIDEO"], "ITEM_CLICK"):
            assert (event["user_id"], course) in taken, event
            checked += 1
        elif name == "COURSE_DROPPED":
            assert (event["user_id"], course) in taken
            taken.remove((event["user_id"], event["course_id"]))
    assert checked > 50_000


def test_work_is_looked_at_then_handed_in_then_graded_by_the_teacher_of_the_course() -> None:
    teachers: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    handed_in: set[tuple[str, str]] = set()
    read: set[tuple[str, str]] = set()
    courses: dict[str, set[str]] = defaultdict(set)
    grades = 0
    for event in first_day():
        name = event["event_type"]
        if name == "COURSE_CREATED":
            teachers[event["course_id"]] = event["user_id"]
        if "assignment_id" not in event:
            continue
        courses[event["assignment_id"]].add(event["course_id"])
        pair: tuple[Any, Any] = event.get("student_id", event["user_id"]), event["assignment_id"]
        match name:
            case "VIEW_ASSIGNMENT_FIRST_TIME":
                assert pair not in seen
                seen.add(pair)
            case "SUBMIT_ASSIGNMENT":
                assert pair in seen
                handed_in.add(pair)
            case "EDIT_ASSIGNMENT" | "DELETE_ASSIGNMENT":
                assert pair in handed_in
            case "VIEW_STUDENT_WORK":
                assert pair in handed_in
                assert event["user_id"] == teachers[event["course_id"]]
                read.add(pair)
            case "GRADE_ASSIGNMENT":
                assert pair in read
                grades += 1
            case "ASSIGNMENT_REOPENED":
                assert event["new_due_date"] > event["timestamp"]
    assert {len(of) for of in courses.values()} == {1}
    assert grades > 200


def test_a_quiz_is_started_answered_and_completed_with_the_answers_given() -> None:
    attempts: dict[str, list[Event]] = {}
    done = 0
    for event in first_day():
        match event["event_type"]:
            case "QUIZ_STARTED":
                assert event["attempt_id"] not in attempts
                attempts[event["attempt_id"]] = [event]
            case "QUESTION_ANSWERED":
                attempts[event["attempt_id"]].append(event)
            case "QUIZ_COMPLETED":
                start, *answers = attempts[event["attempt_id"]]
                assert (start["user_id"], start["quiz_id"]) == (event["user_id"], event["quiz_id"])
                assert len({answer["question_id"] for answer in answers}) == event["total_questions"]
                assert event["correct_answers"] == sum(answer["is_correct"] for answer in answers)
                done += 1
    assert 0.8 * len(attempts) < done < len(attempts)


def test_videos_are_watched_within_a_visit_and_completed_at_four_fifths() -> None:
    lengths: dict[str, set[int]] = defaultdict(set)
    watched: dict[str, Event] = {}
    paused: dict[str, Event] = {}
    completed = 0
    for event in first_day():
        if event["event_category"] != "VIDEO":
            continue
        lengths[event["video_id"]].add(event["video_duration_seconds"])
        if event["event_type"] == "VIDEO_PAUSED":
            assert event["position_seconds"] <= event["video_duration_seconds"]
            paused[event["session_id"]] = event
        if event["event_type"] == "VIDEO_WATCHED":
            assert event["session_id"] not in watched
            assert 0 < event["watch_duration_seconds"] <= event["video_duration_seconds"]
            watched[event["session_id"]] = event
        if event["event_type"] == "VIDEO_COMPLETED":
            viewing = watched[event["session_id"]]
            assert viewing["watch_duration_seconds"] >= 0.8 * event["video_duration_seconds"]
            completed += 1
    assert {len(of) for of in lengths.values()} == {1}
    assert 0.2 < completed / len(watched) < 0.8
    ended = [(one, watched[session]) for session, one in paused.items() if session in watched]
    assert len(ended) > 0.95 * len(paused) > 1000  # the others are still watching
    for pause, end in ended:
        assert (pause["user_id"], pause["video_id"]) == (end["user_id"], end["video_id"])
        assert pause["position_seconds"] <= end["watch_duration_seconds"]


def test_who_signs_out_has_signed_in_and_most_do() -> None:
    inside: dict[str, str] = {}
    failed = logins = logouts = 0
    for event in first_day():
        if event["event_type"] == "LOGIN" and event["success"]:
            inside[event["session_id"]] = event["user_id"]
            logins += 1
        elif event["event_type"] == "LOGIN":
            assert "session_id" not in event
            failed += 1
        elif event["event_type"] == "LOGOUT":
            assert inside.pop(event["session_id"]) == event["user_id"]
            logouts += 1
    assert 0.7 < logouts / logins < 0.9
    assert 0.05 < failed / (failed + logins) < 0.2


def test_a_notice_is_sent_before_it_is_opened_and_opened_before_it_is_clicked() -> None:
    sent: dict[str, Event] = {}
    opened: set[str] = set()
    clicked = 0
    for event in first_day():
        if event["event_category"] != "NOTIFICATION":
            continue
        name, number = event["event_type"], event["notification_id"]
        if name == "NOTIFICATION_SENT":
            assert number not in sent
            sent[number] = event
            continue
        for field in ("user_id", "notification_type", "channel", "related_object_id"):
            assert event[field] == sent[number][field]
        if name == "NOTIFICATION_OPENED":
            opened.add(number)
        else:
            assert number in opened
            clicked += 1
    assert 0.4 < len(opened) / len(sent) < 0.7
    assert 0.1 < clicked / len(sent) < 0.4


def played(of: Campus, hours: range) -> dict[int, int]:
    """Events in each of these hours since the opening, as many as some of its minutes let expect."""
    seconds = of._ground.together * of._ground.slot_us // 1_000_000
    blocks = {hour: of._block(OPENS_US + hour * HOUR_US) + 1 for hour in hours}
    return {hour: 3600 * len(of._play(block)) // seconds for hour, block in blocks.items()}


def test_the_rate_is_the_mean_of_a_week_and_its_rhythm_is_that_of_days_and_weeks() -> None:
    of = Campus(3, opens_us=OPENS_US, seed=3)
    hours = played(of, range(7 * 24 - 7, 14 * 24 - 7))  # Monday to Sunday in local time
    assert sum(hours.values()) / (7 * 86_400) == pytest.approx(3, rel=0.05)
    local = [sum(found for hour, found in hours.items() if (hour + 7) % 24 == clock) for clock in range(24)]
    days = [sum(found for hour, found in hours.items() if (hour + 7) // 24 % 7 == day) for day in range(7)]
    assert local[10] > 5 * local[3]
    assert days[1] > 1.5 * days[5]


def test_steady_means_the_same_at_night() -> None:
    found = played(Campus(20, opens_us=OPENS_US, seed=3, steady=True), range(48, 72)).values()
    assert max(found) < 1.1 * min(found)


def test_work_is_begun_more_often_the_nearer_its_deadline() -> None:
    of = Campus(20, opens_us=OPENS_US, seed=3)
    ground = of._ground
    lower, upper = (ground.slot(OPENS_US + 7 * DAY_US + 140 * 60_000_000 + day * DAY_US) for day in (-1, 0))
    begun = [ground.begun(slot) for slot in range(ground.slot(OPENS_US), upper)]
    assert sum(size for _, _, size in begun) == ground.works
    last = sum(size for _, _, size in begun[lower:])
    assert last > 1.7 * ground.works / 7


def outbreak(kind: str, target: int = 2) -> tuple[list[Event], list[Event], Any]:
    """The events during an outbreak with it and without it, and its label."""
    one = Outbreak(kind, OPENS_US + 5 * HOUR_US, minutes=40, target=target, per_minute=90)  # type: ignore[arg-type]  # by name
    trouble = campus(mishaps=CLEAN, outbreaks=[one])
    (label,) = trouble.labels()

    def during(of: Campus) -> list[Event]:
        found = [(name, json.loads(value)) for name, _, value in span(of, 5 * HOUR_US, 6 * HOUR_US)]
        return [
            event
            for name, event in found
            if name == label.topic
            and event.get(label.column) == label.value
            and label.start_us <= event["timestamp"] * 1000 < label.end_us
        ]

    return during(trouble), during(campus(mishaps=CLEAN)), label


@pytest.mark.parametrize(
    ("kind", "name", "least"),
    [
        ("failed_logins", "LOGIN", 3500),
        ("submissions", "SUBMIT_ASSIGNMENT", 3500),
        ("enrolments", "COURSE_ENROLLED", 3000),
    ],
)
def test_an_outbreak_adds_what_its_label_says(kind: str, name: str, least: int) -> None:
    trouble, usual, _ = outbreak(kind)
    assert sum(event["event_type"] == name for event in trouble) > least
    assert sum(event["event_type"] == name for event in usual) < 30
    ids = {event["event_id"] for event in trouble}
    assert {event["event_id"] for event in usual} <= ids
    assert len(ids) == len(trouble)


def test_a_drop_off_shortens_what_is_watched_in_one_course() -> None:
    trouble, usual, _ = outbreak("video_drop_off")

    def watched(events: list[Event]) -> list[float]:
        shares = [(e.get("watch_duration_seconds"), e["video_duration_seconds"]) for e in events]
        return [seconds / length for seconds, length in shares if seconds is not None]

    assert len(watched(trouble)) == len(watched(usual)) > 5
    assert max(watched(trouble)) < 0.12
    assert max(watched(usual)) > 0.5
    assert "VIDEO_COMPLETED" not in {event["event_type"] for event in trouble}


def test_outbreaks_are_accepted_too() -> None:
    starts = OPENS_US + 4 * HOUR_US
    kinds = ("failed_logins", "submissions", "video_drop_off", "enrolments")
    of = campus(mishaps=CLEAN, outbreaks=[Outbreak(kind, starts, 10, 1) for kind in kinds])  # type: ignore[arg-type]  # by name
    for name, _, dead in decoded(span(of, 4 * HOUR_US, 4 * HOUR_US + 900_000_000)):
        assert dead.num_rows == 0, name


def test_memory_is_bounded_by_what_is_late_at_the_highest_rate() -> None:
    of = Campus(50_000, opens_us=OPENS_US, seed=1, steady=True, mishaps=CLEAN)
    assert len(of._play(of._block(OPENS_US + 3 * DAY_US))) == pytest.approx(50_000, rel=0.1)
    assert of._ground.slot_us == 1_000_000


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"rate": 0}, "rate of a campus"),
        ({"rate": 60_000}, "rate of a campus"),
        ({"opens_us": 1}, "opening of a campus"),
        ({"offset_minutes": 900}, "offset of a campus"),
        ({"outbreaks": [Outbreak("enrolments", OPENS_US, 10, 10**6)]}, "outbreak"),
        ({"outbreaks": [Outbreak("enrolments", OPENS_US, 0)]}, "outbreak"),
        ({"outbreaks": [Outbreak("enrolments", OPENS_US + 1, 10)]}, "outbreak"),
        ({"outbreaks": [Outbreak("enrolments", OPENS_US, 10)] * 257}, "outbreaks"),
    ],
)
def test_arguments_out_of_range_are_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(WatersmeetError, match=message):
        Campus(**{"rate": 1.0, "opens_us": OPENS_US} | more)


def test_shares_of_mishaps_are_shares() -> None:
    with pytest.raises(WatersmeetError, match="mishaps"):
        Mishaps(late=1.5)

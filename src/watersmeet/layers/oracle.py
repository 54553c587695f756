"""A second opinion on a sample of the batch layer's cells: plain SQL over the archived payloads.

It shares no code with the engine: payloads are read with DuckDB's own JSON functions, leniently, and grouped once. What
it takes from the batch layer is only which records were used (the positions of the kept ids, or for a topic without id
all that are not dead or excluded). Checked are count, sum, least and greatest of views whose expressions read declared
scalar columns; others are left out, and so are doubles, whose sums depend on order here, and a user's own windows:
where a record lies is what their function says, and SQL has no second opinion on that.
"""

from __future__ import annotations

import logging
import re

import duckdb
import pyarrow as pa

from watersmeet.core.archive import Archive
from watersmeet.core.engine import Absorbed
from watersmeet.core.manifest import Epoch
from watersmeet.core.measure import Lift
from watersmeet.core.runner import Turn
from watersmeet.core.schema import SqlType
from watersmeet.core.sql.expression import scalar
from watersmeet.core.topic import Topic
from watersmeet.core.view import CellSpec

log = logging.getLogger(__name__)
CHUNK = 200_000
SHARE = 16
_DIVISION = re.compile(r"\b(ratio|pct)\s*\(", re.IGNORECASE)
CHECKED = {"count": ("n", "count(*)"), "sum": ("s", "sum({})"), "min": ("v", "min({})"), "max": ("v", "max({})")}


class Oracle:
    """Recomputes about one cell in sixteen of the first spec of a turn that it can express.

    Args:
        archive: where the payloads are.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def __call__(self, epoch: Epoch, turn: Turn, batch: Absorbed) -> tuple[int, int]:
        """(cells sampled, cells that differ)."""
        spec = next((s for s in turn.specs if _is_plain(turn.topic, s)), None)
        if spec is None or turn.topic.exclusions:
            return 0, 0
        try:
            return self._compare(epoch, turn, batch, spec)
        except duckdb.Error as error:
            # A second opinion that cannot be had must not stop what it is about.
            log.error("no sample of %s is checked: %s", turn.topic.name, str(error).splitlines()[0])
            return 0, 0

    def _compare(self, epoch: Epoch, turn: Turn, batch: Absorbed, spec: CellSpec) -> tuple[int, int]:
        with duckdb.connect() as db:
            db.execute("set TimeZone = 'UTC'")
            db.execute('create table raw (partition integer, "offset" bigint, arrival bigint, value blob)')
            for chunk in self._archive.read(turn.topic.name, epoch.number, CHUNK):
                db.register("chunk", pa.table(chunk))
                db.execute('insert into raw select partition, "offset", arrival, value from chunk')
                db.unregister("chunk")
            _keep_used(db, turn.topic, batch)
            db.execute(f"create table records as {_select(turn.topic)}")
            db.register("cells", pa.table(batch.cells[spec.fingerprint].cells))
            found = db.execute(_compare(spec, turn.topic)).fetchone()
        sampled, wrong = found or (0, 0)
        return int(sampled), int(wrong)


def _is_plain(topic: Topic, spec: CellSpec) -> bool:
    """True if plain SQL can say what the cells must be."""
    columns = {name: kind for name, kind in topic.types if not kind.many and kind.name != "double" and not kind.rounded}
    columns["event_time"] = SqlType("timestamp")
    if spec.explode is not None or spec.pane.kind not in ("tumbling", "hopping", "all") or spec.expire_us:
        return False
    checked = [lift for _, lift in _checked(spec)]
    texts = [d.expr for d in spec.dimensions] + [spec.where] + [t for x in checked for t in (x.expr, x.where)]
    texts = [text for text in texts if text]
    plain = not any(_divides(text) for text in texts)
    return bool(checked) and plain and all(_reads(topic, text) <= columns.keys() for text in texts)


def _checked(spec: CellSpec) -> list[tuple[int, Lift]]:
    """The lifts that plain SQL can check, by their place; ratio and pct are the engine's own."""
    return [(i, x) for i, x in enumerate(spec.lifts) if x.kind in CHECKED and not _divides(x.expr, x.where)]


def _divides(*texts: str) -> bool:
    return any(_DIVISION.search(text) for text in texts)


def _reads(topic: Topic, text: str) -> frozenset[str]:
    return scalar(text, topic.columns, subject="oracle", where="").columns


def _value(name: str, kind: SqlType) -> str:
    text = f"json_extract_string(decode(value), '$.\"{name}\"')"
    match kind.name:
        case "timestamp_ms":
            return f"make_timestamp(({text})::bigint * 1000)"
        case "timestamp_s":
            return f"make_timestamp(({text})::bigint * 1000000)"
        case "timestamp":
            return f"({text})::timestamptz::timestamp"
    return f"try_cast({text} as {kind.sql})"


def _columns(topic: Topic) -> list[tuple[str, SqlType]]:
    return [(name, kind) for name, kind in topic.types if not kind.many and kind.name != "double"]


def _select(topic: Topic) -> str:
    values = ", ".join(f'{_safe(_value(name, kind))} as "{name}"' for name, kind in _columns(topic))
    time = f'"{topic.event_time}"' if topic.event_time else "make_timestamp(arrival)"
    extra = "" if topic.event_time == "event_time" else f", {time} as event_time"
    return f'select *{extra} from (select partition, "offset", arrival, {values} from raw)'  # noqa: S608  # declared names


def _safe(expression: str) -> str:
    return f"try({expression})"


def _keep_used(db: duckdb.DuckDBPyConnection, topic: Topic, batch: Absorbed) -> None:
    """Leave only the records that the batch layer used."""
    positions = '(select partition, "offset" from {0} p where p.partition = r.partition and p."offset" = r."offset")'
    db.register("dead", pa.table(batch.dead).select(["partition", "offset"]))
    db.execute(f"delete from raw r where exists {positions.format('dead')}")  # noqa: S608  # fixed text
    if topic.id is not None:
        db.register("kept", pa.table(batch.kept).select(["partition", "offset"]))
        db.execute(f"delete from raw r where not exists {positions.format('kept')}")  # noqa: S608  # fixed text


def _compare(spec: CellSpec, topic: Topic) -> str:
    keys = [f'{d.expr} as "{d.name}"' for d in spec.dimensions]
    names = [f'"{d.name}"' for d in spec.dimensions]
    pane = "null::timestamp"
    if spec.pane.kind != "all":
        origin = f"make_timestamp({spec.pane.origin_us})"
        pane = f"time_bucket(to_microseconds({spec.pane.pane_us}), event_time, {origin})"
    checked = _checked(spec)
    values = ", ".join(_aggregate(i, x.kind, x.expr, x.where) for i, x in checked)
    where = f"where {spec.where}" if spec.where else ""
    same = " and ".join(f"a.{_name(i, x.kind)} is not distinct from b.{_name(i, x.kind)}" for i, x in checked)
    on = " and ".join(f"a.{n} is not distinct from b.{n}" for n in ["pane", *names])
    text = " || '/' || ".join(f"coalesce({n}::varchar, '')" for n in ["pane", *names])
    sample = f"md5_number_lower({text}) % {SHARE} = 0"
    # By place: a name may be a column of the records too, and then it would mean that one.
    group = ", ".join(str(place + 1) for place in range(1 + len(names)))
    inner = ", ".join([f"{pane} as pane", *keys, values])
    return f"""
        with a as (select *, true as there from (select {inner} from records {where} group by {group}) where {sample}),
             b as (select *, true as there from cells where {sample})
        select greatest((select count(*) from a), (select count(*) from b)),
               (select count(*) from a full join b on {on} where a.there is null or b.there is null or not ({same}))"""  # noqa: S608  # expressions of declarations, checked where they are written


def _name(place: int, kind: str) -> str:
    return f"p{place}_{CHECKED[kind][0]}"


def _aggregate(place: int, kind: str, expr: str, where: str) -> str:
    condition = f" filter (where {where})" if where else ""
    value = CHECKED[kind][1].format(expr)
    return f"{value}{condition} as {_name(place, kind)}"

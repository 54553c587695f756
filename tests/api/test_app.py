from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from fastapi.testclient import TestClient

from tests.faults import shop
from watersmeet.api.app import create
from watersmeet.api.keys import SCOPES, Keys
from watersmeet.core.errors import SettingsError
from watersmeet.layers.ingest import Backlog
from watersmeet.runtime.node import Node

pytestmark = pytest.mark.integration


def test_liveness_says_nothing_and_readiness_asks_everything(client: TestClient) -> None:
    assert client.get("/health/live").json() == {"status": "alive"}
    ready = client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"state": True, "log": True, "archive": True, "ledger": True, "threads": True}


def test_readiness_fails_when_the_log_is_gone(client: TestClient, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(topic: str) -> tuple[int, ...]:
        raise OSError(topic)

    monkeypatch.setattr(node.parts.log, "end", gone)
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["checks"]["log"]) == (503, False)


def test_views_are_listed_with_columns_and_lineage(client: TestClient) -> None:
    found = {v["name"]: v for v in client.get("/v1/views").json()["views"]}
    assert set(found) == {"sales", "totals", "hourly"}
    assert found["sales"]["columns"]["orders"] == "BIGINT"
    one = client.get("/v1/views/hourly").json()
    assert one["lineage"] == {"views": ["sales"], "topics": ["orders"]}
    assert "select" in one["declaration"]["sql"]


def test_rows_come_with_a_receipt_in_body_and_headers(client: TestClient) -> None:
    answer = client.get("/v1/views/totals/rows")
    body = answer.json()
    assert body["receipt"]["complete"] is True
    assert body["receipt"]["topics"]["orders"]["epochs"] == 1
    assert body["receipt"]["topics"]["orders"]["slices"] >= 1
    assert answer.headers["Watersmeet-Complete"] == "true"
    batch = client.get("/v1/views/totals/rows", params={"layer": "batch"}).json()
    speed = client.get("/v1/views/totals/rows", params={"layer": "speed"}).json()
    assert batch["rows"][0]["orders"] + speed["rows"][0]["orders"] == body["rows"][0]["orders"]
    assert batch["receipt"]["complete"] is False


def test_filters_order_limit_and_pages_agree_with_the_whole(client: TestClient) -> None:
    whole = client.get("/v1/views/sales/rows").json()["rows"]
    tea = client.get("/v1/views/sales/rows", params={"where": "product:eq:tea"}).json()["rows"]
    assert tea == [row for row in whole if row["product"] == "tea"]
    paged, page = [], None
    for _ in range(100):
        found = client.get("/v1/views/sales/rows", params={"limit": 7, **({"page": page} if page else {})}).json()
        paged += found["rows"]
        page = found["next"]
        if page is None:
            break
    assert paged == whole
    ordered = client.get("/v1/views/sales/rows", params={"order": "-orders,product", "limit": 3}).json()["rows"]
    assert [r["orders"] for r in ordered] == sorted((r["orders"] for r in whole), reverse=True)[:3]


def test_a_window_of_an_hour_adds_up_to_the_minutes(client: TestClient) -> None:
    minutes = client.get("/v1/views/sales/rows").json()["rows"]
    hours = client.get("/v1/views/sales/rows", params={"window": "1h", "by": "product"}).json()["rows"]
    assert sum(r["orders"] for r in hours) == sum(r["orders"] for r in minutes)


def test_all_five_formats_hold_the_same_rows(client: TestClient) -> None:
    rows = client.get("/v1/views/totals/rows").json()["rows"]
    ndjson = client.get("/v1/views/totals/rows", params={"format": "ndjson"})
    assert [json.loads(line) for line in ndjson.text.splitlines()] == rows
    arrow = client.get("/v1/views/totals/rows", params={"format": "arrow"}).content
    assert pa.ipc.open_stream(arrow).read_all().column("orders").to_pylist() == [rows[0]["orders"]]
    parquet = client.get("/v1/views/totals/rows", params={"format": "parquet"}).content
    assert pyarrow.parquet.read_table(io.BytesIO(parquet)).column("orders").to_pylist() == [rows[0]["orders"]]
    csv = client.get("/v1/views/totals/rows", params={"format": "csv"}).content
    assert pyarrow.csv.read_csv(io.BytesIO(csv)).column("orders").to_pylist() == [rows[0]["orders"]]


def test_an_unchanged_answer_is_not_sent_again(client: TestClient, node: Node) -> None:
    first = client.get("/v1/views/totals/rows")
    again = client.get("/v1/views/totals/rows", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    client.post("/v1/topics/orders/records", json=[json.loads(shop.workload("steady", 41)[40])])
    node.absorb("orders")
    changed = client.get("/v1/views/totals/rows", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    assert changed.json()["rows"] != first.json()["rows"]


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/v1/views/salse/rows", 404, "sales"),
        ("/v1/views/sales/rows?where=product", 422, "where"),
        ("/v1/views/sales/rows?where=prodcut:eq:tea", 422, "prodcut"),
        ("/v1/views/sales/rows?where=orders:eq:many", 422, "orders"),
        ("/v1/views/sales/rows?order=nothing", 422, "nothing"),
        ("/v1/views/sales/rows?window=7s", 422, "panes"),
        ("/v1/views/totals/rows?from=2023-01-01", 422, "range"),
        ("/v1/views/sales/rows?limit=-1", 422, "limit"),
        ("/v1/views/sales/rows?page=xyz", 422, "page"),
        ("/v1/views/sales/rows?as_of=2000-01-01", 410, "manifest"),
        ("/v1/topics/order/dead-letters", 404, "orders"),
        ("/v1/nothing", 404, "Not Found"),
    ],
)
def test_what_cannot_be_answered_is_a_problem_document(client: TestClient, path: str, status: int, word: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert word in answer.text
    assert "Traceback" not in answer.text


def test_records_are_durable_and_counted_when_they_are_accepted(client: TestClient, node: Node) -> None:
    before = node.parts.log.end("orders")
    good = json.loads(shop.workload("steady", 50)[45])
    answer = client.post("/v1/topics/orders/records", json=[good, {"order_id": "x"}])
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 2
    assert sum(node.parts.log.end("orders")) == sum(before) + 2
    node.absorb("orders")
    assert node.status().balanced


def test_an_idempotency_key_appends_once(client: TestClient, node: Node) -> None:
    body = [json.loads(shop.workload("steady", 50)[46])]
    first = client.post("/v1/topics/orders/records", json=body, headers={"Idempotency-Key": "k"})
    second = client.post("/v1/topics/orders/records", json=body, headers={"Idempotency-Key": "k"})
    assert first.json()["records"] == second.json()["records"]
    assert (first.json()["repeated"], second.json()["repeated"]) == (False, True)
    other = client.post("/v1/topics/orders/records", json=[{}], headers={"Idempotency-Key": "k"})
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"[", "application/json", 422),
        (b"{}", "application/json", 422),
        (b"[]", "application/json", 422),
        (b"", "application/x-ndjson", 422),
        (b"<a/>", "application/xml", 415),
        (b"[" * 200_000, "application/json", 422),
    ],
)
def test_a_body_that_is_not_records_is_refused(client: TestClient, body: bytes, kind: str, status: int) -> None:
    answer = client.post("/v1/topics/orders/records", content=body, headers={"content-type": kind})
    assert answer.status_code == status, answer.text


def test_a_body_that_is_too_large_is_refused_while_it_streams(client: TestClient, node: Node) -> None:
    piece = b"x" * (1 << 20)
    answer = client.post("/v1/topics/orders/records", content=(piece for _ in range(18)))
    assert answer.status_code == 413


def test_dead_letters_are_listed_mended_and_replayed(client: TestClient, node: Node) -> None:
    found = client.get("/v1/topics/orders/dead-letters").json()
    assert sum(found["reasons"].values()) == len(found["letters"]) > 0
    letter = next(x for x in found["letters"] if x["value"] == '{"order_id":"x","product":"tea","at":"yesterday"}')
    path = f"/v1/topics/orders/dead-letters/{letter['partition']}:{letter['offset']}/replay"
    tried = client.post(path, json={"set": [f"at = {shop.NOON_MS}"]}).json()
    assert (tried["usable"], tried["replayed"]) == (True, None)
    done = client.post(path, json={"set": [f"at = {shop.NOON_MS}"], "dry_run": False}).json()
    assert done["replayed"]["partition"] == letter["partition"]
    used = node.status().ledger.used
    node.absorb("orders")
    assert node.status().ledger.used == used + 1
    assert client.post(path, json={"value": "{", "dry_run": False}).json()["usable"] is False


def test_the_ledger_the_audit_and_the_metrics_tell_one_story(client: TestClient) -> None:
    ledger, audit = client.get("/v1/ledger").json(), client.get("/v1/audit").json()
    assert ledger["balanced"] is True
    assert (audit["match_rate"], audit["epochs"], audit["mismatches"]) == (1.0, 1, 0)
    metrics = client.get("/metrics").text
    assert f'watersmeet_records_total{{outcome="used",topic="orders"}} {float(ledger["ledger"]["used"])}' in metrics
    assert "watersmeet_audit_match_ratio 1.0" in metrics


def test_live_updates_begin_with_the_answer_and_resume_after_it(client: TestClient) -> None:
    with client.stream("GET", "/v1/views/totals/live") as stream:
        lines = stream.iter_lines()
        seen = [next(line for line in lines if line.startswith(prefix)) for prefix in ("id:", "event:", "data:")]
    assert seen[1] == "event: answer"
    assert json.loads(seen[2].removeprefix("data: "))["receipt"]["complete"] is True


def test_every_route_but_liveness_needs_the_scope_that_it_says(node: Node) -> None:
    keys = Keys(node.parts.state, node.parts.clock)
    by_scope = {scope: keys.new([scope]) for scope in SCOPES}
    needed = {
        ("GET", "/health/ready"): "read",
        ("GET", "/metrics"): "read",
        ("GET", "/openapi.json"): "read",
        ("GET", "/v1/views"): "read",
        ("GET", "/v1/views/{name}"): "read",
        ("GET", "/v1/views/{name}/rows"): "read",
        ("GET", "/v1/views/{name}/live"): "read",
        ("POST", "/v1/topics/{topic}/records"): "ingest",
        ("GET", "/v1/status"): "read",
        ("GET", "/v1/ledger"): "read",
        ("GET", "/v1/audit"): "read",
        ("GET", "/v1/plan"): "read",
        ("GET", "/v1/topics/{topic}/dead-letters"): "operate",
        ("GET", "/v1/topics/{topic}/dead-letters/{position}"): "operate",
        ("POST", "/v1/topics/{topic}/dead-letters/{position}/replay"): "operate",
    }
    app = create(node)
    described = {(m.upper(), path) for path, methods in app.openapi()["paths"].items() for m in methods}
    assert described == {*needed, ("GET", "/health/live")}
    wrong = [b"wm_000000000000_" + b"A" * 43, "é".encode(), b"", b"x" * 10_000]
    for (method, path), scope in needed.items():
        url = path.format(name="none", topic="none", position="0:0")
        with TestClient(create(node), client=("127.0.0.1", 50_000), raise_server_exceptions=False) as client:
            assert client.request(method, url).status_code == 401, (method, path)
            for presented in wrong:
                headers = {b"Authorization": b"Bearer " + presented}
                assert client.request(method, url, headers=headers).status_code == 401, (method, path, presented)
            for other in SCOPES:
                got = client.request(method, url, headers={"Authorization": f"Bearer {by_scope[other]}"}).status_code
                assert (got == 403) == (other != scope), (method, path, other, got)


def test_guessing_keys_is_slowed_down(node: Node) -> None:
    right = Keys(node.parts.state, node.parts.clock).new(["read"])
    with TestClient(create(node), client=("127.0.0.1", 50_000)) as client:
        codes = [client.get("/v1/views", headers={"X-API-Key": f"wm_{n}"}).status_code for n in range(31)]
        assert codes == [401] * 30 + [429]
        assert client.get("/v1/views", headers={"X-API-Key": right}).status_code == 429


def test_a_key_in_the_query_is_not_a_key(node: Node) -> None:
    key = Keys(node.parts.state, node.parts.clock).new(["read"])
    with TestClient(create(node), client=("127.0.0.1", 1)) as client:
        assert client.get("/v1/views", params={"key": key}).status_code == 401
        assert client.get("/v1/views", headers={"X-API-Key": key}).status_code == 200


def test_beyond_loopback_there_is_nothing_without_a_key(node: Node) -> None:
    with TestClient(create(node), client=("192.0.2.1", 1)) as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/v1/views").status_code == 401


def test_listening_beyond_loopback_without_keys_is_refused(node: Node) -> None:
    settings = node.parts.settings.model_copy(
        update={"serve": node.parts.settings.serve.model_copy(update={"host": "0.0.0.0"})}
    )
    object.__setattr__(node.parts, "settings", settings)
    with pytest.raises(SettingsError, match="keys"):
        create(node)


def test_a_revoked_and_an_expired_key_are_refused_at_once(node: Node) -> None:
    keys = Keys(node.parts.state, node.parts.clock)
    kept, gone, short = keys.new(["read"]), keys.new(["read"]), keys.new(["read"], days=1)
    keys.revoke(gone.split("_", 2)[1])
    node.parts.clock.sleep(86_401)
    assert keys.check(kept) is not None
    assert keys.check(gone) is None
    assert keys.check(short) is None
    stored = b"".join(v.data for v in node.parts.state.scan("keys").values())
    assert kept.split("_", 2)[2].encode() not in stored


def test_too_many_requests_say_when_to_come_back(node: Node) -> None:
    serve = node.parts.settings.serve.model_copy(update={"requests_per_minute": 3})
    object.__setattr__(node.parts, "settings", node.parts.settings.model_copy(update={"serve": serve}))
    with TestClient(create(node), client=("127.0.0.1", 1)) as client:
        codes = [client.get("/v1/views").status_code for _ in range(5)]
        assert codes == [200, 200, 200, 429, 429]
        assert 1 <= int(client.get("/v1/views").headers["Retry-After"]) <= 60


def test_a_topic_that_is_too_far_behind_takes_no_more(client: TestClient, node: Node) -> None:
    node.backlog = Backlog(node.parts.log, node.parts.state, node.parts.clock, most_records=0)
    body = [json.loads(shop.workload("steady", 43)[at]) for at in (41, 42)]
    assert client.post("/v1/topics/orders/records", json=body).status_code == 200
    end = node.parts.log.end("orders")
    node.backlog = Backlog(node.parts.log, node.parts.state, node.parts.clock, most_records=0)
    answer = client.post("/v1/topics/orders/records", json=body)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
    assert answer.headers["content-type"] == "application/problem+json"
    assert node.parts.log.end("orders") == end

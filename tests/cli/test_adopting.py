from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from watersmeet.cli.app import run

pytestmark = pytest.mark.integration


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with sixty orders absorbed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("shop", "topics"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for arguments in (["init"], ["apply"], ["send", "orders", "orders.ndjson"], ["run", "batch", "--once"]):
        assert run(arguments) == 0
    return tmp_path


def test_a_topic_drafted_from_a_sample_counts_that_sample(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shop / "new"
    folder.mkdir()
    (folder / "watersmeet.yaml").write_text("app: topics\n")
    sample = str(shop / "orders.ndjson")
    assert run(["import", "orders", "--sample", sample, "--output", str(folder / "topics.py")]) == 0
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    for arguments in (["apply"], ["send", "orders", sample], ["run", "speed", "--for", "500ms"]):
        assert run(arguments) == 0
    capsys.readouterr()
    assert run(["status", "--json"]) == 0
    ledger = json.loads(capsys.readouterr().out)["ledger"]
    assert (ledger["used"], ledger["dead"], ledger["duplicates"]) == (60, 0, 0)


def test_a_file_that_exists_is_not_overwritten(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (shop / "shop.py").read_text()
    assert run(["import", "orders", "--sample", "orders.ndjson", "-o", "shop.py"]) == 2
    assert "shop.py" in capsys.readouterr().err
    assert (shop / "shop.py").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["import", "orders"], 2, "--sample FILE"),
        (["import", "kafka://127.0.0.1:1"], 2, "kafka://host:9092/topic"),
        (["import", "mysql://127.0.0.1/orders"], 2, "kafka"),
        (["import", "orders", "--sample", "none.csv"], 2, "none.csv"),
    ],
)
def test_misuse_says_what_to_do(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(arguments) == code
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_view_is_compared_with_a_file(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["query", "sales", "--limit", "1000", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    (shop / "same.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows[0]["orders"] += 1
    renamed = [{**row, "n": row["orders"], "orders": None} for row in rows[:-1]]
    (shop / "other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in renamed))
    assert run(["compare", "sales", "--with", "same.jsonl"]) == 0
    capsys.readouterr()
    code = run(["compare", "sales", "--with", "other.jsonl", "--map", "orders=n", "--column", "orders", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 1
    assert (found["equal"], found["differing"], found["only_ours"]) == (len(rows) - 2, 1, 1)
    assert found["match_rate"] == pytest.approx(1 - 2 / len(rows))
    assert len(found["differences"]) == 2
    assert run(["compare", "sales", "--with", "other.jsonl", "--map", "orders"]) == 2
    assert run(["compare", "sales", "--with", "none.parquet"]) == 2

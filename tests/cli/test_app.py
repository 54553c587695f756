from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from watersmeet.__main__ import HELP
from watersmeet.cli import help as root_help
from watersmeet.cli.app import COMMANDS, run
from watersmeet.core.errors import UnavailableError

pytestmark = pytest.mark.integration


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh project as `init` writes it, applied."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    assert run(["init"]) == 0
    assert run(["apply"]) == 0
    return tmp_path


def out(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> object:
    """The JSON that a command prints."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_root_help_in_the_file_is_the_real_one() -> None:
    assert HELP.read_text(encoding="utf-8") == root_help.text()
    assert all(f" {name} " in root_help.text() for name in COMMANDS)


def test_root_help_costs_less_than_150_ms_of_cpu() -> None:
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-m", "watersmeet", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert done.stdout.decode().startswith("Usage: watersmeet COMMAND")
    assert min(spent) < 0.150


def test_a_first_project_from_init_to_answers(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(list(shop.glob("[!.]*.*")) + list(shop.glob(".gitignore"))) <= 6
    assert out(capsys, "send", "orders", "orders.ndjson") == {"topic": "orders", "sent": 60}
    assert run(["run", "batch", "--once"]) == 0
    found = out(capsys, "query", "sales", "--window", "all", "--by", "product")
    assert isinstance(found, dict)
    assert [(r["product"], r["orders"]) for r in found["rows"]] == [("cocoa", 20), ("coffee", 20), ("tea", 20)]
    assert found["receipt"]["complete"] is True
    sql = out(capsys, "query", "select product, sum(orders) as n from sales group by product order by product")
    assert isinstance(sql, dict)
    assert [(r["product"], r["n"]) for r in sql["rows"]] == [("cocoa", 20), ("coffee", 20), ("tea", 20)]
    best = out(capsys, "query", "best_sellers", "--limit", "1")
    assert isinstance(best, dict)
    assert len(best["rows"]) == 1
    status = out(capsys, "status")
    assert isinstance(status, dict)
    assert (status["balanced"], status["ledger"]["used"], status["pending"]) == (True, 60, [])


def test_both_layers_at_work_and_a_full_recomputation(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "watersmeet.yaml").write_text("app: shop\nspeed: {epoch_seconds: 0.2}\nbatch: {every_seconds: 0.1}\n")
    run(["send", "orders", "orders.ndjson"])
    assert run(["run", "ingest", "speed", "batch", "--for", "2s"]) == 0
    audit = out(capsys, "audit")
    assert isinstance(audit, dict)
    assert audit["match_rate"] == 1.0
    full = out(capsys, "run", "batch", "--once", "--full")
    assert isinstance(full, dict)
    assert full["recomputed"][0]["epochs"] >= 1
    assert full["recomputed"][0]["differences"] == 0


def test_dead_letters_are_listed_mended_and_replayed(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "bad.ndjson").write_text('{"order_id":"x","product":"tea","amount":"2.5","at":1700000000000}\n')
    run(["send", "orders", "bad.ndjson"])
    run(["run", "speed", "--for", "500ms"])
    found = out(capsys, "dead-letters", "list", "orders")
    assert isinstance(found, dict)
    assert found["reasons"] == {"invalid_value": 1}
    position = found["letters"][0]["position"]
    assert run(["dead-letters", "fix", "orders", position, "--set", "amount = 2.5", "--dry-run"]) == 0
    assert run(["dead-letters", "fix", "orders", position, "--set", "amount = 'many'"]) == 1
    assert run(["dead-letters", "fix", "orders", position, "--set", "amount = 2.5"]) == 0
    run(["run", "speed", "--for", "500ms"])
    status = out(capsys, "status")
    assert isinstance(status, dict)
    assert (status["ledger"]["used"], status["ledger"]["dead"]) == (1, 1)


def test_plan_says_what_changes_and_its_exit_code_too(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--exit-code"]) == 0
    text = (shop / "shop.py").read_text()
    (shop / "shop.py").write_text(text.replace('wm.tumbling("5m")', 'wm.tumbling("1m")'))
    sys.modules.pop("shop")
    assert run(["plan", "--exit-code"]) == 2
    assert "sales" in capsys.readouterr().out
    status = out(capsys, "status")
    assert isinstance(status, dict)
    assert "sales" in " ".join(status["pending"])
    assert run(["apply"]) == 0
    assert run(["plan", "--exit-code"]) == 0
    assert run(["rollback"]) == 0


def test_examples_are_run_and_tortured(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = out(capsys, "test", "--torture", "2")
    assert found == [{"title": "sales", "passed": True, "runs": 3, "complaints": []}]
    text = (shop / "shop.py").read_text()
    (shop / "shop.py").write_text(text.replace('"orders": 2, "revenue"', '"orders": 3, "revenue"'))
    sys.modules.pop("shop")
    assert run(["test", "--torture", "0"]) == 1


def test_keys_are_shown_once(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["keys", "new", "read", "ingest", "--label", "ci"]) == 0
    key = capsys.readouterr().out.strip()
    assert key.startswith("wm_")
    listed = out(capsys, "keys", "list")
    assert isinstance(listed, list)
    assert listed[0]["scopes"] == ["ingest", "read"]
    assert key.split("_", 2)[2] not in json.dumps(listed)
    assert run(["keys", "revoke", listed[0]["id"]]) == 0
    assert out(capsys, "keys", "list") == []


def test_doctor_config_list_tail_and_completion(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["send", "orders", "orders.ndjson"])
    assert run(["doctor"]) == 0
    capsys.readouterr()
    assert run(["config", "show", "--origin"]) == 0
    assert "watersmeet.yaml" in capsys.readouterr().out
    listed = out(capsys, "list")
    assert isinstance(listed, list)
    assert {"kind": "view", "name": "sales"} in listed
    assert run(["tail", "orders", "--last", "2"]) == 0
    assert '"order_id": "59"' in capsys.readouterr().out
    assert run(["completion", "bash"]) == 0
    assert "watersmeet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["qeury", "sales"], 2, "query"),
        (["query", "salse"], 2, "sales"),
        (["query", "select * from nothing"], 2, "nothing"),
        (["query", "select now() from sales"], 2, "as_of"),
        (["query", "sales", "--window", "7s"], 2, "panes"),
        (["query", "sales", "--where", "product"], 2, "where"),
        (["send", "order", "orders.ndjson"], 2, "orders"),
        (["send", "orders", "nothing.ndjson"], 2, "nothing.ndjson"),
        (["run", "sped"], 2, "speed"),
        (["run", "--once"], 2, "batch"),
        (["run", "--port"], 2, "port"),
        (["dead-letters", "show", "orders", "9:9"], 2, "dead letter"),
        (["dead-letters", "show", "orders", "x"], 2, "partition:offset"),
        (["exclude", "lift", "orders", "--reason", "none"], 2, "none"),
        (["init"], 2, "shop.py"),
        (["demo", "--for", "soon"], 2, "30s"),
    ],
)
def test_misuse_is_exit_code_2_and_says_what_to_do(
    shop: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    capsys.readouterr()
    assert run(arguments) == code
    printed = capsys.readouterr()
    assert words in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_an_empty_state_says_apply_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    assert run(["status"]) == 2
    assert "watersmeet init" in capsys.readouterr().err
    run(["init"])
    for command in (["status"], ["run"], ["query", "sales"]):
        assert run(command) == 2
        assert "apply" in capsys.readouterr().err


def test_a_service_that_cannot_be_reached_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise UnavailableError("store", remedy="start it")

    monkeypatch.setattr("watersmeet.cli.sending.init", unreachable)
    assert run(["init"]) == 3


def test_an_interrupt_is_exit_code_130_and_a_bug_is_1_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("watersmeet.cli.sending.init", interrupted)
    assert run(["init"]) == 130
    monkeypatch.setattr("watersmeet.cli.sending.init", broken)
    assert run(["init"]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert run(["init", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err

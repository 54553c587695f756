"""The S3 servers: what they hold outlives a kill, and addresses work."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import boto3
import pytest

from watersmeet.core.address import parse_address
from watersmeet.testing.services.s3 import BUCKET, s3, versitygw

pytestmark = pytest.mark.integration


def test_objects_outlive_a_kill(tmp_path: Path) -> None:
    with versitygw(tmp_path) as server:
        address = parse_address(server.url)
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{address.servers()}",
            aws_access_key_id=address.user,
            aws_secret_access_key=address.password,
            region_name="us-east-1",
        )
        with closing(client):
            client.put_object(Bucket=BUCKET, Key="a/b", Body=b"1")
            server.kill()
            assert server.pids == []
            server.start()
            assert client.get_object(Bucket=BUCKET, Key="a/b")["Body"].read() == b"1"


def test_where_there_is_no_go_it_is_moto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATERSMEET_CACHE", str(tmp_path / "nothing"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "moto.server" in str(s3(tmp_path)._commands)

"""The HDFS nodes: ready means that a file can be written."""

from __future__ import annotations

import json
from urllib.request import Request, urlopen

import pytest

from watersmeet.core.address import parse_address

pytestmark = pytest.mark.integration


def test_a_file_is_written_and_read(hdfs: str) -> None:
    root = f"http://{parse_address(hdfs).servers()}/webhdfs/v1/service-test"
    with urlopen(Request(f"{root}?op=CREATE&overwrite=true&noredirect=true", method="PUT")) as answer:
        place = json.load(answer)["Location"]
    urlopen(Request(place, b"1", method="PUT")).close()
    with urlopen(f"{root}?op=OPEN") as found:
        assert found.read() == b"1"

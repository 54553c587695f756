from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watersmeet.engines.columnar.ids import TieredIds

pytestmark = pytest.mark.unit

# Few upper halves, so that different ids share one.
ID = st.tuples(st.sampled_from([0, 1, 2**63, 2**64 - 1]), st.integers(0, 5))
KEPT = st.lists(st.tuples(ID, st.integers(0, 100)), max_size=12)
STEP = st.one_of(
    st.tuples(st.just("add"), KEPT),
    st.tuples(st.just("lookup"), st.lists(ID)),
    st.tuples(st.just("purge"), st.integers(0, 100)),
)


def kept(rows: list[tuple[tuple[int, int], int]]) -> pa.Table:
    return pa.table(
        {
            "hi": pa.array([hi for (hi, _), _ in rows], pa.uint64()),
            "lo": pa.array([lo for (_, lo), _ in rows], pa.uint64()),
            "arrival": pa.array([arrival for _, arrival in rows], pa.int64()),
        }
    )


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEP, max_size=20))
def test_it_remembers_what_a_dict_remembers(steps: list[tuple[str, object]]) -> None:
    ids, oracle = TieredIds(), dict[tuple[int, int], int]()
    for step, argument in steps:
        if step == "add":
            rows: list[tuple[tuple[int, int], int]] = argument  # type: ignore[assignment]  # by the step's name
            ids.add(kept(rows))
            for key, arrival in rows:
                oracle[key] = max(arrival, oracle.get(key, arrival))
        elif step == "purge":
            below: int = argument  # type: ignore[assignment]  # by the step's name
            ids.purge(below)
            oracle = {key: arrival for key, arrival in oracle.items() if arrival >= below}
        else:
            asked: list[tuple[int, int]] = argument  # type: ignore[assignment]  # by the step's name
            found = ids.lookup(kept([(key, 0) for key in asked])).to_pylist()
            assert sorted((x["hi"], x["lo"], x["arrival"]) for x in found) == sorted(
                (*key, oracle[key]) for key in asked if key in oracle
            )
        assert ids.count() == len(oracle)


def test_many_small_additions_stay_few_tiers_of_24_bytes_an_id() -> None:
    ids, rng = TieredIds(), np.random.default_rng(7)
    for start in range(0, 64_000, 1_000):
        words = rng.integers(0, 1 << 63, (2, 1_000)).astype(np.uint64)
        ids.add(pa.table({"hi": words[0], "lo": words[1], "arrival": np.arange(start, start + 1_000)}))
    assert ids.count() == 64_000
    assert len(ids._tiers) == 1
    assert sum(part.nbytes for each in ids._tiers for part in (each.hi, each.lo, each.arrival)) == 24 * 64_000

"""Safe change: files are a proposal; `plan` says what it would do, `apply` does it, `swap` lets the new be served.

Processes run what is applied (`watersmeet.core.applied`), which only the functions here change.
"""

from watersmeet.core.applied import Applied, applied
from watersmeet.core.declarations import Declarations

from .application import apply, rollback, swap
from .difference import Change, pending
from .exclusion import exclude, lift
from .proposal import Facts, Plan, plan
from .workload import Backfill, remember_rate

__all__ = [
    "Applied",
    "Backfill",
    "Change",
    "Declarations",
    "Facts",
    "Plan",
    "applied",
    "apply",
    "exclude",
    "lift",
    "pending",
    "plan",
    "remember_rate",
    "rollback",
    "swap",
]

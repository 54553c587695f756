"""Names and values as parts of a path.

Letters a–z, digits, ``_``, ``-`` and ``.`` (not in front) stand for themselves; every other byte of the UTF-8 text is
written ``%XX``, capital letters too: two texts never share a name, not even where a file system ignores case. A name
that would be too long is cut and ends in ``~`` and a digest; no text at all is ``%``.
"""

from __future__ import annotations

import hashlib
import re

_KEPT = re.compile(rb"[a-z0-9_-]|(?<!^)\.")
_LONGEST = 200
_CUT = 160


def path_name(text: str) -> str:
    """Write any text as a file name.

    >>> path_name("movie.ratings"), path_name("../Etc")
    ('movie.ratings', '%2E.%2F%45tc')
    """
    data = text.encode("utf-8", "surrogatepass")
    name = "".join(chr(b) if _KEPT.match(data, i) else f"%{b:02X}" for i, b in enumerate(data))
    if len(name) <= _LONGEST:
        return name or "%"
    whole = re.sub("%.?$", "", name[:_CUT])
    return f"{whole}~{hashlib.sha256(data).hexdigest()[:32]}"

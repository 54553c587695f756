"""Publishing: declared tables are kept equal to what they are of.

Tables of views and queries follow every answer (`publisher`); tables of topics follow the batch layer's epochs
(`records`).
"""

from .publisher import Publisher, Round

__all__ = ["Publisher", "Round"]

"""The checker of shapes and types that tests put around every annotated function.

Like type checkers it takes an `int` where a `float` is asked for (PEP 484's numeric tower).
"""

from __future__ import annotations

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))

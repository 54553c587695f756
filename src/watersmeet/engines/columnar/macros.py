"""Division that is exact to its last digit, as SQL macros.

    ratio(a, b, digits)     a / b as DECIMAL(38, digits), rounded half away from zero; null if b = 0 or either is null
    pct(a, b, digits = 2)   100 · a / b, likewise

Both work on the integers that stand behind decimals, so no double is ever involved. The arguments are integers (up to
hugeint) or decimals of any scale; anything else fails when the statement is bound. ``digits`` is a constant, 0 to 18.
Domain: every a and b for which the result fits DECIMAL(38, digits) and b, written without its point, has at most 37
digits and is below 1.7e37; outside of it the statement fails, it never gives a wrong number.

How: with A, B the integers and e = digits + scale(b) − scale(a), the result is A · 10^e / B, rounded.

    e ≥ 0   (A // B) · 10^e + the rounded quotient of (A % B) · 10^e and B; where that product passes 128 bits, the
            quotient is found digit by digit, as on paper
    e < 0   A // B divided by 10^−e; the lost remainder cannot reach the half that decides, which is a whole number
"""

from __future__ import annotations

import duckdb

# A scale is read from the type's name, which DuckDB replaces by a constant while binding. `_unit` is typed by its
# constant argument, because ROUND of a decimal is; that is what makes ratio's own type depend on its digits.
_MACROS = (
    "_exact(x DECIMAL(38, 18)) AS x",
    "_whole(x) AS replace(x::VARCHAR, '.', '')::HUGEINT",
    "_scale(x) AS ('0' || split_part(typeof(x), ',', 2)[:-2])::INTEGER",
    "_power(e) AS ('1e' || e)::HUGEINT",
    "_unit(digits) AS round((CASE WHEN digits BETWEEN 0 AND 18 THEN '1e-' || digits ELSE 'digits: 0 to 18' END)"
    "::DECIMAL(19, 18), digits)",
    "_near(a, b, p) AS a // b * p + (a % b * (p * 2) + sign(a) * abs(b)) // (b * 2)",
    "_far(a, b, e) AS list_transform([list_reduce(range(e), lambda _far_step, _far_i:"
    " {'q': _far_step.q * 10 + _far_step.t * 10 // abs(b), 't': _far_step.t * 10 % abs(b)},"
    " {'q': abs(a // b), 't': abs(a % b)})],"
    " lambda _far_end: sign(a) * sign(b) * (_far_end.q + (_far_end.t >= abs(b) - _far_end.t)::INTEGER))[1]",
    "_coarse(a, b, p) AS (a // b + sign(a) * sign(b) * (p // 2)) // p",
    # p is 10^e, rounded to an integer: 0 if e is negative; m is 10^-e.
    "_divided(a, b, e) AS list_transform([{'a': a, 'b': nullif(b, 0), 'p': _power(e), 'm': _power(-(e))}],"
    " lambda _pair: CASE WHEN _pair.p = 0 THEN _coarse(_pair.a, _pair.b, _pair.m)"
    " ELSE coalesce(try(_near(_pair.a, _pair.b, _pair.p)),"
    " _far(_pair.a, _pair.b, length(_pair.p::VARCHAR) - 1)) END)[1]",
    "_rate(a, b, digits, shift) AS CASE WHEN false THEN (_exact(a) + _exact(b))::DECIMAL(1, 0)"
    " ELSE _divided(_whole(a), _whole(b), digits + shift + _scale(b) - _scale(a)) * _unit(digits) END",
    "ratio(a, b, digits) AS _rate(a, b, digits, 0)",
    "pct(a, b, digits := 2) AS _rate(a, b, digits, 2)",
)


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the macros in the connection's database, once."""
    for macro in _MACROS:
        connection.execute(f"CREATE OR REPLACE MACRO {macro}")

"""Parse CHECK constraints: ranges, lists of values, and order between two columns."""

from __future__ import annotations

import re
from dataclasses import dataclass

Value = str | int | float

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<quoted>\"(?:[^\"]|\"\")+\"|`[^`]+`)|(?P<number>-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
    r"|(?P<word>[A-Za-z_][\w$]*)|(?P<sign>::|<=|>=|<>|!=|[-()\[\],=<>+*/.]))"
)
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "="}
_STOP = frozenset({"and", "or", "in", "between", "is", "not", "any"})


@dataclass(frozen=True)
class Bound:
    """``column operator value``, or ``column operator other`` with another column."""

    column: str
    operator: str
    value: Value | None = None
    other: str | None = None


@dataclass(frozen=True)
class Membership:
    """``column IN (values)``."""

    column: str
    values: tuple[Value, ...]


Fact = Bound | Membership


def parse_check(expression: str) -> list[Fact]:
    """Return the facts that a CHECK expression states; an expression of any other form states none.

    Example:
        >>> parse_check("(age >= 0)")
        [Bound(column='age', operator='>=', value=0, other=None)]
        >>> parse_check("sex = ANY (ARRAY['f'::text, 'm'::text])")
        [Membership(column='sex', values=('f', 'm'))]
        >>> parse_check("length(name) > 3")
        []
    """
    try:
        parser = _Parser(_tokens(expression))
        facts = parser.conjunction()
        return facts if parser.done else []
    except (_OtherFormError, RecursionError):
        return []


class _OtherFormError(Exception):
    """The expression is none of the known forms."""


def _tokens(text: str) -> list[tuple[str, str]]:
    out, place = [], 0
    text = text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            raise _OtherFormError
        out.append((found.lastgroup, found[found.lastgroup]))
        place = found.end()
    return out


@dataclass
class _Parser:
    """Recursive descent over the tokens."""

    tokens: list[tuple[str, str]]
    place: int = 0

    @property
    def done(self) -> bool:
        return self.place == len(self.tokens)

    def conjunction(self) -> list[Fact]:
        facts = self.condition()
        while self._take("and"):
            facts += self.condition()
        return facts

    def condition(self) -> list[Fact]:
        start = self.place
        if self._take("("):
            try:
                facts = self.conjunction()
                self._expect(")")
                # An operand in parentheses looks like a condition up to here.
                if self.done or self._peek() in (")", "and"):
                    return facts
            except _OtherFormError:
                pass
            self.place = start
        left = self.operand()
        if self._take("between"):
            low = self.operand()
            self._expect("and")
            high = self.operand()
            return [_bound(left, ">=", low), _bound(left, "<=", high)]
        if self._take("in"):
            return [_membership(left, self.list("(", ")"))]
        operator = self._next()[1]
        if operator == "=" and self._take("any"):
            return [_membership(left, self.array())]
        if operator not in _FLIPPED:
            raise _OtherFormError
        right = self.operand()
        if operator == "=":
            return [_membership(left, [right])]
        return [_bound(left, operator, right)]

    def operand(self) -> tuple[str, Value]:
        """Return a column or a constant, with its casts skipped: ("column", name) or ("value", constant)."""
        if self._take("("):
            found = self.operand()
            self._expect(")")
        else:
            group, text = self._next()
            if group == "text":
                found = ("value", text[1:-1].replace("''", "'"))
            elif group == "number":
                found = ("value", float(text) if re.search("[.eE]", text) else int(text))
            elif group == "quoted":
                found = ("column", text[1:-1].replace('""', '"'))
            elif group == "word" and text.lower() not in _STOP and self._peek() not in ("(", "."):
                found = ("column", text)
                if self._kind() == "text" and text.lower() in ("date", "timestamp"):
                    found = ("value", self._next()[1][1:-1])
            elif text == "-" and self._kind() == "number":
                kind, value = self.operand()
                found = (kind, -value) if not isinstance(value, str) else (kind, value)
            else:
                raise _OtherFormError
        while self._take("::"):
            self._skip_type()
        return found

    def array(self) -> list[tuple[str, Value]]:
        if self._take("("):
            items = self.array()
            self._expect(")")
        else:
            self._expect("array")
            items = self.list("[", "]")
        while self._take("::"):
            self._skip_type()
        return items

    def list(self, opening: str, closing: str) -> list[tuple[str, Value]]:
        self._expect(opening)
        items = [self.operand()]
        while self._take(","):
            items.append(self.operand())
        self._expect(closing)
        return items

    def _skip_type(self) -> None:
        while self._kind() in ("word", "quoted") and self._peek() not in _STOP:
            self.place += 1
        for opening, closing in (("(", ")"), ("[", "]")):
            if self._take(opening):
                while not self._take(closing):
                    if self._next()[0] not in ("number", "sign"):
                        raise _OtherFormError
        if self._kind() == "word" and self._peek() in ("with", "without"):
            self.place += 3  # time zone

    def _next(self) -> tuple[str, str]:
        if self.done:
            raise _OtherFormError
        self.place += 1
        return self.tokens[self.place - 1]

    def _kind(self) -> str:
        return "" if self.done else self.tokens[self.place][0]

    def _peek(self) -> str:
        return "" if self.done or self._kind() in ("text", "quoted") else self.tokens[self.place][1].lower()

    def _take(self, text: str) -> bool:
        found = self._peek() == text
        self.place += found
        return found

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise _OtherFormError


def _bound(left: tuple[str, Value], operator: str, right: tuple[str, Value]) -> Bound:
    if left[0] == "value":
        left, right, operator = right, left, _FLIPPED[operator]
    if left[0] == "value":
        raise _OtherFormError
    if right[0] == "column":
        return Bound(str(left[1]), operator, other=str(right[1]))
    return Bound(str(left[1]), operator, right[1])


def _membership(left: tuple[str, Value], items: list[tuple[str, Value]]) -> Membership:
    if left[0] != "column" or any(kind != "value" for kind, _ in items):
        raise _OtherFormError
    return Membership(str(left[1]), tuple(dict.fromkeys(value for _, value in items)))

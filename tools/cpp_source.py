"""What stands at the top of a C++ file: classes, functions and declarations, found without a compiler.

Enough for sources as clang-format writes them; meant for the checks of tools/lint.
"""

import re
from dataclasses import dataclass

# Comments, strings and preprocessor lines: braces in them do not count.
_IGNORED = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\''
    r"|^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.S | re.M)
_ACCESS = re.compile(r"\s*(public|private|protected)\s*:(?!:)")
_CLOSING = {"(": ")", "{": "}"}


@dataclass
class Item:
    """A definition or declaration. Lines count from 1 and include the item's own last one."""

    kind: str  # "class", "enum", "function" (with a body), "declaration"
    head: str  # up to the body or the semicolon, blanks folded
    first_line: int
    last_line: int
    scope: tuple  # names of the classes around it
    is_public: bool

    @property
    def name(self):
        """Of a class or enum, or of what looks like a function; "" otherwise."""
        head = without_template(self.head)
        if self.kind in ("class", "enum"):
            match = re.match(r"(?:class|struct|union|enum(?: class)?)\s+(?:\[\[.*?\]\]\s*)?([\w:]+)", head)
        else:
            match = re.search(r"(operator\s*[^\s\w(]+|operator\s*\(\)|operator\s[\w\s]+|~?[\w:]+)\s*\(", head)
        return match.group(1) if match else ""


def without_template(head):
    """`template <class T, class U> void f()` -> `void f()`."""
    while head.startswith("template"):
        depth = 0
        for at, char in enumerate(head):
            depth += (char == "<") - (char == ">")
            if char == ">" and depth == 0:
                head = head[at + 1:].lstrip()
                break
        else:
            return head
    return head


def blank_out(text):
    """The text with blanks for comments, strings and preprocessor lines; every position stays."""
    return _IGNORED.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), text)


def _matching(code, at):
    """The position of the bracket that closes the one at `at`."""
    opening, closing, depth = code[at], _CLOSING[code[at]], 0
    for match in re.compile(f"[{re.escape(opening + closing)}]").finditer(code, at):
        depth += 1 if match.group(0) == opening else -1
        if depth == 0:
            return match.start()
    return len(code) - 1


def _kind(head):
    """What the brace behind this head opens."""
    plain = without_template(head)
    if re.match(r"(inline )?namespace\b|extern$", plain):
        return "namespace"
    before = plain.split("(")[0]
    if re.search(r"(?<![=!<>])=(?!=)", before) and "operator" not in before:
        return "value"
    if re.match(r"enum\b", plain):
        return "enum"
    if re.match(r"(class|struct|union)\b", plain) and "(" not in plain:
        return "class"
    return "function" if "(" in plain else "value"


def items(text):
    """All items of a file, but for what is inside of functions."""
    code = blank_out(text)
    yield from _items(code, 0, len(code), (), True)


def _items(code, begin, end, scope, is_public):
    start = at = begin  # of the current item; of the current character
    line_of = lambda position: code.count("\n", 0, position) + 1

    def item(kind, stop, last):
        first = start + len(code[start:stop]) - len(code[start:stop].lstrip())
        return Item(kind, " ".join(code[start:stop].split()), line_of(first), line_of(last), scope, is_public)

    while at < end:
        access = _ACCESS.match(code, start) if scope and at == start else None
        if access:
            is_public = access.group(1) == "public"
            start = at = access.end()
            continue
        char = code[at]
        if char == "(":
            at = _matching(code, at)
        elif char == ";":
            declaration = item("declaration", at, at)
            if declaration.head:
                yield declaration
            start = at + 1
        elif char == "{":
            close = _matching(code, at)
            found = item(_kind(" ".join(code[start:at].split())), at, close)
            following = code[close + 1:end].lstrip()[:1]
            if found.kind == "namespace":
                yield from _items(code, at + 1, close, scope, is_public)
            elif found.kind == "class":
                yield found
                opens_public = not without_template(found.head).startswith("class")
                yield from _items(code, at + 1, close, (*scope, found.name), is_public and opens_public)
            elif found.kind == "enum" or (found.kind == "function" and following not in (",", "{")):
                yield found
            else:  # a value in braces: the item goes on behind it
                at = close + 1
                continue
            at = close
            start = at + 1
        at += 1

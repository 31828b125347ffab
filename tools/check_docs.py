#!/usr/bin/env python3
"""Checks that the public headers (include/edm2/) say what they declare.

  tools/check_docs.py [ROOT]

Every public function, class, struct and enum has a comment `///` above it, or `///<` behind it.
Declarations that follow each other without a blank line share the comment of the first. Where
tensors come or go, the comment (or that of the class) gives their shapes: "[N,C,H,W]", or says
"scalar", "any shape" and the like. Not asked of constructors, destructors and operators without
tensors, of overrides, and of accessors with their body on one line. Prints one line for each that
lacks something and exits 1 if there is one.
"""

import re
import sys
from pathlib import Path

from cpp_source import items, without_template

TENSOR = re.compile(r"\bTensor\b")
SHAPE = re.compile(r"\[[^\[\]]*\]|\bscalar|\bshape|\bsize of|\bdimension|\belement|\bbroadcast", re.I)
NOT_A_FUNCTION = re.compile(r"(using|friend|typedef|static_assert|extern template|template class|template struct)\b")


def is_function(item):
    if item.kind == "function":
        return True
    plain = without_template(item.head)
    if item.kind != "declaration" or NOT_A_FUNCTION.match(plain) or "(" not in plain:
        return False
    before = plain.split("(")[0]
    # `std::function<void(int)> f` is a variable, `int x = f(1)` too; `T f()` is not.
    return before.count("<") == before.count(">") and ("=" not in before or "operator" in before)


def needs_comment(item):
    if item.kind in ("class", "enum"):
        return True
    if not is_function(item) or re.search(r"\boverride\b", item.head):
        return False
    if re.search(r"=\s*(default|delete)$", item.head):
        return False
    own_class = item.scope[-1] if item.scope else None
    is_special = own_class and item.name.lstrip("~") == own_class or item.name.startswith("operator")
    is_accessor = item.scope and item.kind == "function" and item.first_line == item.last_line
    return bool(TENSOR.search(item.head)) if is_special else not is_accessor


def comment_of(lines, item):
    """The comment above an item, or behind its lines."""
    comment, above = [], item.first_line - 2
    while above >= 0 and lines[above].lstrip().startswith("///"):
        comment.insert(0, lines[above])
        above -= 1
    for line in lines[item.first_line - 1:item.last_line]:
        if "///<" in line and item.kind != "class":
            comment.append(line[line.index("///<"):])
    return "\n".join(comment)


def problems(text):
    """(line, what is missing) for each item of a header."""
    lines = text.splitlines()
    last_line, shared, class_comment = 0, "", {}
    for item in items(text):
        follows = item.first_line == last_line + 1
        comment = comment_of(lines, item) or (shared if follows else "")
        last_line, shared = item.last_line, comment
        if item.kind == "class":
            class_comment[(*item.scope, item.name)] = comment
        if not item.is_public or not needs_comment(item):
            continue
        if not comment:
            yield item.first_line, f"{item.name} has no comment ///"
        elif is_function(item) and TENSOR.search(item.head):
            if not SHAPE.search(comment) and not SHAPE.search(class_comment.get(item.scope, "")):
                yield item.first_line, f"{item.name} has tensors, but its comment gives no shapes"


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    found = False
    for header in sorted((root / "include" / "edm2").rglob("*.h")):
        for line, problem in problems(header.read_text(encoding="utf-8")):
            print(f"{header.relative_to(root)}:{line}: {problem}")
            found = True
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""What stands under the members of an enum: Python forgets it, its source does not."""

import ast
import inspect
import textwrap
from enum import StrEnum


def docstrings(kind: type[StrEnum]) -> dict[str, str]:
    """Value of each member → its docstring on one line; raises KeyError for a member without one."""
    [body] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for node, following in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(following, ast.Expr):
            found[kind[node.targets[0].id].value] = " ".join(str(ast.literal_eval(following.value)).split())
    return {str(member): found[member.value] for member in kind}

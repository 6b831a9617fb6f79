# What `extproc/conditions.py` uses of cel-expr-python, which ships its stubs without a py.typed.

from collections.abc import Mapping

class Type:
    BOOL: Type
    INT: Type
    STRING: Type
    def __init__(self, signature: str) -> None: ...
    @staticmethod
    def List(element_type: Type) -> Type: ...  # noqa: N802 - its name there

class Value:
    def value(self) -> object: ...

class Expression:
    def eval(self, *, data: Mapping[str, object]) -> Value: ...
    def return_type(self) -> Type: ...

class Env:
    def compile(self, expression: str) -> Expression: ...

def NewEnv(*, variables: Mapping[str, Type]) -> Env: ...  # noqa: N802 - its name there

from collections.abc import Iterable, Sequence

class Span:
    label_: str
    start_char: int
    end_char: int

class Doc:
    @property
    def ents(self) -> Sequence[Span]: ...

class Language:
    def __call__(self, text: str) -> Doc: ...

def load(name: str, *, exclude: Iterable[str] = ...) -> Language: ...

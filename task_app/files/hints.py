"""`FileId`: the type hint of a parameter that wants a file."""

from typing import Annotated


class FileMark:
    """Says of a string that it is the id of a file: doors look whether it is there, forms let people upload one."""


FileId = Annotated[str, FileMark(), "The id of a file that was uploaded."]

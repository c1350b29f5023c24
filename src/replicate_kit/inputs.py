"""Files as a model's input, for plugins that bring them from elsewhere.

A plugin answers the hook `replicate_encode_input` with the URL that the model is to read: one of its own where the
model can reach it (`is_private` tells hosts that it cannot), else that of an `InputFile`, by `encode_file`.

>>> import asyncio
>>> from replicate_kit import Client
>>> from replicate_kit.inputs import InputFile, encode_file
>>> session = Client(backend="mock").session
>>> asyncio.run(encode_file(InputFile(b"hello", "greeting.txt", size=5), session))
'data:text/plain;base64,aGVsbG8='
"""

from __future__ import annotations

from replicate_kit._files.input_files import INLINE_LIMIT, InputFile, encode_file, upload_url
from replicate_kit._formats.url_policy import is_private

__all__ = ["INLINE_LIMIT", "InputFile", "encode_file", "is_private", "upload_url"]

"""The examples as files, and each language's as one archive, the same bytes each time."""

import io
import zipfile
from pathlib import Path

from django.conf import settings

from sora2.documentation.contents import EXAMPLES

# The earliest time that the format knows.
NO_TIME = (1980, 1, 1, 0, 0, 0)


def example(language: str, name: str) -> bytes | None:
    """Return the content of an example's file; None if there is none that may be downloaded."""
    path = _folder(language) / name
    return path.read_bytes() if name in EXAMPLES.get(language, ()) and path.is_file() else None


def archive(language: str) -> bytes | None:
    """Return the example's files as a ZIP, in a folder of their own; None if there is no such example."""
    files = {name: content for name in EXAMPLES.get(language, ()) if (content := example(language, name)) is not None}
    if not files:
        return None
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            entry = zipfile.ZipInfo(f"sora2-{language}/{name}", NO_TIME)
            entry.external_attr = 0o644 << 16
            target.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _folder(language: str) -> Path:
    folder: Path = settings.BASE_DIR / "examples" / language
    return folder

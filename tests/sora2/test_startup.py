"""No process that serves starts with wrong settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "command",
    [
        ["-c", "import sora2.wsgi"],
        ["-m", "celery", "-A", "sora2", "worker", "--pool", "solo"],
        ["-m", "celery", "-A", "sora2", "beat", "--pidfile", ""],
    ],
    ids=["web", "worker", "beat"],
)
def test_a_process_refuses_to_start_with_wrong_settings(command: list[str], tmp_path: Path) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "DATABASE_URL", "REDIS_URL")}
    done = subprocess.run(
        [sys.executable, *command],
        # Beat writes its schedule where it stands, and removes what it cannot read there.
        cwd=tmp_path,
        env={**kept, "DEBUG": "0", "SECRET_KEY": "short", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "sora2.E001" in done.stderr

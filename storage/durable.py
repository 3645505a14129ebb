"""What the disk has to be told so that a file is there after a crash of the machine."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` on disk: syncing a file writes its bytes, and not its name
    (fsync(2)). Raises `OSError`.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

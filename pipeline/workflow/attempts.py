"""One attempt at a job: make its artifact, or write down why it failed. Any executor uses this."""

import traceback

from pipeline.core import artifacts
from pipeline.errors import UserError
from pipeline.workflow.jobs import Job, resolve

FAILED, TRACEBACK = "failed.json", "traceback.txt"  # in the folder of a job that failed

# What to do about errors of libraries: a part of their message or of their type's name.
ADVICE = dict.fromkeys(
    ("DataLoader worker", "ConnectionResetError", "shared memory"),
    "A process that reads images was ended, most often for lack of memory: set runtime.workers to "
    "0, or lower batch_size",
) | dict.fromkeys(
    ("out of memory", "allocate memory", "MemoryError", "OutOfMemoryError"),
    "There is not enough memory: lower batch_size or image_size, or leave the member out",
)


def make_artifact(job: Job) -> bool:
    """Call a job's function; return False if the artifact was done by another run or in the attic.

    Errors of the function are the caller's to handle, by `mark_failed`.
    """
    if job.owns_folder:
        artifacts.begin(job.folder, job.fingerprint, attic=job.attic)
    if job.is_done():
        return False
    if job.overwrites:
        artifacts.withdraw(job.folder)
    for name in (FAILED, TRACEBACK):
        (job.folder / name).unlink(missing_ok=True)
    resolve(job.function)(folder=job.folder, fingerprint=job.fingerprint, **job.arguments)
    if not job.is_done():
        raise AssertionError(f"{job.name} ended without finishing {job.folder}")
    return True


def mark_failed(job: Job, error: Exception) -> str:
    """Write why a job failed, with the traceback of an unexpected error; return the reason."""
    reason, is_expected = str(error), isinstance(error, UserError)
    if not is_expected:
        first_line = next(iter(reason.strip().splitlines()), "no message").rstrip(". ")
        advice = next((f". {text}" for part, text in ADVICE.items() if part in repr(error)), "")
        reason = f"{type(error).__name__}: {first_line}{advice}"
    if not is_expected or error.__cause__ is not None:
        artifacts.write_text(job.folder / TRACEBACK, "".join(traceback.format_exception(error)))
    artifacts.write_json(job.folder / FAILED, {"reason": reason})
    return reason

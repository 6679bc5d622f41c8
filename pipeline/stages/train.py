"""Train stage: reads folds, blocks or cached images; writes models/<c>/<member>/fold<k>/."""

import logging
from pathlib import Path

from pipeline.core import artifacts
from pipeline.members.fold_data import fold_data
from pipeline.members.get_member import get_member
from pipeline.members.outputs import TRAINED_ON
from pipeline.members.pseudo_labels import in_words
from pipeline.project import Project

log = logging.getLogger(__name__)


def train_fold(folder: Path, fingerprint: str, *, project: Project, member: str, fold: int) -> None:
    """Fit one member on all rows but one fold's, and on its teachers' predictions.

    What only an interrupted fit needs is removed once the model is finished. Rows that decide when
    a network stops count as trained on.
    """
    data = fold_data(project, member, fold)
    if data.pseudo_labels is not None:
        chosen = in_words(data.pseudo_labels, project.competition.classes)
        log.info("%s", chosen)
    fitted = get_member(project, member)
    files, facts = fitted.fit(data, folder)
    ids = project.competition.ids[data.rows[data.rows < project.num_train]].tolist()
    artifacts.write_text(folder / TRAINED_ON, "".join(f"{row_id}\n" for row_id in ids))
    meta = {"member": member, "fold": fold, "rows": len(data.rows), **facts}
    artifacts.finish(folder, fingerprint, files=[*files, TRAINED_ON], **meta)
    for name in fitted.resumes_from:  # an optimizer's state is several times the weights
        artifacts.remove_checked(folder / name)

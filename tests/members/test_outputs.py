"""What members wrote is read back and checked."""

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.members.outputs import refuse_seen_rows


def test_a_row_that_the_model_saw_is_refused_whatever_its_name(tmp_path):
    trained_on = tmp_path / "trained_on.txt"
    trained_on.write_text("a.png\nMüller\u2028b.png\n", encoding="utf-8")
    refuse_seen_rows(np.array(["b.png", "c.png"]), trained_on)
    with pytest.raises(UserError, match="trained on 1 of the rows"):
        refuse_seen_rows(np.array(["b.png", "Müller\u2028b.png"]), trained_on)

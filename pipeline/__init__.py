"""From a competition folder to an accepted submission, stage by stage, through files."""

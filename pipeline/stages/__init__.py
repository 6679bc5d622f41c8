"""One file per make target; `plan` lists their jobs, `project` opens what all of them read."""

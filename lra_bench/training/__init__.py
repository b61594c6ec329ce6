"""One cell: the loop, evaluation, schedules, checkpoints."""

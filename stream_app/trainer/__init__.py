"""The trainer: a process that learns the two-tower model from the logs and announces checkpoints to the workers."""

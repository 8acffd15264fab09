"""What can be said of a rule file without converting: findings, each with a code, a place and a fix."""

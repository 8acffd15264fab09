"""Both networks held beside each other: which layer differs first, and why."""

"""Contract harnesses: classes of tests that an implementation inherits to be checked, ours and yours."""

"""The real command, hurt in every way that was thought of: nothing may be lost."""
